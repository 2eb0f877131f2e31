"""Randomness without hidden state: a seed and a counter of the draws made so far."""
from __future__ import annotations

from numbers import Integral

import numpy as np


class Generator:
    """Hands out keys (seed, step) for the counter-based generator Philox; every key is used for one draw.

    seed, step: integers in [0, 2^64). Two generators with the same seed and step hand out the same keys, so saving these two numbers
    is all that resuming takes. Raises ValueError outside the range.
    """

    def __init__(self, seed: int, step: int = 0):
        for name, value in (("seed", seed), ("step", step)):
            if not isinstance(value, Integral) or not 0 <= value < 2**64:
                raise ValueError(f"Generator: {name} must be an integer in [0, 2^64), not {value!r}")
        self.seed, self.step = seed, step

    def next_key(self) -> tuple[int, int]:
        key = (self.seed, self.step)
        self.step += 1
        return key

    def numpy(self) -> np.random.Generator:
        """A NumPy generator on the next key, for initial weights."""
        return np.random.Generator(np.random.Philox(key=np.array(self.next_key(), dtype=np.uint64)))

    def __repr__(self) -> str:
        return f"Generator(seed={self.seed}, step={self.step})"
