"""A network's table read as a chain of layers: what floors and engines without tables need.

The only file of the benchmarks that knows how a table of `models` is put together.
"""
from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from .job import Network


class Layer(NamedTuple):
    kind: str                   # the class of its specification
    spec: Any
    shape: tuple[int, ...]      # of one input: (C, H, W) or (features,)

    @property
    def parameters(self) -> dict[str, tuple[int, ...]]:
        """The shapes of "weight" and "bias"; {} of a layer that has none."""
        return self.spec.parameters(self.shape)


def layers(network: Network) -> Iterator[Layer]:
    from models.networks.build import table_of
    shape: tuple[int, ...] = (3, network.image_size, network.image_size)
    table = table_of(network.name, network.num_classes, network.image_size, network.width)
    for spec in table.values():
        yield Layer(type(spec).__name__, spec, shape)
        shape = spec.output(shape)


def size_of(network: Network) -> tuple[list[int], int]:
    """Multiplications per image of each layer that is a product, and parameters in all."""
    chain = list(layers(network))
    macs = [layer.spec.macs(layer.shape) for layer in chain if layer.parameters]
    return macs, sum(math.prod(shape) for layer in chain for shape in layer.parameters.values())
