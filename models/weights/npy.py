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

from .strided import contiguous

MAGIC = b"\x93NUMPY"
HEADER = re.compile(rb"\{'descr': '\|?O', 'fortran_order': (True|False), 'shape': \(\), ?\}\s*")
FLOATS = {"f2", "f4", "f8"}


def read(path: str) -> dict[str, list[np.ndarray]]:
    """The arrays of each layer. Raises ValueError for a file that holds anything else."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
        _skip_header(stream)
        outer = pickles.load(stream, NAMES)         # type: ignore[arg-type]
        holds_objects = isinstance(outer, PickledArray) and outer.holds_objects()
        layers = outer.state[-1][0] if holds_objects else None
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
    return [part.array() for part in parts]


# ---- what the pickle may ask for ---------------------------------------------------------------

class PickledDtype(pickles.Buildable):
    """numpy.dtype(code), with its byte order as the second item of its state."""

    def __init__(self, code: Any, *rest: Any):
        self.code, self.order = code, "="

    def build(self, state: Any) -> None:
        self.order = state[1]

    def dtype(self) -> np.dtype:
        if self.code not in FLOATS or self.order not in ("<", ">"):
            raise ValueError("its numbers are not float32, float64 or float16")
        return np.dtype(f"{self.order}{self.code}")


class PickledArray(pickles.Buildable):
    """numpy.ndarray, whose state is a tuple:

    (version, shape, dtype, whether the first index runs fastest, bytes or objects).
    """

    def __init__(self, *arguments: Any):
        self.state: tuple = ()

    def build(self, state: Any) -> None:
        if not (isinstance(state, tuple) and len(state) == 5
                and isinstance(state[2], PickledDtype)):
            raise ValueError("one of its arrays is not as NumPy writes them")
        self.state = state

    def holds_objects(self) -> bool:
        return len(self.state) == 5 and isinstance(self.state[4], list) and len(self.state[4]) == 1

    def array(self) -> np.ndarray:
        if len(self.state) != 5:
            raise ValueError("one of its arrays was left empty")
        _, shape, dtype, fortran, data = self.state
        data = data.encode("latin1") if isinstance(data, str) else data         # Python 2's bytes
        if not isinstance(shape, tuple) or not isinstance(data, bytes):
            raise ValueError("one of its arrays is not as NumPy writes them")
        return contiguous(data, dtype.dtype(), shape, bool(fortran))


def _encode(text: Any, encoding: Any) -> bytes:
    """_codecs.encode, by which Python 3 writes bytes for Python 2."""
    if not isinstance(text, str) or encoding != "latin1":
        raise ValueError("its pickle encodes text other than as latin1")
    return text.encode("latin1")


NAMES: Mapping[str, Callable | None] = {
    "numpy ndarray": None,
    "numpy dtype": PickledDtype,
    "numpy.core.multiarray _reconstruct": PickledArray,
    "numpy._core.multiarray _reconstruct": PickledArray,
    "_codecs encode": _encode,
}
