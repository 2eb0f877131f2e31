"""Losses. reduction is "mean" (default), "sum" or "none" (one loss per row), as in PyTorch."""
from numbers import Integral
from typing import Any

import numpy as np

from ..backend import Array, as_array, capturing, sum_of, to_device, xp_of
from ..kernels import kernels_for
from ..tensor import Op, Tensor
from .activation import log_softmax
from .checks import floating, probability

REDUCTIONS = ("mean", "sum", "none")


class CrossEntropy(Op):
    """softmax, log and the choice of the label in one: its gradient is probability minus target.

    counted: of which rows the loss counts, None for all.
    """

    def __init__(self, labels: Array, label_smoothing: float, counted: Array | None):
        self.labels, self.label_smoothing, self.counted = labels, label_smoothing, counted

    def forward(self, logits):              # logits (N, K), labels (N,) -> losses (N,)
        losses, self.probabilities = kernels_for(logits).cross_entropy(
            logits, self.labels, self.label_smoothing)
        return self._of_counted(losses)

    def backward(self, dlosses):            # dlosses (N,) -> dlogits (N, K)
        return kernels_for(dlosses).cross_entropy_backward(
            self._of_counted(dlosses), self.probabilities, self.labels, self.label_smoothing)

    def _of_counted(self, values):
        return values if self.counted is None else xp_of(values).where(self.counted, values, 0)


class Expected(Op):
    """-Σ target · log_p of each row, where 0 · log 0 is 0."""

    def forward(self, log_p, target):       # (N, K) each -> losses (N,)
        self.log_p, self.target, xp = log_p, target, xp_of(log_p)
        return -sum_of(xp.where(target != 0, log_p, 0) * target, 1)

    def backward(self, dlosses):
        dlosses, xp = -dlosses[:, None], xp_of(dlosses)
        dlog_p = xp.where(self.target != 0, self.target * dlosses, 0)
        return dlog_p, self.log_p * dlosses if self.needs[1] else None


class Softplus(Op):
    """log(1 + exp(x)), which neither overflows nor loses small values."""

    def forward(self, x):
        self.x, xp = x, xp_of(x)
        return xp.maximum(x, 0) + xp.log1p(xp.exp(-abs(x)))

    def backward(self, dy):
        return dy * kernels_for(dy).sigmoid(self.x)


# ---- losses of classes ---------------------------------------------------------------------------

def cross_entropy(input: Tensor, target: Any, weight: Any = None, ignore_index: int = -100,
                  reduction: str = "mean", label_smoothing: float = 0.0) -> Tensor:
    """-weight[target] · log softmax(input)[target], averaged over the rows.

    input: logits (N, K), (N, K, ...), such as (N, K, H, W), or (K,); float32 or float64. target: a
    Tensor, array or list, either of integers in [0, K), (N), (N, ...) or (); or of probabilities,
    floats of input's shape. weight: (K,), one number a class; the mean over integers divides by the
    sum of their weights. A row whose integer is ignore_index counts nothing; where all are ignored
    the mean is NaN. label_smoothing moves that much of the target to all classes alike (Szegedy et
    al. 2016, section 7). Raises TypeError for targets of other kinds, ValueError for integers out
    of range and shapes that do not fit.
    """
    _check("cross_entropy", input, ignore_index, reduction)
    probability("cross_entropy", label_smoothing, "label_smoothing")
    weight, smoothing = _class_weights("cross_entropy", weight, input), float(label_smoothing)
    if _array(target).dtype.kind == "f":
        target = _probabilities(input, target, ignore_index)
        return _soft_cross_entropy(input, target, weight, reduction, smoothing)
    labels, counted = _class_indices("cross_entropy", input, target, ignore_index)
    rows = _rows(input)
    if weight is None:
        losses = CrossEntropy(labels, smoothing, counted)(rows)
    else:
        losses = Expected()(log_softmax(rows, 1), _targets(labels, counted, weight, smoothing))
    return _reduce_rows(losses, _shape_of_target(input), reduction, labels, counted, weight)


def nll_loss(input: Tensor, target: Any, weight: Any = None, ignore_index: int = -100,
             reduction: str = "mean") -> Tensor:
    """-weight[target] · input[target], averaged over the rows.

    input: log-probabilities of the shapes that `cross_entropy` takes; target (integers only),
    weight, ignore_index and errors: as there.
    """
    _check("nll_loss", input, ignore_index, reduction)
    weight = _class_weights("nll_loss", weight, input)
    labels, counted = _class_indices("nll_loss", input, target, ignore_index)
    ones = xp_of(labels).ones(_classes(input), input.dtype)
    losses = Expected()(_rows(input), _targets(labels, counted, ones if weight is None else weight))
    return _reduce_rows(losses, _shape_of_target(input), reduction, labels, counted, weight)


