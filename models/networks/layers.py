"""What a network's table is made of: layers described by their numbers, which know the shape they give and the module they become."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from minitensor import Generator, nn

Shape = tuple[int, ...]         # of one picture: (C, H, W), or (features,) once flattened


def windows(side: int, kernel: int, stride: int, padding: int = 0, ceil: bool = False) -> int:
    """How many windows fit along a side: 0 where not one does."""
    room = side + 2 * padding - kernel
    if room < 0:
        return 0
    return (-(-room // stride) if ceil else room // stride) + 1


@dataclass(frozen=True)
class Conv:
    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    activation: str | None = "relu"

    def output(self, shape: Shape) -> Shape:
        return (self.channels, *(windows(side, self.kernel, self.stride, self.padding) for side in shape[1:]))

    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return nn.Conv2d(shape[0], self.channels, self.kernel, self.stride, self.padding, groups=self.groups,
                         activation=self.activation, generator=generator)


@dataclass(frozen=True)
class Pool:
    """ceil lets a last window hang over the edge, as Caffe's and cuda-convnet's do."""

    kernel: int
    stride: int
    ceil: bool = False

    def output(self, shape: Shape) -> Shape:
        return (shape[0], *(windows(side, self.kernel, self.stride, ceil=self.ceil) for side in shape[1:]))


class MaxPool(Pool):
    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return nn.MaxPool2d(self.kernel, self.stride, ceil_mode=self.ceil)


class AvgPool(Pool):
    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return nn.AvgPool2d(self.kernel, self.stride, ceil_mode=self.ceil)


@dataclass(frozen=True)
class AdaptiveAvgPool:
    """The mean over side x side nearly equal windows, whatever the size of the picture."""

    side: int

    def output(self, shape: Shape) -> Shape:
        return (shape[0], self.side, self.side) if all(shape) else (shape[0], 0, 0)

    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return nn.AdaptiveAvgPool2d(self.side)


@dataclass(frozen=True)
class LRN:
    """Local response normalisation; alpha is divided by the number of neighbours."""

    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0
    region: str = "across_channels"

    def output(self, shape: Shape) -> Shape:
        return shape

    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return nn.LocalResponseNorm(self.size, self.alpha, self.beta, self.k, self.region)


@dataclass(frozen=True)
class Flatten:
    def output(self, shape: Shape) -> Shape:
        C, H, W = shape
        return (C * H * W,)

    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return nn.Flatten()


@dataclass(frozen=True)
class Dropout:
    p: float = 0.5

    def output(self, shape: Shape) -> Shape:
        return shape

    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return nn.Dropout(self.p, generator=generator)


@dataclass(frozen=True)
class Linear:
    """Fully connected."""

    features: int
    activation: str | None = "relu"

    def output(self, shape: Shape) -> Shape:
        return (self.features,)

    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return nn.Linear(shape[0], self.features, activation=self.activation, generator=generator)


Table = dict[str, Any]          # layers by name, in the order of computation; the last is a Linear that gives the logits


def shapes(table: Table, image_size: int) -> dict[str, Shape]:
    """What each layer gives for one picture (3, image_size, image_size), by name; with a 0 where a window finds no room."""
    shape: Shape = (3, image_size, image_size)
    return {name: (shape := layer.output(shape)) for name, layer in table.items()}


def modules(table: Table, image_size: int, generator: Generator) -> dict[str, nn.Module]:
    """The layers themselves, by name; generator draws their weights, in the table's order."""
    inputs = [(3, image_size, image_size), *shapes(table, image_size).values()]
    return {name: layer.module(shape, generator) for (name, layer), shape in zip(table.items(), inputs)}


def smallest_image(table: Table) -> int:
    """The least image_size at which every layer has an output."""
    size = 1
    while not all(all(shape) for shape in shapes(table, size).values()):
        size += 1
    return size


# ---- a table changed -------------------------------------------------------------------------------------------------------------

def changed(table: Table, kinds: type | tuple[type, ...], change: Callable[[Any], Any]) -> Table:
    """The table with change(layer) for the layers of these kinds."""
    return {name: change(layer) if isinstance(layer, kinds) else layer for name, layer in table.items()}


def scaled(table: Table, width: float) -> Table:
    """Every layer's channels times width, rounded to what the groups can share out; at least one channel for each group."""
    groups = max(layer.groups for layer in table.values() if isinstance(layer, Conv))

    def rounded(channels: int) -> int:
        return groups * max(1, round(width * channels / groups))
    table = changed(table, Conv, lambda layer: replace(layer, channels=rounded(layer.channels)))
    return changed(table, Linear, lambda layer: replace(layer, features=rounded(layer.features)))


def with_classes(table: Table, num_classes: int) -> Table:
    last = next(reversed(table))
    return {**table, last: replace(table[last], features=num_classes)}


def with_dropout(table: Table, p: float) -> Table:
    return changed(table, Dropout, lambda layer: replace(layer, p=p))


def with_tanh(table: Table) -> Table:
    """tanh wherever ReLU was (2012 paper, section 3.1 and Figure 1)."""
    return changed(table, (Conv, Linear), lambda layer: replace(layer, activation=layer.activation and "tanh"))


def without_overlap(table: Table) -> Table:
    """Pools whose windows are as wide as their stride (2012 paper, section 3.4)."""
    return changed(table, Pool, lambda layer: replace(layer, kernel=layer.stride))


def without_norm(table: Table) -> Table:
    """No local response normalisation (2012 paper, section 3.3)."""
    return {name: layer for name, layer in table.items() if not isinstance(layer, LRN)}


def without_groups(table: Table) -> Table:
    """One tower: every filter sees all channels of the layer before."""
    return changed(table, Conv, lambda layer: replace(layer, groups=1))
