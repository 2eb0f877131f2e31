"""Auxiliary heads (Szegedy et al. 2014, section 5): classifiers along the way of a network.

Their losses, added to the network's own in training, bring gradients to layers far from its end.
Nobody else hears of them: they pass on what comes in.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from minitensor import Generator, Tensor, nn

from .layers import Layer, Shape, Table, modules
from .tables import buffers_of, changed, has_outputs, kept_of, parameters_of

Heard = list[tuple[float, Tensor]]      # a head's weight and its logits
_heard: ContextVar[Heard | None] = ContextVar("heard", default=None)


@dataclass(frozen=True)
class AuxHead(Layer):
    """The classifier that table is, whose last layer gives logits; its loss counts weight times.

    For images, a layer that changes nothing and multiplies nothing: only training computes it.
    """

    table: Table
    weight: float

    def output(self, shape: Shape) -> Shape:
        return shape if has_outputs(self.table, shape) else (shape[0], *[0] * len(shape[1:]))

    def parameters(self, shape: Shape) -> dict[str, Shape]:
        return parameters_of(self.table, shape)

    def buffers(self, shape: Shape) -> dict[str, Shape]:
        return buffers_of(self.table, shape)

    def kept(self, shape: Shape) -> int:
        return kept_of(self.table, shape)

    def module(self, shape: Shape, generator: Generator) -> nn.Module:
        return AuxiliaryHead(modules(self.table, shape, generator), self.weight)

    def with_tables(self, change: Callable[[Table], Table]) -> Layer:
        return replace(self, table=change(self.table))


class AuxiliaryHead(nn.Sequential):
    """x -> x; in training mode, inside `auxiliary_logits`, its layers make logits of it, too."""

    def __init__(self, layers: dict[str, nn.Module], loss_weight: float):
        super().__init__(layers)
        self.loss_weight = loss_weight

    def forward(self, x: Tensor) -> Tensor:
        heard = _heard.get()
        if self.training and heard is not None:
            heard.append((self.loss_weight, super().forward(x)))
        return x


@contextmanager
def auxiliary_logits() -> Iterator[Heard]:
    """A list that gets (weight, logits) of every head that is in training mode, as it is called.

        with auxiliary_logits() as heads:
            loss = cross_entropy(network(images), labels)
        for weight, logits in heads:
            loss = loss + weight * cross_entropy(logits, labels)

    Without it heads are not computed, nor do they learn.
    """
    heard: Heard = []
    token = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(token)


def heads_in(table: Table) -> list[str]:
    """The names of the auxiliary heads among a table's layers."""
    return [name for name, layer in table.items() if isinstance(layer, AuxHead)]


def without_heads(table: Table) -> Table:
    """No auxiliary heads: what is left for inference."""
    return changed(table, AuxHead, lambda head: None)


def with_classes(table: Table, num_classes: int) -> Table:
    """The last layer, and that of every head, for so many classes."""
    last = next(reversed(table))
    table = changed(table, AuxHead, lambda head: head.with_tables(
        lambda inner: with_classes(inner, num_classes)))
    return {**table, last: replace(table[last], features=num_classes)}


def logit_layers(network: nn.Module) -> list[str]:
    """The names of the layers that give logits: each head's last one, then the network's."""
    heads = [f"{name}." for name, module in network.named_modules()
             if isinstance(module, AuxiliaryHead)]
    layers = [name.rpartition(".")[0] for name, _ in network.named_parameters()]
    return [[name for name in layers if name.startswith(head)][-1] for head in (*heads, "")]
