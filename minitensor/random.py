"""Randomness without hidden state: a seed and a counter of the draws made so far."""
from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from .backend import capturing, to_device, type_name


class Generator:
    """Hands out keys (seed, step) for the counter-based generator Philox: one key, one draw.

    seed, step: integers in [0, 2^64). Two generators with the same seed and step hand out the same
    keys, so a run resumes from these two numbers. Raises ValueError outside the range.
    """

    def __init__(self, seed: int, step: int = 0):
        for name, value in (("seed", seed), ("step", step)):
            if not isinstance(value, Integral) or not 0 <= value < 2**64:
                raise ValueError(f"Generator: {name} must be an integer in [0, 2^64), "
                                 f"not {value!r}")
        self.seed = int(seed)
        self._step: Any = int(step)         # after `to("cuda")` an array () of uint64 on the GPU

    @property
    def step(self) -> int:
        """The step of the next key; after `to("cuda")` reading it waits for the GPU."""
        return int(self._step)

    @step.setter
    def step(self, step: int) -> None:
        if isinstance(self._step, Integral):
            self._step = step
        else:
            self._step[...] = step

    def to(self, device: str) -> Generator:
        """Count the steps in device's memory, where each replay of a graph can go on counting.

        Raises what `backend.check_device` raises.
        """
        step = self.step
        self._step = step if device == "cpu" else to_device(np.array(step, np.uint64), device)
        return self

    def next_key(self) -> tuple[int, Any]:
        """(seed, step), where step is an array () of uint64 after `to("cuda")`.

        Raises RuntimeError where every replay of a CUDA graph would repeat the key.
        """
        if capturing() and isinstance(self._step, Integral):
            raise RuntimeError("Generator: every replay of a captured step would draw the same "
                               "numbers; call generator.to('cuda') first")
        key = (self.seed, self._step + 0)   # + 0 copies an array; the next line changes it in place
        self._step += 1
        return key

    def numpy(self) -> np.random.Generator:
        """A NumPy generator on the next key, for initial weights."""
        seed, step = self.next_key()
        key = np.array([seed, int(step)], dtype=np.uint64)
        return np.random.Generator(np.random.Philox(key=key))

    def __repr__(self) -> str:
        return f"Generator(seed={self.seed}, step={self.step})"


default_generator = Generator(0)


def chosen(generator: Generator | None) -> Generator:
    """generator, or the default one for None. Raises TypeError for what is neither."""
    if not isinstance(generator, Generator | None):
        raise TypeError("generator must be a Generator of minitensor or None, "
                        f"not {type_name(generator)}; Generator(seed) makes one")
    return default_generator if generator is None else generator


def manual_seed(seed: int) -> Generator:
    """Begin the default generator again from seed, and return it.

    Layers, dropout and random tensors draw from it where they are given no generator: in the order
    of the program, so what must be repeated exactly has a Generator of its own.
    """
    default_generator.seed = Generator(seed).seed
    default_generator.step = 0
    return default_generator
