"""Dropout as a layer."""
from .. import ops
from ..ops.checks import probability
from ..random import Generator, chosen
from ..tensor import Tensor
from .module import Module


class Dropout(Module):
    """ops.dropout while training, with a mask from generator at every call; else nothing.

    generator None is the default one (`manual_seed`).
    """

    def __init__(self, p: float = 0.5, *, generator: Generator | None = None):
        probability("Dropout", p)
        chosen(generator)
        self.p, self.generator = p, generator

    def forward(self, x: Tensor) -> Tensor:
        return ops.dropout(x, self.p, self.training, generator=self.generator)

    def extra_repr(self) -> str:
        return f"p={self.p}"
