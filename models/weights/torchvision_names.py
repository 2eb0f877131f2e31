"""What torchvision calls the layers of our networks, in the files that it publishes."""
from __future__ import annotations

from ..networks.build import FAMILY
from ..networks.layers import Flatten, Table
from ..networks.tables import state_shapes

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101")
NUMBERED = ("torchvision", *(f"vgg{depth}{norm}" for norm in ("", "_bn")
                             for depth in (11, 13, 16, 19)))


def torchvision_names(network: str) -> dict[str, str]:
    """By our names of the arrays of a network's state, theirs; {} for one that they do not have."""
    if network not in (*NUMBERED, *RESNETS):
        return {}
    design = FAMILY[network]
    layers = _numbers(design.table) if network in NUMBERED else {}
    names = {}
    for name in state_shapes(design.table, design.image_size):
        layer, _, kind = name.rpartition(".")
        names[name] = f"{layers.get(layer, layer).replace('.shortcut.', '.downsample.')}.{kind}"
    return names


def _numbers(table: Table) -> dict[str, str]:
    """"features.0", ..., then "classifier.0", ...: an activation is a layer that counts, too."""
    names, part, number = {}, "features", 0
    for name, layer in table.items():
        if isinstance(layer, Flatten):
            part, number = "classifier", 0
        else:
            names[name] = f"{part}.{number}"
            number += 2 if getattr(layer, "activation", None) else 1
    return names
