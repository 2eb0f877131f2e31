"""An image file of any size and mode -> an RGB array."""
from __future__ import annotations

import contextlib
import logging
import os
import struct
import threading
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from .modes import to_rgb

# A longer image, scaled until its shorter side is that of others, would fill the memory.
LONGEST = 200       # times its shorter side

ORIENTATION, SHORT = 0x0112, 3          # EXIF's tag and its type; and what undoes each value
TURNS: dict[Any, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90}
_LIMIT = threading.RLock()
logging.getLogger("PIL").addHandler(logging.NullHandler())      # or it prints to standard error

Source = str | os.PathLike | BinaryIO       # a path, or an open file


class UnreadableImage(Exception):
    """An image file that cannot be decoded; its message is one sentence with the path."""

    def __init__(self, path: str, reason: str):
        super().__init__(path, reason)      # what unpickling calls this with, in another process
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path} cannot be read as a picture: {self.reason}"


def load_image(file: Source, name: str | None = None,
               max_pixels: int | None = None) -> np.ndarray:
    """Decode an image -> uint8 (H, W, 3). Raises UnreadableImage; see load_rgb."""
    return np.array(load_rgb(file, name, max_pixels))


def load_rgb(file: Source, name: str | None = None,
             max_pixels: int | None = None) -> Image.Image:
    """Decode a file, called `name` in messages -> Pillow image of mode RGB, upright by its EXIF.

    Modes become RGB as modes.py says, and the first frame of an animation is taken. Raises
    UnreadableImage, also for more than max_pixels (None: Pillow's own limit, 179 million), and
    where one side is more than LONGEST times the other.
    """
    try:
        with warnings.catch_warnings(), _pillow_allowing(max_pixels):
            warnings.simplefilter("ignore")         # odd metadata is no reason to complain
            with Image.open(file) as image:
                if image.format == "EPS":
                    raise ValueError("it is PostScript, a program, which is not run")
                if max(image.size) > LONGEST * min(image.size):
                    raise ValueError(f"{image.width} x {image.height} pixels, one side more than "
                                     f"{LONGEST} times the other")
                return _upright(image, to_rgb(image))
    except Exception as error:      # a broken file may raise nearly anything in Pillow's decoders
        raise UnreadableImage(str(name or file), _reason(error, max_pixels)) from error


@contextlib.contextmanager
def _pillow_allowing(max_pixels: int | None) -> Iterator[None]:
    """Have Pillow refuse images of more pixels, in whichever of its decoders.

    It knows one limit, for all threads, and refuses what is more than twice as large.
    """
    if max_pixels is None:
        yield
        return
    with _LIMIT:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = max_pixels / 2         # type: ignore[assignment]
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _upright(image: Image.Image, rgb: Image.Image) -> Image.Image:
    """rgb, turned as image's EXIF or XMP says; where that cannot be read, as it is stored."""
    try:
        orientation = _orientation(image.info.get("exif", b""))
        turn = TURNS.get(orientation or image.getexif().get(ORIENTATION))
    except Exception:               # as in load_rgb
        return rgb
    return rgb if turn is None else rgb.transpose(turn)


def _orientation(exif: bytes) -> int | None:
    """What EXIF says, a TIFF directory, of which Pillow reads nothing behind a damaged entry."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return None
    start, = struct.unpack_from(f"{order}I", exif, 4)
    entries, = struct.unpack_from(f"{order}H", exif, start)
    for place in range(start + 2, min(start + 2 + 12 * entries, len(exif) - 11), 12):
        tag, kind, count, value = struct.unpack_from(f"{order}HHIH", exif, place)
        if (tag, kind, count) == (ORIENTATION, SHORT, 1):
            return value
    return None


def _reason(error: Exception, max_pixels: int | None) -> str:
    if isinstance(error, Image.DecompressionBombError):
        limit = max_pixels or 2 * (Image.MAX_IMAGE_PIXELS or 0)
        return f"more than {limit:,} pixels, which --max-pixels (max_pixels) can allow"
    if isinstance(error, UnidentifiedImageError):   # its message may hold an object's address
        return "no picture format that Pillow knows"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return " ".join(str(error).split()) or type(error).__name__
