"""Cutting a batch into pieces: what the convolution algorithms share."""
import math
from typing import NamedTuple, overload

import numpy as np

from .memory import empty, scratch

PIECES = 8              # at least so many strips, if there are that many images: work for every thread


class Strip(NamedTuple):
    """Rows start ... stop (of pixels, or of tiles) of some images, each of so many columns."""
    images: slice
    start: int
    stop: int
    columns: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(images, rows, columns)"""
        return self.images.stop - self.images.start, self.stop - self.start, self.columns

    @property
    def tiles(self) -> int:
        return math.prod(self.shape)


def split(size: int, step: int) -> list[slice]:
    """0 ... size in slices of step, the last one shorter."""
    return [slice(start, min(start + step, size)) for start in range(0, size, step)]


def strips(images: int, rows: int, columns: int, row_bytes: int, limit: int) -> list[Strip]:
    """All rows of all images in strips of at most limit bytes: a part of an image, or several images, for calls that are worth making."""
    if rows * row_bytes > limit:
        parts = split_evenly(rows, max(1, limit // row_bytes))
        return [Strip(slice(i, i + 1), part.start, part.stop, columns) for i in range(images) for part in parts]
    together = max(1, min(limit // (rows * row_bytes), -(-images // PIECES)))
    return [Strip(n, 0, rows, columns) for n in split(images, together)]


def split_evenly(size: int, limit: int) -> list[slice]:
    """0 ... size in the fewest slices of at most limit, nearly equal."""
    return split(size, -(-size // -(-size // limit)))


@overload
def channels_last(array: np.ndarray) -> np.ndarray: ...
@overload
def channels_last(array: None) -> None: ...


def channels_last(array):
    """The view (N, H, W, C) of array (N, C, H, W)."""
    return None if array is None else array.transpose(0, 2, 3, 1)


def empty_channels_last(shape: tuple[int, int, int, int], dtype) -> np.ndarray:
    """Uninitialised (N, C, H, W) whose memory is (N, H, W, C)."""
    N, C, H, W = shape
    return empty((N, H, W, C), dtype).transpose(0, 3, 1, 2)


def select(condition: np.ndarray, x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """x where condition, else 0, even for an infinite x: as `numpy.where`, by multiplying bits by 1 or 0, because that does not branch."""
    bits = f"i{x.itemsize}"
    np.multiply(x.view(bits), condition, out=out.view(bits))
    return out


def load_strip(name: str, x: np.ndarray, relu_of: np.ndarray | None, images: slice, top: int, left: int,
               size: tuple[int, int]) -> np.ndarray:
    """The windows (n, height, width, C) of images of x (N, H, W, C) at (top, left), 0 outside: a copy in the scratch of that name.

    With relu_of, shaped as x, also 0 where relu_of <= 0: the gradient behind a relu.
    """
    (height, width), (H, W, C) = size, x.shape[1:]
    (r0, r1), (c0, c1) = _on_image(top, height, H), _on_image(left, width, W)
    windows = scratch(name, (images.stop - images.start, height, width, C), x.dtype)
    if r1 - r0 < height:
        windows[:, :r0] = windows[:, r1:] = 0
    if c1 - c0 < width:
        windows[:, r0:r1, :c0] = windows[:, r0:r1, c1:] = 0
    inside = np.s_[images, top + r0: top + r1, left + c0: left + c1]
    if relu_of is None:
        windows[:, r0:r1, c0:c1] = x[inside]
    else:
        select(relu_of[inside] > 0, x[inside], windows[:, r0:r1, c0:c1])
    return windows


def _on_image(start: int, size: int, image: int) -> tuple[int, int]:
    """Along one side: the part, from the first cell to the one behind the last, of a window at start that lies on the image."""
    first = min(max(0, -start), size)
    return first, max(first, min(size, image - start))


class Source(NamedTuple):
    """What a stride-1 convolution reads: x (N, H, W, C), 0 where relu_of <= 0, and padded."""
    x: np.ndarray
    relu_of: np.ndarray | None
    padding: tuple[int, int]

    def load(self, name: str, images: slice, top: int, left: int, size: tuple[int, int]) -> np.ndarray:
        """The windows (n, height, width, C) at (top, left), counted from the corner of the padding, in the scratch of that name."""
        return load_strip(name, self.x, self.relu_of, images, top - self.padding[0], left - self.padding[1], size)
