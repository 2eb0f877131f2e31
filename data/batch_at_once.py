"""A whole batch of equal square pictures at once: crops, flips and normalisation with no loop over pictures.

It works for datasets with a `side` and `crops(indices, top, left, size)`, such as packed pictures and CIFAR-10, and for transforms that are
made of the fields of Steps, in that order, after steps that leave pictures of that side as they are.
"""
from typing import NamedTuple

import numpy as np

from .batches import BatchMaker
from .crops import crops_of
from .transforms import (CenterCrop, Compose, Normalize, PCANoise, RandomCrop, RandomHorizontalFlip, Resize, Squash, SubtractMean,
                             TenCrop, add_colour, middle, mirror)


class Steps(NamedTuple):
    """The steps of a transform, None for those it has not."""

    noise: PCANoise | None
    subtract: SubtractMean | None
    crop: CenterCrop | RandomCrop | TenCrop
    flip: RandomHorizontalFlip | None
    normalize: Normalize


BLOCK_BYTES = 1 << 19       # pictures are made so many bytes of them at a time, which stay in the cache from step to step
KINDS = ((PCANoise,), (SubtractMean,), (CenterCrop, RandomCrop, TenCrop), (RandomHorizontalFlip,), (Normalize,))


def steps_at_once(transform, side):
    """The Steps to make a batch at once, or None if it cannot be; `side` is that of the pictures, None if they differ."""
    found, place = [None] * len(KINDS), 0
    for step in transform.steps if isinstance(transform, Compose) else [transform]:
        if place == 0 and _is_idle(step, side):
            continue
        place = next((later for later in range(place, len(KINDS)) if type(step) in KINDS[later]), None)
        if place is None:
            return None
        found[place] = step
        place += 1
    return _feasible(Steps(*found), side)


def _is_idle(step, side):
    """Whether it leaves pictures of that side as they are."""
    return ((type(step) is Resize and step.shorter_side == side) or (type(step) is Squash and step.side == side)
            or (type(step) is CenterCrop and step.size == side))


def _feasible(steps, side):
    """steps, if they have what it takes and fit pictures of that side; else None: making them one by one says what is wrong."""
    if side is None or steps.normalize is None:
        return None
    steps = steps._replace(crop=steps.crop or CenterCrop(side))
    fits = steps.crop.size <= side and (steps.subtract is None or steps.subtract.mean.shape == (side, side, 3))
    return steps if fits and not getattr(steps.crop, "padding", 0) else None


class SquareBatchMaker(BatchMaker):
    """A BatchMaker that makes each batch at once by `steps`. Its chances are drawn from (seed, epoch, number), for all its pictures."""

    def __init__(self, steps, *arguments):
        super().__init__(*arguments)
        self.steps = steps

    def make(self, epoch, number, allocate=np.empty, announce=lambda index: None):
        """As BatchMaker's; nothing is ever skipped."""
        indices = self.indices(epoch, number)
        announce(int(indices[0]))
        rng = self._rng(epoch, 1 + number)
        noise, crop = self.steps.noise, self.steps.crop
        shift = noise.shift(rng.normal(0, noise.sigma, (len(indices), 1, 3))) if noise else None
        top, left, mirrored = self._places(len(indices), rng)                                       # (n, k) each, k crops a picture
        images = allocate((*top.shape, crop.size, crop.size, 3), np.float32)
        together = max(1, BLOCK_BYTES // (3 * crop.size**2 * top.shape[1]))
        for start in range(0, len(indices), together):
            part = slice(start, start + together)
            self._fill(images[part], indices[part], top[part], left[part], mirrored[part], shift if shift is None else shift[part])
        return images if type(crop) is TenCrop else images[:, 0], self.dataset.labels[indices].astype(np.int64), []

    def _fill(self, images, indices, top, left, mirrored, shift):
        """Make the crops of some pictures -> images float32 (n, k, size, size, 3); shift (n, 1, 3) is added to their colours."""
        pixels = self.dataset.crops(indices[:, None], top, left, self.steps.crop.size)              # (n, k, size, size, 3)
        if shift is not None:
            pixels = add_colour(pixels, shift)
        pixels[mirrored] = mirror(pixels[mirrored])
        if self.steps.subtract:
            pixels = np.subtract(pixels, self._means(top, left, mirrored), out=images)
        self.steps.normalize.normalize(pixels, images)

    def _places(self, count, rng):
        """Top row, left column and direction of every crop -> (n, k) each"""
        crop, flip, room = self.steps.crop, self.steps.flip, self.dataset.side - self.steps.crop.size
        if type(crop) is TenCrop:
            top, left = np.tile(np.transpose(crop.places(self.dataset.side, self.dataset.side)), 2)     # (10,)
            mirrored = np.arange(10) >= 5
        else:
            top, left = rng.integers(0, room + 1, (2, count, 1)) if type(crop) is RandomCrop else (middle(room), middle(room))
            mirrored = False
        flipped = rng.random((count, 1)) < flip.p if flip else np.zeros((count, 1), bool)
        return np.broadcast_arrays(top, left, mirrored ^ flipped)

    def _means(self, top, left, mirrored):
        """The same crops of the mean image -> float32 (n, k, size, size, 3)"""
        mean, size = self.steps.subtract.mean, self.steps.crop.size
        both = np.stack([mean, mirror(mean)])
        return crops_of(both, mirrored.astype(int), top, np.where(mirrored, self.dataset.side - size - left, left), size)
