"""The optimiser's update, in blocks that stay in cache from the first of its steps to the last."""
from collections.abc import Sequence

import numpy as np

from .. import reference
from . import tuning
from .blocks import flat_views, split
from .memory import scratch
from .threads import parallel_for


def sgd(ws: Sequence[np.ndarray], vs: Sequence[np.ndarray], dws: Sequence[np.ndarray], lr: float,
        momentum: float, weight_decay: float, nesterov: bool) -> None:
    for w, v, dw in zip(ws, vs, dws):
        _update(w, v, dw, lr, momentum, weight_decay, nesterov)


def _update(w: np.ndarray, v: np.ndarray, dw: np.ndarray, lr: float, momentum: float,
            weight_decay: float, nesterov: bool) -> None:
    """One pass over memory instead of six."""
    flat = flat_views(w, v, dw)
    if flat is None:
        return reference.sgd([w], [v], [dw], lr, momentum, weight_decay, nesterov)

    def task(block: slice) -> None:
        w, v, dw = (a[block] for a in flat)
        step = scratch("sgd step", w.shape, w.dtype)
        np.multiply(w, weight_decay, out=step)
        np.add(step, dw, out=step)
        np.multiply(step, lr, out=step)
        np.multiply(v, momentum, out=v)
        np.subtract(v, step, out=v)
        if nesterov:
            ahead = np.multiply(v, momentum, out=scratch("sgd ahead", v.shape, v.dtype))
            np.add(w, ahead, out=w)
            np.subtract(w, step, out=w)
        else:
            np.add(w, v, out=w)

    parallel_for(task, split(w.size, tuning.BLOCK_ELEMENTS))
