"""Weights that others published, or trained, read without the programs that wrote them.

PyTorch's state dicts (`.pth`, both containers; `.safetensors`), Toronto's `bvlc_alexnet.npy` and
Caffe's `.caffemodel` are told apart by their first bytes, and whose they are by names and
shapes. Nothing in a file is executed, and no number in it is believed.
"""
from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..errors import UserError, as_user_error
from . import caffe, imagenet, npy, torch_files
from .download import PUBLISHED as PUBLISHED
from .download import fetch as fetch
from .recognise import config_of
from .layouts import COUNTER, Arrays, Found, from_caffe, from_state_dict, from_toronto


class WeightsError(UserError):
    """One sentence that names the file and why its weights cannot be used."""


def load(path: str) -> tuple[Arrays, dict[str, Any]]:
    """(parameters under our names, float32; metadata as a checkpoint's).

    The metadata are network, config, classes and preprocessing. Raises WeightsError for a file that
    is missing, damaged, malicious, or holds no network of the family.
    """
    with as_user_error(OSError, ValueError, what=f"{path} cannot be used as weights: ",
                       error=WeightsError):
        found = _read(path)
        if sum(array.nbytes for array in found.arrays.values()) > os.path.getsize(path):
            raise ValueError("its tensors are larger than the file")
        name, config = config_of(found)
        arrays = {name: _counted(array) if name.endswith(COUNTER) else _float32(array)
                  for name, array in found.arrays.items()}
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise ValueError("some of its numbers are infinite or not a number")
        if any((array < 0).any() for name, array in arrays.items() if name.endswith("running_var")):
            raise ValueError("one of its running variances is negative")
    return arrays, {"network": name, "config": config,
                    "classes": imagenet.classes(config["num_classes"]),
                    "preprocessing": _preprocessing(found.preprocessing, config["image_size"])}


def _read(path: str) -> Found:
    with open(path, "rb") as file:
        start = file.read(16)
    if path.endswith(".onnx"):
        raise ValueError("ONNX is only written here; give the run or the file that it was "
                         "converted from")
    if start.startswith(b"PK"):
        return from_state_dict(torch_files.read_zip(path))
    if start.startswith(torch_files.LEGACY_START):
        return from_state_dict(torch_files.read_legacy(path))
    if start.startswith(npy.MAGIC):
        return from_toronto(npy.read(path))
    if start[8:9] == b"{":
        return from_state_dict(_safetensors(path))
    if not start:
        raise ValueError("it is empty")
    try:
        return from_caffe(caffe.read(path))
    except ValueError as error:
        # Any bytes may be protocol buffers, so only the name tells what was meant.
        if path.endswith(".caffemodel"):
            raise
        raise ValueError("it is damaged, or none of the kinds of files that hold weights"
                         ) from error


def _safetensors(path: str) -> Arrays:
    import safetensors
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}
    except (safetensors.SafetensorError, TypeError) as error:   # TypeError: bfloat16, say
        raise ValueError(str(error).rstrip(".")) from error


def _float32(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind != "f":
        raise ValueError(f"its parameters are {array.dtype}, not floating-point numbers")
    return np.array(array, np.float32, order="C")           # a copy, which needs the file no more


def _counted(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "iu":
        raise ValueError(f"its counter of batches is {array.dtype}, not an integer")
    return np.array(array, np.int64)


def _preprocessing(usual: dict[str, Any], crop: int) -> dict[str, Any]:
    """For another image size the margin around the crop stays in proportion.

    224 and 227 both come from 256.
    """
    resize = usual["resize"] if crop in (224, 227) else round(usual["resize"] * crop / 227)
    return {**usual, "resize": max(resize, crop), "crop": crop}
