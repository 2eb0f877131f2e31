"""Convolution as a layer."""
import numpy as np

from .. import ops
from ..ops.checks import known_activation, one_activation, padding_of, pair, positive
from ..random import Generator
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter


class Conv2d(Module):
    """ops.conv2d with weight (out_channels, in_channels / groups, KH, KW), bias (out_channels,).

    activation: None, "relu", "tanh" or "sigmoid", computed while the output is still in the cache.
    The weight is drawn from generator (He's normal; None is the default one, see `manual_seed`),
    the bias is 0.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size, stride=1, padding=0,
                 dilation=1, groups: int = 1, bias: bool = True, *, activation: str | None = None,
                 generator: Generator | None = None, dtype=np.float32):
        positive("Conv2d", in_channels=in_channels, out_channels=out_channels, groups=groups)
        known_activation("Conv2d", activation)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"Conv2d: groups {groups} must divide in_channels {in_channels} "
                             f"and out_channels {out_channels}")
        kernel_size = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride = pair("Conv2d", "stride", stride, 1)
        self.dilation = pair("Conv2d", "dilation", dilation, 1)
        even, odd = padding_of("Conv2d", padding, kernel_size, self.stride, self.dilation)
        self.padding = padding if any(odd) else even
        self.groups, self.activation = groups, activation
        shape = out_channels, in_channels // groups, *kernel_size
        self.weight = Parameter(init.zeros_nhwc(shape, dtype))
        self.bias = Parameter(np.zeros(out_channels, dtype), "bias") if bias else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        init.he(self, generator)

    def forward(self, x: Tensor, residual: Tensor | None = None,
                activation: str | None = None) -> Tensor:
        """residual and activation: those of a `Residual` that this layer ends."""
        activation = one_activation("Conv2d", self.activation, activation)
        return ops.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation,
                          self.groups, residual=residual, activation=activation)

    def macs(self, output_shape: tuple[int, ...]) -> int:
        """Multiplications per image: every filter's weights, once per output pixel."""
        return self.weight.numel() * output_shape[2] * output_shape[3]

    def extra_repr(self) -> str:
        F, C, KH, KW = self.weight.shape
        optional = {"padding": (self.padding, (0, 0)), "dilation": (self.dilation, (1, 1)),
                    "groups": (self.groups, 1), "activation": (self.activation, None)}
        shown = "".join(f", {name}={value!r}" for name, (value, default) in optional.items()
                        if value != default)
        return f"{C * self.groups}, {F}, kernel_size={(KH, KW)}, stride={self.stride}{shown}"
