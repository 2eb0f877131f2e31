"""Activations as layers."""
from .. import ops
from ..tensor import Tensor
from .module import Module


class ReLU(Module):
    """ops.relu: any shape."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.relu(x)


class Tanh(Module):
    """ops.tanh: any shape."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.tanh(x)


class Sigmoid(Module):
    """ops.sigmoid: any shape."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.sigmoid(x)


class Identity(Module):
    """x itself."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class Softmax(Module):
    """ops.softmax along dim: any shape."""

    def __init__(self, dim: int = -1):
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return ops.softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """ops.log_softmax along dim: any shape."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.log_softmax(x, self.dim)
