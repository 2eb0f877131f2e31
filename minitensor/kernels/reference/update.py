"""The optimiser's update."""
from collections.abc import Sequence
from typing import Any

from ...backend import Array, xp_of


def sgd(ws: Sequence[Array], vs: Sequence[Array], dws: Sequence[Array], lr: Any, momentum: float,
        weight_decay: float, nesterov: bool) -> None:
    """In place, for each w, v, dw of one shape: v = momentum·v - lr·(dw + weight_decay·w); w += v.

    (Krizhevsky et al. 2012, section 5.) With nesterov the step looks ahead: w += momentum·v -
    lr·(dw + weight_decay·w), with the new v. lr is a number, or an array () of float64 on w's
    device, where a CUDA graph can change it between replays.
    """
    for w, v, dw in zip(ws, vs, dws):
        step = xp_of(w).multiply(dw + weight_decay * w, lr, dtype=w.dtype)
        v *= momentum
        v -= step
        w += momentum * v - step if nesterov else v
