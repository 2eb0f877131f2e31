"""Shapes as layers."""
from .. import ops
from ..tensor import Tensor
from .module import Module


class Flatten(Module):
    """ops.flatten, by default of all axes but the first: (N, C, H, W) -> (N, C * H * W)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        return ops.flatten(x, self.start_dim, self.end_dim)
