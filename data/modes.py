"""The pixels of a Pillow image of any mode -> RGB. Transparency is laid on white.

Grey levels of more than 8 bits, and floats, become 0..255 from the range they are in:

PNG, PGM, JPEG 2000     0..65535, as the format says
other whole numbers     the smallest of 0..255, 0..4095 and 0..65535 that holds the brightest level
floats                  the same, or 0..1; what sharpening leaves up to a quarter above it is white

Above all of these the brightest level is white. What is below 0, and NaN, is black; infinity is
white.
"""
from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

SIXTEEN_BITS = ("PNG", "PPM", "JPEG2000")       # Pillow's names of the formats that say so
TOPS = (255, 4095, 65535)
OVERSHOOT = 1.25
PHOTOMETRIC, SAMPLE_FORMAT = 262, 339           # tags of TIFF
WHITE_IS_ZERO, UNSIGNED, SIGNED = 0, 1, 2       # their values


def to_rgb(image: Image.Image) -> Image.Image:
    """A Pillow image of any mode -> one of mode RGB."""
    image.load()
    if image.mode.startswith(("I", "F")) or _is_signed(image):
        return Image.fromarray(_grey(image)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")       # which would copy it


def _tag(image: Image.Image, tag: int) -> Any:
    value = getattr(image, "tag_v2", {}).get(tag)
    return value[0] if isinstance(value, tuple) else value


def _is_signed(image: Image.Image) -> bool:
    """Whether it is of bytes -128..127, which Pillow takes for 0..255."""
    return image.mode == "L" and _tag(image, SAMPLE_FORMAT) == SIGNED


def _grey(image: Image.Image) -> np.ndarray:
    """uint8 (H, W)"""
    levels = np.asarray(image)
    if _is_signed(image):
        levels = levels.view(np.int8)
    elif image.mode == "I" and image.format == "TIFF" and _tag(image, SAMPLE_FORMAT) != SIGNED:
        levels = levels.view(np.uint32)         # Pillow wraps what is 2^31 and more
    stated = image.format in SIXTEEN_BITS and levels.dtype.kind != "f"
    grey = eight_bits(levels, TOPS[-1] if stated else None)
    if _tag(image, PHOTOMETRIC) == WHITE_IS_ZERO:
        grey = 255 - grey
    clear = image.info.get("transparency")      # the level that is not seen
    return grey if clear is None else np.where(levels == clear, np.uint8(255), grey)


def eight_bits(levels: np.ndarray, top: float | None = None) -> np.ndarray:
    """Grey levels of any dtype -> uint8. top: the one that is white; None: as said above."""
    floats = levels.dtype.kind == "f"
    if top is None:
        brightest = float(np.max(levels, initial=0, where=np.isfinite(levels)))
        tops, overshoot = ((1, *TOPS), OVERSHOOT) if floats else (TOPS, 1)
        top = next((top for top in tops if brightest <= overshoot * top), brightest)
    values = np.clip(np.nan_to_num(levels.astype(np.float64), posinf=top), 0, top)
    values *= 255
    values /= top
    return (np.rint if floats else np.floor)(values, out=values).astype(np.uint8)
