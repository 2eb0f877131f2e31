"""A network's table read layer by layer: what floors and engines without tables need.

Those engines run the layers one after the other: they know chains only.
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
    """In the order of computation; of layers that are made of tables, those inside and no other."""
    from models.networks.build import table_of
    from models.networks.tables import walk
    table = table_of(network.name, network.num_classes, network.image_size, network.width)
    for place in walk(table, (3, network.image_size, network.image_size)):
        if not place.layer.branches():
            yield Layer(type(place.layer).__name__, place.layer, place.input)


def size_of(network: Network) -> tuple[list[int], int]:
    """Multiplications per image of each layer that is a product, and parameters in all."""
    chain = list(layers(network))
    macs = [layer.spec.macs(layer.shape) for layer in chain if layer.parameters]
    return macs, sum(math.prod(shape) for layer in chain for shape in layer.parameters.values())
