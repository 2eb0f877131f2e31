"""`similar`: which pictures a network finds alike (2012 paper, section 6.1)."""
from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.features import Neighbours, nearest
from ..evaluation.plots import new_figure, save_figure, shortened
from ..files import write_file
from ..progress import printable
from .features import PictureFeatures
from .options import (CHECKPOINT, PICTURES, Failures, add_device, add_layer, add_max_pixels,
                      computing_as_asked)
from .values import new_file_ending, number

HELP = "Find the pictures nearest to others in the eyes of a network."
EXAMPLES = """  python -m models similar runs/cifar10 cat.jpg photos/
  python -m models similar runs/cifar10 cat.jpg dog.jpg photos/ -k 8 --figure similar.png"""
NEEDS = ("PIL", "safetensors", "tqdm")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help=CHECKPOINT)
    parser.add_argument("queries", metavar="PICTURE", nargs="+", help=PICTURES)
    parser.add_argument("folder", metavar="FOLDER", help="the pictures to search")
    parser.add_argument("-k", dest="count", type=number(int, 1), default=6, metavar="N",
                        help="how many to find (default: 6)")
    parser.add_argument("--figure", metavar="FILE.png", type=new_file_ending(".png"),
                        help="also draw them, a row for each PICTURE: the paper's Figure 4")
    add_layer(parser)
    add_max_pixels(parser)
    add_device(parser)


def run(options: dict[str, Any]) -> int:
    """Print for every query the nearest pictures of the folder by distance of their features.

    Returns 1 if some pictures could not be read.
    """
    from ..inputs.picture_files import expanded
    folder, figure = options["folder"], options["figure"]
    with computing_as_asked(options):
        failures = Failures()
        queries, files = expanded(options["queries"], failures), expanded([folder], failures)
        if not (queries and files):
            return 1
        extractor = PictureFeatures(options, failures)
        names, wanted = extractor.all(queries)
        found = nearest(names, wanted, extractor(files), options["count"])
    for name, neighbours in zip(names, found):
        print(printable(name), *(f"  {distance:10.3f}  {printable(path)}"
                                 for distance, path in neighbours), sep="\n")
    if figure:
        write_file(Path(figure), lambda file: draw(file, names, found, options.get("max_pixels")))
        print(f"{figure}: {len(names)} picture{'s' * (len(names) > 1)}, "
              f"beside the nearest in {folder}")
    return 1 if failures else 0


def draw(file: Path, names: list[str], found: list[Neighbours],
         max_pixels: int | None = None) -> None:
    """A row for each query: the picture, then its neighbours with their distances.

    The paper's Figure 4, right.
    """
    from ..inputs.picture_files import load
    columns = 1 + max(map(len, found))
    figure = new_figure(1.7 * columns, 2 * len(names))
    axes = figure.subplots(len(names), columns, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for row, name, neighbours in zip(axes, names, found):
        _show(row[0], load(name, max_pixels), shortened(_folder(name) or name), weight="bold")
        for ax, (distance, path) in zip(row[1:], neighbours):
            _show(ax, load(path, max_pixels), f"{shortened(_folder(path))}\n{distance:.2f}")
    save_figure(figure, file)


def _folder(path: str) -> str:
    return os.path.basename(os.path.dirname(os.path.abspath(path)))


def _show(ax: Any, picture: np.ndarray, title: str, **style: Any) -> None:
    ax.imshow(picture)
    ax.set_title(title, fontsize=8, parse_math=False, **style)
