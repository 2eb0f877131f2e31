"""Packing and reading pictures, in pictures a second on one core."""
from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from data import (BuiltinPictures, CenterCrop, Compose, DataLoader, ImageFolder, Normalize, PackedPictures, RandomCrop,
                  RandomHorizontalFlip, Resize, Subset)
from data.packing import pack

from .timing import alternate, summary, timed

CROP_SHARE = 227 / 256
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Size(NamedTuple):
    side: int               # of packed pictures
    drawn: int              # how many pictures are drawn where no folder is given
    read: int               # how many packed pictures are read from
    shards: int


FULL, QUICK = Size(256, 100, 2048, 4), Size(32, 10, 32, 2)


class WrongBatch(Exception):
    """Batches made at once differ from those made picture by picture."""


def measure(folder: str | None, size: Size, batch: int, seconds: float, rounds: tuple[int, int]) -> Iterator[dict[str, Any]]:
    """One row per contestant: "what", "pictures" and seconds for them, in the groups "packing" and "reading"."""
    with tempfile.TemporaryDirectory() as temporary, _pictures(folder, size, Path(temporary)) as files:
        yield from _packing(files, size, Path(temporary), seconds, rounds)
        yield from _reading(files, size, Path(temporary), batch, seconds, rounds)


@contextmanager
def _pictures(folder: str | None, size: Size, temporary: Path) -> Iterator[ImageFolder]:
    """The pictures of folder, or drawn ones as JPEG files."""
    if not folder:
        folder = str(temporary / "drawn")
        pictures = BuiltinPictures(size.drawn, 2 * size.side)
        for i in range(size.drawn):
            path = Path(folder, pictures.classes[pictures.labels[i]], f"{i}.jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pictures[i][0]).save(path, quality=90)
    yield ImageFolder(folder)


def _packing(files: ImageFolder, size: Size, temporary: Path, seconds: float, rounds: tuple[int, int]) -> Iterator[dict[str, Any]]:
    outs = (str(temporary / f"out{i}") for i in range(10**9))
    cores = os.cpu_count() or 1
    contestants = {
        "Pillow: decode and resize": timed(lambda: [_decode(path, size.side) for path in files.paths]),
        "pack, one process": timed(lambda: pack(files, next(outs), size.side)),
        f"pack, {cores} workers": timed(lambda: pack(files, next(outs), size.side, workers=cores)),
    }
    for what, times in alternate(contestants, seconds, rounds).items():
        yield {"group": "packing", "what": what, "pictures": len(files), "times": summary(times)}


def _decode(path: str, side: int) -> Image.Image:
    """What packing cannot do without."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    scale = side / min(image.size)
    return image.resize((round(scale * image.width), round(scale * image.height)), Image.Resampling.BILINEAR)


def _reading(files: ImageFolder, size: Size, temporary: Path, batch: int, seconds: float,
             rounds: tuple[int, int]) -> Iterator[dict[str, Any]]:
    repeated = Subset(files, np.arange(size.read) % len(files))
    pack(repeated, str(temporary / "packed" / "train"), size.side, workers=os.cpu_count() or 1, shard_images=-(-size.read // size.shards))
    packed = PackedPictures(temporary / "packed")
    crop, normalize = round(CROP_SHARE * size.side), Normalize(MEAN, STD)
    training = Compose([Resize(size.side), RandomCrop(crop), RandomHorizontalFlip(), normalize])
    _check(packed, Compose([CenterCrop(crop), normalize]), batch)
    sources = {"picture by picture": _OneByOne(packed), "whole batches": packed}
    contestants = {f"{crop} x {crop} crops, {what}": _epoch(source, training, batch, 0) for what, source in sources.items()}
    contestants["the same, one thread ahead"] = _epoch(packed, training, batch, 1)
    for what, times in alternate(contestants, seconds, rounds).items():
        yield {"group": "reading", "what": what, "pictures": len(packed), "times": summary(times)}


class _OneByOne(Subset):
    """The same pictures, without the crops that could be taken at once."""

    def __init__(self, dataset: Any):
        super().__init__(dataset, np.arange(len(dataset)))
        self.side = None


def _check(packed: PackedPictures, transform: Compose, batch: int) -> None:
    ours, theirs = (next(iter(DataLoader(source, batch, transform)))[0] for source in (packed, _OneByOne(packed)))
    if not np.array_equal(ours, theirs):
        raise WrongBatch("batches made at once differ from those made picture by picture")


def _epoch(source: Any, transform: Compose, batch: int, workers: int) -> Callable[[], float]:
    def run() -> float:
        with DataLoader(source, batch, transform, shuffle=True, num_workers=workers) as loader:
            start = time.perf_counter()
            for _ in loader:
                pass
            return time.perf_counter() - start
    return run
