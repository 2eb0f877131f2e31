"""The layers: parameters and hyperparameters of the ops in `minitensor.ops`, with PyTorch's names and argument order.

Whatever is random takes a `Generator`: weights are drawn from it when a layer is made (He's normal, biases 0), masks at every call.
"""
import numpy as np

from .. import ops
from ..ops.checks import known_activation, pair, positive, probability
from ..random import Generator
from ..tensor import Tensor
from . import init
from .module import Module, Parameter

class Conv2d(Module):
    """ops.conv2d with weight (out_channels, in_channels / groups, KH, KW) and bias (out_channels,), then an activation.

    activation: None, "relu", "tanh" or "sigmoid", computed while the output is still in the cache.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size, stride=1, padding=0, dilation=1, groups: int = 1,
                 bias: bool = True, *, activation: str | None = None, generator: Generator, dtype=np.float32):
        positive("Conv2d", in_channels=in_channels, out_channels=out_channels, groups=groups)
        known_activation("Conv2d", activation)
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"Conv2d: groups {groups} must divide in_channels {in_channels} and out_channels {out_channels}")
        kernel_size = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride, self.padding = pair("Conv2d", "stride", stride, 1), pair("Conv2d", "padding", padding, 0)
        self.dilation, self.groups, self.activation = pair("Conv2d", "dilation", dilation, 1), groups, activation
        weight = init.channels_last((out_channels, in_channels // groups, *kernel_size), dtype)
        self.weight = Parameter(init.he_normal_(weight, generator))
        self.bias = Parameter(np.zeros(out_channels, dtype)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return ops.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups,
                          activation=self.activation)

    def macs(self, output_shape: tuple[int, ...]) -> int:
        """Multiplications per image: every filter's weights, once per output pixel."""
        return self.weight.numel() * output_shape[2] * output_shape[3]

    def extra_repr(self) -> str:
        F, C, KH, KW = self.weight.shape
        optional = {"padding": (self.padding, (0, 0)), "dilation": (self.dilation, (1, 1)), "groups": (self.groups, 1),
                    "activation": (self.activation, None)}
        shown = "".join(f", {name}={value!r}" for name, (value, default) in optional.items() if value != default)
        return f"{C * self.groups}, {F}, kernel_size={(KH, KW)}, stride={self.stride}{shown}"


class Linear(Module):
    """ops.linear with weight (out_features, in_features) and bias (out_features,), then an activation."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, activation: str | None = None,
                 generator: Generator, dtype=np.float32):
        positive("Linear", in_features=in_features, out_features=out_features)
        known_activation("Linear", activation)
        self.activation = activation
        self.weight = Parameter(init.he_normal_(np.zeros((out_features, in_features), dtype), generator))
        self.bias = Parameter(np.zeros(out_features, dtype)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return ops.linear(x, self.weight, self.bias, activation=self.activation)

    def macs(self, output_shape: tuple[int, ...]) -> int:
        return self.weight.numel()

    def extra_repr(self) -> str:
        F, C = self.weight.shape
        return f"{C}, {F}" + (f", activation={self.activation!r}" if self.activation else "")


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


class Softmax(Module):
    """ops.softmax along dim: any shape."""

    def __init__(self, dim: int = -1):
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return ops.softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class MaxPool2d(Module):
    """ops.max_pool2d: (N, C, H, W) -> (N, C, OH, OW). stride defaults to kernel_size."""

    def __init__(self, kernel_size, stride=None, padding=0, *, ceil_mode: bool = False):
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        return ops.max_pool2d(x, self.kernel_size, self.stride, self.padding, ceil_mode=self.ceil_mode)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, ceil_mode={self.ceil_mode}"


class AvgPool2d(Module):
    """ops.avg_pool2d: (N, C, H, W) -> (N, C, OH, OW). stride defaults to kernel_size."""

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode: bool = False, count_include_pad: bool = True):
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode, self.count_include_pad = padding, ceil_mode, count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        return ops.avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return (f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, ceil_mode={self.ceil_mode}, "
                f"count_include_pad={self.count_include_pad}")


class AdaptiveAvgPool2d(Module):
    """ops.adaptive_avg_pool2d: (N, C, H, W) -> (N, C, *output_size)."""

    def __init__(self, output_size):
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        return ops.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class LocalResponseNorm(Module):
    """ops.local_response_norm: (N, C, H, W) -> the same."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0, norm_region: str = "across_channels"):
        self.size, self.alpha, self.beta, self.k, self.norm_region = size, alpha, beta, k, norm_region

    def forward(self, x: Tensor) -> Tensor:
        return ops.local_response_norm(x, self.size, self.alpha, self.beta, self.k, self.norm_region)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}, norm_region={self.norm_region!r}"


class Flatten(Module):
    """ops.flatten, by default of all axes but the first: (N, C, H, W) -> (N, C * H * W)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        return ops.flatten(x, self.start_dim, self.end_dim)


class Dropout(Module):
    """ops.dropout while training; nothing in evaluation."""

    def __init__(self, p: float = 0.5, *, generator: Generator):
        probability("Dropout", p)
        self.p, self.generator = p, generator

    def forward(self, x: Tensor) -> Tensor:
        return ops.dropout(x, self.p, self.training, generator=self.generator)

    def extra_repr(self) -> str:
        return f"p={self.p}"
