"""From a decoded image to the network's input, as in the 2012 paper (section 4.1): crops and flips.

Each step is called as `step(image, rng)`, with image uint8 (H, W, 3) and rng a NumPy Generator,
which steps without chance ignore. All steps but SubtractMean and Normalize (colours.py) keep the
dtype. Bytes are four times less to move than floats, so the conversion comes last, once, unless
each pixel has a mean of its own, which must be subtracted before cropping and mirroring.
"""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

from .checks import whole
from .crops import middle, mirror
from .protocols import Transform


class Compose:
    """`steps`, one after the other."""

    def __init__(self, steps: Iterable[Transform]):
        self.steps = list(steps)
        for step in self.steps:
            if not callable(step):
                raise TypeError(f"Compose: steps must be transforms, not {step!r}")

    def __call__(self, image: np.ndarray, rng: Any) -> np.ndarray:
        for step in self.steps:
            image = step(image, rng)
        return image

    def __repr__(self) -> str:
        return "Compose([" + ", ".join(map(repr, self.steps)) + "])"


class Resize:
    """Scale the shorter side to `shorter_side` pixels, keeping proportions.

    Bilinear, averaged over all source pixels when shrinking. The longer side is cut to whole
    pixels, not rounded, as in torchvision: published weights then see what they were trained on.
    """

    def __init__(self, shorter_side: int):
        self.shorter_side = whole("Resize: shorter_side", shorter_side, 1)

    def __call__(self, image: np.ndarray, rng: Any) -> np.ndarray:
        if min(image.shape[:2]) == self.shorter_side:
            return image
        return np.asarray(self.scale(Image.fromarray(image)))

    def scale(self, image: Image.Image) -> Image.Image:
        """The same from one Pillow image to another."""
        shorter = min(image.size)
        if shorter == self.shorter_side:
            return image
        width, height = (side * self.shorter_side // shorter for side in image.size)
        return image.resize((width, height), Image.Resampling.BILINEAR)

    def __repr__(self) -> str:
        return f"Resize({self.shorter_side})"


class Squash:
    """Scale to `side` x `side` pixels, whatever the proportions: what Caffe did to ImageNet."""

    def __init__(self, side: int):
        self.side = whole("Squash: side", side, 1)

    def __call__(self, image: np.ndarray, rng: Any) -> np.ndarray:
        size = self.side, self.side
        if image.shape[:2] == size:
            return image
        return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))

    def __repr__(self) -> str:
        return f"Squash({self.side})"


class CenterCrop:
    """The central size x size pixels."""

    def __init__(self, size: int):
        self.size = whole("CenterCrop: size", size, 1)

    def __call__(self, image: np.ndarray, rng: Any) -> np.ndarray:
        _check_fits(self, image)
        top, left = middle(image.shape[0] - self.size), middle(image.shape[1] - self.size)
        return image[top:top + self.size, left:left + self.size]

    def __repr__(self) -> str:
        return f"CenterCrop({self.size})"


class RandomCrop:
    """size x size pixels from anywhere, after `padding` black pixels were put on every side."""

    def __init__(self, size: int, padding: int = 0):
        self.size = whole("RandomCrop: size", size, 1)
        self.padding = whole("RandomCrop: padding", padding, 0)

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.padding:
            image = np.pad(image, ((self.padding,) * 2, (self.padding,) * 2, (0, 0)))
        _check_fits(self, image)
        height, width = image.shape[:2]
        top, left = rng.integers(0, (height - self.size + 1, width - self.size + 1))
        return image[top:top + self.size, left:left + self.size]

    def __repr__(self) -> str:
        return f"RandomCrop({self.size}, padding={self.padding})"


class TenCrop:
    """The four corners and the centre, then the same mirrored -> uint8 (10, size, size, 3)"""

    def __init__(self, size: int):
        self.size = whole("TenCrop: size", size, 1)

    def __call__(self, image: np.ndarray, rng: Any) -> np.ndarray:
        _check_fits(self, image)
        crops = np.stack([image[top:top + self.size, left:left + self.size]
                          for top, left in self.places(*image.shape[:2])])
        return np.concatenate([crops, mirror(crops)])

    def places(self, height: int, width: int) -> tuple[tuple[int, int], ...]:
        """(top, left) of the five crops of an image."""
        bottom, right = height - self.size, width - self.size
        return (0, 0), (0, right), (bottom, 0), (bottom, right), (middle(bottom), middle(right))

    def __repr__(self) -> str:
        return f"TenCrop({self.size})"


def _check_fits(step: CenterCrop | RandomCrop | TenCrop, image: np.ndarray) -> None:
    height, width = image.shape[:2]
    if min(height, width) < step.size:
        raise ValueError(f"{step!r}: the picture has only {height} x {width} pixels; "
                         "put a Resize before")


class RandomHorizontalFlip:
    """Mirror left and right with probability `p`."""

    def __init__(self, p: float = 0.5):
        if not 0 <= p <= 1:
            raise ValueError(f"RandomHorizontalFlip: p must lie within 0..1, not {p}")
        self.p = p

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return mirror(image) if rng.random() < self.p else image

    def __repr__(self) -> str:
        return f"RandomHorizontalFlip(p={self.p})"
