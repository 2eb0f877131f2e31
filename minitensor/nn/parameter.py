"""The tensors that a module owns: parameters, which learn, and buffers, which do not."""
from typing import Any

from ..tensor import Tensor

KINDS = ("weight", "bias", "scale")


class Parameter(Tensor):
    """A tensor that a module owns and an optimizer changes.

    kind    "weight", "bias" or "scale" (what multiplies a normalised input): initial values, weight
            decay and learning rates go by it
    """

    __slots__ = ("kind",)

    def __init__(self, data: Any, kind: str = "weight"):
        if kind not in KINDS:
            raise ValueError(f"Parameter: kind must be one of {KINDS}, not {kind!r}")
        super().__init__(data, requires_grad=True)
        self.kind = kind


class Buffer(Tensor):
    """A tensor of a module's state that no optimizer changes: running statistics, a counter."""

    __slots__ = ()

    def __init__(self, data: Any):
        super().__init__(data)
