"""Which network weights belong to, by their shapes: its name, width, classes and image size."""
from __future__ import annotations

from typing import Any

from ..networks.build import FAMILY, table_of
from ..networks.layers import Linear, Shape, Table
from ..networks.tables import smallest_image, state_shapes, walk
from .layouts import Found

MAX_IMAGE = 1024                # pixels of the largest image_size that is looked for
VARIANTS: tuple[tuple[str, ...], ...] = ((), ("one-tower",))


def config_of(found: Found) -> tuple[str, dict[str, Any]]:
    """(name, config) for `build`. Raises ValueError when no network has these arrays."""
    actual = {name: array.shape for name, array in found.arrays.items()}
    for name in found.networks:
        for ablations in VARIANTS:
            config = _fitting(name, ablations, actual)
            if config:
                return name, config
    raise ValueError(_misfit(found.networks[0], actual))


def _fitting(name: str, ablations: tuple[str, ...],
             actual: dict[str, Shape]) -> dict[str, Any] | None:
    """The config with which the network called name has parameters of these shapes."""
    table = FAMILY[name].table
    place = next(p for p in walk(table, (3, 0, 0)) if p.layer.parameters(p.input))
    last_name = next(reversed(table))
    first, last = actual.get(f"{place.name}.weight"), actual.get(f"{last_name}.weight")
    if not first or not last or len(last) != 2:
        return None
    num_classes = last[0]
    width = first[0] / place.output[0] if place.name != last_name else 1.0
    if num_classes < 2 or not 0 < width <= 64:
        return None
    table = table_of(name, num_classes, None, width, ablations=ablations)
    size = _image_size(table, FAMILY[name].image_size, actual)
    if size is None or state_shapes(table, size) != actual:
        return None
    return {"num_classes": num_classes, "image_size": size, "width": width,
            "ablations": list(ablations)}


def _image_size(table: Table, usual: int, actual: dict[str, Shape]) -> int | None:
    """The usual size if the first Linear layer's inputs allow it, else the smallest that does."""
    for size in (usual, *range(smallest_image(table), MAX_IMAGE)):
        linear = next(place for place in walk(table, (3, size, size))
                      if isinstance(place.layer, Linear))
        if linear.input == actual.get(f"{linear.name}.weight", ())[1:]:
            return size
    return None


def _misfit(name: str, actual: dict[str, Shape]) -> str:
    """One sentence on the first parameter that is missing or differs from the network's own."""
    expected = state_shapes(table_of(name), FAMILY[name].image_size)
    missing = [parameter for parameter in expected if parameter not in actual]
    if missing[1:]:
        return (f"it holds no {missing[0]} and lacks {len(missing) - 1} more "
                f"of the network {name}")
    if missing:
        return f"it holds no {missing[0]}"
    odd = next(parameter for parameter in expected if expected[parameter] != actual[parameter])
    return (f"its {odd} is {actual[odd]}, which fits no network of the family; "
            f"in {name} it is {expected[odd]}")
