"""The loss: cross-entropy of softmax."""
from ...backend import Array, sum_of, xp_of
from .activation import log_softmax


def cross_entropy(logits: Array, labels: Array, smoothing: float) -> tuple[Array, Array]:
    """Losses (N,) and probabilities (N, K) from logits (N, K) and integer labels (N,).

    loss = -Σ target · log_softmax(logits), where target is (1 - smoothing) on the label plus
    smoothing / K everywhere (Szegedy et al. 2016, section 7). Without smoothing the logits of other
    classes may be -inf: their probability is 0. An inf or a NaN makes its row's loss NaN, a -inf on
    the label makes it inf.
    """
    xp = xp_of(logits)
    log_p = log_softmax(logits, 1)                                      # (N, K)
    losses = -log_p[xp.arange(len(labels)), labels]
    if smoothing:
        losses = (1 - smoothing) * losses - smoothing / log_p.shape[1] * sum_of(log_p, 1)
    return losses, xp.exp(log_p)


def cross_entropy_backward(dlosses: Array, probabilities: Array, labels: Array,
                           smoothing: float) -> Array:
    """dlogits (N, K) = dlosses · (probabilities - target)."""
    xp = xp_of(probabilities)
    dlogits = probabilities - probabilities.dtype.type(smoothing / probabilities.shape[1])
    dlogits[xp.arange(len(labels)), labels] -= 1 - smoothing
    return dlogits * dlosses[:, None]
