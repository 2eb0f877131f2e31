"""Whose weights these are: from a source's names and layouts to ours, and ours to torchvision's.

With the preprocessing that the source trained with. Our networks see red, green, blue; where a
source's see blue, green, red, the channels of conv1 are turned round once, here.
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from minitensor.backend import to_numpy

from ..networks.build import FAMILY, Network
from ..networks.tables import parameter_shapes, state_shapes
from .caffe import Layer

Arrays = dict[str, np.ndarray]

CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4", "conv5")
LINEAR = ("fc6", "fc7", "fc8")
TORCHVISION_LAYERS = {
    "conv1": "features.0", "conv2": "features.3", "conv3": "features.6", "conv4": "features.8",
    "conv5": "features.10", "fc6": "classifier.1", "fc7": "classifier.4", "fc8": "classifier.6"}
TORCHVISION_NAMES = {f"{ours}.{kind}": f"{theirs}.{kind}"
                     for ours, theirs in TORCHVISION_LAYERS.items() for kind in ("weight", "bias")}

COUNTER = "num_batches_tracked"

# Of red, green, blue, within 0..1; "resize" is for a crop of the network's own size. Caffe's tools
# squash images into a square.
TORCHVISION_PREPROCESSING = {"resize": 256, "mean": [0.485, 0.456, 0.406],
                             "std": [0.229, 0.224, 0.225]}
CAFFE_PREPROCESSING = {"resize": 256, "squash": True, "std": [1 / 255] * 3,
                       "mean": [122.679 / 255, 116.669 / 255, 104.007 / 255]}


class Found(NamedTuple):
    """Parameters under our names, in our layouts; the networks they may belong to, the likeliest
    first; what was done to the images that they learned from."""

    arrays: Arrays
    networks: tuple[str, ...]
    preprocessing: dict[str, Any]


def from_state_dict(state: Mapping[str, np.ndarray]) -> Found:
    """PyTorch's layout: under torchvision's names, or under ours.

    DataParallel puts "module." before all of them.
    """
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): array for name, array in state.items()}
    if "features.0.weight" in state:
        arrays = {ours: state[theirs] for ours, theirs in TORCHVISION_NAMES.items()
                  if theirs in state}
        return Found(arrays, ("torchvision", *FAMILY), TORCHVISION_PREPROCESSING)
    names = {name for design in FAMILY.values()
             for name in state_shapes(design.table, design.image_size)}
    arrays = {name: array for name, array in state.items() if name in names}
    counters = {name: np.zeros((), np.int64) for name in names if name.endswith(f".{COUNTER}")
                and name.replace(COUNTER, "running_mean") in arrays}
    arrays = {**counters, **arrays}         # PyTorch counted no batches before its version 0.4.1
    return Found(arrays, tuple(FAMILY), TORCHVISION_PREPROCESSING)


def torchvision_arrays(network: Network) -> Arrays:
    """The parameters under torchvision's names.

    Raises ValueError for a network without AlexNet's five convolutions.
    """
    state = network.state_dict()
    if state.keys() != TORCHVISION_NAMES.keys():
        raise ValueError(f"{network.name} has other layers than torchvision's AlexNet: "
                         "no names there fit")
    return {TORCHVISION_NAMES[name]: np.asarray(to_numpy(array), order="C")
            for name, array in state.items()}


def from_toronto(layers: Mapping[str, list[np.ndarray]]) -> Found:
    """TensorFlow's layout: (KH, KW, in, out) and (in, out), fc6 fed in the order (h, w, c)."""
    arrays = _named(layers)
    for name in CONVOLUTIONS:
        _change(arrays, f"{name}.weight", 4, lambda weight: weight.transpose(3, 2, 0, 1))
    for name in LINEAR:
        _change(arrays, f"{name}.weight", 2, np.transpose)
    if "fc6.weight" in arrays and "conv5.weight" in arrays:
        channels = len(arrays["conv5.weight"])
        _change(arrays, "fc6.weight", 2, lambda weight: _channels_first(weight, channels))
    return Found(_red_first(arrays), ("caffe-alexnet",), CAFFE_PREPROCESSING)


def from_caffe(layers: list[Layer]) -> Found:
    """PyTorch's layout, in older files with ones before the dimensions.

    AlexNet and CaffeNet differ in the order of their layers only.
    """
    arrays = _named({layer.name: layer.blobs for layer in layers})
    design = FAMILY["caffe-alexnet"]
    for name, shape in parameter_shapes(design.table, design.image_size).items():
        if name in arrays:
            arrays[name] = _without_ones(arrays[name], len(shape))
    order = [layer.name for layer in layers if layer.name in ("norm1", "pool1")]
    network = "caffenet" if order == ["pool1", "norm1"] else "caffe-alexnet"
    return Found(_red_first(arrays), (network,), CAFFE_PREPROCESSING)


def _without_ones(array: np.ndarray, dimensions: int) -> np.ndarray:
    """Without the ones before its dimensions, if there are such."""
    leading = array.shape[:max(0, array.ndim - dimensions)]
    return array.reshape(array.shape[len(leading):]) if set(leading) == {1} else array


def _named(layers: Mapping[str, list[np.ndarray]]) -> Arrays:
    return {f"{name}.{kind}": array for name in CONVOLUTIONS + LINEAR
            for kind, array in zip(("weight", "bias"), layers.get(name, []))}


def _change(arrays: Arrays, name: str, dimensions: int, change: Any) -> None:
    """Where an array has other dimensions, comparing shapes will say so."""
    if name in arrays and arrays[name].ndim == dimensions:
        arrays[name] = change(arrays[name])


def _channels_first(weight: np.ndarray, channels: int) -> np.ndarray:
    """fc6 (out, h·w·c) -> (out, c·h·w)"""
    out, features = weight.shape
    side = math.isqrt(features // max(1, channels))
    if side * side * channels != features:
        return weight
    return weight.reshape(out, side, side, channels).transpose(0, 3, 1, 2).reshape(out, features)


def _red_first(arrays: Arrays) -> Arrays:
    """conv1's channels from blue, green, red to red, green, blue."""
    _change(arrays, "conv1.weight", 4, lambda weight: weight[:, ::-1])
    return arrays
