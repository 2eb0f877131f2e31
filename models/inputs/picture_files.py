"""Pictures named on the command line: files, folders, patterns, standard input."""
from __future__ import annotations

import glob
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import islice
from typing import BinaryIO

import numpy as np

from data import UnreadableImage, image_files, load_image

STANDARD_INPUT = "-"
BATCH = 16
Batch = tuple[list[str], list[np.ndarray], np.ndarray]
Report = Callable[[str], None]              # of a sentence


def expanded(paths: Iterable[str], report: Report) -> list[str]:
    """Patterns replaced by what they match, folders by the picture files below them.

    report is told of those without any.
    """
    return [file for path in paths for found in _matches(path, report)
            for file in _files(found, report)]


def _matches(path: str, report: Report) -> list[str]:
    if os.path.exists(path) or not glob.has_magic(path):
        return [path]
    found = sorted(glob.glob(path, recursive=True))
    if not found:
        report(f"nothing matches {path}")
    return found


def _files(path: str, report: Report) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    try:
        found = image_files(path)
    except OSError as error:
        report(f"{error.filename} cannot be read: {error.strerror}")
        return []
    if not found:
        report(f"the folder {path} holds no pictures")
    return found


def picture_batches(paths: Iterable[str], transform: Callable, report: Report,
                    max_pixels: int | None = None) -> Iterator[Batch]:
    """(paths, pictures uint8 (H, W, 3), images float32 (N, 3, size, size)), a few at a time.

    report is told why one cannot be read. max_pixels: as load_image's.
    """
    pictures = _readable(paths, report, max_pixels)
    while batch := list(islice(pictures, BATCH)):
        names, originals = zip(*batch)
        images = np.stack([transform(picture, None) for picture in originals])
        yield list(names), list(originals), images


def _readable(paths: Iterable[str], report: Report,
              max_pixels: int | None) -> Iterator[tuple[str, np.ndarray]]:
    for path in paths:
        try:
            yield path, load(path, max_pixels)
        except UnreadableImage as error:
            report(str(error))


def load(path: str, max_pixels: int | None = None) -> np.ndarray:
    """uint8 (H, W, 3) of the file at path, or of standard input. Raises UnreadableImage."""
    if path != STANDARD_INPUT:
        return load_image(path, max_pixels=max_pixels)
    return load_image(io.BytesIO(_content(sys.stdin.buffer)), "standard input", max_pixels)


@cache
def _content(stream: BinaryIO) -> bytes:
    """Of a stream that can be read only once, by a picture that is asked for more often.

    For its features, and for a figure.
    """
    return stream.read()
