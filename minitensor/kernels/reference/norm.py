"""Local response normalisation."""
from ...backend import Array, xp_of


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
