"""What a network's table is made of: layers described by their numbers.

Each knows, of an image's shape going in, the shape coming out, its parameters, its multiplications,
and the module that it becomes.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from minitensor import Generator, nn
from minitensor.kernels.geometry import output_size

Shape = tuple[int, ...]         # of one image: (C, H, W), or (features,) once flattened
Table = dict[str, Any]          # Layers by name, in the order of computation


class Layer:
    """Without parameters or multiplications, and of the shape that goes in, unless it says more."""

    def output(self, shape: Shape) -> Shape:
        """The shape for one image; with a 0 where no window fits."""
        return shape

    def parameters(self, shape: Shape) -> dict[str, Shape]:
        """The shapes of the module's own parameters, by name."""
        return {}

    def macs(self, shape: Shape) -> int:
        """Multiply-accumulates for one image."""
        return 0

    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        """The module for inputs of this shape; generator draws its weights."""
        raise NotImplementedError(f"{type(self).__name__} defines no module")


def windows(shape: Shape, channels: int, kernel: int, stride: int, padding: int = 0,
            ceil: bool = False) -> Shape:
    """(channels, OH, OW) of square windows over an image of shape (C, H, W)."""
    sides = (output_size(side, kernel, stride, padding, ceil_mode=ceil) for side in shape[1:])
    return (channels, *sides)


@dataclass(frozen=True)
class Conv(Layer):
    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    activation: str | None = "relu"

    def output(self, shape: Shape) -> Shape:
        return windows(shape, self.channels, self.kernel, self.stride, self.padding)

    def parameters(self, shape: Shape) -> dict[str, Shape]:
        weight = (self.channels, shape[0] // self.groups, self.kernel, self.kernel)
        return {"weight": weight, "bias": (self.channels,)}

    def macs(self, shape: Shape) -> int:
        return math.prod(self.parameters(shape)["weight"]) * math.prod(self.output(shape)[1:])

    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return nn.Conv2d(shape[0], self.channels, self.kernel, self.stride, self.padding,
                         groups=self.groups, activation=self.activation, generator=generator)


@dataclass(frozen=True)
class Pool(Layer):
    """ceil lets a last window hang over the edge, as Caffe's and cuda-convnet's do."""

    kernel: int
    stride: int
    ceil: bool = False

    def output(self, shape: Shape) -> Shape:
        return windows(shape, shape[0], self.kernel, self.stride, ceil=self.ceil)


class MaxPool(Pool):
    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return nn.MaxPool2d(self.kernel, self.stride, ceil_mode=self.ceil)


class AvgPool(Pool):
    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return nn.AvgPool2d(self.kernel, self.stride, ceil_mode=self.ceil)


@dataclass(frozen=True)
class AdaptiveAvgPool(Layer):
    """The mean over side x side nearly equal windows, whatever the size of the image."""

    side: int

    def output(self, shape: Shape) -> Shape:
        return (shape[0], self.side, self.side) if all(shape) else (shape[0], 0, 0)

    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return nn.AdaptiveAvgPool2d(self.side)


@dataclass(frozen=True)
class LRN(Layer):
    """Local response normalisation; alpha is divided by the number of neighbours."""

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0
    region: str = "across_channels"

    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return nn.LocalResponseNorm(self.size, self.alpha, self.beta, self.k, self.region)


@dataclass(frozen=True)
class Flatten(Layer):
    def output(self, shape: Shape) -> Shape:
        return (math.prod(shape),)

    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return nn.Flatten()


@dataclass(frozen=True)
class Dropout(Layer):
    p: float = 0.5

    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return nn.Dropout(self.p, generator=generator)


@dataclass(frozen=True)
class Linear(Layer):
    """Fully connected."""

    features: int
    activation: str | None = "relu"

    def output(self, shape: Shape) -> Shape:
        return (self.features,)

    def parameters(self, shape: Shape) -> dict[str, Shape]:
        return {"weight": (self.features, math.prod(shape)), "bias": (self.features,)}

    def macs(self, shape: Shape) -> int:
        return math.prod(self.parameters(shape)["weight"])

    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return nn.Linear(shape[0], self.features, activation=self.activation, generator=generator)
