"""PyTorch's twin of a network of `models`: `twin` is what its contestants call, on either device.

It is made without minitensor's arrays, which would count as memory.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..chain import Layer, layers
from ..job import Network, weights


def twin(torch: Any, network: Network) -> Any:
    """The torch.nn module for a table that is a chain, with the weights all engines begin with."""
    nn = torch.nn
    modules: list[Any] = []
    for layer in layers(network):
        modules.append(LAYERS[layer.kind](nn, layer))
        if getattr(layer.spec, "activation", None) == "relu":
            modules.append(nn.ReLU(True))
    module = nn.Sequential(*modules)
    with torch.no_grad():
        for index, parameter in enumerate(module.parameters()):
            parameter.copy_(torch.from_numpy(weights(tuple(parameter.shape), index)))
    return module


def _conv(nn: Any, layer: Layer) -> Any:
    spec = layer.spec
    return nn.Conv2d(layer.shape[0], spec.channels, spec.kernel, spec.stride, spec.padding,
                     groups=spec.groups)


def _normalisation(nn: Any, layer: Layer) -> Any:
    spec = layer.spec
    if spec.region == "across_channels":
        return nn.LocalResponseNorm(spec.size, spec.alpha, spec.beta, spec.k)

    class WithinChannel(nn.Module):
        """Which PyTorch has no layer for; written as its users would."""

        def forward(self, x: Any) -> Any:
            mean_square = nn.functional.avg_pool2d(x * x, spec.size, 1, spec.size // 2)
            return x / (spec.k + spec.alpha * mean_square)**spec.beta

    return WithinChannel()


LAYERS: dict[str, Callable[[Any, Layer], Any]] = {
    "Conv": _conv,
    "MaxPool": lambda nn, a: nn.MaxPool2d(a.spec.kernel, a.spec.stride, ceil_mode=a.spec.ceil),
    "AvgPool": lambda nn, a: nn.AvgPool2d(a.spec.kernel, a.spec.stride, ceil_mode=a.spec.ceil),
    "LRN": _normalisation,
    "Flatten": lambda nn, layer: nn.Flatten(),
    "Dropout": lambda nn, layer: nn.Dropout(layer.spec.p),
    "Linear": lambda nn, layer: nn.Linear(layer.shape[0], layer.spec.features),
}
