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
from ..networks.tables import parameter_shapes
from .caffe import Layer
from .state_dicts import COUNTER
from .strided import Arrays
from .torchvision_names import INCEPTIONS, NUMBERED, RESNETS, torchvision_names

CONVOLUTIONS = ("conv1", "conv2", "conv3", "conv4", "conv5")
LINEAR = ("fc6", "fc7", "fc8")
TORCHVISION_NAMES = torchvision_names("torchvision")       # of every AlexNet

# Of red, green, blue, within 0..1; "resize" is for a crop of the network's own size. Caffe's tools
# squash images into a square.
TORCHVISION_PREPROCESSING = {"resize": 256, "mean": [0.485, 0.456, 0.406],
                             "std": [0.229, 0.224, 0.225]}
CAFFE_PREPROCESSING = {"resize": 256, "squash": True, "std": [1 / 255] * 3,
                       "mean": [122.679 / 255, 116.669 / 255, 104.007 / 255]}


class Found(NamedTuple):
    """Parameters under our names, in our layouts, what has none here under its own; the networks
    they may belong to, the likeliest first; what was done to the images that they learned from; the
    source's names by ours; what a file of ours says of itself."""

    arrays: Arrays
    networks: tuple[str, ...]
    preprocessing: dict[str, Any]
    names: Mapping[str, str] = {}
    header: dict[str, Any] | None = None


def from_state_dict(state: Mapping[str, np.ndarray]) -> Found:
    """PyTorch's layout: under torchvision's names, or under ours."""
    counters = {name.replace("running_mean", COUNTER): np.zeros((), np.int64) for name in state
                if name.endswith(".running_mean")}
    state = {**counters, **state}           # PyTorch counted no batches before its version 0.4.1
    if "features.0.weight" in state:
        return _from_torchvision(state, NUMBERED)
    if any(".downsample." in name for name in state):
        return _from_torchvision(state, RESNETS)
    for network in INCEPTIONS:
        if next(iter(torchvision_names(network).values())) in state:
            return _from_torchvision(state, (network,))
    return Found(dict(state), tuple(FAMILY), TORCHVISION_PREPROCESSING)


def _from_torchvision(state: Mapping[str, np.ndarray], networks: tuple[str, ...]) -> Found:
    """Of that of the networks whose names are the likest."""
    names = {network: torchvision_names(network) for network in networks}
    likest = min(networks, key=lambda network: len(state.keys() ^ set(names[network].values())))
    ours = {theirs: ours for ours, theirs in names[likest].items()}
    arrays = {ours.get(name, name): array for name, array in state.items()}
    alexnets = FAMILY if likest == "torchvision" else ()
    return Found(arrays, (likest, *alexnets), TORCHVISION_PREPROCESSING, names[likest])


def torchvision_arrays(network: Network) -> Arrays:
    """Parameters and buffers under torchvision's names.

    Raises ValueError for a network that is neither one of theirs nor has AlexNet's layers.
    """
    state = network.state_dict()
    names = torchvision_names(network.name, network.table) or TORCHVISION_NAMES
    if state.keys() != names.keys():
        raise ValueError(f"{network.name} has other layers than torchvision's AlexNet: "
                         "no names there fit")
    return {names[name]: np.asarray(to_numpy(array), order="C") for name, array in state.items()}


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


def from_caffe(layers: list[Layer], notes: list[str]) -> Found:
    """PyTorch's layout, in older files with ones before the dimensions.

    AlexNet and CaffeNet differ in the order of their layers only. Whoever trains one on other
    classes gives fc8 another name. notes gets a sentence on what was chosen.
    """
    learned = _learned(layers)
    beside = [name for name in learned if name not in CONVOLUTIONS + LINEAR]
    if len(beside) == 1 and "fc8" not in learned:
        learned["fc8"] = learned.pop(beside[0])
        notes.append(f"its {beside[0][:60]} is taken as fc8")
    elif beside:
        raise ValueError(f"beside the layers of an AlexNet it holds {', '.join(beside)[:90]}; one "
                         "network is looked for, with one layer behind fc7")
    arrays = _named(learned)
    design = FAMILY["caffe-alexnet"]
    for name, shape in parameter_shapes(design.table, design.image_size).items():
        if name in arrays:
            arrays[name] = _without_ones(arrays[name], len(shape))
    order = [layer.name for layer in layers if layer.name in ("norm1", "pool1")]
    network = "caffenet" if order == ["pool1", "norm1"] else "caffe-alexnet"
    return Found(_red_first(arrays), (network,), CAFFE_PREPROCESSING)


def _learned(layers: list[Layer]) -> dict[str, list[np.ndarray]]:
    """The blobs of the layers that have any; a name may stand there twice with the same ones."""
    learned: dict[str, list[np.ndarray]] = {}
    for layer in layers:
        if layer.blobs:
            blobs = learned.setdefault(layer.name, layer.blobs)
            if len(blobs) != len(layer.blobs) or not all(map(np.array_equal, blobs, layer.blobs)):
                raise ValueError(f"it holds two layers called {layer.name[:60]}, "
                                 "whose numbers differ")
    return learned


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
