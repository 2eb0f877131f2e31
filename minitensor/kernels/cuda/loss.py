"""The loss: a block of threads per row."""
from ...backend import Array, xp_of
from .launcher import launch
from .layout import contiguous, threads_of_row

FILE = "loss.cu"


def cross_entropy(logits: Array, labels: Array, smoothing: float) -> tuple[Array, Array]:
    xp, logits, (N, K) = xp_of(logits), contiguous(logits), logits.shape
    losses, probabilities = xp.empty(N, logits.dtype), xp.empty_like(logits)
    launch(FILE, "cross_entropy",
           (logits, labels.astype(xp.int32), losses, probabilities, K, smoothing),
           dtype=logits.dtype, grid=N, threads=threads_of_row(K))
    return losses, probabilities


def cross_entropy_backward(dlosses: Array, probabilities: Array, labels: Array,
                           smoothing: float) -> Array:
    xp, probabilities = xp_of(probabilities), contiguous(probabilities)
    dlogits = xp.empty_like(probabilities)
    launch(FILE, "cross_entropy_backward",
           (contiguous(dlosses), probabilities, labels.astype(xp.int32), dlogits, dlogits.size,
            dlogits.shape[1], smoothing), dtype=dlogits.dtype, items=dlogits.size)
    return dlogits
