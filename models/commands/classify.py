"""`classify`: what a trained network sees in pictures."""
from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..evaluation.plots import new_figure, save_figure, shortened
from ..evaluation.scores import best_classes, log_probabilities
from ..files import write_file
from ..progress import Terminal, printable
from .options import (CHECKPOINT, PICTURES, Failures, add_device, add_max_pixels, add_weights,
                      computing_as_asked)
from .values import UsageError, new_file_ending

HELP = "Print the five best classes of pictures."
EXAMPLES = """  python -m models classify runs/cifar10 cat.jpg dog.jpg
  python -m models classify runs/cifar10 photos/val --figure guesses.png
  python -m models classify runs/cifar10 'photos/**/*cat*.jpg' --json
  python -m models classify --weights torchvision:resnet50 cat.jpg
  curl -s https://example.org/cat.jpg | python -m models classify runs/cifar10 -"""
NEEDS = ("PIL", "safetensors")
BAR = 30                # characters of a bar of 100 %
FIGURE_LIMIT = 40       # pictures in a figure
FIGURE_COLUMNS = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help=CHECKPOINT)
    parser.add_argument("pictures", metavar="PICTURE", nargs="*", help=PICTURES)
    add_weights(parser, "what to classify with, in place of CHECKPOINT")
    parser.add_argument("--figure", metavar="FILE.png", type=new_file_ending(".png"),
                        help=f"also draw the pictures with their five bars, up to {FIGURE_LIMIT}, "
                        "as in the paper's Figure 4")
    parser.add_argument("--json", action="store_true",
                        help="print an object a line, for other programs")
    add_max_pixels(parser)
    add_device(parser)


def run(options: dict[str, Any]) -> int:
    given = [options["checkpoint"], *options["pictures"]]
    if options["weights"]:              # then the first is no checkpoint, but a picture
        given.insert(0, options["weights"])
    checkpoint, *pictures = given
    if not pictures:
        raise UsageError("which PICTURE?")
    with computing_as_asked(options):
        return _classify(checkpoint, pictures, options)


class Guess(NamedTuple):
    """The best classes of one picture, best first, with their probabilities.

    Classes are told apart by the names that the network has for them: in ImageNet two are called
    crane, and two maillot.
    """

    path: str
    correct: str | None             # the class that the picture's folder names
    best: list[tuple[str, float]]


def _classify(checkpoint: str, paths: list[str], options: dict[str, Any]) -> int:
    """Print the best classes of every picture; returns 1 if some could not be read."""
    from ..inputs import picture_files
    from ..inputs.preprocessing import evaluation_transform
    from ..training.checkpoints import load_network
    figure, as_json, device = (options[name] for name in ("figure", "json", "device"))
    failures = Failures()
    files = picture_files.expanded(paths, failures)
    if not files:
        return 1
    network, metadata = load_network(checkpoint, device, Terminal())
    shown: list[tuple[Guess, np.ndarray]] = []
    transform = evaluation_transform(metadata["preprocessing"])
    for names, pictures, images in picture_files.picture_batches(files, transform, failures,
                                                                 options.get("max_pixels")):
        p = np.exp(log_probabilities(network, images, device))                      # (N, K)
        for path, picture, row in zip(names, pictures, p):
            guess = _guess(path, row, metadata["classes"])
            print(in_json(guess) if as_json else as_text(guess), flush=True)
            if figure and len(shown) < FIGURE_LIMIT:
                shown.append((guess, picture))
    if shown:
        write_file(Path(str(figure)), lambda file: draw(file, shown))
        print(f"{figure}: {len(shown)} picture{'s' * (len(shown) > 1)}",
              file=sys.stderr if as_json else sys.stdout)
    return 1 if failures else 0


def _guess(path: str, p: np.ndarray, classes: list[str]) -> Guess:
    folder = os.path.basename(os.path.dirname(os.path.abspath(path))) if path != "-" else ""
    best = [(classes[i], float(p[i])) for i in best_classes(p[None])[0]]
    return Guess(path, folder if folder in classes else None, best)


def _readable(name: str | None) -> str | None:
    """A class's name for people."""
    from ..weights.imagenet import readable
    return name and readable(name)


def as_text(guess: Guess) -> str:
    """A title and a line with a bar per class; the correct one is marked."""
    names = [printable(str(_readable(name))) for name, _ in guess.best]
    width = max(map(len, names))
    correct = f" ({_readable(guess.correct)})" if guess.correct else ""
    lines = [printable(guess.path + correct)]
    for name, (own, p) in zip(names, guess.best):
        mark = "*" if own == guess.correct else " "
        lines.append(f" {mark} {name:{width}} {p:6.1%} {'█' * round(BAR * p)}".rstrip())
    return "\n".join(lines)


def in_json(guess: Guess) -> str:
    best = [{"class": _readable(name), "probability": p} for name, p in guess.best]
    record = {"picture": guess.path, "correct": _readable(guess.correct), "best": best}
    return json.dumps(record, ensure_ascii=False)


# ---- the figure --------------------------------------------------------------------------------

def draw(file: Path, shown: list[tuple[Guess, np.ndarray]]) -> None:
    """Each picture above its five bars: the paper's Figure 4.

    The correct class is the title, and its bar is red.
    """
    columns = min(FIGURE_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure(2.6 * columns, 3.8 * rows)
    axes = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[2, 1] * rows)
    for ax in axes.flat:
        ax.axis("off")
    for number, (guess, picture) in enumerate(shown):
        row, column = divmod(number, columns)
        _draw_picture(axes[2 * row, column], guess, picture)
        _draw_bars(axes[2 * row + 1, column], guess)
    save_figure(figure, file)


def _draw_picture(ax: Any, guess: Guess, picture: np.ndarray) -> None:
    ax.imshow(picture)
    title = _readable(guess.correct) or os.path.basename(guess.path)
    ax.set_title(shortened(title), fontsize=10, parse_math=False)


def _draw_bars(ax: Any, guess: Guess) -> None:
    places = range(len(guess.best))[::-1]
    colours = ["tab:red" if name == guess.correct else "tab:blue" for name, _ in guess.best]
    ax.barh(places, [p for _, p in guess.best], color=colours, alpha=0.5)
    for place, (name, _) in zip(places, guess.best):
        ax.text(0.02, place, shortened(str(_readable(name))), va="center", fontsize=9,
                parse_math=False)
    ax.set_xlim(0, 1)
