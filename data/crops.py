"""Cropping and mirroring arrays of images (..., H, W, 3)."""
from __future__ import annotations

import numpy as np


def crops_of(images: np.ndarray, indices: np.ndarray, top: np.ndarray, left: np.ndarray,
             size: int) -> np.ndarray:
    """The size x size pixels of images[index] from row top and column left on.

    images (N, H, W, 3), C-contiguous; indices, top and left broadcast -> (..., size, size, 3).
    Of a view of every crop there is, the wanted ones are copied: NumPy then moves whole rows of
    size * 3 values.
    """
    count, height, width, _ = images.shape
    image, row, pixel, value = images.strides
    windows = np.lib.stride_tricks.as_strided(
        images, (count, height - size + 1, width - size + 1, size, size * 3),
        (image, row, pixel, row, value), writeable=False)
    crops = windows[indices, top, left]
    return crops.reshape(*crops.shape[:-1], size, 3)


def middle(margin: int) -> int:
    """Where a crop begins that leaves `margin` pixels over: half of them.

    A half pixel is rounded to the even number beside it, as in torchvision.
    """
    return round(margin / 2)


def mirror(image: np.ndarray) -> np.ndarray:
    """Left and right exchanged in (..., H, W, 3), as a copy."""
    # A pixel moves faster as one item than as its three values.
    pixels = np.ascontiguousarray(image).view(f"V{3 * image.itemsize}")
    return np.ascontiguousarray(pixels[..., ::-1, :]).view(image.dtype)
