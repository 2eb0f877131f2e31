"""Whose weights these are: from a source's names and layouts to ours, and ours to torchvision's.

Our networks see red, green, blue; where a source's see blue, green, red, the channels of the first
convolution are turned round once, here.
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
CAFFES = ("caffe-alexnet", "vgg11", "vgg13", "vgg16", "vgg19", "caffe-googlenet")   # and caffenet
TORCHVISION_NAMES = torchvision_names("torchvision")       # of every AlexNet


class Found(NamedTuple):
    """Parameters under our names, in our layouts, what has none here under its own; the networks
    they may belong to, the likeliest first; whether Caffe trained them; the source's names by ours;
    what a file of ours says of itself."""

    arrays: Arrays
    networks: tuple[str, ...]
    is_caffes: bool = False
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
    for network, first in INCEPTIONS.items():
        if first in state:
            return _from_torchvision(state, (network,))
    return Found(dict(state), tuple(FAMILY))


def _from_torchvision(state: Mapping[str, np.ndarray], networks: tuple[str, ...]) -> Found:
    """Of that of the networks whose names are the likest."""
    names = {network: torchvision_names(network) for network in networks}
    likest = min(networks, key=lambda network: len(state.keys() ^ set(names[network].values())))
    ours = {theirs: ours for ours, theirs in names[likest].items()}
    arrays = {ours.get(name, name): array for name, array in state.items()}
    alexnets = FAMILY if likest == "torchvision" else ()
    return Found(arrays, (likest, *alexnets), names=names[likest])


def torchvision_arrays(network: Network) -> Arrays:
    """Parameters and buffers under torchvision's names.

    Raises ValueError for a network that is neither one of theirs nor has AlexNet's layers.
    """
    state = network.state_dict()
    names = torchvision_names(network.name, network.table) or TORCHVISION_NAMES
    if state.keys() != names.keys():
        raise ValueError(f"torchvision has no network with the layers of {network.name}: "
                         "no names there fit")
    return {names[name]: np.asarray(to_numpy(array), order="C") for name, array in state.items()}


def from_toronto(layers: Mapping[str, list[np.ndarray]]) -> Found:
    """TensorFlow's layout: (KH, KW, in, out) and (in, out), fc6 fed in the order (h, w, c)."""
    arrays = _named(layers, caffe_names("caffe-alexnet"))
    for name in CONVOLUTIONS:
        _change(arrays, f"{name}.weight", 4, lambda weight: weight.transpose(3, 2, 0, 1))
    for name in LINEAR:
        _change(arrays, f"{name}.weight", 2, np.transpose)
    if "fc6.weight" in arrays and "conv5.weight" in arrays:
        channels = len(arrays["conv5.weight"])
        _change(arrays, "fc6.weight", 2, lambda weight: _channels_first(weight, channels))
    return _blue_first(arrays, "caffe-alexnet")


def from_caffe(layers: list[Layer], notes: list[str]) -> Found:
    """PyTorch's layout, in older files with ones before the dimensions.

    AlexNet and CaffeNet differ in the order of their layers only. Whoever trains a network on other
    classes gives the last layer another name. notes gets a sentence on what was chosen.
    """
    learned = _learned(layers)
    names = {network: caffe_names(network) for network in CAFFES}
    network = min(CAFFES, key=lambda network: len(learned.keys() ^ set(names[network].values())))
    _rename_last(learned, network, list(names[network].values()), notes)
    arrays = _named(learned, names[network])
    design = FAMILY[network]
    for name, shape in parameter_shapes(design.table, design.image_size).items():
        if name in arrays:
            arrays[name] = _without_ones(arrays[name], len(shape))
    order = [layer.name for layer in layers if layer.name in ("norm1", "pool1")]
    is_caffenet = network == "caffe-alexnet" and order == ["pool1", "norm1"]
    return _blue_first(arrays, "caffenet" if is_caffenet else network)


def _rename_last(learned: dict[str, list[np.ndarray]], network: str, names: list[str],
                 notes: list[str]) -> None:
    """A layer that is none of names is the last one, or the one missing of the same head: of
    "loss1/classifier_mine"'s."""
    beside = [name for name in learned if name not in names]
    for name in beside:
        head = name.partition("/")[0]
        missing = [own for own in names if own not in learned and own.partition("/")[0] == head]
        if len(beside) == 1 and names[-1] not in learned:
            missing = [names[-1]]
        if len(missing) != 1:
            raise ValueError(f"beside the layers of {network} it holds {', '.join(beside)[:90]}; "
                             f"one network is looked for, its last layer called {names[-1]} or "
                             "otherwise")
        learned[missing[0]] = learned.pop(name)
        notes.append(f"its {name[:60]} is taken as {missing[0]}")


def caffe_names(network: str) -> dict[str, str]:
    """By our names of the layers of a network that have parameters, Caffe's."""
    design = FAMILY[network]
    ours = parameter_shapes(design.table, design.image_size)
    layers = dict.fromkeys(name.rpartition(".")[0] for name in ours)
    return {name: f"{name.split('.')[0]}/{name.split('.')[-1]}" if "." in name else name
            for name in layers}


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


def _named(layers: Mapping[str, list[np.ndarray]], names: Mapping[str, str]) -> Arrays:
    return {f"{ours}.{kind}": array for ours, theirs in names.items()
            for kind, array in zip(("weight", "bias"), layers.get(theirs, []))}


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


def _blue_first(arrays: Arrays, network: str) -> Found:
    """What was found of a network that saw blue, green, red; it sees red, green, blue now."""
    first = next(iter(FAMILY[network].table))
    _change(arrays, f"{first}.weight", 4, lambda weight: weight[:, ::-1])
    return Found(arrays, (network,), is_caffes=True)