def _soft_cross_entropy(input: Tensor, target: Tensor, weight: Array | None, reduction: str,
                        smoothing: float) -> Tensor:
    """-Σ weight · target · log softmax(input) of each row; the mean divides by the rows."""
    rows = _rows(target)
    rows = (1 - smoothing) * rows + smoothing / rows.shape[1] if smoothing else rows
    losses = Expected()(log_softmax(_rows(input), 1), rows if weight is None else rows * weight)
    return _reduce_rows(losses, _shape_of_target(input), reduction)


def _targets(labels: Array, counted: Array | None, weight: Array, smoothing: float = 0.0) -> Array:
    """What `Expected` multiplies with: the class's weight on the label, less the part of smoothing,
    of which each class gets its weight; 0 in rows that do not count -> (rows, K)
    """
    xp, rows, classes = xp_of(labels), len(labels), len(weight)
    targets = xp.tile(weight * (smoothing / classes), (rows, 1))
    targets[xp.arange(rows), labels] += (1 - smoothing) * weight[labels]
    return targets if counted is None else xp.where(counted[:, None], targets, 0)


def _check(op: str, input: Tensor, ignore_index: int, reduction: str) -> None:
    floating(op, input=input)
    _check_reduction(op, reduction)
    if not isinstance(ignore_index, Integral):
        raise TypeError(f"{op}: ignore_index must be an integer, not {ignore_index!r}")
    if 0 in (input.ndim, *input.shape):
        raise ValueError(f"{op}: input must be (N, K, ...) or (K,) with every size at least 1, "
                         f"not {input.shape}")


def _array(value: Any) -> Array:
    return as_array(value.data if isinstance(value, Tensor) else value)


def _classes(input: Tensor) -> int:
    return input.shape[min(1, input.ndim - 1)]


def _shape_of_target(input: Tensor) -> tuple[int, ...]:
    """(N, K, H, W) -> (N, H, W); (K,) -> ()"""
    return (*input.shape[:1], *input.shape[2:]) if input.ndim > 1 else ()


def _rows(x: Tensor) -> Tensor:
    """(N, K, ...) or (K,) -> (rows, K)"""
    x = x.permute(0, *range(2, x.ndim), 1) if x.ndim > 2 else x
    return x if x.ndim == 2 else x.reshape(-1, x.shape[-1])


def _class_weights(op: str, weight: Any, input: Tensor) -> Array | None:
    """weight as an array (K,) of input's dtype, beside it."""
    if weight is None:
        return None
    array, classes = _array(weight), _classes(input)
    if array.dtype.kind not in "fiu" or array.shape != (classes,):
        raise ValueError(f"{op}: weight must be {classes} numbers, one a class, "
                         f"not {array.dtype} {array.shape}")
    if isinstance(weight, Tensor) and weight.requires_grad:
        raise TypeError(f"{op}: weight is a constant; detach the one that requires a gradient")
    return to_device(array, input.device).astype(input.dtype, copy=False)


def _probabilities(input: Tensor, target: Any, ignore_index: int) -> Tensor:
    """target as a Tensor of input's shape, dtype and device."""
    if _array(target).shape != input.shape:
        raise TypeError(f"cross_entropy: target must be integers {_shape_of_target(input)}, or "
                        f"probabilities of input's shape {input.shape}, "
                        f"not {_array(target).dtype} {_array(target).shape}")
    if ignore_index >= 0:
        raise ValueError(f"cross_entropy: ignore_index {ignore_index} is for integer targets, "
                         "not for probabilities")
    if not isinstance(target, Tensor):
        target = Tensor(to_device(_array(target), input.device), dtype=input.dtype)
    floating("cross_entropy", input=input, target=target)
    return target


