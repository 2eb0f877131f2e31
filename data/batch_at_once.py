"""A whole batch of equal square images at once, with no loop over images.

It works for datasets with a `side` and `crops(indices, top, left, size)`, such as packed images
and CIFAR-10, and for transforms that are made of the fields of Steps, in that order, after steps
that leave images of that side as they are.
"""
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .batches import BatchMaker
from .colours import Normalize, PCANoise, SubtractMean, add_colour
from .crops import crops_of, middle, mirror
from .protocols import Allocate, Announce, Batch, Transform
from .transforms import (CenterCrop, Compose, RandomCrop, RandomHorizontalFlip, Resize, Squash,
                         TenCrop)


class Steps(NamedTuple):
    """The steps of a transform, None for those it has not."""

    noise: PCANoise | None
    subtract: SubtractMean | None
    crop: CenterCrop | RandomCrop | TenCrop
    flip: RandomHorizontalFlip | None
    normalize: Normalize

    @property
    def padding(self) -> int:
        """Black pixels on every side of an image before it is cropped."""
        return getattr(self.crop, "padding", 0)


BLOCK_BYTES = 1 << 19       # of images made at a time: they stay in the cache from step to step
KINDS = ((PCANoise,), (SubtractMean,), (CenterCrop, RandomCrop, TenCrop), (RandomHorizontalFlip,),
         (Normalize,))


def steps_at_once(transform: Transform, side: int | None) -> Steps | None:
    """The Steps to make a batch of images of that side at once, or None if it cannot be.

    `side` is None for images of several sizes.
    """
    found: list[Any] = [None] * len(KINDS)
    place = 0
    for step in transform.steps if isinstance(transform, Compose) else [transform]:
        if place == 0 and _is_idle(step, side):
            continue
        kind = next((k for k in range(place, len(KINDS)) if type(step) in KINDS[k]), None)
        if kind is None:
            return None
        found[kind] = step
        place = kind + 1
    return _feasible(Steps(*found), side)


def _is_idle(step: Any, side: int | None) -> bool:
    """Whether it leaves images of that side as they are."""
    return ((type(step) is Resize and step.shorter_side == side)
            or (type(step) is Squash and step.side == side)
            or (type(step) is CenterCrop and step.size == side))


def _feasible(steps: Steps, side: int | None) -> Steps | None:
    """steps, if they have what it takes and fit images of that side.

    None otherwise: making the images one by one then says what is wrong.
    """
    if side is None or steps.normalize is None:
        return None
    steps = steps._replace(crop=steps.crop or CenterCrop(side))
    padding = steps.padding
    mean_fits = steps.subtract is None or steps.subtract.mean.shape == (side, side, 3)
    fits = steps.crop.size <= side + 2 * padding and mean_fits
    colours_padding = bool(padding and steps.noise)     # one by one, noise comes before padding
    return steps if fits and not colours_padding else None


class SquareBatchMaker(BatchMaker):
    """A BatchMaker that makes each batch at once by `steps`, of a SquareDataset.

    Random choices are drawn from (seed, epoch, number), for all images of the batch.
    """

    def __init__(self, steps: Steps, *arguments: Any):
        super().__init__(*arguments)
        self.steps = steps
        self.side: int = self.dataset.side + 2 * steps.padding

    def make(self, epoch: int, number: int, allocate: Allocate = np.empty,
             announce: Announce = lambda index: None) -> Batch:
        """As BatchMaker's; nothing is ever skipped."""
        indices = self.indices(epoch, number)
        announce(int(indices[0]))
        rng = self._rng(epoch, 1 + number)
        shift = self._shift(len(indices), rng)
        top, left, mirrored = self._places(len(indices), rng)       # (n, k) each: k crops an image
        size, crops = self.steps.crop.size, top.shape[1]
        images = allocate((len(indices), crops, size, size, 3), np.float32)
        block = max(1, BLOCK_BYTES // (3 * size**2 * crops))
        for start in range(0, len(indices), block):
            some = slice(start, start + block)
            self._fill(images[some], indices[some], top[some], left[some], mirrored[some],
                       None if shift is None else shift[some])
        labels = self.dataset.labels[indices].astype(np.int64)
        return images if type(self.steps.crop) is TenCrop else images[:, 0], labels, []

    def _fill(self, images: np.ndarray, indices: np.ndarray, top: np.ndarray, left: np.ndarray,
              mirrored: np.ndarray, shift: np.ndarray | None) -> None:
        """Make the crops of n images -> images float32 (n, k, size, size, 3)

        shift (n, 1, 3) is added to their colours.
        """
        pixels = self._crops(indices, top, left)
        if shift is not None:
            pixels = add_colour(pixels, shift)
        pixels[mirrored] = mirror(pixels[mirrored])
        if self.steps.subtract:
            means = self._means(self.steps.subtract.mean, top, left, mirrored)
            pixels = np.subtract(pixels, means, out=images)
        self.steps.normalize.normalize(pixels, images)

    def _crops(self, indices: np.ndarray, top: np.ndarray, left: np.ndarray) -> np.ndarray:
        """The bytes of the crops of n images -> uint8 (n, k, size, size, 3)"""
        size = self.steps.crop.size
        if not self.steps.padding:
            return self.dataset.crops(indices[:, None], top, left, size)
        zero = np.zeros(len(indices), np.intp)
        images = self._padded(self.dataset.crops(indices, zero, zero, self.dataset.side))
        return crops_of(images, np.arange(len(images))[:, None], top, left, size)

    def _padded(self, images: np.ndarray) -> np.ndarray:
        """(n, H, W, 3) with zeros around every image"""
        return np.pad(images, ((0, 0), *[(self.steps.padding,) * 2] * 2, (0, 0)))

    def _shift(self, count: int, rng: np.random.Generator) -> np.ndarray | None:
        """What is added to the colours of each image -> (n, 1, 3)"""
        noise = self.steps.noise
        return noise.shift(rng.normal(0, noise.sigma, (count, 1, 3))) if noise else None

    def _places(self, count: int,
                rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Top row, left column and direction of every crop -> (n, k) each"""
        crop, flip, side = self.steps.crop, self.steps.flip, self.side
        margin = side - crop.size
        top: Any
        left: Any
        mirrored: Any = False
        if type(crop) is TenCrop:
            top, left = np.tile(np.transpose(crop.places(side, side)), 2)       # (10,)
            mirrored = np.arange(10) >= 5
        elif type(crop) is RandomCrop:
            top, left = rng.integers(0, margin + 1, (2, count, 1))
        else:
            top = left = middle(margin)
        flipped = rng.random((count, 1)) < flip.p if flip else np.zeros((count, 1), bool)
        top, left, mirrored = np.broadcast_arrays(top, left, mirrored ^ flipped)
        return top, left, mirrored

    def _means(self, mean: np.ndarray, top: np.ndarray, left: np.ndarray,
               mirrored: np.ndarray) -> np.ndarray:
        """The same crops of the mean image -> float32 (n, k, size, size, 3)"""
        size = self.steps.crop.size
        both = self._padded(np.stack([mean, mirror(mean)]))
        left = np.where(mirrored, self.side - size - left, left)
        return crops_of(both, mirrored.astype(int), top, left, size)
