"""Losses as modules, called as loss(input, target). Weights are buffers."""
from typing import Any

from .. import ops
from ..tensor import Tensor
from .module import Module
from .parameter import Buffer


class _Loss(Module):
    """Its options are attributes, called as the function's arguments are."""

    def __init__(self, **options: Any):
        self.names = tuple(options)
        for name, value in options.items():
            if isinstance(value, Tensor):
                if value.requires_grad:
                    raise TypeError(f"{type(self).__name__}: {name} is a constant; detach the one "
                                    "that requires a gradient")
                value = value.data
            is_weight = name in ("weight", "pos_weight") and value is not None
            setattr(self, name, Buffer(value) if is_weight else value)

    def options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.names}

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.options().items()
                         if value is not None and not isinstance(value, Buffer))


class CrossEntropyLoss(_Loss):
    """ops.cross_entropy: logits (N, K, ...), class indices or probabilities -> one number."""

    def __init__(self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean",
                 label_smoothing: float = 0.0):
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction,
                         label_smoothing=label_smoothing)

    def forward(self, input: Tensor, target: Any) -> Tensor:
        return ops.cross_entropy(input, target, **self.options())


class NLLLoss(_Loss):
    """ops.nll_loss: log-probabilities (N, K, ...), class indices -> one number."""

    def __init__(self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"):
        super().__init__(weight=weight, ignore_index=ignore_index, reduction=reduction)

    def forward(self, input: Tensor, target: Any) -> Tensor:
        return ops.nll_loss(input, target, **self.options())


class MSELoss(_Loss):
    """ops.mse_loss: two of one shape -> one number."""

    def __init__(self, reduction: str = "mean"):
        super().__init__(reduction=reduction)

    def forward(self, input: Tensor, target: Any) -> Tensor:
        return ops.mse_loss(input, target, **self.options())


class BCEWithLogitsLoss(_Loss):
    """ops.binary_cross_entropy_with_logits: two of one shape -> one number."""

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None):
        super().__init__(weight=weight, reduction=reduction, pos_weight=pos_weight)

    def forward(self, input: Tensor, target: Any) -> Tensor:
        return ops.binary_cross_entropy_with_logits(input, target, **self.options())
