"""Batch normalisation in blocks that stay in cache, of wide rows.

A channel's numbers lie C apart. A row of one pixel's channels is short for NumPy, which starts anew
at each; so several pixels make a wide row, beside which the channels' values stand as often.
"""
from typing import NamedTuple

import numpy as np

from ..epilogue import Epilogue, Needs
from . import activation as activations
from . import tuning
from .blocks import as_nhwc, empty_nhwc, split
from .epilogue import finish
from .memory import scratch
from .threads import parallel_for


class WideRows:
    """How the pixels of images (N, C, H, W) are cut into blocks, and these into wide rows.

    Sums over a block's rows are of the images' dtype, and hold few terms; all others are float64.
    """

    def __init__(self, images: np.ndarray):
        self.C, self.dtype = images.shape[1], images.dtype
        self.pixels = images.size // self.C
        self.repeats = max(1, tuning.WIDE_ROW // self.C)
        whole = self.pixels - self.pixels % self.repeats
        rows = max(1, tuning.BLOCK_ELEMENTS // (self.repeats * self.C))
        rest = [slice(whole, self.pixels)] if whole < self.pixels else []   # shorter than a row
        self.blocks = split(whole, rows * self.repeats) + rest

    def of(self, images: np.ndarray) -> np.ndarray:
        """(pixels, C), a view where the memory is channels-last and dense."""
        return np.ascontiguousarray(as_nhwc(images)).reshape(self.pixels, self.C)

    def cut(self, block: slice, *arrays: np.ndarray) -> list[np.ndarray]:
        """The block of each of the arrays (pixels, C), as wide rows."""
        width = min(self.repeats, block.stop - block.start) * self.C
        return [a[block].reshape(-1, width) for a in arrays]

    def beside(self, values: np.ndarray) -> np.ndarray:
        """values (C,) as often as a wide row holds them, in the images' dtype."""
        return np.tile(values.astype(self.dtype), self.repeats)

    def by_channel(self, sums: np.ndarray) -> np.ndarray:
        """(C,) of the sums of a wide row's columns."""
        return sums.reshape(-1, self.C).sum(axis=0, dtype=np.float64)


class Affine(NamedTuple):
    """w (x - mean) / deviation as scale · (x - near) + shift.

    near is the mean rounded to x's dtype, and shift takes back what the rounding moved; or near is
    None, and shift takes back the mean: a pass less, as precise where no mean is large.
    """
    near: np.ndarray | None
    scale: np.ndarray
    moved: np.ndarray           # near - mean
    deviation: np.ndarray

    def apart(self, x: np.ndarray, rows: WideRows) -> np.ndarray:
        """x - near of a block, in scratch."""
        if self.near is None:
            return x
        near = rows.beside(self.near)[:x.shape[1]]
        return np.subtract(x, near, out=scratch("apart", x.shape, x.dtype))


def _affine(x: np.ndarray, w: np.ndarray | None, mean: np.ndarray, variance: np.ndarray,
            eps: float) -> Affine:
    deviation = np.sqrt(variance.astype(np.float64) + eps)
    near = None if _are_near_zero(mean, deviation) else mean.astype(x.dtype)
    moved = (0 if near is None else near.astype(np.float64)) - mean
    return Affine(near, (1.0 if w is None else w) / deviation, moved, deviation)


def _are_near_zero(means: np.ndarray, deviations: np.ndarray) -> bool:
    """Whether squares lose two bits at most for not being taken around the means."""
    return bool((np.abs(means) <= 2 * deviations).all())


def batch_statistics(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each block's around its own mean, then put together (Chan, Golub and LeVeque 1979)."""
    rows = WideRows(x)
    all_x, count = rows.of(x), len(rows.blocks)
    means, squares = np.empty((count, rows.C)), np.empty((count, rows.C))
    sizes = np.array([[block.stop - block.start] for block in rows.blocks], np.float64)

    def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(C,) the means of x and of (x - mean)²."""
        pixels = x.size // rows.C
        mean = rows.by_channel(np.add.reduce(x, axis=0)) / pixels
        return mean, rows.by_channel(np.einsum("ij,ij->j", x, x)) / pixels - mean**2

    def task(i: int) -> None:
        x, = rows.cut(rows.blocks[i], all_x)
        means[i], squares[i] = moments(x)
        if not _are_near_zero(means[i], np.sqrt(np.maximum(squares[i], 0))):
            about = means[i].astype(x.dtype)
            apart = np.subtract(x, rows.beside(about)[:x.shape[1]],
                                out=scratch("apart", x.shape, x.dtype))
            means[i], squares[i] = moments(apart)
            means[i] += about
        squares[i] *= sizes[i]

    parallel_for(task, range(count))
    mean = (sizes * means).sum(axis=0) / rows.pixels
    between = (sizes * (means - mean)**2).sum(axis=0)
    return mean, np.maximum(squares.sum(axis=0) + between, 0) / rows.pixels


def batch_norm(x: np.ndarray, w: np.ndarray | None, epilogue: Epilogue, mean: np.ndarray,
               variance: np.ndarray, eps: float) -> np.ndarray:
    rows, y, a = WideRows(x), empty_nhwc(x.shape, x.dtype), _affine(x, w, mean, variance, eps)
    bias = 0.0 if epilogue.bias is None else epilogue.bias
    scale, shift = map(rows.beside, (a.scale, bias + a.moved * a.scale))
    all_x, all_y = rows.of(x), rows.of(y)
    residual = None if epilogue.residual is None else rows.of(epilogue.residual)

    def task(block: slice) -> None:
        x, y = rows.cut(block, all_x, all_y)
        around = None if residual is None else rows.cut(block, residual)[0]
        width = x.shape[1]
        np.multiply(a.apart(x, rows), scale[:width], out=y)
        finish(y, Epilogue(shift[:width], around, epilogue.activation), out=y)

    parallel_for(task, rows.blocks)
    return y


def batch_norm_backward(dy: np.ndarray, x: np.ndarray, w: np.ndarray | None, y: np.ndarray | None,
                        mean: np.ndarray, variance: np.ndarray, eps: float, of_batch: bool,
                        activation: str | None, needs: Needs) -> tuple[np.ndarray | None, ...]:
    rows, a = WideRows(x), _affine(x, w, mean, variance, eps)
    all_x, before = rows.of(x), dy if activation is None else empty_nhwc(x.shape, x.dtype)
    db, along = _sums(rows, dy, all_x, y, before, a, activation)
    dx = None
    if needs[0]:
        dx = empty_nhwc(x.shape, x.dtype) if before is dy or needs[3] else before
        _write_dx(rows, rows.of(before), all_x, rows.of(dx), a, (db, along) if of_batch else None)
    return (dx, (along / a.deviation).astype(x.dtype), db.astype(x.dtype),
            before if needs[3] else None)


def _sums(rows: WideRows, dy: np.ndarray, all_x: np.ndarray, y: np.ndarray | None,
          before: np.ndarray, a: Affine, activation: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Σ g and Σ g (x - mean), of g, the gradient before the activation, which is written."""
    arrays = [all_x, *(rows.of(array) for array in (dy, y, before) if array is not None)]
    sums = np.empty((2, len(rows.blocks), rows.C))

    def task(i: int) -> None:
        x, dy, *more = rows.cut(rows.blocks[i], *arrays)
        g = more[-1] if activation else dy
        if activation:
            activations.WRITE_BACKWARD[activation](dy, more[0], g)
        sums[0, i] = rows.by_channel(np.add.reduce(g, axis=0))
        sums[1, i] = rows.by_channel(np.einsum("ij,ij->j", g, a.apart(x, rows)))

    parallel_for(task, range(len(rows.blocks)))
    db, along = sums.sum(axis=1)
    return db, along + a.moved * db


def _write_dx(rows: WideRows, all_g: np.ndarray, all_x: np.ndarray, all_dx: np.ndarray, a: Affine,
              sums: tuple[np.ndarray, np.ndarray] | None) -> None:
    """dx = scale · g, and of a batch's statistics, whose sums are given, + slope · (x - near) +
    shift."""
    scale, slope, shift = rows.beside(a.scale), None, None
    if sums is not None:
        db, along = sums
        slopes = -a.scale * along / (a.deviation**2 * rows.pixels)
        slope = rows.beside(slopes)
        shift = rows.beside(slopes * a.moved - a.scale * db / rows.pixels)

    def task(block: slice) -> None:
        g, x, dx = rows.cut(block, all_g, all_x, all_dx)
        width = x.shape[1]
        np.multiply(g, scale[:width], out=dx)
        if slope is not None and shift is not None:
            of_x = scratch("apart", x.shape, x.dtype)
            np.multiply(a.apart(x, rows), slope[:width], out=of_x)
            np.add(of_x, shift[:width], out=of_x)
            np.add(dx, of_x, out=dx)

    parallel_for(task, rows.blocks)
