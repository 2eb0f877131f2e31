"""Cross-entropy in few passes: one exponential, which the loss and the probabilities share."""
import numpy as np

from ...backend import sum_of


def cross_entropy(logits: np.ndarray, labels: np.ndarray,
                  smoothing: float) -> tuple[np.ndarray, np.ndarray]:
    """log_softmax(logits)[k] = shifted[k] - log(Σ exp(shifted)); shifted = logits - max(logits)."""
    shifted = logits - logits.max(axis=1, keepdims=True)                    # (N, K)
    losses = -(1 - smoothing) * shifted[np.arange(len(labels)), labels]
    if smoothing:
        losses -= smoothing / shifted.shape[1] * sum_of(shifted, 1)
    probabilities = np.exp(shifted, out=shifted)
    total = sum_of(probabilities, 1, keepdims=True)
    losses += np.log(total[:, 0])
    probabilities /= total
    return losses, probabilities


def cross_entropy_backward(dlosses: np.ndarray, probabilities: np.ndarray, labels: np.ndarray,
                           smoothing: float) -> np.ndarray:
    dlogits = probabilities * dlosses[:, None]                              # (N, K)
    dlogits[np.arange(len(labels)), labels] -= (1 - smoothing) * dlosses
    if smoothing:
        dlogits -= smoothing / probabilities.shape[1] * dlosses[:, None]
    return dlogits
