"""`python -m benchmarks data`: packing and reading images, in images a second on one core."""
from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from data import (BuiltinPictures, CenterCrop, Compose, DataLoader, ImageFolder, Normalize,
                  PackedPictures, RandomCrop, RandomHorizontalFlip, Resize, Subset,
                  UnreadableImage)
from data.packing import pack

from .errors import BenchmarkError, WrongResult
from .output import begin, written_at_the_end
from .timing import alternate, summary, timed

CROP_SHARE = 227 / 256
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Row = dict[str, Any]


class Size(NamedTuple):
    side: int               # of packed images
    drawn: int              # how many images are drawn where no folder is given
    read: int               # how many packed images are read from
    shards: int


FULL, QUICK = Size(256, 100, 2048, 4), Size(32, 10, 32, 2)


def main(options: argparse.Namespace) -> int:
    """Run the benchmarks; returns the exit status. Raises BenchmarkError."""
    results = begin(options, data=[])
    size, rounds = (QUICK, (1, 2)) if options.quick else (FULL, (3, 20))
    with written_at_the_end(options, results):
        try:
            for row in measure(options.data, size, options.batch, options.seconds, rounds):
                results["data"].append(row)
                print(line(row, results["data"]), flush=True)
        except (UnreadableImage, ValueError, OSError) as error:
            raise BenchmarkError(error) from error
    return 0


def line(row: Row, rows: list[Row]) -> str:
    """Images a second, and how many times the first of its group, whose row is among rows."""
    rates = [row["pictures"] / row["times"][key] for key in ("median", "slowest", "fastest")]
    first = next(other for other in rows if other["group"] == row["group"])
    times = rates[0] * first["times"]["median"] / first["pictures"]
    return (f"{row['group']:9}{row['what']:40}{rates[0]:8,.0f} pictures/s "
            f"({rates[1]:,.0f}-{rates[2]:,.0f}){times:8.2f} times the first")


def measure(folder: str | None, size: Size, batch: int, seconds: float,
            rounds: tuple[int, int]) -> Iterator[Row]:
    """One row per contestant: "what", "pictures" and seconds for them.

    The groups are "packing" and "reading". Raises WrongResult.
    """
    with tempfile.TemporaryDirectory() as temporary:
        files = ImageFolder(folder or _drawn(size, Path(temporary, "drawn")))
        yield from _packing(files, size, Path(temporary), seconds, rounds)
        yield from _reading(files, size, Path(temporary), batch, seconds, rounds)


def _drawn(size: Size, folder: Path) -> Path:
    """The folder, with drawn images as JPEG files."""
    images = BuiltinPictures(size.drawn, 2 * size.side)
    for i in range(size.drawn):
        path = folder / images.classes[images.labels[i]] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[i][0]).save(path, quality=90)
    return folder


def _packing(files: ImageFolder, size: Size, temporary: Path, seconds: float,
             rounds: tuple[int, int]) -> Iterator[Row]:
    outs = (str(temporary / f"out{i}") for i in range(10**9))
    cores = os.cpu_count() or 1
    contestants = {
        "Pillow: decode and resize": lambda: [_decode(path, size.side) for path in files.paths],
        "pack, one process": lambda: pack(files, next(outs), size.side),
        f"pack, {cores} workers": lambda: pack(files, next(outs), size.side, workers=cores),
    }
    runs = {what: timed(work) for what, work in contestants.items()}
    for what, times in alternate(runs, seconds, rounds).items():
        yield {"group": "packing", "what": what, "pictures": len(files), "times": summary(times)}


def _decode(path: str, side: int) -> Image.Image:
    """What packing cannot do without."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    scale = side / min(image.size)
    size = round(scale * image.width), round(scale * image.height)
    return image.resize(size, Image.Resampling.BILINEAR)


def _reading(files: ImageFolder, size: Size, temporary: Path, batch: int, seconds: float,
             rounds: tuple[int, int]) -> Iterator[Row]:
    repeated = Subset(files, np.arange(size.read) % len(files))
    pack(repeated, temporary / "packed" / "train", size.side, workers=os.cpu_count() or 1,
         shard_images=-(-size.read // size.shards))
    packed = PackedPictures(temporary / "packed")
    crop, normalize = round(CROP_SHARE * size.side), Normalize(MEAN, STD)
    training = Compose([Resize(size.side), RandomCrop(crop), RandomHorizontalFlip(), normalize])
    _check(packed, Compose([CenterCrop(crop), normalize]), batch)
    crops = f"{crop} x {crop} crops"
    contestants = {
        f"{crops}, picture by picture": _epoch(_OneByOne(packed), training, batch, 0),
        f"{crops}, whole batches": _epoch(packed, training, batch, 0),
        "the same, one thread ahead": _epoch(packed, training, batch, 1),
    }
    for what, times in alternate(contestants, seconds, rounds).items():
        yield {"group": "reading", "what": what, "pictures": len(packed), "times": summary(times)}


class _OneByOne(Subset):
    """The same images, without the crops that could be taken at once."""

    def __init__(self, dataset: Any):
        super().__init__(dataset, np.arange(len(dataset)))
        self.side = None


def _check(packed: PackedPictures, transform: Compose, batch: int) -> None:
    ours, theirs = (next(iter(DataLoader(source, batch, transform)))[0]
                    for source in (packed, _OneByOne(packed)))
    if not np.array_equal(ours, theirs):
        raise WrongResult("batches made at once differ from those made picture by picture")


def _epoch(source: Any, transform: Compose, batch: int, workers: int) -> Callable[[], float]:
    def run() -> float:
        with DataLoader(source, batch, transform, shuffle=True, num_workers=workers) as loader:
            start = time.perf_counter()
            for _ in loader:
                pass
            return time.perf_counter() - start
    return run
