"""Weights that others published, or trained, read without the programs that wrote them.

PyTorch's state dicts (`.pth`, both containers; `.safetensors`; in several files), NumPy's (`.npz`),
Toronto's `bvlc_alexnet.npy` and Caffe's `.caffemodel` are told apart by their first bytes, and
whose they are by names and shapes. Nothing in a file is executed, and no number in it is believed.
"""
from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ..errors import UserError, as_user_error
from ..progress import SILENT, Progress
from . import (caffe, header, imagenet, npy, objects, safetensors_files, sharded, torch_files,
               zips)
from .download import fetch as fetch
from .recipes import preprocessing
from .recognise import config_of, with_fitting_heads
from .layouts import Arrays, Found, from_caffe, from_state_dict, from_toronto
from .state_dicts import COUNTER, Choose, choose
from .strided import as_float32


FOREIGN = {                     # by their first bytes, what people take for weights
    b"\x1f\x8b": "it is compressed by gzip: unpack it",
    b"BZh": "it is compressed by bzip2: unpack it",
    b"\xfd7zXZ": "it is compressed by xz: unpack it",
    b"\x28\xb5\x2f\xfd": "it is compressed by zstd: unpack it",
    b"\x89HDF": "it is HDF5, of Keras say, which is not read here",
    b"GGUF": "it is GGUF, which is not read here",
    b"version https://git-lfs": "it is a pointer of Git LFS, not the file itself: git lfs pull",
    b"<": "it is a web page, or XML: download the file itself"}


class WeightsError(UserError):
    """One sentence that names the file and why its weights cannot be used.

    A damaged file's names may hold anything, which is not shown.
    """

    def __init__(self, message: str):
        super().__init__("".join(c if c.isprintable() else "?" for c in message))


def load(path: str, progress: Progress = SILENT) -> tuple[Arrays, dict[str, Any]]:
    """(parameters under our names, float32; metadata as a checkpoint's).

    The metadata are network, config, classes and preprocessing: as a file of ours says, else as the
    shapes say, and the source. progress is warned of what had to be chosen or left out. Raises
    WeightsError for a file that is missing, damaged, malicious, or holds no network of the family.
    """
    notes: list[str] = []
    with as_user_error(OSError, ValueError, what=f"{path} cannot be used as weights: ",
                       error=WeightsError):
        found = with_fitting_heads(_read(path, notes), notes)
        metadata = found.header or _guessed(found, path, notes)
        header.check(metadata, found.arrays)
        arrays = {name: _counted(array) if name.endswith(COUNTER) else as_float32(array)
                  for name, array in found.arrays.items()}
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise ValueError("some of its numbers are infinite or not a number")
        if any((array < 0).any() for name, array in arrays.items() if name.endswith("running_var")):
            raise ValueError("one of its running variances is negative")
    for note in notes:
        progress.warn(f"{path}: {note}")
    return arrays, metadata


def _guessed(found: Found, path: str, notes: list[str]) -> dict[str, Any]:
    name, config = config_of(found, notes)
    return {"network": name, "config": config, "classes": imagenet.classes(config["num_classes"]),
            "preprocessing": preprocessing(name, config, found.is_caffes, path, notes)}


def _read(path: str, notes: list[str]) -> Found:
    with open(path, "rb") as file:
        start = file.read(64)
    state = _state_dict(path, start, partial(choose, notes=notes))
    if state:
        return from_state_dict(state[0])._replace(header=header.read(state[1]))
    if path.endswith(".onnx"):
        raise ValueError("ONNX is only written here; give the run or the file that it was "
                         "converted from")
    if start.startswith(npy.MAGIC):
        return _numpy_dict(npy.read(path), notes)
    if not start:
        raise ValueError("it is empty")
    for first, what in FOREIGN.items():
        if start.startswith(first):
            raise ValueError(what)
    try:
        return from_caffe(caffe.read(path), notes)
    except ValueError as error:
        # Any bytes may be protocol buffers, so only the name tells what was meant.
        if path.endswith(".caffemodel"):
            raise
        raise ValueError("it is damaged, or none of the kinds of files that hold weights"
                         ) from error


def _state_dict(path: str, start: bytes, choose: Choose) -> tuple[Arrays, dict[str, str]] | None:
    """(the chosen tensors, the file's metadata) of a container of tensors by name."""
    if start.lstrip()[:1] == b"{" and b"\0" not in start:
        return sharded.read(path, _part, choose), {}
    if start.startswith(b"PK"):
        return zips.read(path, partial(_zipped, choose=choose)), {}
    if torch_files.LEGACY_START.match(start):
        return torch_files.read_legacy(path, choose), {}
    if start[:1] == b"\x80" and start[1:2] in b"\2\3\4\5":
        return torch_files.read_pickle(path, choose), {}
    if start[8:9] == b"{":
        return safetensors_files.read(path, choose)
    return None


def _zipped(entries: zips.Entries, choose: Choose) -> Arrays:
    if "data.pkl" in entries:
        return torch_files.read_zip(entries, choose)
    if any(name.endswith(".npy") for name in entries.names()):
        return npy.read_npz(entries, choose)
    raise ValueError(f"it is a zip of {', '.join(entries.names()[:3])[:90] or 'nothing'}, "
                     "not of weights: unpack it")


def _part(path: str, choose: Choose) -> Arrays:
    """The chosen tensors of one of several files."""
    with open(path, "rb") as file:
        state = _state_dict(path, file.read(64), choose)
    if not state:
        raise ValueError(f"{path} is no .safetensors, nor what torch.save writes")
    return state[0]


def _numpy_dict(saved: dict[str, Any], notes: list[str]) -> Found:
    """Of a pickled dict: layers as TensorFlow has them, or a state dict."""
    layers = npy.layers_in(saved)
    if "conv1" in layers:
        return from_toronto(layers)
    tensors = objects.tensors_in(saved)
    names = choose(objects.shapes(tensors), notes)
    return from_state_dict({short: npy.array_of(tensors[name]) for short, name in names.items()})


def _counted(array: np.ndarray) -> np.ndarray:
    """int64. Where all of a state dict was made floating-point it may have overflowed: 0 then."""
    if array.dtype.kind not in "iu":
        number = as_float32(array)
        array = np.where(np.isfinite(number), number, 0)
        if (array % 1).any():
            raise ValueError(f"its counter of batches is {array}, not a whole number")
    return np.array(array, np.int64)
