"""What frozen layers make of pictures, computed once: epochs after that cost only the layers that learn."""
from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from data import Compose, DataLoader, UnreadableImage
from minitensor import Tensor, no_grad
from minitensor.backend import to_numpy
from minitensor.files import written_whole

from ..inputs.sources import batches, make_loader
from ..errors import UserError, writing
from ..networks.transfer import split
from ..inputs.preprocessing import test_transform
from .step import Training


def is_possible(training: Training) -> bool:
    """Whether some first layers are frozen and every picture is the same in each epoch: no flip, no noise, no crop but the centre."""
    settings, p = training.settings, training.header["preprocessing"]
    moves = settings.flip or settings.pca_noise or (settings.random_crop and p["resize"] > p["crop"])
    return settings.cache_features and not moves and any(split(training.network)[0].named_children())


class Cache:
    """The features of a run's pictures, in files below folder that hold an array (pictures, ..., channels) each.

    A resumed run finds them there again; `remove` ends it. They are those of the network's frozen layers as it was when they were written.
    """

    def __init__(self, folder: Path, training: Training):
        self.folder, self.training = folder, training
        self.frozen, self.learner = split(training.network)

    def loader(self, name: str, loader: DataLoader) -> FeatureLoader:
        """In place of loader: the same batches, of features, which are computed now, with a progress bar, unless file `name` has them."""
        path = self.folder / f"{name}.npy"
        if not _fits(path, len(loader.dataset)):
            self._write(path, loader.dataset)
        return FeatureLoader(loader, np.load(path, mmap_mode="r"))

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, path: Path, pictures: Any) -> None:
        with writing(path):
            path.parent.mkdir(exist_ok=True)
        print(f"computing what the frozen layers make of {len(pictures):,} pictures, once, into {path}", flush=True)
        rows = self._rows(pictures)
        first = next(rows)
        shape = (len(pictures), *first.shape[1:])
        with writing(path), written_whole(path) as partial, open(partial, "wb") as file:
            _check_space(path.parent, int(np.prod(shape)) * first.itemsize)
            np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
            file.write(first.tobytes())
            for more in rows:
                file.write(more.tobytes())

    def _rows(self, pictures: Any) -> Iterator[np.ndarray]:
        """The features (n, ..., channels) of all pictures in their order; those of a picture that is skipped are nan."""
        from tqdm import tqdm
        settings = self.training.settings
        transform: Compose = test_transform(self.training.header["preprocessing"])
        loader, number = make_loader(pictures, transform, settings, shuffle=False), 0
        with loader, tqdm(total=len(pictures), desc="features", unit=" images", dynamic_ncols=True, disable=None, leave=False) as bar:
            for images, _ in batches(loader):
                with no_grad():
                    features = np.moveaxis(to_numpy(self.frozen(Tensor(images).to(settings.device)).data), 1, -1)
                if not np.isfinite(features).all():
                    raise UserError("the frozen layers make infinite numbers of some pictures")
                unreadable = {path for path, _ in loader.skipped}
                indices = loader.indices(0, number)
                rows = np.full((len(indices), *features.shape[1:]), np.nan, np.float32)
                rows[[pictures.name(i) not in unreadable for i in indices]] = features
                yield rows
                bar.update(len(indices))
                number += 1


class FeatureLoader:
    """The batches of a DataLoader, with features (N, channels, ...) in place of images; those that are nan are left out."""

    def __init__(self, loader: DataLoader, features: np.ndarray):
        self.loader, self.dataset, self.features = loader, loader.dataset, features
        self.readable = ~np.isnan(features.reshape(len(features), -1)[:, 0])
        self.skipped: list[tuple[str, str]] = []            # they were reported when the features were computed

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for number in range(start, len(self.loader)):
            indices = self.loader.indices(epoch, number)
            kept = indices[self.readable[indices]]
            if not len(kept):
                raise UnreadableImage(self.dataset.name(indices[0]), "nor can any other of its batch")
            yield np.moveaxis(self.features[kept], -1, 1), self.dataset.labels[kept]

    def close(self) -> None:
        self.loader.close()


def _fits(path: Path, pictures: int) -> bool:
    try:
        return len(np.load(path, mmap_mode="r")) == pictures
    except (OSError, ValueError):
        return False


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(f"the features of the frozen layers take {needed / 1e9:.1f} GB, and {folder} has {free / 1e9:.1f} GB left; "
                        "--no-cache-features does without them")
