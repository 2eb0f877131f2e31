"""State dicts in several files: `model.safetensors.index.json` or `pytorch_model.bin.index.json`.

{"weight_map": {name: file}}; the files lie beside it.
"""
from __future__ import annotations

import os
from collections.abc import Callable

from .safetensors_files import MAX_HEADER, parsed
from .state_dicts import Choose
from .strided import Arrays

DAMAGED = "it begins as JSON, but is no index of weights in several files"


def read(path: str, read_file: Callable[[str, Choose], Arrays], choose: Choose) -> Arrays:
    """The chosen tensors of all files; read_file(path, choose) reads one of them.

    Raises ValueError for a damaged index, for a file that lacks what the index says.
    """
    if os.path.getsize(path) > MAX_HEADER:
        raise ValueError(DAMAGED)
    with open(path, "rb") as file:
        places = parsed(file.read(), DAMAGED).get("weight_map")
    if not isinstance(places, dict) or not all(
            isinstance(file, str) and _is_plain(file) for file in places.values()):
        raise ValueError(DAMAGED)
    arrays: Arrays = {}
    for file in dict.fromkeys(places.values()):
        if not os.path.isfile(os.path.join(os.path.dirname(path), file)):
            raise ValueError(f"{file}, which it names, is not beside it")
        here = [name for name, place in places.items() if place == file]
        part = read_file(os.path.join(os.path.dirname(path), file), lambda shapes: {
            name: name for name in here if name in shapes})
        if len(part) < len(here):
            raise ValueError(f"{file} holds no {next(name for name in here if name not in part)}")
        arrays |= part
    names = choose({name: array.shape for name, array in arrays.items()})
    return {short: arrays[name] for short, name in names.items()}


def _is_plain(file: str) -> bool:
    """Whether it is the name of a file beside the index, and not of an index."""
    return (file == os.path.basename(file) and file not in ("", ".", "..") and "\0" not in file
            and not file.endswith(".json"))
