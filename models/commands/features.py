"""`features` and `similar`: what a layer inside a network makes of pictures, and which pictures it finds alike."""
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minitensor import Tensor, nn, no_grad
from minitensor.backend import to_numpy

from ..inputs import files as pictures
from ..errors import UsageError, UserError
from ..networks.transfer import layers, with_parameters
from ..evaluation.plots import new_figure, save_figure
from ..inputs.preprocessing import test_transform
from ..training.run_folder import checkpoint_path, write_file, write_text
from ..training.checkpoints import load_network


class Extractor:
    """A trained network as far as one of its layers: fc7, or whichever is the last before the classes, if layer is None."""

    def __init__(self, checkpoint: str, layer: str | None, device: str):
        network, info = load_network(checkpoint_path(checkpoint), device)
        self.layer = layer or with_parameters(network)[-2][0]
        names = [name for name, _ in layers(network)]
        if self.layer not in names:
            raise UsageError(f"--layer {layer}: the network has no such layer; its layers: {', '.join(names)}")
        self.network = nn.Sequential(*(module for _, module in layers(network)[:names.index(self.layer) + 1])).eval()
        self.transform, self.device = test_transform(info["preprocessing"]), device
        self.failed: list[str] = []

    def __call__(self, paths: list[str]) -> Iterator[tuple[list[str], np.ndarray]]:
        """(names, features float32 (N, ...)) of a few pictures at a time, with a progress bar; the unreadable ones go to failed."""
        from tqdm import tqdm
        with tqdm(total=len(paths), desc=self.layer, unit=" images", dynamic_ncols=True, disable=None, leave=False) as bar:
            for names, _, images in pictures.batches(paths, self.transform, self.failed):
                with no_grad():
                    yield names, to_numpy(self.network(Tensor(images).to(self.device)).data)
                bar.update(len(names))

    def all(self, paths: list[str]) -> tuple[list[str], np.ndarray]:
        """The same of all pictures at once. Raises UserError if none can be read."""
        parts = list(self(paths))
        if not parts:
            raise UserError("none of the pictures can be read")
        return [name for names, _ in parts for name in names], np.concatenate([features for _, features in parts])


# ---- features -----------------------------------------------------------------------------------------------------------------------

def features(checkpoint: str, paths: list[str], out: str, layer: str | None, device: str) -> int:
    """Write the features and the names of pictures to out; returns 1 if some could not be read."""
    files = pictures.expanded(paths)
    extractor = Extractor(checkpoint, layer, device)
    names, values = extractor.all(files)
    if out.endswith(".npz"):
        write_file(Path(out), lambda file: np.savez(file, features=values, names=np.array(names)))
        written = out
    else:
        write_file(Path(out), lambda file: np.save(file, values))
        write_text(list_file := Path(out).with_suffix(".txt"), "".join(name + "\n" for name in names))
        written = f"{out}, with the names in {list_file}"
    print(f"{written}: {extractor.layer} of {len(names)} pictures, float32 {values.shape}")
    return 1 if extractor.failed else 0


# ---- similar ------------------------------------------------------------------------------------------------------------------------

Neighbours = list[tuple[float, str]]            # distance, path; nearest first


def similar(checkpoint: str, queries: list[str], folder: str, count: int, figure: str | None, layer: str | None, device: str) -> int:
    """Print for every query picture the count nearest pictures of folder by the distance of their features (2012 paper, section 6.1)."""
    asked, files = pictures.expanded(queries), pictures.expanded([folder])
    extractor = Extractor(checkpoint, layer, device)
    names, wanted = extractor.all(asked)
    found = nearest(names, wanted, extractor(files), count)
    for name, neighbours in zip(names, found):
        print(name, *(f"  {distance:10.3f}  {path}" for distance, path in neighbours), sep="\n")
    if figure:
        write_file(Path(figure), lambda file: draw(file, names, found))
        print(f"{figure}: {len(names)} picture{'s' * (len(names) > 1)}, beside the nearest in {folder}")
    return 1 if extractor.failed else 0


def nearest(names: list[str], wanted: np.ndarray, found: Iterator[tuple[list[str], np.ndarray]], count: int) -> list[Neighbours]:
    """For each of names, with features wanted (Q, ...), the count nearest by Euclidean distance of found; a file is not its own neighbour.

    Only distances are kept, so found may be longer than memory.
    """
    best: list[Neighbours] = [[] for _ in names]
    for paths, features in found:
        for name, query, neighbours in zip(names, wanted, best):
            distances = np.sqrt(np.square(features - query, dtype=np.float64).reshape(len(paths), -1).sum(axis=1))
            own = os.path.realpath(name)
            neighbours += [(float(d), path) for d, path in zip(distances, paths) if os.path.realpath(path) != own]
            neighbours.sort()
            del neighbours[count:]
    return best


def draw(file: Path, names: list[str], found: list[Neighbours]) -> None:
    """A row for each query: the picture, then its neighbours with their distances: the paper's Figure 4, right."""
    columns = 1 + max(map(len, found))
    figure = new_figure(1.7 * columns, 2 * len(names))
    axes = figure.subplots(len(names), columns, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for row, name, neighbours in zip(axes, names, found):
        _show(row[0], name, os.path.basename(os.path.dirname(os.path.abspath(name))) or name, weight="bold")
        for ax, (distance, path) in zip(row[1:], neighbours):
            _show(ax, path, f"{os.path.basename(os.path.dirname(os.path.abspath(path)))}\n{distance:.2f}")
    save_figure(figure, file)


def _show(ax: Any, path: str, title: str, **style: Any) -> None:
    ax.imshow(pictures.load(path))
    ax.set_title(title, fontsize=8, parse_math=False, **style)
