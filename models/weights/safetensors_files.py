"""`.safetensors`: the length of a JSON header, the header, and the tensors' bytes in a row.

Read by hand, for the sake of bfloat16, and without a copy of the file in memory.
"""
from __future__ import annotations

import json
from typing import Any

import numpy as np

from .state_dicts import Choose
from .strided import BFLOAT16, Arrays, contiguous

MAX_HEADER = 2**23          # bytes; that of a network with 10,000 tensors takes one million
DTYPES: dict[str, np.dtype] = {
    "F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": BFLOAT16,
    "I64": np.dtype("<i8"), "I32": np.dtype("<i4"), "I16": np.dtype("<i2"), "I8": np.dtype("i1"),
    "U8": np.dtype("u1"), "BOOL": np.dtype("?")}
DAMAGED = "its safetensors header is damaged"


def read(path: str, choose: Choose) -> tuple[Arrays, dict[str, str]]:
    """(the chosen tensors, the file's own metadata). Raises ValueError for a damaged file."""
    data = np.memmap(path, np.uint8, "r")
    size = int.from_bytes(data[:8].tobytes(), "little")
    if size > min(MAX_HEADER, len(data) - 8):
        raise ValueError("it is cut off, or its safetensors header is damaged")
    header = parsed(data[8:8 + size].tobytes(), DAMAGED)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or {type(text) for text in metadata.values()} - {str}:
        raise ValueError(DAMAGED)
    bytes_ = data[8 + size:]
    _check_places([_place(entry) for entry in header.values()], len(bytes_))
    names = choose({name: tuple(entry["shape"]) for name, entry in header.items()})
    return {short: _array(name, header[name], bytes_) for short, name in names.items()}, metadata


def parsed(text: str | bytes, otherwise: str) -> dict[str, Any]:
    """The JSON object in text; ValueError(otherwise) for anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(otherwise) from error
    if not isinstance(value, dict):
        raise ValueError(otherwise)
    return value


def _place(entry: Any) -> tuple[int, int]:
    """Where a tensor's bytes begin and end."""
    entry = entry if isinstance(entry, dict) else {}
    shape, place = entry.get("shape"), entry.get("data_offsets")
    if not (isinstance(shape, list) and isinstance(place, list) and len(place) == 2
            and all(type(number) is int and 0 <= number < 2**62 for number in shape + place)):
        raise ValueError(DAMAGED)
    return place[0], place[1]


def _check_places(places: list[tuple[int, int]], size: int) -> None:
    """That the tensors fill the file, without gaps and without sharing bytes."""
    position = 0
    for begin, end in sorted(places):
        if begin != position or end < begin:
            raise ValueError("it is damaged: its tensors overlap, or leave gaps")
        position = end
    if position != size:
        raise ValueError("it is cut off, or not of the size that its header says")


def _array(name: str, entry: dict[str, Any], data: np.ndarray) -> np.ndarray:
    dtype = DTYPES.get(str(entry.get("dtype")))
    if dtype is None:
        raise ValueError(f"its {name} is of the kind {str(entry.get('dtype'))[:20]}, "
                         "not float32, float64, float16 or bfloat16")
    return contiguous(data[slice(*entry["data_offsets"])], dtype, entry["shape"])
