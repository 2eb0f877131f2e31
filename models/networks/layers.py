"""What a network's table is made of: layers described by their numbers.

Each knows, of an image's shape going in, the shape coming out, its parameters, its multiplications,
and the module that it becomes. Residual and Concat hold tables themselves, to any depth.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from minitensor import Generator, Tensor, cat, nn
from minitensor.backend import xp_of
from minitensor.kernels.geometry import Pair, output_size

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

    def buffers(self, shape: Shape) -> dict[str, Shape]:
        """The shapes of the module's own buffers, by name."""
        return {}

    def macs(self, shape: Shape) -> int:
        """Multiply-accumulates for one image."""
        return 0

    def kept(self, shape: Shape) -> int:
        """How many numbers of one image it adds to what stays in memory for the backward pass."""
        return math.prod(self.output(shape))

    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        """The module for inputs of this shape; generator draws its weights."""
        raise NotImplementedError(f"{type(self).__name__} defines no module")

    def branches(self) -> dict[str, Table]:
        """The tables inside it, under the names that their modules have in its module."""
        return {}

    def with_tables(self, change: Callable[[Table], Table]) -> Layer:
        """The same with change(table) for every table inside."""
        return self


def pair(sides: int | Pair) -> Pair:
    """(height, width), which are the same where there is one number."""
    return (sides, sides) if isinstance(sides, int) else sides


def windows(shape: Shape, channels: int, kernel: int | Pair, stride: int,
            padding: int | Pair = 0, ceil: bool = False) -> Shape:
    """(channels, OH, OW) of windows over an image of shape (C, H, W)."""
    sides = (output_size(side, k, stride, p, ceil_mode=ceil)
             for side, k, p in zip(shape[1:], pair(kernel), pair(padding)))
    return (channels, *sides)


