"""The steps of a transform that change values: colour noise, mean images, normalisation.

They are called as those of transforms.py: `step(image, rng)`, image uint8 (H, W, 3).
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .checks import whole
from .images import UnreadableImage
from .protocols import Dataset

# Of the covariance of ImageNet's colours within 0..1, in common use; a component is a column.
EIGENVALUES = (0.2175, 0.0188, 0.0045)
COMPONENTS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))


class PCANoise:
    """Shift an image along the principal components of the training set's colours (2012, 4.1).

    Adds `components @ (alpha * eigenvalues)` with alpha ~ N(0, sigma), drawn once per image, to
    colours within 0..1; eigenvalues (3,), components (3, 3). The sum is rounded to bytes.
    """

    def __init__(self, sigma: float = 0.1, eigenvalues: Any = EIGENVALUES,
                 components: Any = COMPONENTS):
        if not sigma >= 0:
            raise ValueError(f"PCANoise: sigma must not be negative, it is {sigma}")
        self.sigma = sigma
        self.eigenvalues = _three_numbers("PCANoise: eigenvalues", eigenvalues)
        self.components = np.array(components, np.float32)
        if self.components.shape != (3, 3):
            raise ValueError("PCANoise: components must be 3 x 3, one component a column, not "
                             f"{self.components.shape}")

    @classmethod
    def fit(cls, dataset: Dataset, sigma: float = 0.1, images: int = 1000, on_error: str = "raise",
            report: Callable[[int], object] = lambda count: None) -> PCANoise:
        """The noise for `dataset`, from the colours of `images` images, evenly spread over it.

        `report(1)` is called for each. An unreadable one raises UnreadableImage, unless `on_error`
        is "skip" and there are others.
        """
        images = min(whole("PCANoise: images", images, 1), len(dataset))
        chosen = np.linspace(0, len(dataset) - 1, images).astype(int)
        count, total, products = 0, np.zeros(3), np.zeros((3, 3))
        for index in chosen:
            report(1)
            try:
                colours = dataset[index][0].reshape(-1, 3) / 255
            except UnreadableImage:
                if on_error == "raise" or (index == chosen[-1] and not count):
                    raise
                continue
            count += len(colours)
            total += colours.sum(axis=0)
            products += colours.T @ colours
        mean = total / count
        eigenvalues, components = np.linalg.eigh(products / count - np.outer(mean, mean))
        return cls(sigma, np.maximum(eigenvalues, 0), components)

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return add_colour(image, self.shift(rng.normal(0, self.sigma, 3)))

    def shift(self, alpha: np.ndarray) -> np.ndarray:
        """What alpha (..., 3) adds to red, green and blue -> whole numbers (..., 3) of bytes"""
        return np.rint(255 * (alpha * self.eigenvalues @ self.components.T))

    def __repr__(self) -> str:
        return f"PCANoise(sigma={self.sigma}, eigenvalues={self.eigenvalues.tolist()})"


class SubtractMean:
    """Subtract the mean image (H, W, 3), pixel by pixel, from one of its size (2012, section 2).

    uint8 (H, W, 3) -> float32 (H, W, 3)
    """

    def __init__(self, mean: Any):
        self.mean = np.asarray(mean, np.float32)
        if self.mean.ndim != 3 or self.mean.shape[2] != 3 or not np.isfinite(self.mean).all():
            raise ValueError("SubtractMean: mean must be a picture (H, W, 3) of finite numbers, "
                             f"not {self.mean.shape}")

    def __call__(self, image: np.ndarray, rng: Any) -> np.ndarray:
        if image.shape != self.mean.shape:
            raise ValueError(f"{self!r}: the picture is {image.shape[0]} x {image.shape[1]}; "
                             "put a Resize and a CenterCrop before")
        return image - self.mean

    def __repr__(self) -> str:
        return f"SubtractMean({self.mean.shape[0]} x {self.mean.shape[1]})"


class Normalize:
    """(image / 255 - mean) / std, channel by channel -> float32 (3, H, W), or (10, 3, H, W).

    Memory stays channels last, (..., H, W, 3), as the image came and as convolutions like it.
    """

    def __init__(self, mean: Any, std: Any):
        self.mean = _three_numbers("Normalize: mean", mean)
        self.std = _three_numbers("Normalize: std", std)
        if not (self.std > 0).all():
            raise ValueError(f"Normalize: std must be positive, not {std!r}")

    def __call__(self, image: np.ndarray, rng: Any) -> np.ndarray:
        return np.moveaxis(self.normalize(image, np.empty(image.shape, np.float32)), -1, -3)

    def normalize(self, image: np.ndarray, out: np.ndarray) -> np.ndarray:
        """image (..., H, W, 3), bytes or floats, into out, float32 and as large -> out"""
        rows, width = (*image.shape[:-2], -1), image.shape[-2]
        scale, offset = _row(1 / (255 * self.std), width), _row(self.mean / self.std, width)
        values = np.multiply(image.reshape(rows), scale, out=out.reshape(rows))
        values -= offset
        return out

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean.tolist()}, std={self.std.tolist()})"


def add_colour(image: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """image (..., H, W, 3) + shift (..., 3), whole numbers, held within 0..255 -> uint8

    All in bytes, which is fast.
    """
    width = image.shape[-2]
    up = _row(np.clip(shift, 0, 255).astype(np.uint8), width)[..., None, :]
    down = _row(np.clip(-shift, 0, 255).astype(np.uint8), width)[..., None, :]
    values = np.minimum(image.reshape(*image.shape[:-2], -1), 255 - up)
    values += up
    np.maximum(values, down, out=values)
    values -= down
    return values.reshape(image.shape)


def _row(colour: np.ndarray, width: int) -> np.ndarray:
    """colour (..., 3) for each of `width` pixels -> (..., width * 3)

    NumPy is eight times faster along such rows than along colours.
    """
    return np.tile(colour, width)


def _three_numbers(name: str, values: Any) -> np.ndarray:
    array = np.array(values, np.float32)
    if array.shape != (3,) or not np.isfinite(array).all():
        raise ValueError(f"{name} must be three finite numbers (red, green, blue), not {values!r}")
    return array
