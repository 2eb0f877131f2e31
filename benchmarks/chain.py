"""A network's table read as a chain of layers: what floors and engines without tables need.

The only file of the benchmarks that knows what a table of `models` is made of.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .job import Network

PRODUCTS = ("Conv", "Linear")


class Layer(NamedTuple):
    kind: str                   # the class of its specification
    spec: Any
    shape: tuple[int, ...]      # of one input: (C, H, W) or (features,)
    output: tuple[int, ...]

    @property
    def weight(self) -> tuple[int, ...]:
        """The shape of the weights of a layer that is a product; its bias is weight[:1]."""
        if self.kind == "Linear":
            return self.output[0], self.shape[0]
        return (self.output[0], self.shape[0] // self.spec.groups, self.spec.kernel,
                self.spec.kernel)

    @property
    def macs(self) -> int:
        """Multiplications per image of a layer that is a product."""
        return int(np.prod(self.weight) * np.prod(self.output[1:]))


def layers(network: Network) -> Iterator[Layer]:
    from models.networks.build import table_of
    shape: tuple[int, ...] = (3, network.image_size, network.image_size)
    table = table_of(network.name, network.num_classes, network.image_size, network.width)
    for spec in table.values():
        output = spec.output(shape)
        yield Layer(type(spec).__name__, spec, shape, output)
        shape = output


def size_of(network: Network) -> tuple[list[int], int]:
    """Multiplications per image of each layer that is a product, and parameters in all."""
    products = [layer for layer in layers(network) if layer.kind in PRODUCTS]
    parameters = sum(int(np.prod(layer.weight)) + layer.output[0] for layer in products)
    return [layer.macs for layer in products], parameters