@dataclass(frozen=True)
class Conv(Layer):
    """kernel and padding: one number, or (vertical, horizontal)."""

    channels: int
    kernel: int | Pair
    stride: int = 1
    padding: int | Pair = 0
    groups: int = 1
    activation: str | None = "relu"
    bias: bool = True

    def output(self, shape: Shape) -> Shape:
        return windows(shape, self.channels, self.kernel, self.stride, self.padding)

    def parameters(self, shape: Shape) -> dict[str, Shape]:
        weight = (self.channels, shape[0] // self.groups, *pair(self.kernel))
        return {"weight": weight, **({"bias": (self.channels,)} if self.bias else {})}

    def macs(self, shape: Shape) -> int:
        return math.prod(self.parameters(shape)["weight"]) * math.prod(self.output(shape)[1:])

    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return nn.Conv2d(shape[0], self.channels, self.kernel, self.stride, self.padding,
                         groups=self.groups, bias=self.bias, activation=self.activation,
                         generator=generator)


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Batch normalisation, then the activation of the convolution before it, which has none."""

    eps: float = 1e-5
    activation: str | None = "relu"

    def parameters(self, shape: Shape) -> dict[str, Shape]:
        return {"weight": shape[:1], "bias": shape[:1]}

    def buffers(self, shape: Shape) -> dict[str, Shape]:
        return {"running_mean": shape[:1], "running_var": shape[:1], "num_batches_tracked": ()}

    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return nn.BatchNorm2d(shape[0], self.eps, activation=self.activation)


@dataclass(frozen=True)
class Pool(Layer):
    """ceil lets a last window hang over the edge, as Caffe's and cuda-convnet's do."""

    kernel: int
    stride: int
    padding: int = 0
    ceil: bool = False

    def output(self, shape: Shape) -> Shape:
        return windows(shape, shape[0], self.kernel, self.stride, self.padding, self.ceil)


class MaxPool(Pool):
    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return nn.MaxPool2d(self.kernel, self.stride, self.padding, ceil_mode=self.ceil)


class AvgPool(Pool):
    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return nn.AvgPool2d(self.kernel, self.stride, self.padding, ceil_mode=self.ceil)


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
class PadChannels(Layer):
    """As many channels, those behind the input's all zeros."""

    channels: int

    def output(self, shape: Shape) -> Shape:
        return (self.channels, *shape[1:])

    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return ZeroChannels(self.channels - shape[0])


class ZeroChannels(nn.Module):
    """(N, C, H, W) -> (N, C + count, H, W): zeros behind x."""

    def __init__(self, count: int):
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        zeros = xp_of(x.data).zeros((len(x), self.count, *x.shape[2:]), x.dtype)
        return cat([x, Tensor(zeros)], dim=1)

    def extra_repr(self) -> str:
        return str(self.count)


@dataclass(frozen=True)
class Flatten(Layer):
    def output(self, shape: Shape) -> Shape:
        return (math.prod(shape),)

    def kept(self, shape: Shape) -> int:
        return 0                        # a view of its input

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
        if len(shape) > 1:
            raise ValueError(f"Linear: its input is an image {shape}; put a Flatten before it")
        return nn.Linear(shape[0], self.features, activation=self.activation, generator=generator)


# ---- layers made of tables ---------------------------------------------------------------------

def output_of(table: Table, shape: Shape) -> Shape:
    """What a whole table gives for an image of this shape."""
    for layer in table.values():
        shape = layer.output(shape)
    return shape


def modules(table: Table, shape: Shape, generator: Generator) -> dict[str, nn.Module]:
    """The table's modules by name; generator draws their weights, in the order of the table."""
    result = {}
    for name, layer in table.items():
        result[name] = layer.module(shape, generator)
        shape = layer.output(shape)
    return result


def _chain(table: Table, shape: Shape, generator: Generator) -> nn.Sequential:
    return nn.Sequential(**modules(table, shape, generator))


@dataclass(frozen=True)
class Residual(Layer):
    """activation(body + shortcut) (He et al. 2016); without a shortcut the input itself is added.

    Both must give the same shape: ValueError.
    """

    body: Table
    shortcut: Table | None = None
    activation: str | None = "relu"

    def output(self, shape: Shape) -> Shape:
        body, shortcut = output_of(self.body, shape), output_of(self.shortcut or {}, shape)
        if 0 in body or 0 in shortcut:
            return (*body[:1], *[0] * len(body[1:]))
        if body != shortcut:
            raise ValueError(f"Residual: the body gives {body} but the shortcut {shortcut} "
                             f"for an image {shape}")
        return body

    def kept(self, shape: Shape) -> int:
        return 0                        # the sum is the output of the body's last layer

    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        body = _chain(self.body, shape, generator)
        around = None if self.shortcut is None else _chain(self.shortcut, shape, generator)
        return nn.Residual(body, around, self.activation)

    def branches(self) -> dict[str, Table]:
        """The body's layers are the module's own: no name stands before theirs."""
        inside = {"": self.body, "shortcut": self.shortcut}
        return {name: table for name, table in inside.items() if table is not None}

    def with_tables(self, change: Callable[[Table], Table]) -> Layer:
        return replace(self, body=change(self.body),
                       shortcut=self.shortcut and change(self.shortcut))


class Concat(Layer):
    """The outputs of branches on the same image, joined along the channels (Szegedy et al. 2014).

    Their other sizes must be the same, and there must be one at least: ValueError.
    """

    def __init__(self, **branches: Table):
        if not branches:
            raise ValueError("Concat: expected at least one branch")
        self._branches = branches

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Concat) and self._branches == other._branches

    def __repr__(self) -> str:
        return f"Concat({', '.join(f'{name}={table}' for name, table in self._branches.items())})"

    def output(self, shape: Shape) -> Shape:
        outputs = {name: output_of(table, shape) for name, table in self._branches.items()}
        first = next(iter(outputs.values()))
        channels = sum(output[0] for output in outputs.values())
        if any(0 in output for output in outputs.values()):
            return (channels, *[0] * len(first[1:]))
        if any(output[1:] != first[1:] for output in outputs.values()):
            raise ValueError(f"Concat: the branches give {outputs} for an image {shape}, "
                             "which differ in more than their channels")
        return (channels, *first[1:])

    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return nn.Concat(**{name: _chain(table, shape, generator)
                            for name, table in self._branches.items()})

    def branches(self) -> dict[str, Table]:
        return self._branches

    def with_tables(self, change: Callable[[Table], Table]) -> Layer:
        return Concat(**{name: change(table) for name, table in self._branches.items()})
