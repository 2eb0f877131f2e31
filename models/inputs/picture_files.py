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

from ..errors import UserError

STANDARD_INPUT = "-"
BATCH = 16
Batch = tuple[list[str], list[np.ndarray], np.ndarray]


def expanded(paths: Iterable[str]) -> list[str]:
    """Patterns replaced by what they match, folders by the picture files below them.

    Raises UserError for one without any.
    """
    return [file for path in paths for found in _matches(path) for file in _files(found)]


def _matches(path: str) -> list[str]:
    if os.path.exists(path) or not glob.has_magic(path):
        return [path]
    found = sorted(glob.glob(path, recursive=True))
    if not found:
        raise UserError(f"nothing matches {path}")
    return found


def _files(path: str) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    found = image_files(path)
    if not found:
        raise UserError(f"the folder {path} holds no pictures")
    return found


def picture_batches(paths: Iterable[str], transform: Callable,
                    report: Callable[[str, UnreadableImage], None]) -> Iterator[Batch]:
    """(paths, pictures uint8 (H, W, 3), images float32 (N, 3, size, size)), a few at a time.

    report is told the path of each that cannot be read, and why.
    """
    pictures = _readable(paths, report)
    while batch := list(islice(pictures, BATCH)):
        names, originals = zip(*batch)
        images = np.stack([transform(picture, None) for picture in originals])
        yield list(names), list(originals), images


def _readable(paths: Iterable[str], report: Callable[[str, UnreadableImage], None]
              ) -> Iterator[tuple[str, np.ndarray]]:
    for path in paths:
        try:
            yield path, load(path)
        except UnreadableImage as error:
            report(path, error)


def load(path: str) -> np.ndarray:
    """uint8 (H, W, 3) of the file at path, or of standard input. Raises UnreadableImage."""
    if path != STANDARD_INPUT:
        return load_image(path)
    return load_image(io.BytesIO(_content(sys.stdin.buffer)), "standard input")


@cache
def _content(stream: BinaryIO) -> bytes:
    """Of a stream that can be read only once, by a picture that is asked for more often.

    For its features, and for a figure.
    """
    return stream.read()
