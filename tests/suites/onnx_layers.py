"""ONNX's layers, norms and losses in the engine's public ops."""
import minitensor as mt
from suite import NotExpressed


# ---- windows ---------------------------------------------------------------------------------

def two_axes(x, sizes):
    """An image of one axis as one that is a pixel high, with the sizes of its windows."""
    if x.ndim == 3:
        sizes = {name: (fill, *values) for name, (fill, values) in sizes.items()}
        return x.unsqueeze(2), sizes
    if x.ndim != 4:
        raise NotExpressed("shape", f"windows over {x.ndim - 2} axes")
    return x, {name: tuple(values) for name, (fill, values) in sizes.items()}


def padding_of(x, pads, auto_pad):
    """The padding of each axis, which is the same before and after in the engine."""
    if auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        raise NotExpressed("option", f"auto_pad {auto_pad}")
    half = x.ndim - 2
    pads = pads if pads is not None and auto_pad != "VALID" else [0] * 2 * half
    if pads[:half] != pads[half:]:
        raise NotExpressed("option", "other padding before than after")
    return pads[:half]


def conv(x, w, b=None, *, auto_pad="NOTSET", dilations=None, group=1, kernel_shape=None, pads=None,
         strides=None):
    ones, ndim = [1] * (x.ndim - 2), x.ndim
    x, sizes = two_axes(x, {"stride": (1, strides or ones), "dilation": (1, dilations or ones),
                            "padding": (0, padding_of(x, pads, auto_pad))})
    y = mt.conv2d(x, w.unsqueeze(2) if ndim == 3 else w, b, groups=group, **sizes)
    return y.squeeze(2) if ndim == 3 else y


def pooled(pool, x, kernel_shape, strides, pads, auto_pad, **options):
    ndim = x.ndim
    x, sizes = two_axes(x, {"kernel_size": (1, kernel_shape),
                            "stride": (1, strides or [1] * len(kernel_shape)),
                            "padding": (0, padding_of(x, pads, auto_pad))})
    if any(2 * p > k for p, k in zip(sizes["padding"], sizes["kernel_size"])):
        raise NotExpressed("option", "a pool's padding above half its window")
    y = pool(x, **sizes, **options)
    return y.squeeze(2) if ndim == 3 else y


def only_ones(op, dilations):
    if dilations and set(dilations) != {1}:
        raise NotExpressed("option", f"{op}: dilations")


def max_pool(x, *, kernel_shape, strides=None, pads=None, auto_pad="NOTSET", ceil_mode=0,
             dilations=None, storage_order=0):
    only_ones("MaxPool", dilations)
    floats = x if x.dtype.kind == "f" else x.float()        # uint8: exact in float32
    y = pooled(mt.max_pool2d, floats, kernel_shape, strides, pads, auto_pad,
               ceil_mode=bool(ceil_mode))
    return y.to(dtype=x.dtype)


def average_pool(x, *, kernel_shape, strides=None, pads=None, auto_pad="NOTSET", ceil_mode=0,
                 dilations=None, count_include_pad=0):
    only_ones("AveragePool", dilations)
    return pooled(mt.avg_pool2d, x, kernel_shape, strides, pads, auto_pad,
                  ceil_mode=bool(ceil_mode), count_include_pad=bool(count_include_pad))


def lp_pool(x, *, kernel_shape, p=2, strides=None, pads=None, auto_pad="NOTSET", ceil_mode=0,
            dilations=None):
    only_ones("LpPool", dilations)
    mean = pooled(mt.avg_pool2d, x.abs() ** p, kernel_shape, strides, pads, auto_pad,
                  ceil_mode=bool(ceil_mode))
    cells = 1
    for n in kernel_shape:
        cells *= n
    return (mean * cells) ** (1 / p)


def global_average_pool(x):
    return mt.adaptive_avg_pool2d(x, 1) if x.ndim == 4 else x.mean(tuple(range(2, x.ndim)), True)


def global_max_pool(x):
    return x.amax(tuple(range(2, x.ndim)), True)


def col2im(x, image_shape, block_shape, *, dilations=None, pads=None, strides=None):
    image, block = image_shape.numpy().tolist(), block_shape.numpy().tolist()
    if len(image) != 2:
        raise NotExpressed("shape", f"windows over {len(image)} axes")
    pads, dilations, strides = pads or [0] * 4, dilations or [1, 1], strides or [1, 1]
    if pads[:2] != pads[2:]:
        raise NotExpressed("option", "other padding before than after")
    places = [(n + 2 * p - d * (k - 1) - 1) // s + 1
              for n, k, p, d, s in zip(image, block, pads, dilations, strides)]
    columns = x.reshape(len(x), -1, *block, *places)
    return mt.col2im(columns, tuple(image), tuple(strides), tuple(pads[:2]), tuple(dilations))


