"""How fast each parameter learns and how much it decays: the groups of the optimizer."""
from __future__ import annotations

from typing import Any

from minitensor import nn

from ..errors import SettingError
from ..networks.transfer import last_parameters
from ..settings import Settings

BIAS_LR = 2.0       # biases learn at twice the rate and do not decay, in the 2012 code as in Caffe


def parameter_groups(network: nn.Module,
                     settings: Settings) -> tuple[list[str], list[dict[str, Any]]]:
    """(the names of the parameters that learn, in the order of the optimizer; its groups).

    There is a group for each pair of learning rate and decay. Where training begins with a trained
    network, its new last layer learns settings.new_lr_multiplier times faster than the others.
    Raises SettingError for a layer in settings.layer_weight_decay that network does not have.
    """
    layers = {_layer(name): None for name, _ in network.named_parameters()}
    for layer in settings.layer_weight_decay or {}:
        if layer not in layers:
            raise SettingError("layer_weight_decay", f": the network has no layer {layer!r}; "
                               f"its layers: {', '.join(layers)}")
    parameters = {name: p for name, p in network.named_parameters() if p.requires_grad}
    new = last_parameters(network) if settings.weights else set()
    members: dict[tuple[float, float], list[str]] = {}
    for name in parameters:
        rates = _rates(name, parameters[name].kind, name in new, settings)
        members.setdefault(rates, []).append(name)
    groups = [{"params": [parameters[name] for name in names],
               "lr": lr, "weight_decay": weight_decay}
              for (lr, weight_decay), names in members.items()]
    return [name for names in members.values() for name in names], groups


def _rates(name: str, kind: str, is_new: bool, settings: Settings) -> tuple[float, float]:
    """(learning rate, weight decay) of the parameter called name, of this Parameter.kind."""
    lr = settings.lr * (settings.new_lr_multiplier if is_new else 1)
    if kind == "weight":
        return lr, (settings.layer_weight_decay or {}).get(_layer(name), settings.weight_decay)
    return (BIAS_LR * lr if kind == "bias" else lr), 0.0


def _layer(name: str) -> str:
    """"conv1" of "conv1.weight"."""
    return name.rpartition(".")[0]
