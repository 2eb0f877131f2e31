"""The optimizers' updates, in blocks that stay in cache from the first of its steps to the last."""
import math
from collections.abc import Sequence

import numpy as np

from .. import reference
from . import tuning
from .blocks import flat_views, split
from .memory import scratch
from .threads import parallel_for


def sgd(ws: Sequence[np.ndarray], vs: Sequence[np.ndarray], dws: Sequence[np.ndarray], lr: float,
        momentum: float, weight_decay: float, nesterov: bool, lr_in_velocity: bool) -> None:
    hyperparameters = lr, momentum, weight_decay, nesterov, lr_in_velocity
    for w, v, dw in zip(ws, vs, dws):
        flat = flat_views(w, v, dw)
        if flat is None:
            reference.sgd([w], [v], [dw], *hyperparameters)
        else:
            parallel_for(lambda block: _sgd([a[block] for a in flat], *hyperparameters),
                         split(w.size, tuning.BLOCK_ELEMENTS))


def _sgd(block: list[np.ndarray], lr: float, momentum: float, weight_decay: float, nesterov: bool,
         lr_in_velocity: bool) -> None:
    """One pass over memory instead of six; block: w, v, dw."""
    w, v, dw = block
    step = scratch("sgd step", w.shape, w.dtype)
    np.multiply(w, weight_decay, out=step)
    np.add(step, dw, out=step)
    if lr_in_velocity:
        np.multiply(step, -lr, out=step)
    change = step
    if momentum:
        np.multiply(v, momentum, out=v)
        change = np.add(v, step, out=v)
    if nesterov:
        ahead = np.multiply(v, momentum, out=scratch("sgd ahead", v.shape, v.dtype))
        change = np.add(ahead, step, out=step)
    if not lr_in_velocity:
        change = np.multiply(change, -lr, out=step)
    np.add(w, change, out=w)


def adam(ws: Sequence[np.ndarray], ms: Sequence[np.ndarray], vs: Sequence[np.ndarray],
         dws: Sequence[np.ndarray], lr: float, beta1: float, beta2: float, eps: float,
         weight_decay: float, decoupled: bool, step: int) -> None:
    hyperparameters = lr, beta1, beta2, eps, weight_decay, decoupled, step
    for w, m, v, dw in zip(ws, ms, vs, dws):
        flat = flat_views(w, m, v, dw)
        if flat is None:
            reference.adam([w], [m], [v], [dw], *hyperparameters)
        else:
            parallel_for(lambda block: _adam([a[block] for a in flat], *hyperparameters),
                         split(w.size, tuning.BLOCK_ELEMENTS))


def _adam(block: list[np.ndarray], lr: float, beta1: float, beta2: float, eps: float,
          weight_decay: float, decoupled: bool, step: int) -> None:
    """One pass over memory instead of sixteen; block: w, m, v, dw."""
    w, m, v, dw = block
    change = scratch("adam change", w.shape, w.dtype)
    if decoupled:
        np.multiply(w, 1 - lr * weight_decay, out=w)
    elif weight_decay:
        decayed = scratch("adam decayed", w.shape, w.dtype)
        np.multiply(w, weight_decay, out=decayed)
        dw = np.add(dw, decayed, out=decayed)
    np.subtract(dw, m, out=change)
    np.multiply(change, 1 - beta1, out=change)
    np.add(m, change, out=m)
    np.multiply(dw, 1 - beta2, out=change)
    np.multiply(change, dw, out=change)
    np.multiply(v, beta2, out=v)
    np.add(v, change, out=v)
    np.sqrt(v, out=change)
    np.divide(change, math.sqrt(1 - beta2**step), out=change)
    np.add(change, eps, out=change)
    np.divide(m, change, out=change)
    np.multiply(change, lr / (1 - beta1**step), out=change)
    np.subtract(w, change, out=w)
