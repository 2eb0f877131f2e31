"""What frozen layers make of images, computed once: epochs cost only the layers that learn."""
from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from data import DataLoader
from minitensor import Tensor, no_grad
from minitensor.backend import to_numpy
from minitensor.files import written_whole

from ..errors import UserError, writing
from ..inputs.preprocessing import evaluation_transform
from ..inputs.sources import make_loader, numbered_batches
from ..networks.transfer import split
from ..progress import Progress
from .step import Training


def is_possible(training: Training) -> bool:
    """Whether some first layers are frozen and every image is the same in each epoch.

    That is without flip, noise, or any crop but the centre.
    """
    settings, p = training.settings, training.metadata["preprocessing"]
    moves = (settings.flip or settings.pca_noise or settings.random_resized_crop
             or any(settings.color_jitter) or settings.random_erasing
             or (settings.random_crop and p["resize"] + settings.crop_padding > p["crop"]))
    has_frozen = any(split(training.network)[0].named_children())
    return settings.cache_features and not moves and has_frozen


class FeatureCache:
    """The features of a run's images, in files below folder, an array (images, ..., channels) each.

    A resumed run finds them there again; `remove` ends it. They are those of the network's frozen
    layers as it was when they were written.
    """

    def __init__(self, folder: Path, training: Training, progress: Progress):
        self.folder, self.training, self.progress = folder, training, progress
        self.frozen, self.learner = split(training.network)

    def loader(self, name: str, loader: DataLoader | None) -> FeatureLoader | None:
        """In place of loader, if there is one: the same batches, of features.

        They are computed now, with a progress bar, unless the file for this name and these images
        has them.
        """
        if loader is None:
            return None
        images = loader.dataset             # a resumed run's may be others, with other labels
        names = "\n".join([self.training.settings.data, *map(images.name, range(len(images)))])
        known = zlib.crc32(images.labels.tobytes(), zlib.crc32(os.fsencode(names)))
        path = self.folder / f"{name}-{known:08x}.npy"
        if not _fits(path, len(images)):
            self._write(path, images)
        return FeatureLoader(loader, np.load(path, mmap_mode="r"))

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, path: Path, images: Any) -> None:
        with writing(path):
            path.parent.mkdir(exist_ok=True)
        self.progress.say(f"computing what the frozen layers make of {len(images):,} pictures, "
                          f"once, into {path}")
        rows = self._rows(images)
        first = next(rows)
        shape = (len(images), *first.shape[1:])
        with writing(path), written_whole(path) as partial, open(partial, "wb") as file:
            _check_space(path.parent, int(np.prod(shape)) * first.itemsize)
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            file.write(first.tobytes())
            for more in rows:
                file.write(more.tobytes())

    def _rows(self, images: Any) -> Iterator[np.ndarray]:
        """The features (n, ..., channels) of all images in their order.

        Those of an image that is skipped are nan.
        """
        transform = evaluation_transform(self.training.metadata["preprocessing"])
        loader = make_loader(images, transform, self.training.settings, shuffle=False)
        done = 0
        with loader, self.progress.bar(len(images), "features") as bar:
            for number, batch, _ in numbered_batches(loader, self.progress.warn):
                features = self._features(batch)
                unreadable = {path for path, _ in loader.skipped}
                indices = range(done, loader.indices(0, number)[-1] + 1)    # skipped batches, too
                rows = _missing(len(indices), features)
                rows[[images.name(i) not in unreadable for i in indices]] = features
                yield rows
                done += len(indices)
                bar.update(len(indices))
        if done < len(images):
            yield _missing(len(images) - done, features)

    def _features(self, images: np.ndarray) -> np.ndarray:
        """images (N, 3, H, W) -> (N, ..., channels)"""
        with no_grad():
            features = self.frozen(Tensor(images).to(self.training.settings.device)).data
        features = np.moveaxis(to_numpy(features), 1, -1)
        if not np.isfinite(features).all():
            raise UserError("the frozen layers make infinite numbers of some pictures")
        return features


def _missing(count: int, features: np.ndarray) -> np.ndarray:
    """Rows of nan like those of features."""
    return np.full((count, *features.shape[1:]), np.nan, np.float32)


class FeatureLoader:
    """The batches of a DataLoader, with features (N, channels, ...) in place of images.

    Those that are nan are left out, as unreadable images are.
    """

    def __init__(self, loader: DataLoader, features: np.ndarray):
        self.loader, self.dataset, self.features = loader, loader.dataset, features
        self.readable = ~np.isnan(features.reshape(len(features), -1)[:, 0])
        self.skipped = [(loader.dataset.name(int(i)), "reported when features were computed")
                        for i in np.flatnonzero(~self.readable)]

    def numbered(self, epoch: int, start: int = 0) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        for number in range(start, len(self.loader)):
            indices = self.loader.indices(epoch, number)
            kept = indices[self.readable[indices]]
            if len(kept):
                features = np.moveaxis(self.features[kept], -1, 1)
                yield number, features, self.dataset.labels[kept]


def _fits(path: Path, images: int) -> bool:
    try:
        return len(np.load(path, mmap_mode="r")) == images
    except (OSError, ValueError):
        return False


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(f"the features of the frozen layers take {needed / 1e9:.1f} GB, "
                        f"and {folder} has {free / 1e9:.1f} GB left; "
                        "turn cache_features off to do without them")
