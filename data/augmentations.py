"""Random changes of training images, as in torchvision: cut and scale, colours, erased parts.

They are called as the steps of transforms.py: `step(image, rng)`, image uint8 (H, W, 3); but
RandomErasing comes after Normalize.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

from .checks import whole

Range = tuple[float, float]
TRIES = 10          # to draw a rectangle that fits


class RandomResizedCrop:
    """A rectangle from anywhere in the image, scaled to size x size pixels (Szegedy et al. 2015).

    scale           its area, a share of the image's, drawn from this range
    ratio           its width by its height, whose logarithm is drawn from this range
    interpolation   "bilinear", "bicubic", "nearest", "box", "hamming" or "lanczos"

    Where ten rectangles in turn do not fit, it is the largest central one that ratio allows.
    """

    def __init__(self, size: int, scale: Sequence[float] = (0.08, 1.0),
                 ratio: Sequence[float] = (3 / 4, 4 / 3), interpolation: str = "bilinear"):
        self.size = whole("RandomResizedCrop: size", size, 1)
        self.scale = _range("RandomResizedCrop: scale", scale, 0, 1)
        self.ratio = _range("RandomResizedCrop: ratio", ratio, 0.01, 100)
        self.interpolation = interpolation
        if str(interpolation).upper() not in Image.Resampling.__members__:
            raise ValueError("RandomResizedCrop: interpolation must be one of "
                             f"{', '.join(Image.Resampling.__members__).lower()}, "
                             f"not {interpolation!r}")

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        _check_bytes(self, image)
        top, left, height, width = self.rectangle(image.shape[0], image.shape[1], rng)
        picture = Image.fromarray(image[top:top + height, left:left + width])
        resampling = Image.Resampling[self.interpolation.upper()]
        return np.asarray(picture.resize((self.size, self.size), resampling))

    def rectangle(self, height: int, width: int,
                  rng: np.random.Generator) -> tuple[int, int, int, int]:
        """(top, left, height, width) of the part of an image of height x width pixels."""
        for _ in range(TRIES):
            w, h = _sides(height * width, self.scale, self.ratio, rng)
            if 0 < w <= width and 0 < h <= height:
                top, left = rng.integers(0, (height - h + 1, width - w + 1)).tolist()
                return top, left, h, w
        h = min(height, max(1, round(width / self.ratio[0])))
        w = min(width, max(1, round(height * self.ratio[1])))
        return (height - h) // 2, (width - w) // 2, h, w

    def __repr__(self) -> str:
        return (f"RandomResizedCrop({self.size}, scale={self.scale}, ratio={self.ratio}, "
                f"interpolation={self.interpolation!r})")


def _turn_hue(picture: Image.Image, turn: float) -> Image.Image:
    """All hues further by a part of the circle, in bytes."""
    hue, saturation, value = picture.convert("HSV").split()
    turned = np.asarray(hue) + np.uint8(int(turn * 255) % 256)      # 255 goes on at 0
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert("RGB")


ADJUST = {
    "brightness": lambda picture, factor: ImageEnhance.Brightness(picture).enhance(factor),
    "contrast": lambda picture, factor: ImageEnhance.Contrast(picture).enhance(factor),
    "saturation": lambda picture, factor: ImageEnhance.Color(picture).enhance(factor),
    "hue": _turn_hue,
}


class ColorJitter:
    """Change brightness, contrast, saturation and hue, in random order.

    brightness, contrast, saturation: the factor's range (low, high), or a number x for
    (max(0, 1 - x), 1 + x). A factor 0 makes the image black, of one grey, or grey; 1 leaves it as
    it is. hue: the range of the turn within -0.5..0.5 of the circle, or a number x for (-x, x).
    """

    def __init__(self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0):
        self.ranges = {name: _factors(name, value) for name, value in (
            ("brightness", brightness), ("contrast", contrast), ("saturation", saturation))}
        around = (-hue, hue) if isinstance(hue, Real) else hue
        self.ranges["hue"] = _range("ColorJitter: hue", around, -0.5, 0.5)

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        _check_bytes(self, image)
        picture = Image.fromarray(image)
        for name in rng.permutation([*self.ranges]):
            factor = rng.uniform(*self.ranges[name])
            if factor != (0 if name == "hue" else 1):
                picture = ADJUST[name](picture, factor)
        return np.asarray(picture)

    def __repr__(self) -> str:
        ranges = ", ".join(f"{name}={values}" for name, values in self.ranges.items())
        return f"ColorJitter({ranges})"


class RandomErasing:
    """With probability `p`, put `value` in a rectangle of an image that Normalize has made (Zhong
    et al. 2017): float (..., 3, H, W).

    scale   its area, a share of the image's, drawn from this range
    ratio   its height by its width, whose logarithm is drawn from this range
    value   a number, one number a channel, or "random" for N(0, 1) in each element; the mean
            colour is 0

    Where ten rectangles in turn do not fit, nothing is erased.
    """

    def __init__(self, p: float = 0.5, scale: Sequence[float] = (0.02, 0.33),
                 ratio: Sequence[float] = (0.3, 3.3), value: Any = 0):
        if not 0 <= p <= 1:
            raise ValueError(f"RandomErasing: p must lie within 0..1, not {p}")
        self.p, self.value = p, value if isinstance(value, str) else np.asarray(value).tolist()
        self.scale = _range("RandomErasing: scale", scale, 0, 1)
        self.ratio = _range("RandomErasing: ratio", ratio, 0.01, 100)
        if self.value != "random" and (np.shape(value) not in ((), (3,))
                                       or np.asarray(value).dtype.kind not in "fiu"):
            raise ValueError("RandomErasing: value must be a number, three numbers or 'random', "
                             f"not {value!r}")

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if image.dtype.kind != "f" or image.shape[-3] != 3:
            raise ValueError(f"{self!r}: takes what Normalize gives, not {image.dtype} "
                             f"{image.shape}; put it behind")
        if rng.random() >= self.p:
            return image
        height, width = image.shape[-2:]
        for _ in range(TRIES):
            h, w = _sides(height * width, self.scale, self.ratio, rng)
            if h < height and w < width:
                top, left = rng.integers(0, (height - h + 1, width - w + 1))
                image = image.copy(order="K")
                image[..., top:top + h, left:left + w] = self._values(h, w, rng)
                break
        return image

    def _values(self, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        if isinstance(self.value, str):
            return rng.standard_normal((3, height, width))
        return np.broadcast_to(self.value, 3)[:, None, None]

    def __repr__(self) -> str:
        return (f"RandomErasing(p={self.p}, scale={self.scale}, ratio={self.ratio}, "
                f"value={self.value!r})")


def _sides(area: int, scale: Range, ratio: Range, rng: np.random.Generator) -> tuple[int, int]:
    """The sides of a rectangle, the first by the second being the ratio."""
    share = area * rng.uniform(*scale)
    by = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
    return round(math.sqrt(share * by)), round(math.sqrt(share / by))


def _check_bytes(step: Any, image: np.ndarray) -> None:
    if image.dtype != np.uint8:
        raise ValueError(f"{step!r}: takes uint8 (H, W, 3), not {image.dtype}; "
                         "put it before SubtractMean and Normalize")


def _factors(name: str, value: Any) -> Range:
    if isinstance(value, Real):
        value = float(value)
        if not value >= 0:
            raise ValueError(f"ColorJitter: {name} must not be negative, it is {value:g}")
        value = max(0.0, 1 - value), 1 + value
    return _range(f"ColorJitter: {name}", value, 0, math.inf)


def _range(name: str, values: Any, lowest: float, highest: float) -> Range:
    low, high = values if np.shape(values) == (2,) else (math.nan, math.nan)
    if not lowest <= low <= high <= highest or high == math.inf:
        limits = f"within {lowest}..{highest}" if highest < math.inf else f"of at least {lowest}"
        raise ValueError(f"{name} must be a range (low, high) {limits}, not {values!r}")
    return float(low), float(high)
