"""Losses. reduction is "mean" (default), "sum" or "none" (one loss per row), as in PyTorch."""
from typing import Any

from ..backend import Array, as_array, capturing, to_device, xp_of
from ..kernels import kernels_for
from ..tensor import Op, Tensor
from .checks import floating

REDUCTIONS = ("mean", "sum", "none")


class CrossEntropy(Op):
    """softmax, log and the choice of the label in one: its gradient is probability minus target."""

    def __init__(self, labels: Array, label_smoothing: float):
        self.labels, self.label_smoothing = labels, label_smoothing

    def forward(self, logits):              # logits (N, K), labels (N,) -> losses (N,)
        losses, self.probabilities = kernels_for(logits).cross_entropy(
            logits, self.labels, self.label_smoothing)
        return losses

    def backward(self, dlosses):            # dlosses (N,) -> dlogits (N, K)
        return kernels_for(dlosses).cross_entropy_backward(
            dlosses, self.probabilities, self.labels, self.label_smoothing)


def cross_entropy(logits: Tensor, labels: Any, reduction: str = "mean",
                  label_smoothing: float = 0.0) -> Tensor:
    """-log softmax(logits)[label], averaged over the batch.

    logits: (N, K), float32 or float64. labels: (N,) integers in [0, K), a Tensor, array or list.
    label_smoothing moves that much of the target to all classes alike (Szegedy et al. 2016, section
    7). Raises TypeError for labels that are not integers, ValueError for labels out of range and
    shapes that do not fit.
    """
    labels = _class_indices("cross_entropy", labels, logits=logits)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"cross_entropy: label_smoothing must be in [0, 1], not {label_smoothing}")
    op = CrossEntropy(labels, float(label_smoothing))
    return _reduce("cross_entropy", reduction, lambda: op(logits))


def nll_loss(log_probabilities: Tensor, labels: Any, reduction: str = "mean") -> Tensor:
    """-log_probabilities[label], averaged over the batch.

    log_probabilities: (N, K), float32 or float64. labels and errors: as in `cross_entropy`.
    """
    labels = _class_indices("nll_loss", labels, log_probabilities=log_probabilities)
    rows = xp_of(labels).arange(len(labels))
    return _reduce("nll_loss", reduction, lambda: -log_probabilities[rows, labels])


def mse_loss(x: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """(x - target)², averaged over all elements.

    x: any shape, float32 or float64. target: a Tensor, array or list of x's shape. Raises
    ValueError when the shapes differ, TypeError when the dtypes of two Tensors do.
    """
    floating("mse_loss", x=x)
    target = target if isinstance(target, Tensor) else Tensor(target, dtype=x.dtype)
    floating("mse_loss", x=x, target=target)
    if x.shape != target.shape:
        raise ValueError(f"mse_loss: x {x.shape} and target {target.shape} "
                         "must have the same shape")
    return _reduce("mse_loss", reduction, lambda: (x - target)**2)


def _reduce(op: str, reduction: str, losses) -> Tensor:
    if reduction not in REDUCTIONS:
        raise ValueError(f"{op}: reduction must be one of {REDUCTIONS}, not {reduction!r}")
    return losses() if reduction == "none" else getattr(losses(), reduction)()


def _class_indices(op: str, labels: Any, **scored: Tensor) -> Array:
    """labels as an integer array (N,) on the device of the scores (N, K), the one tensor of scored.

    They are checked where they are: for labels in GPU memory the check waits for the GPU, and a
    CUDA graph is captured without it.
    """
    floating(op, **scored)
    (name, scores), = scored.items()
    labels = as_array(labels.data if isinstance(labels, Tensor) else labels)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{op}: labels must be integers, not {labels.dtype}")
    if scores.ndim != 2 or labels.shape != scores.shape[:1] or not len(labels):
        raise ValueError(f"{op}: {name} must be (N, K) and labels (N,) with N >= 1 "
                         f"({name} {scores.shape}, labels {labels.shape})")
    classes = scores.shape[1]
    if not capturing() and (wrong := (labels < 0) | (labels >= classes)).any():
        raise ValueError(f"{op}: labels must be in [0, {classes}), but there is "
                         f"{int(labels[wrong][0])} at {int(wrong.argmax())}")
    return to_device(labels, scores.device)
