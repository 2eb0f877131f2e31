"""Which network weights belong to, by their shapes: its name, width, classes and image size."""
from __future__ import annotations

import math
from typing import Any

from ..networks.build import FAMILY, table_of
from ..networks.layers import Conv, Linear, Shape, Table, shapes, smallest_image
from .sources import Found

MAX_IMAGE = 1024                # pixels of the largest image_size that is looked for
VARIANTS: tuple[tuple[str, ...], ...] = ((), ("one-tower",))


def config_of(found: Found) -> tuple[str, dict[str, Any]]:
    """(name, config) for `family.build`. Raises ValueError when no network has these parameters."""
    actual = {name: array.shape for name, array in found.arrays.items()}
    for name in found.networks:
        for ablations in VARIANTS:
            config = _fitting(name, ablations, actual)
            if config:
                return name, config
    raise ValueError(_misfit(found.networks[0], actual))


def _fitting(name: str, ablations: tuple[str, ...], actual: dict[str, Shape]) -> dict[str, Any] | None:
    """The config with which the network called name has parameters of these shapes."""
    table = FAMILY[name].table
    last, first = next(reversed(table)), actual.get("conv1.weight", ())
    if not first or f"{last}.weight" not in actual or len(actual[f"{last}.weight"]) != 2:
        return None
    num_classes, width = actual[f"{last}.weight"][0], first[0] / table["conv1"].channels
    if num_classes < 2 or not 0 < width <= 64:
        return None
    table = table_of(name, num_classes, None, width, ablations=ablations)
    size = _image_size(table, FAMILY[name].image_size, actual)
    if size is None or parameter_shapes(table, size) != actual:
        return None
    return {"num_classes": num_classes, "image_size": size, "width": width, "ablations": list(ablations)}


def _image_size(table: Table, usual: int, actual: dict[str, Shape]) -> int | None:
    """The usual size if the first Linear layer's inputs allow it, else the smallest that they allow."""
    full = next(name for name, layer in table.items() if isinstance(layer, Linear))
    inputs = actual.get(f"{full}.weight", ())[1:]
    return next((size for size in (usual, *range(smallest_image(table), MAX_IMAGE)) if shapes(table, size)["flatten"] == inputs), None)


def parameter_shapes(table: Table, image_size: int) -> dict[str, Shape]:
    result: dict[str, Shape] = {}
    shape: Shape = (3, image_size, image_size)
    for name, layer in table.items():
        if isinstance(layer, Conv):
            result |= {f"{name}.weight": (layer.channels, shape[0] // layer.groups, layer.kernel, layer.kernel),
                       f"{name}.bias": (layer.channels,)}
        elif isinstance(layer, Linear):
            result |= {f"{name}.weight": (layer.features, math.prod(shape)), f"{name}.bias": (layer.features,)}
        shape = layer.output(shape)
    return result


def _misfit(name: str, actual: dict[str, Shape]) -> str:
    """One sentence on the first parameter that is missing or differs from what the network called name has."""
    expected = parameter_shapes(table_of(name), FAMILY[name].image_size)
    missing = [parameter for parameter in expected if parameter not in actual]
    if missing:
        return f"it holds no {missing[0]}" + (f" and lacks {len(missing) - 1} more of the network {name}" if missing[1:] else "")
    odd = next(parameter for parameter in expected if expected[parameter] != actual[parameter])
    return f"its {odd} is {actual[odd]}, which fits no network of the family; in {name} it is {expected[odd]}"
