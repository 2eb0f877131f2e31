"""What is done to each picture before the network sees it, in training and afterwards."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from data import (CenterCrop, Compose, Normalize, PackedPictures, PCANoise, RandomCrop, RandomHorizontalFlip, Resize, Squash, SubtractMean,
                  TenCrop, UnreadableImage)

from .sources import ON_ERROR, batches, make_loader
from ..errors import UserError, told
from ..settings import Settings

MARGIN = 256 / 227                          # pictures are made this much larger than the crops taken from them
COLOURS = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}        # of ImageNet's pictures
BYTES = [1 / 255] * 3                       # the std with which Normalize keeps values within 0..255


def preprocessing(settings: Settings, pictures: Any) -> dict[str, Any]:
    """What a checkpoint must remember to see pictures as in training, by settings.normalize:

    "imagenet"      {"resize", "crop": pixels, "mean", "std": of red, green, blue within 0..1}
    "mean-pixel"    the same, with which Normalize subtracts the mean pixel of the training pictures from values within 0..255
    "mean-image"    also {"mean_image": float32 (resize, resize, 3)}, subtracted from values within 0..255
    """
    crop = settings.image_size
    resize = settings.resize or (crop if settings.data == "builtin" else _side_of_equal(pictures, crop) or round(crop * MARGIN))
    if resize < crop:
        raise UserError(f"--resize must be at least --image-size {crop}, not {resize}")
    if settings.normalize == "imagenet":
        return {"resize": resize, "crop": crop, **COLOURS}
    mean = mean_image(pictures, resize, settings)
    if settings.normalize == "mean-image":
        return {"resize": resize, "crop": crop, "mean": [0.0] * 3, "std": BYTES, "mean_image": mean}
    return {"resize": resize, "crop": crop, "mean": (mean.mean(axis=(0, 1), dtype=float) / 255).tolist(), "std": BYTES}


def _side_of_equal(pictures: Any, crop: int) -> int:
    """The side of pictures that are all square and equal, as packed ones are, if they have room for the crop; else 0."""
    side = getattr(pictures, "side", None) or 0
    return side if side >= crop else 0


def mean_image(pictures: Any, side: int, settings: Settings) -> np.ndarray:
    """Mean over pictures, each scaled and cut to its central side x side pixels -> float32 (side, side, 3), within 0..255."""
    if isinstance(pictures, PackedPictures) and pictures.side == side:
        return pictures.mean_image().astype(np.float32)
    from tqdm import tqdm
    total, count = np.zeros((side, side, 3)), 0
    loader = make_loader(pictures, test_transform({"resize": side, "crop": side, "mean": [0.0] * 3, "std": BYTES}), settings, shuffle=False)
    with loader, tqdm(total=len(pictures), desc="mean image", unit=" images", dynamic_ncols=True, disable=None, leave=False) as bar:
        for images, labels in batches(loader, report=lambda skipped: None):         # training will report them
            total += images.sum(axis=0, dtype=np.float64).transpose(1, 2, 0)
            count += len(labels)
            bar.update(len(labels))
    return (total / count).astype(np.float32)


def colour_noise(settings: Settings, pictures: Any) -> dict[str, Any]:
    """What PCANoise needs to know of the training pictures: {"eigenvalues", "components"}, in lists, from 1,000 of them."""
    from tqdm import tqdm
    count = min(1000, len(pictures))
    with told(UnreadableImage), tqdm(total=count, desc="colours", unit=" images", dynamic_ncols=True, disable=None, leave=False) as bar:
        noise = PCANoise.fit(pictures, settings.pca_noise, count, ON_ERROR[settings.on_error], bar.update)
    return {"eigenvalues": noise.eigenvalues.tolist(), "components": noise.components.tolist()}


def train_transform(settings: Settings, p: dict[str, Any], colours: dict[str, Any]) -> Compose:
    """Colour noise if asked for, a random crop (built-in pictures have no margin to crop), a mirrored half.

    p: preprocessing; colours: colour_noise, or nothing where there is none.
    """
    noise = [PCANoise(settings.pca_noise, **colours)] if settings.pca_noise else []
    crop = (RandomCrop if settings.random_crop else CenterCrop)(p["crop"])
    flip = [RandomHorizontalFlip()] if settings.flip else []
    return Compose([*_square(p), *noise, *_subtraction(p), crop, *flip, Normalize(p["mean"], p["std"])])


def test_transform(p: dict[str, Any], ten_crop: bool = False) -> Compose:
    crop = (TenCrop if ten_crop else CenterCrop)(p["crop"])
    return Compose([*_square(p), *_subtraction(p), crop, Normalize(p["mean"], p["std"])])


def _square(p: dict[str, Any]) -> list[Callable]:
    """The picture scaled and cut to its central square, 256 x 256 pixels in the paper, from which crops are taken."""
    if p.get("squash"):         # Caffe's weights
        return [Squash(p["resize"])]
    return [Resize(p["resize"]), CenterCrop(p["resize"])]


def _subtraction(p: dict[str, Any]) -> list[Callable]:
    return [SubtractMean(p["mean_image"])] if "mean_image" in p else []
