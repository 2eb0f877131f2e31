"""Cutting the work of a kernel into portions. Three words name a portion:

    tile     the m x m pixels of an output that Winograd's formula computes at once
    block    what a few calls in a row work on while it is in cache: a run of elements, rows of
             images, or a number of tiles
    task     what a thread takes at once (see `threads.parallel_for`): one block, or several

How the work is cut follows from the sizes alone, never from the number of threads, and so the
results do not depend on that number either.
"""
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, overload

import numpy as np

from ..geometry import Pair
from . import tuning
from .memory import empty, scratch
from .threads import parallel_for

T = TypeVar("T")


# ---- cutting -------------------------------------------------------------------------------------

def split(size: int, step: int) -> list[slice]:
    """0 ... size in slices of step, the last one shorter."""
    return [slice(start, min(start + step, size)) for start in range(0, size, step)]


def split_evenly(size: int, limit: int) -> list[slice]:
    """0 ... size in the fewest slices of at most limit, nearly equal."""
    return split(size, -(-size // -(-size // limit)))


class Rows(NamedTuple):
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
    def size(self) -> int:
        """Pixels, or tiles."""
        return math.prod(self.shape)


def row_blocks(images: int, rows: int, columns: int, row_bytes: int, limit: int) -> list[Rows]:
    """All rows of all images in blocks of at most limit bytes.

    A block is a part of one image, or several whole images, for calls that are worth making.
    """
    if rows * row_bytes > limit:
        parts = split_evenly(rows, max(1, limit // row_bytes))
        return [Rows(slice(i, i + 1), part.start, part.stop, columns)
                for i in range(images) for part in parts]
    together = max(1, min(limit // (rows * row_bytes), -(-images // tuning.BLOCKS_OF_IMAGES)))
    return [Rows(n, 0, rows, columns) for n in split(images, together)]


# ---- sums over blocks ----------------------------------------------------------------------------

def tasks_of(blocks: Sequence[T], most: int) -> list[Sequence[T]]:
    """The blocks as at most so many tasks of neighbouring blocks."""
    return [blocks[some] for some in split(len(blocks), max(1, -(-len(blocks) // most)))]


def sum_over(tasks: Sequence[Sequence[T]], add: Callable[[T, np.ndarray, bool], Any],
             sums: np.ndarray) -> np.ndarray:
    """The sum of what the blocks of all tasks add: sums[0], in the end.

    Each task has a sum of its own, sums[i]. Then these are added in order, so that the result
    rounds alike on any number of threads. add(block, total, fresh) adds a block's part to total, or
    writes it there if total is fresh.
    """
    def run(index: int) -> None:
        for i, block in enumerate(tasks[index]):
            add(block, sums[index], i == 0)

    parallel_for(run, range(len(tasks)), uses_blas=True)
    for other in sums[1:]:
        np.add(sums[0], other, out=sums[0])
    return sums[0]


def add_product(a: np.ndarray, b: np.ndarray, total: np.ndarray, fresh: bool) -> None:
    """total += a · b, or total = a · b if it is fresh."""
    product = total if fresh else scratch("product", total.shape, total.dtype)
    np.matmul(a, b, out=product)
    if not fresh:
        np.add(total, product, out=total)


# ---- views and copies ----------------------------------------------------------------------------

@overload
def as_nhwc(array: np.ndarray) -> np.ndarray: ...
@overload
def as_nhwc(array: None) -> None: ...


def as_nhwc(array):
    """The view (N, H, W, C) of array (N, C, H, W)."""
    return None if array is None else array.transpose(0, 2, 3, 1)


def empty_nhwc(shape: tuple[int, ...], dtype) -> np.ndarray:
    """Uninitialised (N, C, H, W) whose memory is (N, H, W, C)."""
    N, C, H, W = shape
    return empty((N, H, W, C), dtype).transpose(0, 3, 1, 2)


def flat_views(*arrays: np.ndarray) -> list[np.ndarray] | None:
    """The arrays as one-dimensional views in their order in memory; None unless all are dense and
    in the same order."""
    order = sorted(range(arrays[0].ndim), key=lambda axis: -arrays[0].strides[axis])
    in_order = [a.transpose(order) for a in arrays]
    dense = all(a.flags.c_contiguous for a in in_order)
    return [a.reshape(-1) for a in in_order] if dense else None


def select(condition: np.ndarray, x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """x where condition, else 0, even for an infinite x: as `numpy.where`.

    It multiplies the bits of x by 1 or 0, because that does not branch.
    """
    bits = f"i{x.itemsize}"
    np.multiply(x.view(bits), condition, out=out.view(bits))
    return out


class PaddedInput(NamedTuple):
    """What a convolution reads: x (N, H, W, C) and zeros around it.

    With relu_output, of x's shape, x counts as 0 where relu_output is 0: the gradient behind a
    relu.
    """
    x: np.ndarray
    relu_output: np.ndarray | None = None
    padding: Pair = (0, 0)

    def channels(self, some: slice) -> "PaddedInput":
        relu_output = None if self.relu_output is None else self.relu_output[..., some]
        return self._replace(x=self.x[..., some], relu_output=relu_output)

    def images(self, some: slice | np.ndarray) -> "PaddedInput":
        relu_output = None if self.relu_output is None else self.relu_output[some]
        return self._replace(x=self.x[some], relu_output=relu_output)

    def load(self, name: str, images: slice, top: int, left: int, size: Pair) -> np.ndarray:
        """A copy (n, height, width, C) in the scratch of that name, of the size at (top, left)
        counted from the corner of the padding."""
        (height, width), (H, W, C) = size, self.x.shape[1:]
        top, left = top - self.padding[0], left - self.padding[1]
        (r0, r1), (c0, c1) = _on_image(top, height, H), _on_image(left, width, W)
        copy = scratch(name, (images.stop - images.start, height, width, C), self.x.dtype)
        if r1 - r0 < height:
            copy[:, :r0] = copy[:, r1:] = 0
        if c1 - c0 < width:
            copy[:, r0:r1, :c0] = copy[:, r0:r1, c1:] = 0
        inside = np.s_[images, top + r0: top + r1, left + c0: left + c1]
        if self.relu_output is None:
            copy[:, r0:r1, c0:c1] = self.x[inside]
        else:
            select(self.relu_output[inside] != 0, self.x[inside], copy[:, r0:r1, c0:c1])
        return copy


def _on_image(start: int, size: int, image: int) -> tuple[int, int]:
    """Along one side: the part, from the first cell to the one behind the last, of a window at
    start that lies on the image."""
    first = min(max(0, -start), size)
    return first, max(first, min(size, image - start))
