"""Fine-tuning: a network that begins with another's layers, of which some may stay as they are.

A network's layers are counted by those that have parameters of their own, through all branches, in
the order of their names in the state dict: AlexNet has eight, conv1 to fc8.
"""
from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from minitensor import nn

from .build import FAMILY, Network
from .heads import AuxiliaryHead, heads_in, logit_layers


def layers_with_parameters(network: nn.Module) -> dict[str, list[str]]:
    """The names of each layer's own parameters, by the layer's name; without auxiliary heads.

    A parameter that layers share belongs to the first of them.
    """
    heads = tuple(f"{name}." for name, module in network.named_modules()
                  if isinstance(module, AuxiliaryHead))
    layers: dict[str, list[str]] = {}
    for name, _ in network.named_parameters():
        if not name.startswith(heads):
            layers.setdefault(name.rpartition(".")[0], []).append(name)
    return layers


def take_over(network: Network, arrays: Mapping[str, np.ndarray]) -> None:
    """Copy another network's state, arrays, into all layers but the last, which is new.

    So is the last layer of every auxiliary head, and a head that the other network does not have.
    Raises ValueError for a misfit.
    """
    new, heads = last_parameters(network), heads_in(FAMILY[network.name].table)

    def is_head(name: str) -> bool:
        return name.partition(".")[0] in heads

    state = network.state_dict()
    own = {name: array for name, array in state.items()
           if name in new or (is_head(name) and name not in arrays)}
    theirs = {name: array for name, array in arrays.items() if name in state or not is_head(name)}
    network.load_state_dict({**theirs, **own})


def last_parameters(network: nn.Module) -> set[str]:
    """The names of the parameters of the last layer, and of every auxiliary head's last."""
    layers = logit_layers(network)
    return {name for name, _ in network.named_parameters() if name.rpartition(".")[0] in layers}


# ---- freezing ----------------------------------------------------------------------------------

def freeze(network: nn.Sequential, how: str) -> None:
    """Exclude layers from learning.

    how is "none", "features" (those before the first Linear), a number N as text (the first N), or
    the name of a layer or stage: all to its end. A stage is what has names that begin alike, with
    the BatchNorm behind it: "conv1", "layer1" to "layer4" of a ResNet, "conv3" of a VGG.

    Their parameters need no gradient any more. They are in evaluation mode, and so is what
    `split` puts first: all that runs before the first layer that learns, or before a Dropout behind
    the last frozen layer, which goes on dropping. An auxiliary head with nothing before it that
    learns is frozen, too: it would teach nobody. Raises ValueError when nothing would be left to
    learn, or nothing is called so.
    """
    layers, modules = layers_with_parameters(network), dict(network.named_modules())
    count = _count(network, list(layers), how)
    if count >= len(layers):
        raise ValueError(f"freeze {how} leaves nothing to learn: "
                         f"the network has {len(layers)} layers with parameters")
    parameters = dict(network.named_parameters())
    for layer, names in list(layers.items())[:count]:
        modules[layer].eval()
        for name in names:
            parameters[name].requires_grad = False
    for module in network:
        if isinstance(module, AuxiliaryHead):
            module.requires_grad_(False).eval()
        elif any(p.requires_grad for p in module.parameters()):
            break
    split(network)[0].eval()


def _count(network: nn.Sequential, layers: list[str], how: str) -> int:
    """How many of the layers with parameters, so called, are frozen."""
    if how == "none" or how.isdecimal():
        return 0 if how == "none" else int(how)
    if how == "features":
        kinds = [isinstance(network.get_submodule(name), nn.Linear) for name in layers]
        return kinds.index(True) if True in kinds else 0
    before = tuple(f"{name}." for name in _to_the_end_of(how, network))
    return sum(f"{name}.".startswith(before) for name in layers)


def _to_the_end_of(stage: str, network: nn.Sequential) -> list[str]:
    """The names of the modules that run until stage is over."""
    names = [name for name, _ in network.named_children()]
    of_stage = [i for i, name in enumerate(names) if re.match(rf"{re.escape(stage)}(?!\d)", name)]
    if not of_stage:
        raise ValueError("freeze: must be none, features or a number of layers, not "
                         f"{stage!r}, or the name of one: {', '.join(names)}")
    end = of_stage[-1] + 1
    has_norm = end < len(names) and isinstance(network[end], nn.BatchNorm2d)
    return names[:end + has_norm]


def split(network: nn.Sequential) -> tuple[nn.Sequential, nn.Sequential]:
    """(what gives the same output for the same image throughout training, the rest).

    The former are the frozen layers up to the first Dropout.
    """
    first = next(i for i, layer in enumerate(network)
                 if any(p.requires_grad for p in layer.parameters()))
    last = max((i for i in range(first) if network[i].num_parameters()), default=-1)
    if last < 0:            # none is frozen
        return network[:0], network[:]
    cut = next((i for i in range(last + 1, first) if _drops(network[i])), first)
    return network[:cut], network[cut:]


def _drops(layer: nn.Module) -> bool:
    return not isinstance(layer, AuxiliaryHead) and any(
        isinstance(module, nn.Dropout) for module in layer.modules())
