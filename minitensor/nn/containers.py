"""Modules made of modules."""
from __future__ import annotations

from collections.abc import Iterator

from ..tensor import Tensor
from .module import Module


class Sequential(Module):
    """Modules run one after the other: Sequential(conv, relu) names them 0, 1; Sequential(conv1=conv, relu1=relu) as given."""

    def __init__(self, *layers: Module, **named_layers: Module):
        numbered = {str(i): layer for i, layer in enumerate(layers)}
        for name, layer in {**numbered, **named_layers}.items():
            if not isinstance(layer, Module):
                raise TypeError(f"Sequential: {name} must be a Module, not {type(layer).__name__}")
            setattr(self, name, layer)

    def __iter__(self) -> Iterator[Module]:
        return (child for _, child in self.named_children())

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            x = layer(x)
        return x
