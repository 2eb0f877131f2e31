"""Which network weights belong to, by their shapes: its name, width, classes and image size."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..networks.build import FAMILY, table_of
from ..networks.heads import heads_in, without_heads
from ..networks.layers import Shape, Table
from ..networks.tables import smallest_image, state_shapes, walk
from .layouts import Found

MAX_IMAGE = 1024                # pixels of the largest image_size that is looked for
VARIANTS: tuple[tuple[str, ...], ...] = ((), ("one-tower",), ("no-heads",))


def with_fitting_heads(found: Found, notes: list[str]) -> Found:
    """Without auxiliary heads that are not whole or tell other classes apart, which are useless.

    So they are where only the last layer was replaced, to learn other classes. notes gets a
    sentence then.
    """
    table = FAMILY[found.networks[0]].table
    heads = {name: table[name].table for name in heads_in(table)}
    rows = {name: found.arrays[weight].shape[:1] for name, layers in {"": table, **heads}.items()
            if (weight := f"{name}.{next(reversed(layers))}.weight".lstrip(".")) in found.arrays}
    if found.header or set(rows) == {"", *heads} and len(set(rows.values())) == 1:
        return found
    kept = {name: array for name, array in found.arrays.items()
            if name.partition(".")[0] not in heads}
    if len(kept) < len(found.arrays):
        notes.append(f"its auxiliary heads {', '.join(heads)} are left out: they are not whole, or "
                     "not of its classes")
    return found._replace(arrays=kept)


def config_of(found: Found, notes: list[str]) -> tuple[str, dict[str, Any]]:
    """(name, config) for `build`.

    notes gets a sentence where several networks have these arrays. Raises ValueError when none has.
    """
    actual = {name: array.shape for name, array in found.arrays.items()}
    networks = tuple(dict.fromkeys(found.networks))
    for ablations in VARIANTS:
        fitting = {name: config for name in networks
                   if (config := _fitting(name, ablations, actual))}
        if fitting:
            name, *others = fitting
            if others:
                notes.append(f"its parameters are those of {', '.join(fitting)}, and the file does "
                             f"not say which: taken as {name}")
            return name, fitting[name]
    raise ValueError(_misfit(networks[0], actual, found.names))


def _fitting(name: str, ablations: tuple[str, ...],
             actual: dict[str, Shape]) -> dict[str, Any] | None:
    """The config with which the network called name has parameters of these shapes."""
    scale = _scale(name, actual)
    if scale is None:
        return None
    num_classes, width = scale
    table = table_of(name, num_classes, None, width, ablations=ablations)
    usual = FAMILY[name].image_size
    if _without_linear(state_shapes(table, usual)) != _without_linear(actual):
        return None
    size = _image_size(table, usual, actual)
    if size is None:
        return None
    return {"num_classes": num_classes, "image_size": size, "width": width,
            "ablations": list(ablations)}


def _scale(name: str, actual: dict[str, Shape]) -> tuple[int, float] | None:
    """(classes, width) of the network called name, as two of its layers tell."""
    table = FAMILY[name].table
    last_name = next(reversed(table))
    hidden = [place for place in walk(table, (3, 0, 0))
              if "weight" in place.layer.parameters(place.input) and place.name != last_name]
    # The widest layer tells the width best: it was rounded least.
    widest = max(hidden, key=lambda place: place.output[0], default=None)
    wide = actual.get(f"{widest.name}.weight") if widest else ()
    last = actual.get(f"{last_name}.weight")
    if wide is None or not last or len(last) != 2:
        return None
    num_classes, width = last[0], wide[0] / widest.output[0] if widest and wide else 1.0
    return (num_classes, width) if num_classes >= 2 and 0 < width <= 64 else None


def _without_linear(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Those that no image size changes."""
    return {name: shape for name, shape in shapes.items() if len(shape) != 2}


def _image_size(table: Table, usual: int, actual: dict[str, Shape]) -> int | None:
    """The usual size if all shapes allow it, else the smallest that does."""
    at_usual = state_shapes(table, usual)
    if at_usual in (actual, state_shapes(table, MAX_IMAGE)):    # the latter: all sizes are alike
        return usual if at_usual == actual else None
    sizes = range(smallest_image(table), MAX_IMAGE)
    return next((size for size in sizes if state_shapes(table, size) == actual), None)


def _misfit(name: str, actual: dict[str, Shape], names: Mapping[str, str]) -> str:
    """One sentence on what was found and what was looked for; names: the file's by ours."""
    table = table_of(name)
    if not any(parameter.partition(".")[0] in heads_in(table) for parameter in actual):
        table = without_heads(table)
    expected = state_shapes(table, FAMILY[name].image_size)
    shown = {ours: names.get(ours, ours) for ours in (*expected, *actual)}
    missing = [shown[parameter] for parameter in expected if parameter not in actual]
    extra = [f"{shown[parameter][:60]} {shape}" for parameter, shape in actual.items()
             if parameter not in expected]
    also = (f"; it also holds {', '.join(extra[:2])}"
            + (f" and {len(extra) - 2} more" if extra[2:] else "")) if extra else ""
    if missing[1:]:
        return (f"it holds no {missing[0]} and lacks {len(missing) - 1} more "
                f"of the network {name}{also}")
    if missing:
        return f"it holds no {missing[0]}{also}"
    if extra:
        return f"it has the parameters of {name}{also}, which no network of the family has"
    last = f"{next(reversed(FAMILY[name].table))}.weight"
    if actual[last][:1] == (1,):
        return (f"its {shown[last]} is {actual[last]}: one output, where the networks here tell at "
                "least two classes apart")
    num_classes, width = _scale(name, actual) or (None, 1.0)
    of_width = "" if width == 1 else f" of width {width:g}"
    expected |= {own: shape for own, shape in state_shapes(
        table_of(name, num_classes, None, width), FAMILY[name].image_size).items()
        if own in expected}
    odd = next((parameter for parameter in expected if expected[parameter] != actual[parameter]),
               last)
    return (f"its {shown[odd]} is {actual[odd]}, which fits no network of the family; "
            f"in {name}{of_width} it is {expected[odd]}")