def conv_transpose(x, w, b=None, *, auto_pad="NOTSET", dilations=None, group=1, kernel_shape=None,
                   output_padding=None, output_shape=None, pads=None, strides=None):
    """The adjoint of a convolution: columns that are added up."""
    if x.ndim != 4:
        raise NotExpressed("shape", f"windows over {x.ndim - 2} axes")
    if group != 1 or output_shape or auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        raise NotExpressed("option", "ConvTranspose: group, output_shape, auto_pad")
    padding = padding_of(x, pads, auto_pad)
    (N, C, H, W), (F, KH, KW) = x.shape, w.shape[1:]
    strides, dilations = strides or [1, 1], dilations or [1, 1]
    extra = output_padding or [0, 0]
    image = [s * (n - 1) + d * (k - 1) + 1 - 2 * p + e for n, k, s, d, p, e
             in zip((H, W), (KH, KW), strides, dilations, padding, extra)]
    columns = w.reshape(C, -1).T @ x.reshape(N, C, H * W)
    y = mt.col2im(columns.reshape(N, F, KH, KW, H, W), tuple(image), tuple(strides),
                  tuple(padding), tuple(dilations))
    return y if b is None else y + b.reshape(-1, 1, 1)


# ---- products and norms ----------------------------------------------------------------------

def gemm(a, b, c=None, *, alpha=1.0, beta=1.0, transA=0, transB=0):
    y = alpha * ((a.T if transA else a) @ (b.T if transB else b))
    return y if c is None else y + beta * c


def lrn(x, *, size, alpha=1e-4, beta=0.75, bias=1.0):
    return mt.local_response_norm(x, size, alpha, beta, bias)


def normalised(x, axes, epsilon):
    mean = x.mean(axes, True)
    variance = ((x - mean) ** 2).mean(axes, True)
    return (x - mean) / (variance + epsilon).sqrt(), mean, variance


def layer_normalization(x, scale, b=None, *, axis=-1, epsilon=1e-5, stash_type=1):
    y, mean, variance = normalised(x, tuple(range(axis % x.ndim, x.ndim)), epsilon)
    y = y * scale if b is None else y * scale + b
    return y, mean, 1 / (variance + epsilon).sqrt()


def rms_normalization(x, scale, *, axis=-1, epsilon=1e-5, stash_type=1):
    square = (x * x).mean(tuple(range(axis % x.ndim, x.ndim)), True)
    return x / (square + epsilon).sqrt() * scale


def by_channel(x, values):
    return values.reshape([-1] + [1] * (x.ndim - 2))


def instance_normalization(x, scale, b, *, epsilon=1e-5):
    y, _, _ = normalised(x, tuple(range(2, x.ndim)), epsilon)
    return y * by_channel(x, scale) + by_channel(x, b)


def group_normalization(x, scale, b, *, num_groups, epsilon=1e-5, stash_type=1):
    y, _, _ = normalised(x.reshape(len(x), num_groups, -1), (2,), epsilon)
    return y.reshape(*x.shape) * by_channel(x, scale) + by_channel(x, b)


def mean_variance_normalization(x, *, axes=(0, 2, 3)):
    return normalised(x, tuple(axes), 1e-9)[0]


def lp_normalization(x, *, axis=-1, p=2):
    norm = x.abs().sum(axis, True) if p == 1 else (x * x).sum(axis, True).sqrt()
    return x / mt.where(norm == 0, 1, norm)


def softmax(function):
    def along(x, *, axis=-1):
        return function(x, axis)
    return along


# ---- losses ----------------------------------------------------------------------------------

def nll(log_probabilities, labels, weight=None, *, ignore_index=-100, reduction="mean"):
    scores, labels = rows(log_probabilities, labels)
    loss = mt.nll_loss(scores, labels.reshape(-1), weight, ignore_index=ignore_index,
                       reduction=reduction)
    return loss.reshape(*labels.shape) if reduction == "none" else loss


def softmax_cross_entropy(x, labels, weight=None, *, ignore_index=-100, reduction="mean"):
    scores, labels = rows(x, labels)
    loss = mt.cross_entropy(scores, labels.reshape(-1), weight, ignore_index=ignore_index,
                            reduction=reduction)
    loss = loss.reshape(*labels.shape) if reduction == "none" else loss
    return loss, mt.log_softmax(x, 1)


def rows(scores, labels):
    """(N, K, ...) as (rows, K): the engine's losses take (N, K) and (N, K, H, W)."""
    K, axes = scores.shape[1], range(2, scores.ndim)
    return scores.permute(0, *axes, 1).reshape(-1, K), labels


LAYERS = {
    "AveragePool": average_pool, "Col2Im": col2im, "Conv": conv, "ConvTranspose": conv_transpose,
    "Gemm": gemm, "GlobalAveragePool": global_average_pool, "GlobalMaxPool": global_max_pool,
    "GroupNormalization": group_normalization, "InstanceNormalization": instance_normalization,
    "LRN": lrn, "LayerNormalization": layer_normalization, "LogSoftmax": softmax(mt.log_softmax),
    "LpNormalization": lp_normalization, "LpPool": lp_pool, "MaxPool": max_pool,
    "MeanVarianceNormalization": mean_variance_normalization, "NegativeLogLikelihoodLoss": nll,
    "RMSNormalization": rms_normalization, "Softmax": softmax(mt.softmax),
    "SoftmaxCrossEntropyLoss": softmax_cross_entropy,
}
