"""`evaluate`: a checkpoint's errors on labelled pictures."""
from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError, as_user_error, writing
from ..progress import Terminal
from ..settings import Settings
from .options import (CHECKPOINT, add_data, add_device, add_loading, add_weights,
                      computing_as_asked)
from .values import UsageError

HELP = ("Print a network's top-1 and top-5 error, in all and by class; "
        "draw its confusion matrix.")
EXAMPLES = """  python -m models evaluate runs/cifar10
  python -m models evaluate runs/cifar10/latest.safetensors --data photos/ --ten-crop
  python -m models evaluate --weights bvlc_alexnet.caffemodel --data imagenet/val"""
NEEDS = ("PIL", "safetensors", "tqdm", "matplotlib")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", nargs="?", help=CHECKPOINT)
    add_weights(parser, "what to evaluate, in place of CHECKPOINT")
    add_data(parser, "'builtin', or a folder, of which the test pictures are taken "
             "(default: the test pictures of the training, or those that chose its best epoch "
             "where it had no others)")
    parser.add_argument("--ten-crop", action="store_true",
                        help="also average over ten crops of each picture, as in the paper")
    parser.add_argument("--out", metavar="FOLDER", help="where to write the confusion matrix (PNG, "
                        "CSV) and the errors by class (CSV); default: `evaluation` beside the "
                        "checkpoint")
    add_loading(parser, default="as in training")
    add_device(parser)


def run(options: dict[str, Any]) -> int:
    checkpoint, weights = options.pop("checkpoint"), options.pop("weights")
    if bool(checkpoint) == bool(weights):
        raise UsageError("give a CHECKPOINT or --weights, and not both")
    ten_crop, out = options.pop("ten_crop"), options.pop("out")
    with computing_as_asked(options):
        return _evaluate(checkpoint or weights, ten_crop, out, options)


def _evaluate(checkpoint: str, ten_crop: bool, out: str | None, given: dict[str, Any]) -> int:
    """Print the errors in all and by class, and write them into the folder out.

    The batch size, and what is not given of data, workers and on_error, is as in training, so that
    the figures are training's own; device, kernels and precision, which need not be training's,
    are given.
    """
    from ..evaluation.confusion import by_class, tallied, totals, write_report
    from ..evaluation.scores import with_interval
    from ..inputs.preprocessing import evaluation_transform
    from ..inputs.sources import make_loader, open_test_data
    from ..training.checkpoints import checkpoint_path, load_network
    path = checkpoint_path(checkpoint)
    network, metadata = load_network(path, given["device"], Terminal())
    training = _training_settings(path, metadata)
    settings = dataclasses.replace(training, **given)
    if not settings.data:
        raise UsageError("--data is required: "
                         "these weights say nothing of the pictures they learned from")
    images, part = open_test_data(
        settings.data, dataclasses.replace(training, max_pixels=settings.max_pixels))
    places = _places(images.classes, metadata["classes"], settings.data, path)
    folder = _report_folder(out, path, metadata)
    if ten_crop:                        # as many images at a time as in training
        settings = dataclasses.replace(settings, batch_size=max(1, settings.batch_size // 10))
    with as_user_error(ValueError):
        transform = evaluation_transform(metadata["preprocessing"], ten_crop)
        loader = make_loader(images, transform, settings, shuffle=False)
    with loader, Terminal().bar(len(loader.dataset)) as bar:
        views = tallied(network, _counted(loader, bar), metadata["classes"], places,
                        settings.device)
    view, tally = list(views.items())[-1]
    scores, pictures = tally.scores, f"{part} pictures".lstrip()
    print(f"{path}{_epoch(metadata, part)} on {scores.images:,} {pictures} of {settings.data}"
          f"{f', {len(loader.skipped):,} skipped' * bool(loader.skipped)}; "
          f"in brackets 95 % intervals\n{totals(views)}"
          f"\n\n{view}, class by class\n{by_class(tally)}")
    if folder:
        error = with_interval(1 - scores.top1, scores.images)
        write_report(folder, tally, f"{pictures}, {view}, top-1 error {error}")
        print(f"\nwritten: {folder}/confusion.png, confusion.csv, classes.csv")
    return 0


def _epoch(metadata: dict[str, Any], part: str) -> str:
    """Which one it is, and whether it is so because it was the best on these images."""
    done = metadata.get("progress", {})
    chosen = ", chosen on these pictures" * (part == "validation"
                                             and done.get("best_epoch") == done.get("epoch"))
    return f" (epoch {done['epoch']}{chosen})" if done else ""


def _places(classes: list[str], known: list[str], source: str, path: str) -> np.ndarray:
    """Where the classes of the images are among those that the network knows -> int (K,)"""
    if not set(classes) <= set(known):
        raise UserError(f"{source} has the classes {_names(classes)}, "
                        f"but {path} was trained on {_names(known)}")
    return np.array([known.index(name) for name in classes])


def _names(classes: list[str]) -> str:
    more = ", ..." if len(classes) > 4 else ""
    return f"{', '.join(classes[:4])}{more} ({len(classes)})"


def _counted(loader: Any, bar: Any) -> Iterator[tuple]:
    """The loader's batches; bar is told of each."""
    from ..inputs.sources import batches
    for images, labels in batches(loader, Terminal().warn):
        yield images, labels
        bar.update(len(labels))


def _report_folder(out: str | None, path: str, metadata: dict[str, Any]) -> Path | None:
    """A folder that exists; none for published weights unless one is given.

    Raises UserError when it cannot be made.
    """
    if not out and "progress" not in metadata:
        return None
    folder = Path(out) if out else Path(path).parent / "evaluation"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _training_settings(path: str, metadata: dict[str, Any]) -> Settings:
    if "progress" not in metadata:          # published weights
        return Settings(network=metadata["network"], image_size=metadata["config"]["image_size"])
    with as_user_error(KeyError, TypeError, what=f"{path} holds no settings: "):
        return Settings.saved(metadata["settings"])
