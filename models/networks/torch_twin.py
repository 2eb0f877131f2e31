"""PyTorch's twin of a table: the same layers in PyTorch's own modules, with PyTorch's own values.

For benchmarks and for tests. Its parameters come in the order of ours.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .layers import Shape, Table


def torch_twin(table: Table, shape: Shape) -> Any:
    """A torch.nn.Sequential for images (N, *shape). Imports PyTorch."""
    from torch import nn
    return _chain(nn, table, shape)


def _chain(nn: Any, table: Table, shape: Shape) -> Any:
    layers: list[Any] = []
    for spec in table.values():
        layers.append(TWINS[type(spec).__name__](nn, spec, shape))
        activation = getattr(spec, "activation", None)
        if activation:
            layers.append(nn.ReLU(inplace=True) if activation == "relu" else nn.Tanh())
        shape = spec.output(shape)
    return nn.Sequential(*layers)


def _lrn(nn: Any, spec: Any, shape: Shape) -> Any:
    if spec.region == "across_channels":
        return nn.LocalResponseNorm(spec.size, spec.alpha, spec.beta, spec.k)

    class WithinChannel(nn.Module):
        """Which PyTorch has no layer for; written as its users would."""

        def forward(self, x: Any) -> Any:
            mean_square = nn.functional.avg_pool2d(x * x, spec.size, 1, spec.size // 2)
            return x / (spec.k + spec.alpha * mean_square)**spec.beta

    return WithinChannel()


def _residual(nn: Any, spec: Any, shape: Shape) -> Any:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, *shortcut = (_chain(nn, table, shape) for table in spec.branches().values())
            self.shortcut = shortcut[0] if shortcut else nn.Identity()

        def forward(self, x: Any) -> Any:
            return self.body(x) + self.shortcut(x)

    return Residual()


def _concat(nn: Any, spec: Any, shape: Shape) -> Any:
    class Concat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branches = nn.ModuleList(
                _chain(nn, table, shape) for table in spec.branches().values())

        def forward(self, x: Any) -> Any:
            import torch
            return torch.cat([branch(x) for branch in self.branches], 1)

    return Concat()


# By the name of the layer's class; without its activation.
TWINS: dict[str, Callable[[Any, Any, Shape], Any]] = {
    "Conv": lambda nn, s, shape: nn.Conv2d(shape[0], s.channels, s.kernel, s.stride, s.padding,
                                           groups=s.groups, bias=s.bias),
    "BatchNorm": lambda nn, s, shape: nn.BatchNorm2d(shape[0], s.eps),
    "Linear": lambda nn, s, shape: nn.Linear(shape[0], s.features),
    "MaxPool": lambda nn, s, shape: nn.MaxPool2d(s.kernel, s.stride, s.padding, ceil_mode=s.ceil),
    "AvgPool": lambda nn, s, shape: nn.AvgPool2d(s.kernel, s.stride, s.padding, ceil_mode=s.ceil),
    "AdaptiveAvgPool": lambda nn, s, shape: nn.AdaptiveAvgPool2d(s.side),
    "LRN": _lrn,
    # Zeros after the last channel: the third pair from the end.
    "PadChannels": lambda nn, s, shape: nn.ZeroPad3d((0, 0, 0, 0, 0, s.channels - shape[0])),
    "Flatten": lambda nn, s, shape: nn.Flatten(),
    "Dropout": lambda nn, s, shape: nn.Dropout(s.p),
    "Residual": _residual,
    "Concat": _concat,
}
