"""The optimizers' updates, in place."""
from collections.abc import Sequence
from typing import Any

from ...backend import Array, xp_of


def sgd(ws: Sequence[Array], vs: Sequence[Array], dws: Sequence[Array], lr: Any, momentum: float,
        weight_decay: float, nesterov: bool, lr_in_velocity: bool) -> None:
    """For each w, v, dw of the same shape, with step = dw + weight_decay·w:

        v = momentum·v + step,      then w -= lr·v      (PyTorch), or if lr_in_velocity
        v = momentum·v - lr·step,   then w += v         (Krizhevsky et al. 2012, section 5).

    With nesterov momentum·v + step, or momentum·v - lr·step, takes v's place in the second; with
    momentum 0 step does, and v stays. lr is a number, or an array () of float64 on w's device,
    where a CUDA graph can change it between replays.
    """
    def down(a: Array) -> Array:
        return xp_of(a).multiply(a, -lr, dtype=a.dtype)

    for w, v, dw in zip(ws, vs, dws):
        step = dw + weight_decay * w
        change = step = down(step) if lr_in_velocity else step
        if momentum:
            v *= momentum
            v += step
            change = momentum * v + step if nesterov else v
        w += change if lr_in_velocity else down(change)


def adam(ws: Sequence[Array], ms: Sequence[Array], vs: Sequence[Array], dws: Sequence[Array],
         lr: Any, beta1: float, beta2: float, eps: float, weight_decay: float, decoupled: bool,
         step: Any) -> None:
    """Kingma and Ba 2015, for each w, m, v, dw of the same shape, in step 1, 2, ...:

        dw = dw + weight_decay·w, or if decoupled w *= 1 - lr·weight_decay
        m = beta1·m + (1 - beta1)·dw
        v = beta2·v + (1 - beta2)·dw²
        w -= lr / (1 - beta1^step) · m / (sqrt(v) / sqrt(1 - beta2^step) + eps)

    Decoupled is AdamW (Loshchilov and Hutter 2019). lr and step are numbers, or arrays () of
    float64 on w's device, where a CUDA graph can change them between replays.
    """
    for w, m, v, dw in zip(ws, ms, vs, dws):
        xp = xp_of(w)
        step_size, root, kept = (xp.asarray(number, dtype=w.dtype) for number in (
            lr / (1 - beta1**step), (1 - beta2**step)**0.5, 1 - lr * weight_decay))
        if decoupled:
            w *= kept
        else:
            dw = dw + weight_decay * w
        m += (1 - beta1) * (dw - m)
        v *= beta2
        v += (1 - beta2) * dw * dw
        w -= step_size * (m / (xp.sqrt(v) / root + eps))
