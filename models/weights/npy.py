"""NumPy's files: `bvlc_alexnet.npy` (Toronto), state dicts of arrays as `.npy` and as `.npz`.

Toronto's is a dict {layer: [weights, biases]}, pickled into a .npy file, by Python 2 in the
original; caffe-tensorflow's has {"weights", "biases"} in place of the list.
"""
from __future__ import annotations

import io
import mmap
import re
import struct
from typing import Any

import numpy as np

from data import pickles
from data.pickles import PickledArray

from .state_dicts import Choose
from .strided import Arrays, contiguous
from .zips import Entries

MAGIC = b"\x93NUMPY"
HEADER = re.compile(rb"\{'descr': '([|<>=]?\w{1,20})', 'fortran_order': (True|False), "
                    rb"'shape': \((\d*(?:, ?\d+)*),?\), ?\}\s*")
OBJECTS, NUMBERS = re.compile(r"\|?O\d?"), re.compile(r"[<>|=]?[fiub][1248]")
LENGTHS = {b"\1": "<H", b"\2": "<I", b"\3": "<I"}       # of the header, by the format's version


def read(path: str) -> dict[str, Any]:
    """The dict that `np.save(path, dict)` wrote, of NumPy's arrays; nothing else in it is made.

    Raises ValueError for a file that holds anything else.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
        code, _, shape = _header(stream)
        if not OBJECTS.fullmatch(code) or shape:
            raise ValueError("it is a plain array, not the dict of layers that weights are in")
        outer = pickles.load(stream, pickles.ARRAYS, inert=True)         # type: ignore[arg-type]
        objects = outer.content if isinstance(outer, PickledArray) else None
        saved = objects[0] if isinstance(objects, list) and len(objects) == 1 else None
        if not isinstance(saved, dict):
            raise ValueError("it holds no dict of layers")
        return saved


def layers_in(saved: dict[str, Any]) -> dict[str, list[np.ndarray]]:
    """Weights and biases by layer, if that is how they are saved: in a list, or a dict of both."""
    layers = {}
    for name, parts in saved.items():
        if isinstance(parts, dict):
            parts = [parts.get("weights"), parts.get("biases")]
        if isinstance(parts, list | tuple) and parts and all(
                isinstance(part, PickledArray) for part in parts):
            layers[str(name)] = [array_of(part) for part in parts]
    return layers


def read_npz(entries: Entries, choose: Choose) -> Arrays:
    """The chosen arrays of `np.savez(path, **state_dict)`."""
    whole = {name.removesuffix(".npy"): entries.read(name) for name in entries.names()
             if name.endswith(".npy")}
    plain = {name: array for name, content in whole.items()
             if (array := _plain(content)) is not None}
    if not plain:
        raise ValueError(f"its {next(iter(whole))[:60]} holds no numbers: write it with "
                         "np.savez(path, **state)")
    names = choose({name: array.shape for name, array in plain.items()})
    return {short: plain[name] for short, name in names.items()}


def _plain(content: bytes) -> np.ndarray | None:
    """The array in a .npy; None for objects, texts and what else is no numbers."""
    stream = io.BytesIO(content)
    code, fortran, shape = _header(stream)
    if not NUMBERS.fullmatch(code):
        return None
    return contiguous(memoryview(content)[stream.tell():], np.dtype(code), shape, fortran)


def _header(stream: Any) -> tuple[str, bool, tuple[int, ...]]:
    """(dtype's code, whether the first index runs fastest, shape); stream is left behind it."""
    magic, version, _ = stream.read(6), stream.read(1), stream.read(1)
    length = stream.read(struct.calcsize(LENGTHS.get(version, "<H")))
    if magic != MAGIC or version not in LENGTHS or len(length) != struct.calcsize(LENGTHS[version]):
        raise ValueError("its .npy header is malformed")
    header = HEADER.fullmatch(stream.read(min(10_000, *struct.unpack(LENGTHS[version], length))))
    if not header:
        raise ValueError("its .npy header is malformed")
    code, fortran, shape = (part.decode() for part in header.groups())
    return code, fortran == "True", tuple(int(n) for n in shape.split(",") if n.strip())


def array_of(pickled: PickledArray) -> np.ndarray:
    code, order = pickled.dtype.code, pickled.dtype.order
    if not isinstance(code, str) or not NUMBERS.fullmatch(code) or order not in ("<", ">", "|"):
        raise ValueError("its numbers are not float32, float64 or float16")
    return contiguous(pickled.bytes(), np.dtype(order + code), pickled.shape,
                      bool(pickled.fortran))
