"""A network for engines of which only the functions are used: they have no tables like ours."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..chain import PRODUCTS, layers
from ..job import Network, weights

# Functions of one engine by Layer.kind, and "relu". Products take (x, w, b, spec) with linear
# weights (in, out), the others (x, spec).
Functions = dict[str, Callable]


def parameters(network: Network) -> Iterator[np.ndarray]:
    """Weight and bias of every product, linear weights as (in, out)."""
    products = (layer for layer in layers(network) if layer.kind in PRODUCTS)
    for number, layer in enumerate(products):
        w = weights(layer.weight, 2 * number)
        yield np.ascontiguousarray(w.T) if layer.kind == "Linear" else w
        yield weights(layer.weight[:1], 2 * number + 1)


def logits(network: Network, functions: Functions, parameters: list, x: Any, train: bool) -> Any:
    """The network's logits for x; parameters are the engine's, in the order of the above."""
    remaining = iter(parameters)
    for layer in layers(network):
        if layer.kind in PRODUCTS:
            x = functions[layer.kind](x, next(remaining), next(remaining), layer.spec)
            x = functions["relu"](x) if layer.spec.activation else x
        elif layer.kind != "Dropout" or train:
            x = functions[layer.kind](x, layer.spec)
    return x
