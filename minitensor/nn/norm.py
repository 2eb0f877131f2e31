"""Normalisation as a layer."""
from .. import ops
from ..tensor import Tensor
from .module import Module


class LocalResponseNorm(Module):
    """ops.local_response_norm: (N, C, H, W) -> the same."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0,
                 norm_region: str = "across_channels"):
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k
        self.norm_region = norm_region

    def forward(self, x: Tensor) -> Tensor:
        return ops.local_response_norm(x, self.size, self.alpha, self.beta, self.k,
                                       self.norm_region)

    def extra_repr(self) -> str:
        return (f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}, "
                f"norm_region={self.norm_region!r}")
