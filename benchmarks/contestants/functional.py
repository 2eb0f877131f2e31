"""A network for engines of which only the functions are used: they have no tables like ours."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..chain import layers
from ..job import Network, weights

# Functions of one engine by Layer.kind, and "relu". Those with parameters take (x, w, b, spec) with
# linear weights (in, out), the others (x, spec).
Functions = dict[str, Callable]


def parameters(network: Network) -> Iterator[np.ndarray]:
    """Weight and bias of every layer that has them, linear weights as (in, out)."""
    shapes = [(layer.kind, shape) for layer in layers(network)
              for shape in layer.parameters.values()]
    for index, (kind, shape) in enumerate(shapes):
        array = weights(shape, index)
        yield np.ascontiguousarray(array.T) if kind == "Linear" else array


def logits(network: Network, functions: Functions, parameters: list, x: Any, train: bool) -> Any:
    """The network's logits for x; parameters are the engine's, in the order of the above."""
    remaining = iter(parameters)
    for layer in layers(network):
        if layer.parameters:
            x = functions[layer.kind](x, next(remaining), next(remaining), layer.spec)
            x = functions["relu"](x) if layer.spec.activation else x
        elif layer.kind != "Dropout" or train:
            x = functions[layer.kind](x, layer.spec)
    return x
