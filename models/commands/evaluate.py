"""`evaluate`: a checkpoint's errors on labelled pictures."""
from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from data import DataLoader

from ..inputs.sources import batches, make_loader, open_test_data
from ..errors import UsageError, UserError, told, writing
from ..networks.build import Network
from ..inputs.preprocessing import test_transform
from ..evaluation.confusion import Tally, by_class, totals, write_report
from ..training.run_folder import checkpoint_path
from ..training.checkpoints import load_network
from ..evaluation.scores import crop_log_probabilities, mean_over_crops
from ..settings import Settings, resumed_settings


CENTRE = {1: 0, 10: 4}      # where the centre crop is among so many crops


def evaluate(checkpoint: str, ten_crop: bool, out: str | None, given: dict[str, Any]) -> int:
    """Print the errors in all and by class, and write them into the folder out; by default into one beside the checkpoint.

    What is not given (data, batch_size, workers ...) is as in training, so that the figures are training's own; "device",
    "kernels" and "precision", which need not be training's, are given.
    """
    path = checkpoint_path(checkpoint)
    network, info = load_network(path, given["device"])
    training = _training_settings(path, info)
    settings = dataclasses.replace(training, **given)
    if not settings.data:
        raise UsageError("--data is required: these weights say nothing of the pictures they learned from")
    pictures = open_test_data(settings.data, training)
    if not set(pictures.classes) <= set(info["classes"]):
        raise UserError(f"{settings.data} has the classes {_names(pictures.classes)}, but {path} was trained on {_names(info['classes'])}")
    places = np.array([info["classes"].index(name) for name in pictures.classes])           # of the pictures' classes among the network's
    folder = _report_folder(out, path, info)
    if ten_crop:                        # as many images at a time as in training
        settings = dataclasses.replace(settings, batch_size=max(1, settings.batch_size // 10))
    with told(ValueError):
        loader = make_loader(pictures, test_transform(info["preprocessing"], ten_crop), settings, shuffle=False)
    views = _tallies(network, loader, info["classes"], places, settings.device)
    view, tally = list(views.items())[-1]
    epoch = f" (epoch {info['progress']['epoch']})" if "progress" in info else ""
    print(f"{path}{epoch} on {tally.scores.pictures:,} pictures of {settings.data}\n{totals(views)}\n\n{view}, class by class\n"
          f"{by_class(tally)}")
    if folder:
        write_report(folder, tally, f"{view}, top-1 error {1 - tally.scores.top1:.2%}")
        print(f"\nwritten: {folder}/confusion.png, confusion.csv, classes.csv")
    return 0


def _tallies(network: Network, loader: DataLoader, classes: list[str], places: np.ndarray, device: str) -> dict[str, Tally]:
    """A tally of each way of looking at the loader's pictures, the one with the most crops last. places: of their labels among classes."""
    views: dict[str, Tally] = {}
    with loader:
        for images, labels in _with_progress(loader):
            log_p = crop_log_probabilities(network, images, device)                         # (N, crops, K)
            crops = log_p.shape[1]
            views.setdefault("centre crop", Tally(classes)).add(log_p[:, CENTRE[crops]], places[labels])
            if crops > 1:
                views.setdefault("mean of ten crops", Tally(classes)).add(mean_over_crops(log_p), places[labels])
    return views


def _report_folder(out: str | None, path: str, info: dict[str, Any]) -> Path | None:
    """A folder that exists; none for published weights unless one is given. Raises UserError when it cannot be made."""
    if not out and "progress" not in info:
        return None
    folder = Path(out) if out else Path(path).parent / "evaluation"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _with_progress(loader: DataLoader) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The loader's batches; a progress bar on a terminal."""
    from tqdm import tqdm
    with tqdm(total=len(loader.dataset), unit=" images", dynamic_ncols=True, disable=None, leave=False) as bar:
        for images, labels in batches(loader, report=tqdm.write):
            yield images, labels
            bar.update(len(labels))


def _training_settings(path: str, info: dict[str, Any]) -> Settings:
    if "progress" not in info:          # published weights
        return Settings(network=info["network"], image_size=info["config"]["image_size"])
    with told(KeyError, TypeError, what=f"{path} holds no settings: "):
        return resumed_settings(info["settings"], {})


def _names(classes: Any) -> str:
    return f"{', '.join(classes[:4])}{', ...' if len(classes) > 4 else ''} ({len(classes)})"
