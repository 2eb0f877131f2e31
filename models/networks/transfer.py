"""Fine-tuning: a network that begins with another's layers, of which some may stay as they are.

A network's layers are counted by those that have parameters: AlexNet has eight, conv1 to fc8.
"""
from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from minitensor import nn

Layers = list[tuple[str, nn.Module]]


def layers(network: nn.Module) -> Layers:
    """The layers of a network in the order they run, with their names."""
    return [(name, module) for name, module in network.named_modules()
            if not any(module.named_children())]


def with_parameters(network: nn.Module) -> Layers:
    return [(name, layer) for name, layer in layers(network) if layer.num_parameters()]


def take_over(network: nn.Module, arrays: Mapping[str, np.ndarray]) -> None:
    """Copy another network's parameters, arrays, into all layers but the last, which is new.

    Raises ValueError for a misfit.
    """
    new = last_parameters(network)
    own = {name: array for name, array in network.state_dict().items() if name in new}
    network.load_state_dict({**arrays, **own})


def last_parameters(network: nn.Module) -> set[str]:
    """The names of the last layer's parameters."""
    prefix, layer = with_parameters(network)[-1]
    return {f"{prefix}.{name}" for name, _ in layer.named_parameters()}


# ---- freezing ----------------------------------------------------------------------------------

def freeze(network: nn.Module, how: str) -> None:
    """Exclude layers from learning.

    how is "none", "features" (the convolutions), or a number N as text (the first N). Their
    parameters need no gradient any more, and what runs before the first layer that learns is in
    evaluation mode. Raises ValueError when nothing would be left to learn.
    """
    parametrised = with_parameters(network)
    count = _count(parametrised, how)
    if count >= len(parametrised):
        raise ValueError(f"--freeze {how} leaves nothing to learn: "
                         f"the network has {len(parametrised)} layers with parameters")
    for _, layer in parametrised[:count]:
        for parameter in layer.parameters():
            parameter.requires_grad = False
    for layer in split(network)[0]:
        layer.eval()


def _count(parametrised: Layers, how: str) -> int:
    if how == "features":
        return sum(isinstance(layer, nn.Conv2d) for _, layer in parametrised)
    return 0 if how == "none" else int(how)


def split(network: nn.Module) -> tuple[nn.Sequential, nn.Sequential]:
    """(what gives the same output for the same image throughout training, the rest).

    The former are the frozen layers up to the first Dropout.
    """
    everything = [layer for _, layer in layers(network)]
    first = next(i for i, layer in enumerate(everything)
                 if any(p.requires_grad for p in layer.parameters()))
    last = max((i for i in range(first) if everything[i].num_parameters()), default=-1)
    if last < 0:            # none is frozen
        return nn.Sequential(), nn.Sequential(*everything)
    cut = next((i for i in range(last + 1, first) if isinstance(everything[i], nn.Dropout)), first)
    return nn.Sequential(*everything[:cut]), nn.Sequential(*everything[cut:])
