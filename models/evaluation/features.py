"""What a layer inside a network makes of images, and which images it finds alike."""
from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from minitensor import Tensor, nn, no_grad
from minitensor.backend import to_numpy

from ..errors import SettingError
from ..networks.build import Network
from ..networks.heads import without_heads
from ..networks.tables import walk

Neighbours = list[tuple[float, str]]            # distance, path; nearest first


class Extractor:
    """A trained network as far as one of its layers.

    layer: a name at any depth; None is what the last layer looks at: fc7 in AlexNet, the mean over
    the image in a ResNet. Raises SettingError for one that the network does not have.
    """

    def __init__(self, network: Network, layer: str | None = None, device: str = "cpu"):
        table = without_heads(network.table)
        names = [place.name for place in walk(table, network.input_shape)]
        children = dict(network.named_children())
        self.layer = layer or [name for name, module in children.items()
                               if not isinstance(module, nn.Dropout)][-2]
        if self.layer not in names:
            raise SettingError("layer", f" {layer}: the network has no such layer; "
                               f"its layers: {', '.join(names)}")
        end = next(i for i, name in enumerate(children, 1)
                   if f"{self.layer}.".startswith(f"{name}."))
        self.network, self.device = network[:end].eval(), device    # what comes later costs nothing

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """images (N, 3, H, W) -> features float32 (N, ...)"""
        with no_grad(), nn.observe(self.network, self.layer) as seen:
            self.network(Tensor(images).to(self.device))
        return to_numpy(seen.outputs[self.layer].data)


def nearest(names: list[str], wanted: np.ndarray,
            found: Iterable[tuple[list[str], np.ndarray]], count: int) -> list[Neighbours]:
    """For each of names, with features wanted (Q, ...), the count nearest of found.

    By Euclidean distance; a file is not its own neighbour. found: names and features (N, ...) of a
    few images at a time. Only distances are kept, so it may be longer than memory.
    """
    best: list[Neighbours] = [[] for _ in names]
    for paths, features in found:
        for name, query, neighbours in zip(names, wanted, best):
            neighbours += _distances(query, features, paths, os.path.realpath(name))
            neighbours.sort()
            del neighbours[count:]
    return best


def _distances(query: np.ndarray, features: np.ndarray, paths: list[str],
               own: str) -> Iterator[tuple[float, str]]:
    squares: Any = np.square(features - query, dtype=np.float64)
    distances = np.sqrt(squares.reshape(len(paths), -1).sum(axis=1))
    return ((float(distance), path) for distance, path in zip(distances, paths)
            if os.path.realpath(path) != own)
