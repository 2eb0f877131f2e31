"""A network for engines of which only the functions are used: they have no tables like ours.

It must be a chain of layers.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..errors import BenchmarkError
from ..job import Network, weights

# Functions of one engine by the name of a layer's class in models/networks/layers.py, and "relu".
# Those of layers with parameters take (x, w, b, layer), with linear weights (in, out), the others
# (x, layer).
Functions = dict[str, Callable]


def parameters(network: Network) -> Iterator[np.ndarray]:
    """Weight and bias of every layer that has them, linear weights as (in, out).

    Raises BenchmarkError for a network with branches.
    """
    from models.networks.tables import parameter_shapes
    if any(layer.branches() for layer in network.table.values()):
        raise BenchmarkError(f"{network.name} has branches: DeZero and MyGrad are timed on chains")
    shapes = parameter_shapes(network.table, network.image_size)
    for index, (name, shape) in enumerate(shapes.items()):
        array = weights(name, shape, index)
        yield np.ascontiguousarray(array.T) if array.ndim == 2 else array


def logits(network: Network, functions: Functions, parameters: list, x: Any, train: bool) -> Any:
    """The network's logits for x; parameters are the engine's, in the order of the above."""
    from models.networks.layers import Conv, Dropout, Linear
    remaining = iter(parameters)
    for layer in network.table.values():
        function = functions[type(layer).__name__]
        if isinstance(layer, Conv | Linear):
            x = function(x, next(remaining), next(remaining), layer)
            x = functions["relu"](x) if layer.activation else x
        elif train or not isinstance(layer, Dropout):
            x = function(x, layer)
    return x
