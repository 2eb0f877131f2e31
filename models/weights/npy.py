"""`bvlc_alexnet.npy` (Toronto): a dict {layer: [weights, biases]}, pickled into a .npy file.

By Python 2 in the original.
"""
from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from data import pickles
from data.pickles import PickledArray

from .strided import contiguous

MAGIC = b"\x93NUMPY"
HEADER = re.compile(rb"\{'descr': '\|?O', 'fortran_order': (True|False), 'shape': \(\), ?\}\s*")
FLOATS = {"f2", "f4", "f8"}


def read(path: str) -> dict[str, list[np.ndarray]]:
    """The arrays of each layer. Raises ValueError for a file that holds anything else."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
        _skip_header(stream)
        outer = pickles.load(stream, NAMES)         # type: ignore[arg-type]
        objects = outer.content if isinstance(outer, PickledArray) else None
        layers = objects[0] if isinstance(objects, list) and len(objects) == 1 else None
        if not isinstance(layers, dict):
            raise ValueError("it holds no dict of layers")
        return {str(name): _arrays(parts) for name, parts in layers.items()}


def _skip_header(stream: mmap.mmap) -> None:
    magic, major, length = stream.read(6), stream.read(2)[:1], stream.read(2)
    if magic != MAGIC or major != b"\1" or len(length) != 2:
        raise ValueError("its .npy header is malformed")
    if not HEADER.fullmatch(stream.read(struct.unpack("<H", length)[0])):
        raise ValueError("it is a plain array, not the dict of layers that weights are in")


def _arrays(parts: Any) -> list[np.ndarray]:
    if not isinstance(parts, list | tuple) or not all(
            isinstance(part, PickledArray) for part in parts):
        raise ValueError("one of its layers is not a list of arrays")
    return [_array(part) for part in parts]


def _array(pickled: PickledArray) -> np.ndarray:
    code, order = pickled.dtype.code, pickled.dtype.order
    if code not in FLOATS or order not in ("<", ">"):
        raise ValueError("its numbers are not float32, float64 or float16")
    return contiguous(pickled.bytes(), np.dtype(f"{order}{code}"), pickled.shape,
                      bool(pickled.fortran))


def _encode(text: Any, encoding: Any) -> bytes:
    """_codecs.encode, by which Python 3 writes bytes for Python 2."""
    if not isinstance(text, str) or encoding != "latin1":
        raise ValueError("its pickle encodes text other than as latin1")
    return text.encode("latin1")


NAMES: Mapping[str, Callable | None] = {**pickles.ARRAYS, "_codecs encode": _encode}
