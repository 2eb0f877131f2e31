"""Local response normalisation, and batch normalisation."""
from ...backend import Array, xp_of
from ..epilogue import Epilogue, Needs
from .epilogue import before_activation, finish


def _window_sum(a: Array, size: int, before: int, axes: tuple[int, ...]) -> Array:
    """Along each of axes in turn: a[i - before] + ... + a[i - before + size - 1]; zeros outside."""
    for axis in axes:
        margins = [(0, 0)] * a.ndim
        margins[axis] = (before, size - 1 - before)
        padded = xp_of(a).moveaxis(xp_of(a).pad(a, margins), axis, 0)
        a = xp_of(a).moveaxis(sum(padded[i: i + a.shape[axis]] for i in range(size)), 0, axis)
    return a


def local_response_norm(x: Array, size: int, alpha: float, beta: float, k: float,
                        axes: tuple[int, ...]) -> tuple[Array, Array]:
    """y = x / scale^beta and scale = k + alpha/n · Σ x² over the n = size^len(axes) neighbours.

    axes (1,) sums across channels (Krizhevsky et al. 2012, section 3.3), (2, 3) within one channel.
    alpha is divided by n as in the 2012 code, Caffe and PyTorch; the paper's formula read literally
    does not.
    """
    scale = k + alpha / size**len(axes) * _window_sum(x * x, size, size // 2, axes)
    return x * scale**-beta, scale


def local_response_norm_backward(dy: Array, x: Array, scale: Array, size: int, alpha: float,
                                 beta: float, axes: tuple[int, ...]) -> Array:
    """dx = dy / scale^beta - 2 alpha beta / n · x · Σ dy x / scale^(beta+1), the sum over the
    neighbours whose windows contain x."""
    ratio = _window_sum(dy * x * scale**(-beta - 1), size, (size - 1) - size // 2, axes)
    return dy * scale**-beta - 2 * alpha * beta / size**len(axes) * x * ratio


# ---- batch normalisation (Ioffe and Szegedy 2015) ------------------------------------------------

def _by_channel(values: Array) -> Array:
    """(C,) -> (C, 1, 1), in float64: an image's channels may vary little around a large mean."""
    return values.astype("float64").reshape(-1, 1, 1)


def _normalised(x: Array, mean: Array, variance: Array, eps: float) -> tuple[Array, Array]:
    """(x - mean) / deviation, and the deviation (C, 1, 1)."""
    deviation = xp_of(x).sqrt(_by_channel(variance) + eps)
    return (x - _by_channel(mean)) / deviation, deviation


def batch_statistics(x: Array) -> tuple[Array, Array]:
    """The mean and the variance (C,) of each channel of x (N, C, H, W), in float64 whatever x is.

    The variance is biased: divided by the number of values.
    """
    x = x.astype("float64")
    return x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))


def batch_norm(x: Array, w: Array | None, epilogue: Epilogue, mean: Array, variance: Array,
               eps: float) -> Array:
    """y = activation(w (x - mean) / sqrt(variance + eps) + bias + residual), by channel.

    mean and variance (C,) are float32 or float64: those of the batch, or running ones. w is (C,);
    None stands for ones.
    """
    y, _ = _normalised(x, mean, variance, eps)
    y = y if w is None else y * _by_channel(w)
    return finish(y.astype(x.dtype), epilogue)


def batch_norm_backward(dy: Array, x: Array, w: Array | None, y: Array | None, mean: Array,
                        variance: Array, eps: float, of_batch: bool, activation: str | None,
                        needs: Needs) -> tuple[Array | None, ...]:
    """dx, dw, dbias, dresidual. of_batch: mean and variance are those of x, and change with it.

    With z the normalised x, m values a channel and dy before the activation: dbias = Σ dy,
    dw = Σ dy z, and dx = w / deviation · (dy - (dbias + z dw) / m); the subtraction is that of the
    statistics. y, the output, may be None where there is no activation.
    """
    dy = before_activation(dy, y, activation)
    z, deviation = _normalised(x, mean, variance, eps)
    db, dw = (a.sum(axis=(0, 2, 3), dtype="float64") for a in (dy, dy * z))
    count = x.size // x.shape[1]
    through = (_by_channel(db) + z * _by_channel(dw)) / count if of_batch else 0
    dx = (dy - through) / deviation if w is None else (dy - through) / deviation * _by_channel(w)
    return dx.astype(x.dtype), dw.astype(x.dtype), db.astype(x.dtype), dy if needs[3] else None
