"""`features`: what a layer inside a network makes of pictures, for other programs."""
from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..evaluation.features import Extractor
from ..files import write_file, write_text
from ..progress import Terminal
from .options import (CHECKPOINT, PICTURES, Failures, add_device, add_layer, add_max_pixels,
                      computing_as_asked)
from .values import new_file_ending

HELP = "Write what a layer of a network makes of pictures, and their names."
EXAMPLES = """  python -m models features runs/cifar10 photos/ --out fc7.npz
  python -m models features alexnet.pth photos/ --layer conv5 --out conv5.npy"""
NEEDS = ("PIL", "safetensors", "tqdm")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help=CHECKPOINT)
    parser.add_argument("pictures", metavar="PICTURE", nargs="+", help=PICTURES)
    parser.add_argument("--out", metavar="FILE", type=new_file_ending(".npz", ".npy"),
                        required=True, help="FILE.npz with the arrays features and names, or "
                        "FILE.npy with the features and FILE.txt with the names")
    add_layer(parser)
    add_max_pixels(parser)
    add_device(parser)


def run(options: dict[str, Any]) -> int:
    """Returns 1 if some pictures could not be read."""
    from ..inputs.picture_files import expanded
    out = options["out"]
    with computing_as_asked(options):
        failures = Failures()
        files = expanded(options["pictures"], failures)
        if not files:
            return 1
        extractor = PictureFeatures(options, failures)
        names, values = extractor.all(files)
    if out.endswith(".npz"):
        arrays = {"features": values, "names": np.array(names)}
        write_file(Path(out), lambda file: np.savez(file, **arrays))        # type: ignore[arg-type]
        written = out
    else:
        write_file(Path(out), lambda file: np.save(file, values))
        names_file = Path(out).with_suffix(".txt")
        write_text(names_file, "".join(_one_line(name) + "\n" for name in names))
        written = f"{out}, with the names in {names_file}"
    print(f"{written}: {extractor.layer} of {len(names)} pictures, float32 {values.shape}")
    return 1 if failures else 0


def _one_line(name: str) -> str:
    return name.replace("\n", r"\n").replace("\r", r"\r")


class PictureFeatures:
    """A layer's features of picture files, which `similar` compares.

    options     of the command: checkpoint, layer, device, max_pixels
    failures    is told of those that cannot be read
    layer       its name
    """

    def __init__(self, options: dict[str, Any], failures: Failures):
        from ..inputs.preprocessing import evaluation_transform
        from ..training.checkpoints import load_network
        device = options["device"]
        network, metadata = load_network(options["checkpoint"], device, Terminal())
        self.extractor = Extractor(network, options["layer"], device)
        self.layer = self.extractor.layer
        self.transform = evaluation_transform(metadata["preprocessing"])
        self.failures, self.max_pixels = failures, options.get("max_pixels")

    def __call__(self, paths: list[str]) -> Iterator[tuple[list[str], np.ndarray]]:
        """(names, features float32 (N, ...)), a few at a time, with a progress bar."""
        from ..inputs.picture_files import picture_batches
        with Terminal().bar(len(paths), self.layer) as bar:
            for names, _, images in picture_batches(paths, self.transform, self.failures,
                                                    self.max_pixels):
                yield names, self.extractor(images)
                bar.update(len(names))

    def all(self, paths: list[str]) -> tuple[list[str], np.ndarray]:
        """The same of all pictures at once. Raises UserError if none can be read."""
        parts = list(self(paths))
        if not parts:
            raise UserError("none of the pictures can be read")
        names = [name for names, _ in parts for name in names]
        return names, np.concatenate([features for _, features in parts])
