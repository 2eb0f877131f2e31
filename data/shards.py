"""The shards of a packing, and the notes that lie beside a finished shard until the packing ends.

Shard k is made from images k * shard_images ... of the dataset and nothing else.
"""
from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

from .files import sha256, written_whole
from .images import UnreadableImage
from .pools import Processes
from .protocols import Allocate, Announce, Batch, Batches
from .transforms import CenterCrop, Resize

CHUNK_BYTES = 4 << 20       # what a worker makes at a time, about
# Of shard {}: "sum" of its images, "kept" and "unreadable" places in the dataset, "reasons",
# "sha256" of its file.
NOTES = "{}.notes.npz"

Notes = list[tuple[str, dict[str, np.ndarray]]]         # (a shard's file, its notes)
Report = Callable[[int], object]


class ImageMaker:
    """Makes chunk `number` of shard `shard`: the batches and epochs of Processes.

    The shorter side of an image becomes `side`, and the middle side x side are kept.
    """

    def __init__(self, dataset: Any, side: int, shard_images: int):
        self.dataset, self.side, self.shard_images = dataset, side, shard_images
        self.chunk = min(256, max(1, CHUNK_BYTES // (3 * side * side)))
        self.resize, self.crop = Resize(side), CenterCrop(side)

    def shard(self, shard: int) -> range:
        """The places in the dataset that it is made from."""
        return range(len(self.dataset))[shard * self.shard_images:(shard + 1) * self.shard_images]

    def make(self, shard: int, number: int, allocate: Allocate = np.empty,
             announce: Announce = lambda index: None) -> Batch:
        """-> uint8 (n, side, side, 3), places of those n, [(place, reason)] of the unreadable"""
        places = self.shard(shard)[number * self.chunk:(number + 1) * self.chunk]
        images = allocate((len(places), self.side, self.side, 3), np.uint8)
        kept: list[int] = []
        unreadable: list[tuple[int, str]] = []
        for place in places:
            announce(place)
            try:
                scaled = self.resize.scale(self._pillow_image(place))
            except UnreadableImage as error:
                unreadable.append((place, error.reason))
                continue
            images[len(kept)] = self.crop(np.asarray(scaled), None)
            kept.append(place)
        return images[:len(kept)], kept, unreadable

    def _pillow_image(self, place: int) -> Image.Image:
        """Without a detour through an array where there need be none."""
        if hasattr(self.dataset, "pillow_image"):
            return self.dataset.pillow_image(place)
        return Image.fromarray(self.dataset[place][0])


def pack_shards(maker: ImageMaker, workers: int, folder: str, report: Report) -> None:
    """Write the shards that have no notes yet, with their notes."""
    pool = Processes(maker, workers)
    with contextlib.closing(pool):
        for shard in range(-(-len(maker.dataset) // maker.shard_images)):
            places = maker.shard(shard)
            if os.path.exists(_notes_path(folder, shard)):
                report(len(places))
                continue
            chunks = pool.batches(shard, range(-(-len(places) // maker.chunk)))
            with contextlib.closing(chunks):
                _write_shard(folder, shard, chunks, len(places), maker.side, report)


def _write_shard(folder: str, shard: int, chunks: Batches, most: int, side: int,
                 report: Report) -> None:
    path = os.path.join(folder, _shard_file(shard))
    header, total = _header((most, side, side, 3)), np.zeros((side, side, 3), np.uint64)
    digest = hashlib.sha256(header)
    kept: list[int] = []
    unreadable: list[tuple[int, str]] = []

    def add(images: np.ndarray) -> int:
        digest.update(images.data)
        np.add(total, images.sum(axis=0, dtype=np.uint32), out=total)
        return file.write(images.data)

    # A chunk is written while the next is made.
    with written_whole(path) as file, ThreadPoolExecutor(1) as beside:
        written = beside.submit(file.write, header)
        for images, places, failed in chunks:
            written.result()
            written = beside.submit(add, images)
            kept += places
            unreadable += failed
            report(len(places) + len(failed))
        written.result()
        if len(kept) < most:
            file.seek(0)
            file.write(_header((len(kept), side, side, 3), len(header)))
    # A large shard is read again only where it must be.
    checksum = digest.hexdigest() if len(kept) == most else sha256(path)
    with written_whole(_notes_path(folder, shard)) as file:
        np.savez(file, sum=total, kept=np.array(kept, np.int64), sha256=checksum,
                 unreadable=np.array([place for place, _ in unreadable], np.int64),
                 reasons=np.array([why for _, why in unreadable], str))


def _header(shape: tuple[int, ...], length: int | None = None) -> bytes:
    """The first bytes of a .npy file of uint8, with space for its count to change.

    length, where given, is how many there must be.
    """
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    if length not in (None, file.tell()):
        raise RuntimeError(f"pack: a header of {length} bytes grew to {file.tell()}")
    return file.getvalue()


def _shard_file(shard: int) -> str:
    return f"shard-{shard:05}.npy"


# ---- notes ---------------------------------------------------------------------------------------

def _notes_path(folder: str, shard: int) -> str:
    return os.path.join(folder, NOTES.format(_shard_file(shard)))


def read_notes(folder: str) -> Notes:
    notes: Notes = []
    while os.path.exists(path := _notes_path(folder, len(notes))):
        with np.load(path) as arrays:
            notes.append((_shard_file(len(notes)), dict(arrays)))
    return notes


def remove_notes(folder: str) -> None:
    """Also the shards that hold nothing. Notes of late shards go before those of early ones."""
    for file, note in read_notes(folder):
        if not len(note["kept"]) and os.path.exists(os.path.join(folder, file)):
            os.unlink(os.path.join(folder, file))
    for name in sorted(os.listdir(folder), reverse=True):
        if name.endswith(NOTES.format("")):
            os.unlink(os.path.join(folder, name))