def _class_indices(op: str, input: Tensor, target: Any,
                   ignore_index: int) -> tuple[Array, Array | None]:
    """(labels, counted), arrays (rows,) beside input; 0 is the label of a row that is ignored.

    counted is None where all rows count. The labels are checked where they are: for labels in GPU
    memory the check waits for the GPU, and a CUDA graph is captured without it.
    """
    labels, shape, classes = _array(target), _shape_of_target(input), _classes(input)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{op}: target must be integers, not {labels.dtype}")
    if labels.shape != shape:
        raise ValueError(f"{op}: target of integers must be {shape} for input {input.shape}, "
                         f"not {labels.shape}")
    labels = labels.reshape(-1).astype(np.int64, copy=False)
    counted = labels != ignore_index
    if not capturing():
        if (wrong := counted & ((labels < 0) | (labels >= classes))).any():
            raise ValueError(f"{op}: target must be in [0, {classes}), but there is "
                             f"{int(labels[wrong][0])} at {int(wrong.argmax())}")
        if counted.all():
            return to_device(labels, input.device), None
    labels = xp_of(labels).where(counted, labels, 0)
    return to_device(labels, input.device), to_device(counted, input.device)


def _reduce_rows(losses: Tensor, shape: tuple[int, ...], reduction: str,
                 labels: Array | None = None, counted: Array | None = None,
                 weight: Array | None = None) -> Tensor:
    """losses (rows,), reduced, or in the target's shape. The mean divides by what counted weighs.
    """
    if reduction == "none":
        return losses if losses.shape == shape else losses.reshape(shape)
    if reduction == "sum":
        return losses.sum()
    if counted is None and weight is None:
        return losses.mean()
    xp = xp_of(losses.data)
    weights = xp.ones_like(losses.data) if weight is None else weight[labels]
    total = sum_of(weights if counted is None else xp.where(counted, weights, 0))
    return losses.sum() / xp.where(total == 0, np.nan, total).astype(losses.dtype)


# ---- losses of elements --------------------------------------------------------------------------

def mse_loss(input: Tensor, target: Any, reduction: str = "mean") -> Tensor:
    """(input - target)², averaged over all elements.

    input: any shape, float32 or float64. target: a Tensor, array or list of input's shape. Raises
    ValueError when the shapes differ, TypeError when the dtypes of two Tensors do.
    """
    target = _same_shape("mse_loss", input, target, reduction)
    return _reduce((input - target)**2, reduction)


def binary_cross_entropy_with_logits(input: Tensor, target: Any, weight: Any = None,
                                     reduction: str = "mean", pos_weight: Any = None) -> Tensor:
    """-weight · (pos_weight · target · log p + (1 - target) · log(1 - p)), p = sigmoid(input),
    averaged over all elements: each is a class that is there or not.

    input: any shape, float32 or float64. target: in [0, 1], and errors: as in `mse_loss`. weight
    and pos_weight: Tensors, arrays or lists that broadcast to input's shape.
    """
    target = _same_shape("binary_cross_entropy_with_logits", input, target, reduction)
    of_ones: Any = 1
    if pos_weight is not None:
        of_ones = 1 + (_broadcast("pos_weight", pos_weight, input) - 1) * target
    losses = (1 - target) * input + of_ones * Softplus()(-input)
    if weight is not None:
        losses = losses * _broadcast("weight", weight, input)
    return _reduce(losses, reduction)


def _broadcast(name: str, value: Any, input: Tensor) -> Tensor:
    value = _like(input, value)
    if any(n not in (1, m) for n, m in zip(value.shape[::-1], input.shape[::-1])) \
            or value.ndim > input.ndim:
        raise ValueError(f"binary_cross_entropy_with_logits: {name} {value.shape} does not "
                         f"broadcast to input {input.shape}")
    return value


def _like(input: Tensor, value: Any) -> Tensor:
    """value as a Tensor; what is none yet gets input's dtype and device."""
    if isinstance(value, Tensor):
        return value
    return Tensor(to_device(as_array(value), input.device), dtype=input.dtype)


def _same_shape(op: str, input: Tensor, target: Any, reduction: str) -> Tensor:
    """target as a Tensor like input."""
    floating(op, input=input)
    _check_reduction(op, reduction)
    target = _like(input, target)
    floating(op, input=input, target=target)
    if input.shape != target.shape:
        raise ValueError(f"{op}: input {input.shape} and target {target.shape} "
                         "must have the same shape")
    return target


def _check_reduction(op: str, reduction: str) -> None:
    if reduction not in REDUCTIONS:
        raise ValueError(f"{op}: reduction must be one of {REDUCTIONS}, not {reduction!r}")


def _reduce(losses: Tensor, reduction: str) -> Tensor:
    return losses if reduction == "none" else getattr(losses, reduction)()
