"""Softmax and the loss: a block of threads per row."""
from ...backend import Array, xp_of
from .launcher import launch
from .layout import contiguous, from_rows, rows_along

FILE = "softmax.cu"
WARP, MOST_THREADS = 32, 256


def _threads(K: int) -> int:
    """Whole warps, one number a thread as far as that goes."""
    return min(MOST_THREADS, -(-K // WARP) * WARP)


def _along_axis(kernel: str, axis: int, *arrays: Array) -> Array:
    rows = rows_along(axis, *arrays)
    y = xp_of(rows[0]).empty_like(rows[0])
    launch(FILE, kernel, (*rows, y, y.shape[1]), dtype=y.dtype, grid=len(y), threads=_threads(y.shape[1]))
    return from_rows(y, axis, arrays[0])


def softmax(x: Array, axis: int) -> Array:
    return _along_axis("softmax", axis, x)


def softmax_backward(dy: Array, y: Array, axis: int) -> Array:
    return _along_axis("softmax_backward", axis, dy, y)


def log_softmax(x: Array, axis: int) -> Array:
    return _along_axis("log_softmax", axis, x)


def log_softmax_backward(dy: Array, y: Array, axis: int) -> Array:
    return _along_axis("log_softmax_backward", axis, dy, y)


def cross_entropy(logits: Array, labels: Array, smoothing: float) -> tuple[Array, Array]:
    xp, logits, (N, K) = xp_of(logits), contiguous(logits), logits.shape
    losses, probabilities = xp.empty(N, logits.dtype), xp.empty_like(logits)
    launch(FILE, "cross_entropy", (logits, labels.astype(xp.int32), losses, probabilities, K, smoothing), dtype=logits.dtype, grid=N,
           threads=_threads(K))
    return losses, probabilities


def cross_entropy_backward(dlosses: Array, probabilities: Array, labels: Array, smoothing: float) -> Array:
    xp, probabilities = xp_of(probabilities), contiguous(probabilities)
    dlogits = xp.empty_like(probabilities)
    launch(FILE, "cross_entropy_backward",
           (contiguous(dlosses), probabilities, labels.astype(xp.int32), dlogits, dlogits.size, dlogits.shape[1], smoothing),
           dtype=dlogits.dtype, items=dlogits.size)
    return dlogits
