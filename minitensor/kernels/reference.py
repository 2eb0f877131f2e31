"""The textbook kernel set: short, slow, and the definition of what every kernel computes.

Read it in this order, from easy to hard: activations, dropout, softmax and loss, linear, windows, pooling, convolution, normalisation,
the update.
Everything runs on NumPy and CuPy alike (`xp` is whichever library holds the array). Shapes and names are in `minitensor.kernels`.
"""
from collections.abc import Sequence
from typing import Any

from ..backend import Array, xp_of
from .philox import philox_uint32

Pair = tuple[int, int]


# ---- activations: y = f(x); the gradients are written in terms of y ----------------------------------------------------------

def relu(x: Array) -> Array:
    """max(x, 0); NaN stays NaN."""
    return xp_of(x).maximum(x, 0)


def relu_backward(dy: Array, y: Array) -> Array:
    """dy where y > 0, else 0."""
    return xp_of(dy).where(y > 0, dy, dy.dtype.type(0))


def tanh(x: Array) -> Array:
    return xp_of(x).tanh(x)


def tanh_backward(dy: Array, y: Array) -> Array:
    """dy (1 - y²)."""
    return dy * (1 - y * y)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), written with tanh so that no exp can overflow."""
    return (xp_of(x).tanh(x / 2) + 1) / 2


def sigmoid_backward(dy: Array, y: Array) -> Array:
    """dy y (1 - y)."""
    return dy * y * (1 - y)


def dropout(x: Array, p: float, key: tuple[int, Any]) -> Array:
    """x / (1 - p) where the draw of an element is at least p, else 0. Being linear in x it is its own backward: dx = dropout(dy, p, key).

    Element i (in logical C order) owns draw i of `philox_uint32(key)`: its upper 24 bits are a number in [0, 1) that float32 holds exactly.
    key is (seed, step); step may be an array () of uint64 on x's device, where a CUDA graph can change it between replays.
    """
    xp = xp_of(x)
    draw = philox_uint32(xp, key, x.size).reshape(x.shape) >> 8
    return xp.where(draw >= p * 2**24, x / x.dtype.type(1 - p), x.dtype.type(0))


# ---- softmax and the loss --------------------------------------------------------------------------------------------------

def softmax(x: Array, axis: int) -> Array:
    """exp(x) / sum(exp(x)) along axis; the maximum is subtracted first so that exp cannot overflow."""
    e = xp_of(x).exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def softmax_backward(dy: Array, y: Array, axis: int) -> Array:
    """y (dy - Σ dy y)."""
    return y * (dy - (dy * y).sum(axis=axis, keepdims=True))


def log_softmax(x: Array, axis: int) -> Array:
    """x - log(sum(exp(x))) along axis."""
    xp = xp_of(x)
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - xp.log(xp.exp(shifted).sum(axis=axis, keepdims=True))


def log_softmax_backward(dy: Array, y: Array, axis: int) -> Array:
    """dy - exp(y) Σ dy."""
    return dy - xp_of(dy).exp(y) * dy.sum(axis=axis, keepdims=True)


def cross_entropy(logits: Array, labels: Array, smoothing: float) -> tuple[Array, Array]:
    """Losses (N,) and probabilities (N, K) from logits (N, K) and integer labels (N,).

    loss = -Σ target · log_softmax(logits), where target is (1 - smoothing) on the label plus smoothing / K everywhere
    (Szegedy et al. 2016, section 7).
    """
    xp = xp_of(logits)
    log_p = log_softmax(logits, 1)                                                          # (N, K)
    label_loss = -log_p[xp.arange(len(labels)), labels]
    return (1 - smoothing) * label_loss - smoothing * log_p.mean(axis=1), xp.exp(log_p)


def cross_entropy_backward(dlosses: Array, probabilities: Array, labels: Array, smoothing: float) -> Array:
    """dlogits (N, K) = dlosses · (probabilities - target)."""
    xp = xp_of(probabilities)
    dlogits = probabilities - probabilities.dtype.type(smoothing / probabilities.shape[1])
    dlogits[xp.arange(len(labels)), labels] -= 1 - smoothing
    return dlogits * dlosses[:, None]


# ---- linear ----------------------------------------------------------------------------------------------------------------

def linear(x: Array, w: Array, b: Array | None) -> Array:
    """y (N, F) = x (N, C) · wᵀ (C, F) + b (F,)."""
    y = x @ w.T
    return y if b is None else y + b


def linear_backward(dy: Array, x: Array, w: Array, needs: tuple[bool, bool, bool]) -> tuple[Array | None, ...]:
    """dx (N, C), dw (F, C), db (F,); None for each that needs does not ask for."""
    dx = dy @ w if needs[0] else None
    dw = dy.T @ x if needs[1] else None
    db = dy.sum(axis=0) if needs[2] else None
    return dx, dw, db


# ---- windows ---------------------------------------------------------------------------------------------------------------

def output_size(image: int, kernel: int, stride: int, padding: int, dilation: int = 1, ceil_mode: bool = False) -> int:
    """How many windows fit along one side; with ceil_mode a last window may hang over the end if it starts inside (PyTorch's rule)."""
    room = image + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    size = -(-room // stride) + 1
    return size - 1 if (size - 1) * stride >= image + padding else size


def _pad(x: Array, padding: Pair, value: float, extra: Pair = (0, 0)) -> Array:
    """x with value around its last two axes; extra rows and columns go below and to the right."""
    (ph, pw), (eh, ew) = padding, extra
    return xp_of(x).pad(x, ((0, 0), (0, 0), (ph, ph + eh), (pw, pw + ew)), constant_values=value)


def _windows(x: Array, kernel_size: Pair, stride: Pair, dilation: Pair, out: Pair) -> Array:
    """A view (N, C, KH, KW, OH, OW) of x: entry [.., i, j, oh, ow] is x[.., oh·SH + i·DH, ow·SW + j·DW]. No copy is made."""
    (sn, sc, sh, sw), (KH, KW) = x.strides, kernel_size
    shape = (*x.shape[:2], KH, KW, *out)
    strides = (sn, sc, sh * dilation[0], sw * dilation[1], sh * stride[0], sw * stride[1])
    return xp_of(x).lib.stride_tricks.as_strided(x, shape, strides)


def _scatter_windows(dwindows: Array, image_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """The adjoint of `_pad` then `_windows`: every entry of dwindows (N, C, KH, KW, OH, OW) is added where it was read."""
    N, C, KH, KW, OH, OW = dwindows.shape
    (H, W), (PH, PW), (SH, SW), (DH, DW) = image_size, padding, stride, dilation
    height = max(H + 2 * PH, (KH - 1) * DH + (OH - 1) * SH + 1)             # a ceil_mode window may hang over the end
    width = max(W + 2 * PW, (KW - 1) * DW + (OW - 1) * SW + 1)
    dx = xp_of(dwindows).zeros((N, C, height, width), dtype=dwindows.dtype)
    for i in range(KH):
        for j in range(KW):
            dx[:, :, i * DH: i * DH + OH * SH: SH, j * DW: j * DW + OW * SW: SW] += dwindows[:, :, i, j]
    return dx[:, :, PH: PH + H, PW: PW + W]


# ---- pooling ---------------------------------------------------------------------------------------------------------------

def _pool_output(image_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool) -> Pair:
    OH, OW = (output_size(*side, ceil_mode=ceil_mode) for side in zip(image_size, kernel_size, stride, padding))
    return OH, OW


def _pool_windows(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, out: Pair, value: float) -> Array:
    """Windows (N, C, KH, KW, OH, OW) of x, padded with value as far as the windows reach."""
    extra = tuple(max(0, (o - 1) * s + k - i - 2 * p) for o, i, k, s, p in zip(out, x.shape[2:], kernel_size, stride, padding))
    return _windows(_pad(x, padding, value, extra), kernel_size, stride, (1, 1), out)


def max_pool2d(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool,
               with_winner: bool) -> tuple[Array, Array | None]:
    """y (N, C, OH, OW) and winner (N, C, OH, OW), the cell i·KW + j of each window that held the maximum, the first pixel on ties.

    Padding is -inf, and never wins. winner is uint8 (int32 for windows of more than 256 cells), None without with_winner.
    """
    xp, cells = xp_of(x), kernel_size[0] * kernel_size[1]
    out = _pool_output(x.shape[2:], kernel_size, stride, padding, ceil_mode)
    windows = _pool_windows(x, kernel_size, stride, padding, out, -xp.inf)
    windows = windows.reshape(*x.shape[:2], cells, *out)                                  # (N, C, KH·KW, OH, OW)
    y = windows.max(axis=2)
    if not with_winner:
        return y, None
    rows, columns = (xp.maximum(0, p - s * xp.arange(o)) for o, s, p in zip(out, stride, padding))
    first_pixel = rows[:, None] * kernel_size[1] + columns                                # (OH, OW), cells before it are padding
    winner = xp.where(y == -xp.inf, first_pixel, windows.argmax(axis=2))
    return y, winner.astype(xp.uint8 if cells <= 256 else xp.int32)


def max_pool2d_backward(dy: Array, winner: Array, image_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair) -> Array:
    """dx (N, C, H, W): each dy goes to the cell that won its window; overlapping windows add up."""
    xp, cells = xp_of(dy), kernel_size[0] * kernel_size[1]
    won = winner[:, :, None] == xp.arange(cells, dtype=winner.dtype).reshape(-1, 1, 1)    # (N, C, KH·KW, OH, OW)
    dwindows = (won * dy[:, :, None]).reshape(*dy.shape[:2], *kernel_size, *dy.shape[2:])
    return _scatter_windows(dwindows, image_size, stride, padding, (1, 1))


def _pool_divisor(like: Array, image_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair, out: Pair,
                  count_include_pad: bool) -> Array:
    """(OH, OW): how many cells each average counts; rows that only ceil_mode adds never count, padding if count_include_pad."""
    image = xp_of(like).ones((1, 1, *image_size), dtype=like.dtype)
    counted = _pad(image, padding, float(count_include_pad))
    return _pool_windows(counted, kernel_size, stride, (0, 0), out, 0.0)[0, 0].sum(axis=(0, 1))


def avg_pool2d(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool, count_include_pad: bool) -> Array:
    """y (N, C, OH, OW): the mean of each window over the cells that count (see `_pool_divisor`)."""
    out = _pool_output(x.shape[2:], kernel_size, stride, padding, ceil_mode)
    divisor = _pool_divisor(x, x.shape[2:], kernel_size, stride, padding, out, count_include_pad)
    return _pool_windows(x, kernel_size, stride, padding, out, 0.0).sum(axis=(2, 3)) / divisor


def avg_pool2d_backward(dy: Array, image_size: Pair, kernel_size: Pair, stride: Pair, padding: Pair,
                        count_include_pad: bool) -> Array:
    """dx (N, C, H, W): each dy is shared equally among the cells of its window."""
    divisor = _pool_divisor(dy, image_size, kernel_size, stride, padding, dy.shape[2:], count_include_pad)
    shape = (*dy.shape[:2], *kernel_size, *dy.shape[2:])
    dwindows = xp_of(dy).broadcast_to((dy / divisor)[:, :, None, None], shape)
    return _scatter_windows(dwindows, image_size, stride, padding, (1, 1))


def _adaptive_bounds(image: int, out: int) -> list[slice]:
    """Window i covers floor(i·image/out) up to ceil((i+1)·image/out): PyTorch's rule, windows may overlap by one."""
    return [slice(i * image // out, -(-(i + 1) * image // out)) for i in range(out)]


def adaptive_avg_pool2d(x: Array, output_size: Pair) -> Array:
    """y (N, C, *output_size): the image cut into that many nearly equal windows, and the mean of each."""
    y = xp_of(x).empty((*x.shape[:2], *output_size), dtype=x.dtype)
    for oh, rows in enumerate(_adaptive_bounds(x.shape[2], output_size[0])):
        for ow, columns in enumerate(_adaptive_bounds(x.shape[3], output_size[1])):
            y[:, :, oh, ow] = x[:, :, rows, columns].mean(axis=(2, 3))
    return y


def adaptive_avg_pool2d_backward(dy: Array, image_size: Pair) -> Array:
    """dx (N, C, H, W)."""
    dx = xp_of(dy).zeros((*dy.shape[:2], *image_size), dtype=dy.dtype)
    for oh, rows in enumerate(_adaptive_bounds(image_size[0], dy.shape[2])):
        for ow, columns in enumerate(_adaptive_bounds(image_size[1], dy.shape[3])):
            cells = (rows.stop - rows.start) * (columns.stop - columns.start)
            dx[:, :, rows, columns] += dy[:, :, oh, ow, None, None] / cells
    return dx


# ---- convolution -----------------------------------------------------------------------------------------------------------

def im2col(x: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """columns (N, C, KH, KW, OH, OW): under every output pixel the pixels of x its window sees, zeros outside the image."""
    OH, OW = (output_size(*side) for side in zip(x.shape[2:], kernel_size, stride, padding, dilation))
    return xp_of(x).ascontiguousarray(_windows(_pad(x, padding, 0.0), kernel_size, stride, dilation, (OH, OW)))


def col2im(columns: Array, image_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """(N, C, H, W): the adjoint of im2col; overlapping windows add up."""
    return _scatter_windows(columns, image_size, stride, padding, dilation)


def conv2d(x: Array, w: Array, b: Array | None, stride: Pair, padding: Pair, dilation: Pair, groups: int, relu: bool) -> Array:
    """y (N, F, OH, OW): one matrix product of the filters with the columns of x (per group), plus b, then max(·, 0) if relu."""
    columns = im2col(x, w.shape[2:], stride, padding, dilation)                     # (N, C, KH, KW, OH, OW)
    (N, *_, OH, OW), F = columns.shape, len(w)
    w_rows = w.reshape(groups, F // groups, -1)                                     # (G, F/G, C/G·KH·KW)
    columns = columns.reshape(N, groups, w_rows.shape[2], OH * OW)                  # (N, G, C/G·KH·KW, OH·OW)
    y = (w_rows @ columns).reshape(N, F, OH, OW)                                    # (N, G, F/G, OH·OW) before
    if b is not None:
        y += b[:, None, None]
    return xp_of(y).maximum(y, 0) if relu else y


def conv2d_backward(dy: Array, x: Array, w: Array, y: Array | None, stride: Pair, padding: Pair, dilation: Pair, groups: int,
                    needs: tuple[bool, bool, bool]) -> tuple[Array | None, ...]:
    """dx (N, C, H, W), dw (F, C/G, KH, KW), db (F,); None for each that needs does not ask for.

    y is the forward's output if it ended in relu, else None.
    """
    if y is not None:
        dy = relu_backward(dy, y)
    (N, F, OH, OW), (_, C_per_group, KH, KW) = dy.shape, w.shape
    dy_rows, w_rows = dy.reshape(N, groups, F // groups, OH * OW), w.reshape(groups, F // groups, -1)
    dx = dw = None
    if needs[0]:
        dcolumns = w_rows.swapaxes(1, 2) @ dy_rows                                   # (N, G, C/G·KH·KW, OH·OW)
        dx = col2im(dcolumns.reshape(N, groups * C_per_group, KH, KW, OH, OW), x.shape[2:], stride, padding, dilation)
    if needs[1]:
        columns = im2col(x, (KH, KW), stride, padding, dilation).reshape(N, groups, w_rows.shape[2], OH * OW)
        dw = (dy_rows @ columns.swapaxes(2, 3)).sum(axis=0).reshape(w.shape)
    db = dy.sum(axis=(0, 2, 3)) if needs[2] else None
    return dx, dw, db


# ---- normalisation ---------------------------------------------------------------------------------------------------------

def _window_sum(a: Array, size: int, before: int, axes: tuple[int, ...]) -> Array:
    """Along each of axes in turn: the sum of a[i - before], ..., a[i - before + size - 1]; zeros outside."""
    for axis in axes:
        margins = [(0, 0)] * a.ndim
        margins[axis] = (before, size - 1 - before)
        padded = xp_of(a).moveaxis(xp_of(a).pad(a, margins), axis, 0)
        a = xp_of(a).moveaxis(sum(padded[i: i + a.shape[axis]] for i in range(size)), 0, axis)
    return a


def local_response_norm(x: Array, size: int, alpha: float, beta: float, k: float, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """y = x / scale^beta and scale = k + alpha/n · Σ x² over the n = size^len(axes) neighbours along axes.

    axes (1,) sums across channels (Krizhevsky et al. 2012, section 3.3), (2, 3) within one channel. alpha is divided by n as in the
    2012 code, Caffe and PyTorch; the paper's formula read literally does not.
    """
    scale = k + alpha / size**len(axes) * _window_sum(x * x, size, size // 2, axes)
    return x * scale**-beta, scale


def local_response_norm_backward(dy: Array, x: Array, scale: Array, size: int, alpha: float, beta: float,
                                 axes: tuple[int, ...]) -> Array:
    """dx = dy / scale^beta - 2 alpha beta / n · x · Σ dy x / scale^(beta+1), over the neighbours whose windows contain x."""
    ratio = _window_sum(dy * x * scale**(-beta - 1), size, (size - 1) - size // 2, axes)
    return dy * scale**-beta - 2 * alpha * beta / size**len(axes) * x * ratio


# ---- the optimiser's update ------------------------------------------------------------------------------------------------

def sgd(ws: Sequence[Array], vs: Sequence[Array], dws: Sequence[Array], lr: Any, momentum: float, weight_decay: float,
        nesterov: bool) -> None:
    """In place, for each w, v, dw of the same shape (Krizhevsky et al. 2012, section 5): v = momentum·v - lr·(dw + weight_decay·w),
    then w += v.

    With nesterov the step looks ahead: w += momentum·v - lr·(dw + weight_decay·w), with the new v. lr is a number, or an array () of
    float64 on w's device, where a CUDA graph can change it between replays.
    """
    for w, v, dw in zip(ws, vs, dws):
        step = xp_of(w).multiply(dw + weight_decay * w, lr, dtype=w.dtype)
        v *= momentum
        v -= step
        w += momentum * v - step if nesterov else v
