"""The features of picture files, which `features` writes and `similar` compares."""
from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np

from ..errors import UserError
from ..evaluation.features import Extractor
from ..inputs.picture_files import picture_batches
from ..inputs.preprocessing import evaluation_transform
from ..progress import Terminal
from ..training.checkpoints import load_network


class PictureFeatures:
    """A layer's features of picture files.

    layer       its name
    failed      the paths of those that could not be read
    """

    def __init__(self, checkpoint: str, layer: str | None, device: str):
        network, metadata = load_network(checkpoint, device, Terminal())
        self.extractor = Extractor(network, layer, device)
        self.layer = self.extractor.layer
        self.transform = evaluation_transform(metadata["preprocessing"])
        self.failed: list[str] = []

    def __call__(self, paths: list[str]) -> Iterator[tuple[list[str], np.ndarray]]:
        """(names, features float32 (N, ...)), a few at a time, with a progress bar."""
        with Terminal().bar(len(paths), self.layer) as bar:
            for names, _, images in picture_batches(paths, self.transform, self._report):
                yield names, self.extractor(images)
                bar.update(len(names))

    def all(self, paths: list[str]) -> tuple[list[str], np.ndarray]:
        """The same of all pictures at once. Raises UserError if none can be read."""
        parts = list(self(paths))
        if not parts:
            raise UserError("none of the pictures can be read")
        names = [name for names, _ in parts for name in names]
        return names, np.concatenate([features for _, features in parts])

    def _report(self, path: str, error: Exception) -> None:
        self.failed.append(path)
        print(error, file=sys.stderr)
