"""The fully connected layer."""
import math

import numpy as np

from .. import ops
from ..ops.checks import known_activation, one_activation, positive
from ..random import Generator
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter


class Linear(Module):
    """ops.linear with weight (out_features, in_features) and bias (out_features,).

    activation: None, "relu", "tanh" or "sigmoid". The weight is drawn from generator (He's normal;
    None is the default one, see `manual_seed`), the bias is 0.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *,
                 activation: str | None = None, generator: Generator | None = None,
                 dtype=np.float32):
        positive("Linear", in_features=in_features, out_features=out_features)
        known_activation("Linear", activation)
        self.activation = activation
        self.weight = Parameter(np.zeros((out_features, in_features), dtype))
        self.bias = Parameter(np.zeros(out_features, dtype), "bias") if bias else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        init.he(self, generator)

    def forward(self, x: Tensor, residual: Tensor | None = None,
                activation: str | None = None) -> Tensor:
        """residual and activation: those of a `Residual` that this layer ends."""
        activation = one_activation("Linear", self.activation, activation)
        return ops.linear(x, self.weight, self.bias, residual=residual,
                          activation=activation)

    def macs(self, output_shape: tuple[int, ...]) -> int:
        """Multiplications per image: every weight once for each row of the image's output."""
        return self.weight.numel() * math.prod(output_shape[1:-1])

    def extra_repr(self) -> str:
        F, C = self.weight.shape
        return f"{C}, {F}" + (f", activation={self.activation!r}" if self.activation else "")
