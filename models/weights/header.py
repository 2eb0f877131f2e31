"""What explains a network's arrays: `{"network", "config", "classes", "preprocessing"}`.

Our checkpoints hold it, and a plain safetensors file of ours, as JSON under KEY in its metadata.
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..networks.build import FAMILY, table_of
from ..networks.tables import state_shapes
from .safetensors_files import parsed

KEY = "minitensor"
PARTS = ("network", "config", "classes", "preprocessing")


def read(metadata: Mapping[str, str]) -> dict[str, Any] | None:
    """That in a safetensors file's metadata, if it is one of ours."""
    return parsed(metadata[KEY], "its header is damaged") if KEY in metadata else None


def check(header: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Raises ValueError where header does not explain arrays, before a network is built of it."""
    if not isinstance(header, dict) or not set(PARTS) <= header.keys():
        raise ValueError(f"its header is not one that says {', '.join(PARTS)}")
    name, config = header["network"], header["config"]
    if not isinstance(name, str) or name not in FAMILY:
        raise ValueError(f"it holds a network called {str(name)[:60]}, "
                         f"not one of {', '.join(FAMILY)}")
    try:
        size = config["image_size"]
        expected = state_shapes(table_of(name, **config), size)
        whole = all(type(config[part]) is int for part in ("num_classes", "image_size"))
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise ValueError(f"its header describes no network {name}: {str(error)[:200]}") from error
    for parameter, shape in expected.items():
        if parameter not in arrays or arrays[parameter].shape != shape:
            found = arrays[parameter].shape if parameter in arrays else "missing"
            raise ValueError(f"its {parameter} is {found}, but {shape} in the network {name} "
                             "of its header")
    if not whole or not _are_classes(header["classes"], config["num_classes"]):
        raise ValueError("its header's classes are not the names of the network's outputs")
    if not _is_preprocessing(header["preprocessing"]):
        raise ValueError("its header does not say how images are prepared")


def _are_classes(classes: Any, count: int) -> bool:
    return (isinstance(classes, list) and len(classes) == count
            and all(isinstance(name, str) for name in classes))


def _is_preprocessing(p: Any) -> bool:
    if not isinstance(p, dict):
        return False
    sizes: list[Any] = [p.get("crop"), p.get("resize")]
    colours = [p.get("mean"), p.get("std")]
    return (all(type(size) is int for size in sizes) and 0 < sizes[0] <= sizes[1]
            and all(isinstance(colour, list) and len(colour) == 3
                    and all(type(number) in (int, float) and math.isfinite(number)
                            for number in colour) for colour in colours)
            and all(p["std"]))
