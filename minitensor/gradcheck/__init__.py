"""Finite differences: are the gradients of a function what its `backward` says?"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from ..backend import Array, xp_of
from ..ops.norm import statistics_kept
from ..recording import no_grad
from ..tensor import Tensor


class GradientError(AssertionError):
    """Says which input, which element or direction, and both values."""


@statistics_kept()
def gradcheck(function: Callable[..., Tensor], inputs: Sequence[Tensor], *,
              names: Sequence[str] | None = None, eps: float = 1e-5, retries: int = 0,
              tolerance: float = 1e-6, directions: int = 2, max_elements: int = 2000, seed: int = 0,
              report: Callable[[str, float], None] = lambda name, error: None) -> float:
    """Compares backward with central differences (f(x + eps) - f(x - eps)) / 2 eps.

    Returns the worst relative error: |backward - difference| over |difference| + the root mean
    square of that input's differences. Leaves the gradients of inputs in their `.grad`, and running
    statistics as they are.

    function(*inputs): a Tensor of any shape. Its gradient is checked along one random output
        gradient; ones everywhere would miss, say, a wrong softmax.
    inputs: those that require a gradient must be float64 leaves, away from kinks. Inputs of up to
        max_elements are checked element by element, larger ones along random directions.
    retries: how often a difference that disagrees is taken again, with a tenth of eps each time.
        A kink inside the step goes away, a wrong gradient stays wrong.
    names: of the inputs, for messages. report(name, worst error) is called after each input.

    Raises GradientError above tolerance, TypeError for an input that is not float64, ValueError for
    one that is not a leaf.
    """
    names = names or [f"input {i}" for i in range(len(inputs))]
    rng = np.random.default_rng(seed)
    dy = _backward_along_random_dy(function, inputs, names, rng)
    worst = 0.0
    for name, x in zip(names, inputs):
        if x.requires_grad:
            probes = []
            for label, slope, step in _probes(x, directions, max_elements, rng):
                difference = partial(_difference, function, inputs, dy, x, step)
                close = _close_difference(slope, tolerance, difference, eps, retries)
                probes.append((label, slope, close))
            error = _worst_error(f"{name} {x.shape}", probes, tolerance)
            report(name, error)
            worst = max(worst, error)
    return worst


def _backward_along_random_dy(function, inputs: Sequence[Tensor], names: Sequence[str],
                              rng: np.random.Generator) -> Array:
    for name, x in zip(names, inputs):
        if x.requires_grad and x.dtype != np.float64:
            raise TypeError(f"gradcheck: {name} must be float64, not {x.dtype}: "
                            "differences of float32 are mostly rounding")
        if x.creator:
            raise ValueError(f"gradcheck: {name} must be a leaf, "
                             f"not the result of {type(x.creator).__name__}")
        x.grad = None
    y = function(*inputs)
    dy = xp_of(y.data).asarray(rng.standard_normal(y.shape))
    y.backward(dy)
    return dy


def _probes(x: Tensor, directions: int, max_elements: int,
            rng: np.random.Generator) -> Iterator[tuple[str, float, Array]]:
    """(label, backward's slope, step) for each element of a small x, else for random directions.

    A step moves its element by 1, or every element by about 1.
    """
    xp = xp_of(x.data)
    gradient = xp.zeros_like(x.data) if x.grad is None else x.grad
    if x.numel() > max_elements:
        for i in range(directions):
            step = xp.asarray(rng.standard_normal(x.shape))
            yield f"random direction {i}", float((gradient * step).sum()), step
        return
    step = xp.zeros_like(x.data)
    for index in np.ndindex(x.shape):
        step[index] = 1.0
        yield f"element {index}", float(gradient[index]), step
        step[index] = 0.0


def _difference(function, inputs: Sequence[Tensor], dy: Array, x: Tensor, step: Array,
                eps: float) -> float:
    """The central difference of Σ dy · function along step.

    Outputs are subtracted before they are summed: fewer digits cancel.
    """
    original = x.data
    with no_grad():
        try:
            x.data = original + eps * step
            above = function(*inputs).data
            x.data = original - eps * step
            below = function(*inputs).data
        finally:
            x.data = original
    return float(((above - below) * dy).sum()) / (2 * eps)


def _close_difference(slope: float, tolerance: float, difference: Callable[[float], float],
                      eps: float, retries: int) -> float:
    """difference(eps), retried with smaller eps until it agrees with slope; the nearest of them."""
    nearest = difference(eps)
    for i in range(1, retries + 1):
        if abs(slope - nearest) <= tolerance * abs(nearest):
            break
        nearest = min(nearest, difference(eps / 10**i), key=lambda value: abs(slope - value))
    return nearest


def _worst_error(name: str, probes: list[tuple[str, float, float]], tolerance: float) -> float:
    """The largest relative error of probes (label, slope, difference)."""
    if not probes:
        return 0.0
    slope, difference = np.array([values for _, *values in probes]).T
    scale = np.abs(difference) + np.sqrt(np.mean(difference**2)) + 1e-30
    error = np.where(slope == difference, 0.0, np.abs(slope - difference) / scale)
    worst = int(np.argmax(error))  # NaN counts as the largest
    if not error[worst] <= tolerance:
        raise GradientError(f"gradcheck: {name}, {probes[worst][0]}: backward says "
                            f"{slope[worst]:.10g}, finite difference {difference[worst]:.10g} "
                            f"(relative error {error[worst]:.2g}, tolerance {tolerance:.2g})")
    return float(error[worst])
