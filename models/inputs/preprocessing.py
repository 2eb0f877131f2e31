"""What is done to each image before the network sees it, in training and afterwards."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from data import (CenterCrop, ColorJitter, Compose, Normalize, PackedPictures, PCANoise, RandomCrop,
                  RandomErasing, RandomHorizontalFlip, RandomResizedCrop, Resize, Squash,
                  SubtractMean, TenCrop, UnreadableImage)

from ..errors import SettingError, as_user_error
from ..progress import SILENT, Progress
from ..settings import Settings
from .sources import ON_ERROR, batches, make_loader

MARGIN = 256 / 227                  # images are made this much larger than the crops taken of them
COLOURS = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}     # of ImageNet's images
BYTES = [1 / 255] * 3               # the std with which Normalize keeps values within 0..255


def preprocessing(settings: Settings, images: Any, progress: Progress = SILENT) -> dict[str, Any]:
    """What a checkpoint must remember to see images as in training, by settings.normalize:

    "imagenet"      {"resize", "crop": pixels, "mean", "std": of red, green, blue within 0..1}
    "mean-pixel"    the same, with which Normalize subtracts the mean pixel of the training images
                    from values within 0..255
    "mean-image"    also {"mean_image": float32 (resize, resize, 3)}, subtracted from values within
                    0..255
    """
    crop = settings.image_size
    resize = settings.resize or _usual_side(settings, images)
    if resize < crop:
        raise SettingError("resize", f" must be at least the image size {crop}, not {resize}")
    if settings.normalize == "imagenet":
        return {"resize": resize, "crop": crop, **COLOURS}
    image = mean_image(images, resize, settings, progress)
    if settings.normalize == "mean-image":
        return {"resize": resize, "crop": crop, "mean": [0.0] * 3, "std": BYTES,
                "mean_image": image}
    pixel = (image.mean(axis=(0, 1), dtype=float) / 255).tolist()
    return {"resize": resize, "crop": crop, "mean": pixel, "std": BYTES}


def _usual_side(settings: Settings, images: Any) -> int:
    """The crop's of built-in images; packed images' own if there is room for the crop."""
    crop = settings.image_size
    if settings.data == "builtin":
        return crop
    side = getattr(images, "side", None) or 0           # of images that are all square and equal
    return side if side >= crop else round(crop * MARGIN)


def mean_image(images: Any, side: int, settings: Settings, progress: Progress) -> np.ndarray:
    """Mean over images, each scaled and cut to its central side x side pixels.

    -> float32 (side, side, 3), within 0..255
    """
    if isinstance(images, PackedPictures) and images.side == side:
        return images.mean_image().astype(np.float32)
    total, count = np.zeros((side, side, 3)), 0
    in_bytes = evaluation_transform(
        {"resize": side, "crop": side, "mean": [0.0] * 3, "std": BYTES})
    loader = make_loader(images, in_bytes, settings, shuffle=False)
    with loader, progress.bar(len(images), "mean image") as bar:
        for batch, labels in batches(loader, lambda skipped: None):     # training will report them
            total += batch.sum(axis=0, dtype=np.float64).transpose(1, 2, 0)
            count += len(labels)
            bar.update(len(labels))
    return (total / count).astype(np.float32)


def colour_noise(settings: Settings, images: Any, progress: Progress = SILENT) -> dict[str, Any]:
    """What PCANoise needs to know of the training images, from 1,000 of them.

    -> {"eigenvalues", "components"}, in lists
    """
    count = min(1000, len(images))
    with as_user_error(UnreadableImage), progress.bar(count, "colours") as bar:
        noise = PCANoise.fit(images, settings.pca_noise, count, ON_ERROR[settings.on_error],
                             bar.update)
    return {"eigenvalues": noise.eigenvalues.tolist(), "components": noise.components.tolist()}


def train_transform(settings: Settings, p: dict[str, Any], colours: dict[str, Any]) -> Compose:
    """A random crop (built-in images have no margin), a mirrored half, and what else is asked for.

    p: preprocessing; colours: colour_noise, or nothing where there is none.
    """
    square, crop = _square(p), [RandomCrop(p["crop"], settings.crop_padding)
                                if settings.random_crop else CenterCrop(p["crop"])]
    _check_padding(settings, p["crop"])
    if settings.random_resized_crop:
        if "mean_image" in p:
            raise SettingError("random_resized_crop", " moves pixels away from their places in "
                               "the mean picture: normalize by mean-pixel or imagenet instead")
        square, crop = [RandomResizedCrop(p["crop"], (settings.random_resized_crop, 1))], []
    noise = [PCANoise(settings.pca_noise, **colours)] if settings.pca_noise else []
    jitter = [ColorJitter(*settings.color_jitter)] if any(settings.color_jitter) else []
    flip = [RandomHorizontalFlip()] if settings.flip else []
    erasing = [RandomErasing(settings.random_erasing)] if settings.random_erasing else []
    return Compose([*square, *noise, *jitter, *_subtraction(p), *crop, *flip,
                    Normalize(p["mean"], p["std"]), *erasing])


def _check_padding(settings: Settings, crop: int) -> None:
    padding = settings.crop_padding
    if padding and (settings.random_resized_crop or not settings.random_crop):
        raise SettingError("crop_padding", f" {padding} is for random crops, of which there are "
                           "none here")
    if padding >= crop:
        raise SettingError("crop_padding", f" must be less than the {crop} pixels of a crop, "
                           f"not {padding}: some would hold nothing of the picture")


def evaluation_transform(p: dict[str, Any], ten_crop: bool = False) -> Compose:
    """The central crop, or ten crops; p: preprocessing."""
    crop = (TenCrop if ten_crop else CenterCrop)(p["crop"])
    return Compose([*_square(p), *_subtraction(p), crop, Normalize(p["mean"], p["std"])])


def _square(p: dict[str, Any]) -> list[Callable]:
    """The image scaled and cut to its central square, 256 x 256 in the paper, to take crops of.

    Where a square's margin around the crop is odd, a crop of it may lie a pixel beside that of the
    whole image: weights that were trained with the latter say "square": False.
    """
    if p.get("squash"):         # Caffe's weights
        return [Squash(p["resize"])]
    if not p.get("square", True):
        return [Resize(p["resize"])]
    return [Resize(p["resize"]), CenterCrop(p["resize"])]


def _subtraction(p: dict[str, Any]) -> list[Callable]:
    return [SubtractMean(p["mean_image"])] if "mean_image" in p else []
