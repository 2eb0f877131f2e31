"""A whole batch of equal square pictures at once: crops, flips and normalisation with no loop over pictures.

It works for datasets with a `side` and `crops(indices, top, left, size)`, such as packed pictures and CIFAR-10, and for transforms made of
STEPS, in that order, with one crop and Normalize among them.
"""
import numpy as np

from data.batches import BatchMaker
from data.crops import crops_of
from data.transforms import (CenterCrop, Compose, Normalize, PCANoise, RandomCrop, RandomHorizontalFlip, Resize, TenCrop, add_colour,
                             mirror)

CROPS = (CenterCrop, RandomCrop, TenCrop)
STEPS = ((Resize,), CROPS, (RandomHorizontalFlip,), (PCANoise,), (Normalize,))


def made_at_once(dataset, transform):
    """Whether SquareBatchMaker can make the batches."""
    steps = _steps(transform)
    places = [place for step in steps for place, kinds in enumerate(STEPS) if type(step) in kinds]
    in_order = len(places) == len(steps) and places == sorted(set(places)) and {1, len(STEPS) - 1} <= set(places)
    side = getattr(dataset, "side", None)
    return in_order and side is not None and all(step.shorter_side == side for step in steps if type(step) is Resize)


def _steps(transform):
    return transform.steps if isinstance(transform, Compose) else [transform]


class SquareBatchMaker(BatchMaker):
    """A BatchMaker that makes each batch at once. Its chances are drawn from (seed, epoch, number), for all its pictures together."""

    def make(self, epoch, number, allocate=np.empty, announce=lambda index: None):
        """As BatchMaker's; nothing is ever skipped."""
        indices = self.indices(epoch, number)
        announce(int(indices[0]))
        rng = self._rng(epoch, 1 + number)
        pixels = indices
        for step in _steps(self.transform):
            if type(step) in CROPS:
                pixels = self._cut(step, indices, rng)
            elif type(step) is RandomHorizontalFlip:
                flipped = rng.random(len(indices)) < step.p
                pixels[flipped] = mirror(pixels[flipped])
            elif type(step) is PCANoise:
                alpha = rng.normal(0, step.sigma, (len(indices), *(1,) * (pixels.ndim - 4), 3))     # ten crops share their picture's
                pixels = add_colour(pixels, step.shift(alpha))
            elif type(step) is Normalize:
                pixels = step.normalize(pixels, allocate(pixels.shape, np.float32))
        return pixels, self.dataset.labels[indices].astype(np.int64), []

    def _cut(self, step, indices, rng):
        """-> uint8 (n, size, size, 3), or (n, 10, size, size, 3) from ten crops"""
        dataset, size, side = self.dataset, step.size, self.dataset.side
        padding = step.padding if type(step) is RandomCrop else 0
        room = side + 2 * padding - size
        if room < 0:
            raise ValueError(f"{step!r}: the pictures have only {side} x {side} pixels; put a Resize before")
        if type(step) is TenCrop:
            top, left = np.transpose(step.places(side, side))                                 # (5,)
            crops = dataset.crops(indices[:, None], top, left, size)
            return np.concatenate([crops, mirror(crops)], axis=1)
        if type(step) is CenterCrop:
            return dataset.crops(indices, room // 2, room // 2, size)
        top, left = rng.integers(0, room + 1, (2, len(indices)))                            # (n,), (n,)
        if padding:
            whole = np.pad(dataset.crops(indices, 0, 0, side), ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)))
            return crops_of(whole, np.arange(len(indices)), top, left, size)
        return dataset.crops(indices, top, left, size)
