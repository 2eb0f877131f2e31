"""What torchvision calls the layers of our networks, in the files that it publishes."""
from __future__ import annotations

import re

from ..networks.build import FAMILY
from ..networks.layers import Flatten, Table
from ..networks.tables import state_shapes

INCEPTIONS = {"googlenet": "conv1.conv.weight",         # and the first names in their files
              "inception_v3": "Conv2d_1a_3x3.conv.weight"}
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101")
NUMBERED = ("torchvision", *(f"vgg{depth}{norm}" for norm in ("", "_bn")
                             for depth in (11, 13, 16, 19)))


def torchvision_names(network: str, table: Table | None = None) -> dict[str, str]:
    """By our names of the arrays of a network's state, theirs; {} for one that they do not have.

    table: the network's layers, if they are not all of its design's.
    """
    if network not in (*NUMBERED, *RESNETS, *INCEPTIONS):
        return {}
    design = FAMILY[network]
    table = table or design.table
    layers = _numbers(table) if network in NUMBERED else {}
    names = {}
    for name in state_shapes(table, design.image_size):
        layer, _, kind = name.rpartition(".")
        layer = layers.get(layer, layer).replace(".shortcut.", ".downsample.")
        if network == "inception_v3":       # "branch3x3.2.a.conv" is theirs "branch3x3_2a.conv"
            layer = re.sub(r"(branch\w+)\.(\d)\.(?:([ab])\.)?", r"\1_\2\3.", layer)
        names[name] = f"{layer}.{kind}"
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
