"""An image file of any size and mode -> an RGB array."""
from __future__ import annotations

import os
import warnings
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# A longer image, scaled until its shorter side is that of others, would fill the memory.
LONGEST = 200       # times its shorter side

Source = str | os.PathLike | BinaryIO       # a path, or an open file


class UnreadableImage(Exception):
    """An image file that cannot be decoded; its message is one sentence with the path."""

    def __init__(self, path: str, reason: str):
        super().__init__(path, reason)      # what unpickling calls this with, in another process
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path} cannot be read as a picture: {self.reason}"


def load_image(file: Source, name: str | None = None) -> np.ndarray:
    """Decode an image -> uint8 (H, W, 3). Raises UnreadableImage; see load_rgb."""
    return np.array(load_rgb(file, name))


def load_rgb(file: Source, name: str | None = None) -> Image.Image:
    """Decode a file, called `name` in messages -> Pillow image of mode RGB, upright by its EXIF.

    Transparency is laid on white, 16 bits are scaled to 8, and the first frame of an animation is
    taken. Raises UnreadableImage, also where one side is more than LONGEST times the other.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")         # odd metadata is no reason to complain ...
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # ... but a bomb is
            with Image.open(file) as image:
                if max(image.size) > LONGEST * min(image.size):
                    raise ValueError(f"{image.width} x {image.height} pixels, one side more than "
                                     f"{LONGEST} times the other")
                return to_rgb(image)
    except Exception as error:      # a broken file may raise nearly anything in Pillow's decoders
        raise UnreadableImage(str(name or file), _reason(error)) from error


def to_rgb(image: Image.Image) -> Image.Image:
    """A Pillow image of any mode -> upright, in mode RGB."""
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I;16") or image.mode == "I":
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode == "F":
        levels = np.clip(np.asarray(image), 0, 255).astype(np.uint8)
        return Image.fromarray(levels).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")       # which would copy it


def _eight_bits(levels: np.ndarray) -> np.ndarray:
    """16-bit grey levels, as Pillow's modes I;16 and I hold them -> uint8"""
    return (np.clip(levels, 0, 65535) // 257).astype(np.uint8)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):   # its message may hold an object's address
        return "no picture format that Pillow knows"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return " ".join(str(error).split()) or type(error).__name__
