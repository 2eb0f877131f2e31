"""The cases of `python -m minitensor.gradcheck`: every op, on inputs away from its kinks."""
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np

from .. import ops
from ..backend import to_device
from ..kernels import ACTIVATIONS
from ..random import Generator
from ..tensor import Tensor


class Case(NamedTuple):
    """A function of Tensors, and the float64 arrays to check its gradients at."""
    op: str
    name: str
    function: Callable[..., Tensor]
    arrays: tuple[np.ndarray, ...]


def op_cases() -> Iterator[Case]:
    """All cases, op by op; the same arrays on every call."""
    rng = np.random.default_rng(0)
    for cases in (_arithmetic, _elementwise, _reductions, _shapes, _activations, _losses,
                  _products, _pools, _norms, _convolutions, _batch_norms):
        yield from cases(rng)


def _away_from_zero(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Of either sign and at least 0.1: no finite difference crosses 0."""
    return rng.choice([-1, 1], shape) * rng.uniform(0.1, 1, shape)


def _distinct(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Values in [-1, 1] with equal gaps: no finite difference changes which one is largest."""
    size = int(np.prod(shape))
    return rng.permutation(np.linspace(-1, 1, size)).reshape(shape)


def _away_from_wholes(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Eighths: no finite difference crosses a whole number of quarters."""
    return rng.integers(-9, 9, shape) / 4 + 0.125


def _arithmetic(rng) -> Iterator[Case]:
    normal = rng.standard_normal
    for name, a, b in (("same shape", (3, 4), (3, 4)), ("broadcast", (2, 1, 4), (3, 1)),
                       ("with a scalar", (2, 3), ())):
        yield Case("add", name, lambda a, b: a + b, (normal(a), normal(b)))
        yield Case("sub", name, lambda a, b: a - b, (normal(a), normal(b)))
        yield Case("mul", name, lambda a, b: a * b, (normal(a), normal(b)))
        yield Case("div", name, lambda a, b: a / b, (normal(a), _away_from_zero(rng, *b)))
    yield Case("mul", "x · x", lambda x: x * x, (normal((3, 4)),))
    yield Case("pow", "x ** 3", lambda x: x**3, (_away_from_zero(rng, 3, 4),))
    yield Case("pow", "x ** -0.5", lambda x: x**-0.5, (rng.uniform(0.5, 2, (3, 4)),))
    yield Case("power", "2 ** x", lambda x: 2**x, (normal((3, 4)),))
    yield Case("power", "broadcast", lambda a, b: a**b, (rng.uniform(0.5, 2, (2, 1)), normal(3)))
    yield Case("neg", "", lambda x: -x, (normal((3, 4)),))
    yield Case("floordivide", "times a", lambda a: a * (a // 0.25), (_away_from_wholes(rng, 3, 4),))
    yield Case("remainder", "", lambda a, b: 8 * a % (2 + b / 9),
               (_away_from_wholes(rng, 3, 1), rng.uniform(0, 0.1, 4)))


def _elementwise(rng) -> Iterator[Case]:
    normal, x, positive = rng.standard_normal, _away_from_zero(rng, 3, 4), rng.uniform(0.5, 2, 6)
    yield Case("exp", "", lambda x: x.exp(), (normal((3, 4)),))
    yield Case("log", "", lambda x: x.log(), (positive,))
    yield Case("sqrt", "", lambda x: x.sqrt(), (positive,))
    yield Case("abs", "", abs, (x,))
    yield Case("clamp", "", lambda x: x.clamp(-0.05, 0.05) + x.clamp(min=0.05), (x,))
    yield Case("where", "broadcast", lambda a, b: ops.where(x > 0, a, b),
               (normal(4), normal((3, 1))))
    yield Case("maximum", "broadcast", ops.maximum, (x, 0.01 * normal(4)))
    yield Case("minimum", "broadcast", ops.minimum, (x, 0.01 * normal(4)))


def _reductions(rng) -> Iterator[Case]:
    normal = rng.standard_normal
    for dim in (None, 1, (0, -1)):
        name = f"dim {dim}"
        yield Case("sum", name, lambda x, dim=dim: x.sum(dim), (normal((2, 3, 4)),))
        yield Case("mean", name, lambda x, dim=dim: x.mean(dim, keepdim=True), (normal((2, 3, 4)),))
        yield Case("max", name, lambda x, dim=dim: x.amax(dim), (_distinct(rng, 2, 3, 4),))
        yield Case("min", name, lambda x, dim=dim: x.amin(dim), (_distinct(rng, 2, 3, 4),))
        yield Case("var", name, lambda x, dim=dim: x.var(dim), (normal((2, 3, 4)),))
        yield Case("root", name, lambda x, dim=dim: x.std(dim, False), (normal((2, 3, 4)),))


def _shapes(rng) -> Iterator[Case]:
    x = rng.standard_normal((2, 3, 4))
    yield Case("reshape", "", lambda x: x.reshape(4, -1), (x,))
    yield Case("permute", "", lambda x: x.permute(2, 0, 1), (x,))
    yield Case("transpose", "", lambda x: x.transpose(0, -1), (x,))
    yield Case("to", "the same dtype", lambda x: x.to(dtype=np.float64) * 2, (x,))
    yield Case("flatten", "", lambda x: ops.flatten(x, 1), (x,))
    yield Case("getitem", "slices", lambda x: x[1, ::2, None], (x,))
    yield Case("getitem", "rows picked twice", lambda x: x[[0, 1, 1, 0]], (x,))
    yield Case("expand", "", lambda x: x[:, :1].expand(5, -1, 3, 4), (x,))
    yield Case("clone", "", lambda x: x.clone(), (x,))
    yield Case("stack", "", lambda a, b: ops.stack([a, b], 1), (x, 2 * x))
    yield Case("cat", "three", lambda a, b, c: ops.cat([a, b, c], 1), (x, x[:, :1], x[:, 1:]))


def _activations(rng) -> Iterator[Case]:
    x = _away_from_zero(rng, 2, 3, 4, 5)
    yield Case("relu", "", ops.relu, (x,))
    yield Case("tanh", "", ops.tanh, (2 * x,))
    yield Case("sigmoid", "", ops.sigmoid, (2 * x,))
    for dim in (-1, 1):
        yield Case("softmax", f"dim {dim}", lambda x, dim=dim: ops.softmax(x, dim), (x,))
        yield Case("log_softmax", f"dim {dim}", lambda x, dim=dim: ops.log_softmax(x, dim), (x,))
    for p in (0.2, 0.5):
        # A new generator every time, so that the mask is the same on every call.
        yield Case("dropout", f"p {p}",
                   lambda x, p=p: ops.dropout(x, p, generator=Generator(1)), (x,))


def _losses(rng) -> Iterator[Case]:
    scores, labels = rng.standard_normal((4, 7)), np.array([6, 0, 3, 3])
    for r in ("mean", "sum", "none"):
        options: dict = {"reduction": r}
        yield Case("cross_entropy", r, partial(ops.cross_entropy, target=labels, **options),
                   (scores,))
        yield Case("nll_loss", r, partial(ops.nll_loss, target=labels, **options), (scores,))
        options |= {"weight": rng.uniform(0.5, 2, 7), "ignore_index": 3}
        yield Case("cross_entropy", f"{r}, weights, ignored rows, smoothing",
                   partial(ops.cross_entropy, target=labels, label_smoothing=0.1, **options),
                   (scores,))
        yield Case("nll_loss", f"{r}, weights, ignored rows",
                   partial(ops.nll_loss, target=labels, **options), (scores,))
        pair = scores, rng.standard_normal(scores.shape)
        yield Case("mse_loss", r, partial(ops.mse_loss, reduction=r), pair)
        yield Case("binary_cross_entropy_with_logits", r,
                   partial(ops.binary_cross_entropy_with_logits, reduction=r), pair)
    yield Case("cross_entropy", "label smoothing 0.1",
               partial(ops.cross_entropy, target=labels, label_smoothing=0.1), (scores,))
    yield Case("cross_entropy", "pixels",
               partial(ops.cross_entropy, target=labels.reshape(1, 2, 2)),
               (rng.standard_normal((1, 7, 2, 2)),))
    yield Case("cross_entropy", "probabilities",
               lambda x, t: ops.cross_entropy(x, t, label_smoothing=0.1), (scores, pair[1]**2))


def _products(rng) -> Iterator[Case]:
    normal = rng.standard_normal
    for name, a, b in (("vectors", (3,), (3,)), ("matrices", (2, 3), (3, 4)),
                       ("vector, matrices", (3,), (2, 3, 4)), ("batches", (5, 2, 3), (5, 3, 4)),
                       ("broadcast batches", (1, 2, 3), (5, 3, 4)),
                       ("batches, vector", (5, 2, 3), (3,))):
        yield Case("matmul", name, lambda a, b: a @ b, (normal(a), normal(b)))
    yield Case("linear", "with bias", ops.linear, (normal((4, 6)), normal((5, 6)), normal(5)))
    yield Case("linear", "without bias", ops.linear, (normal((4, 6)), normal((5, 6))))
    yield Case("linear", "a batch of sequences", ops.linear,
               (normal((2, 3, 6)), normal((5, 6)), normal(5)))
    yield Case("linear", "larger than one block", ops.linear,
               (normal((3, 1100)), normal((700, 1100)), normal(700)))
    x, w, b, residual = (np.round(2 * normal(shape)) for shape in ((4, 6), (5, 6), (5,), (4, 5)))
    yield from _epilogues("linear", ops.linear, x, w, b, residual)


def _epilogues(op: str, function: Callable[..., Tensor], x, w, b, residual) -> Iterator[Case]:
    """Of whole numbers and a bias of so many and a half: no sum is nearer to relu's kink than 0.5.
    """
    for activation in ACTIVATIONS:
        yield Case(op, f"with residual and {activation or 'no activation'}",
                   lambda x, w, b, r, a=activation: function(x / 8, w, b, residual=r, activation=a),
                   (8 * x, w, b + 0.5, residual))


def _pools(rng) -> Iterator[Case]:
    windows = (("overlapping 3/2", (2, 3, 7, 7), dict(kernel_size=3, stride=2)),
               ("gapped 2/3", (1, 2, 8, 9), dict(kernel_size=2, stride=3)),
               ("padded 3/2", (1, 2, 6, 7), dict(kernel_size=3, stride=2, padding=1)),
               ("ceil_mode", (1, 2, 6, 8), dict(kernel_size=3, stride=2, ceil_mode=True)),
               ("oblong", (1, 3, 7, 9),
                dict(kernel_size=(2, 4), stride=(1, 3), padding=(1, 2), ceil_mode=True)))
    for name, shape, window in windows:
        yield Case("max_pool2d", name, lambda x, w=window: ops.max_pool2d(x, **w),
                   (_distinct(rng, *shape),))
        yield Case("avg_pool2d", name, lambda x, w=window: ops.avg_pool2d(x, **w),
                   (rng.standard_normal(shape),))
        yield Case("avg_pool2d", f"{name}, padding not counted",
                   lambda x, w=window: ops.avg_pool2d(x, **w, count_include_pad=False),
                   (rng.standard_normal(shape),))
    x = rng.standard_normal((2, 2, 7, 9))
    for size in (1, (3, 2), (6, 11)):
        yield Case("adaptive_avg_pool2d", f"to {size}",
                   lambda x, size=size: ops.adaptive_avg_pool2d(x, size), (x,))


def _norms(rng) -> Iterator[Case]:
    x = rng.standard_normal((2, 7, 4, 5))
    alpha, beta, k = 0.5, 0.75, 2.0     # a large alpha, so that the neighbours count
    for region in ("across_channels", "within_channel"):
        for size in (1, 4, 5):
            yield Case("local_response_norm", f"{region}, size {size}",
                       lambda x, n=size, region=region: ops.local_response_norm(
                           x, n, alpha, beta, k, region), (x,))


def _convolutions(rng) -> Iterator[Case]:
    def arrays(x, w):
        return rng.standard_normal(x), rng.standard_normal(w), rng.standard_normal(w[0])

    geometries: tuple = (
        ("3x3", (2, 3, 6, 6), (4, 3, 3, 3), {}),
        ("1x1", (2, 3, 4, 4), (4, 3, 1, 1), {}),
        ("11x11, stride 4", (1, 3, 19, 23), (2, 3, 11, 11), dict(stride=4)),
        ("5x5, padding 2, 2 groups", (1, 4, 6, 5), (6, 2, 5, 5), dict(padding=2, groups=2)),
        ("depthwise", (2, 4, 6, 6), (4, 1, 3, 3), dict(padding=1, groups=4)),
        ("dilation 2", (1, 2, 9, 9), (3, 2, 3, 3), dict(dilation=2)),
        ("oblong", (2, 2, 9, 7), (3, 2, 2, 4),
         dict(stride=(3, 1), padding=(0, 2), dilation=(2, 1))),
        ("3x3, padding 1, as in conv3", (6, 96, 13, 13), (96, 96, 3, 3), dict(padding=1)),
        ("5x5, padding 2, as in conv2", (2, 48, 27, 27), (64, 48, 5, 5), dict(padding=2)),
    )
    for name, x, w, geometry in geometries:
        yield Case("conv2d", name, lambda x, w, b, g=geometry: ops.conv2d(x, w, b, **g),
                   arrays(x, w))
    yield Case("conv2d", "even windows, padding same",
               lambda x, w, b: ops.conv2d(x, w, b, padding="same", dilation=(1, 3)),
               arrays((2, 3, 5, 6), (4, 3, 4, 2)))
    yield Case("conv2d", "without bias", lambda x, w: ops.conv2d(x, w, padding=1),
               arrays((2, 3, 6, 6), (4, 3, 3, 3))[:2])
    x, w, b = (np.round(2 * a) for a in arrays((2, 3, 6, 6), (4, 3, 3, 3)))
    residual = np.round(rng.standard_normal((2, 4, 6, 6)))
    yield from _epilogues("conv2d", partial(ops.conv2d, padding=1), x, w, b, residual)
    window = dict(stride=(2, 1), padding=(1, 0), dilation=(1, 2))
    yield Case("im2col", "oblong", lambda x: ops.im2col(x, (3, 2), **window),
               (rng.standard_normal((2, 2, 7, 6)),))
    yield Case("col2im", "oblong", lambda c: ops.col2im(c, (7, 6), **window),
               (rng.standard_normal((2, 2, 3, 2, 4, 4)),))


def _batch_norms(rng) -> Iterator[Case]:
    x = rng.standard_normal((3, 4, 2, 5)) + 3
    w, b, *running = (rng.uniform(0.5, 2, 4) for _ in range(4))
    for name, training in (("of the batch", True), ("running", False)):
        def norm(x, w=None, b=None, training=training, **ending):
            mean, var = (Tensor(to_device(a.astype(x.dtype), x.device)) for a in running)
            return ops.batch_norm(x, mean, var, w, b, training, **ending)
        yield Case("batch_norm", f"{name} statistics", norm, (x, w, b))
        yield Case("batch_norm", f"{name} statistics, no weight", norm, (x,))
        for activation in ACTIVATIONS[1:]:
            # Far from relu's kink, whichever side of it.
            yield Case("batch_norm", f"{name}, residual and {activation}",
                       lambda x, w, b, r, a=activation, norm=norm: norm(
                           x, w / 8, b, residual=r, activation=a),
                       (x, w, b, 3 * rng.choice([-1.0, 1.0], x.shape)))
