"""Tables of layers: one walk that tells what is in them, and how they are changed."""
from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple, TypeGuard

from .layers import (LRN, BatchNorm, Conv, Dropout, Layer, Linear, PadChannels, Pool, Residual,
                     Shape, Table)


class Place(NamedTuple):
    """A layer in its network: its name there, and the shapes that go in and come out."""

    name: str
    layer: Layer
    input: Shape
    output: Shape


def walk(table: Table, shape: Shape, prefix: str = "") -> Iterator[Place]:
    """Every layer in the order of computation, for images of this shape (C, H, W).

    A layer that is made of tables comes after the layers in them, whose names begin with its own:
    "block1.conv1", "block1.shortcut.conv", as in the network's state dict.
    """
    for name, layer in table.items():
        for branch, inner in layer.branches().items():
            yield from walk(inner, shape, f"{prefix}{name}." + (branch and f"{branch}."))
        output = layer.output(shape)
        yield Place(prefix + name, layer, shape, output)
        shape = output


def shapes(table: Table, image_size: int) -> dict[str, Shape]:
    """What each layer gives for one image (3, image_size, image_size), by name.

    With a 0 where no window fits.
    """
    return {place.name: place.output for place in walk(table, (3, image_size, image_size))}


def parameter_shapes(table: Table, image_size: int) -> dict[str, Shape]:
    """The shapes of a network's parameters, by the names in its state dict."""
    return parameters_of(table, (3, image_size, image_size))


def state_shapes(table: Table, image_size: int) -> dict[str, Shape]:
    """The shapes of a network's parameters and buffers, by the names in its state dict."""
    shape = 3, image_size, image_size
    return {**parameters_of(table, shape), **buffers_of(table, shape)}


def parameters_of(table: Table, shape: Shape) -> dict[str, Shape]:
    """The shapes of the parameters of a table for inputs of this shape."""
    return {f"{place.name}.{name}": own for place in walk(table, shape)
            for name, own in place.layer.parameters(place.input).items()}


def buffers_of(table: Table, shape: Shape) -> dict[str, Shape]:
    """The shapes of the buffers of a table for inputs of this shape."""
    return {f"{place.name}.{name}": own for place in walk(table, shape)
            for name, own in place.layer.buffers(place.input).items()}


def activations(table: Table, image_size: int) -> int:
    """Bytes that a training step keeps of one image for its backward pass, without the weights.

    Counted are the image and the outputs of all layers, those of auxiliary heads too, in float32,
    an output that is the same memory as another once. Not counted, a few percent: which pixel won
    in a max-pool, the scales of LRN, the statistics of batches.
    """
    shape = (3, image_size, image_size)
    return 4 * (math.prod(shape) + kept_of(table, shape))


def kept_of(table: Table, shape: Shape) -> int:
    """How many numbers a table's layers keep of one input of this shape."""
    return sum(place.layer.kept(place.input) for place in walk(table, shape))


def end_of(table: Table, stage: str) -> int:
    """How many of the table's layers run until a stage is over; 0 where nothing is called so.

    A stage is what has names that begin alike, with the BatchNorm behind it: "conv1", "layer1" to
    "layer4" of a ResNet, "conv3" of a VGG, "inception3" of a GoogLeNet.
    """
    names, beginning = list(table), re.compile(rf"{re.escape(stage)}($|[._]|(?<=\d)[a-z])")
    own = [i for i, name in enumerate(names, 1) if beginning.match(name)]
    end = max(own, default=0)
    has_norm = 0 < end < len(names) and isinstance(table[names[end]], BatchNorm)
    return end + has_norm


def smallest_image(table: Table) -> int:
    """The least image_size at which every layer has an output."""
    size = 1
    while not has_outputs(table, (3, size, size)):
        size += 1
    return size


def has_outputs(table: Table, shape: Shape) -> bool:
    """Whether every layer has an output for one image of this shape."""
    return all(all(place.output) for place in walk(table, shape))


# ---- a table changed ---------------------------------------------------------------------------

def changed(table: Table, kinds: type | tuple[type, ...], change: Callable[[Any], Any]) -> Table:
    """The table with change(layer) for the layers of these kinds, at any depth.

    Without the layer where that is None.
    """
    result = {}
    for name, layer in table.items():
        layer = layer.with_tables(lambda inner: changed(inner, kinds, change))
        layer = change(layer) if isinstance(layer, kinds) else layer
        if layer is not None:
            result[name] = layer
    return result


def scaled(table: Table, width: float) -> Table:
    """Every layer's channels times width, rounded to multiples of the groups, at least one each."""
    groups = max((place.layer.groups for place in walk(table, (3, 0, 0))
                  if isinstance(place.layer, Conv)), default=1)

    def rounded(channels: int) -> int:
        return groups * max(1, round(width * channels / groups))
    table = changed(table, (Conv, PadChannels),
                    lambda layer: replace(layer, channels=rounded(layer.channels)))
    return changed(table, Linear, lambda layer: replace(layer, features=rounded(layer.features)))


def with_dropout(table: Table, p: float) -> Table:
    return changed(table, Dropout, lambda layer: replace(layer, p=p))


def with_tanh(table: Table) -> Table:
    """tanh wherever ReLU was (2012 paper, section 3.1 and Figure 1)."""
    return changed(table, (Conv, BatchNorm, Linear, Residual),
                   lambda layer: replace(layer, activation=layer.activation and "tanh"))


def without_overlap(table: Table) -> Table:
    """Pools that shrink have windows as wide as their stride (2012 paper, section 3.4)."""
    return changed(table, Pool, lambda layer: replace(
        layer, kernel=layer.kernel if layer.stride == 1 else layer.stride))


def without_lrn(table: Table) -> Table:
    """No local response normalisation (2012 paper, section 3.3)."""
    return changed(table, LRN, lambda layer: None)


def without_groups(table: Table) -> Table:
    """One tower: every filter sees all channels of the layer before."""
    return changed(table, Conv, lambda layer: replace(layer, groups=1))


def with_5x5(table: Table) -> Table:
    """One convolution of 5 x 5 for every two of 3 x 3 on end, which see as much (Simonyan and
    Zisserman 2014, section 2.3)."""
    result: Table = {}
    for name, layer in table.items():
        layer = layer.with_tables(with_5x5)
        before = next(reversed(result), name)
        if _is_3x3(layer) and before in result and _is_3x3(result[before]):
            result[before] = replace(layer, kernel=5, padding=2)
        else:
            result[name] = layer
    return result


def _is_3x3(layer: Layer) -> TypeGuard[Conv]:
    """With as many pixels going out as going in."""
    return isinstance(layer, Conv) and replace(layer, channels=1, activation=None, bias=True) == \
        Conv(1, 3, padding=1, activation=None)
