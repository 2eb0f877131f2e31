"""Finite differences: are the gradients of a function what its `backward` says?"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..backend import Array, xp_of
from ..tensor import Tensor, no_grad


class GradientError(AssertionError):
    """Says which input, which element or direction, and both values."""


def gradcheck(function: Callable[..., Tensor], inputs: Sequence[Tensor], *, names: Sequence[str] | None = None, eps: float = 1e-5,
              tolerance: float = 1e-6, directions: int = 2, max_elements: int = 2000, seed: int = 0) -> float:
    """Compare backward with central differences (f(x + eps) - f(x - eps)) / 2 eps; returns the worst relative error.

    function(*inputs) returns a Tensor of any shape; its gradient is checked along one random output gradient (an all-ones one is blind to,
    say, a wrong softmax). Inputs that require a gradient must be float64 and away from kinks; those of up to max_elements are checked
    element by element, larger ones along random directions. The relative error of a value is |backward - difference| over
    |difference| + the root mean square of that input's differences. names are used in messages.
    Raises GradientError above tolerance, TypeError for inputs that are not float64.
    """
    names = names or [f"input {i}" for i in range(len(inputs))]
    rng = np.random.default_rng(seed)
    dy = _backward_along_random_dy(function, inputs, names, rng)
    worst = 0.0
    for name, x in zip(names, inputs):
        if x.requires_grad:
            probe = _probe_elements if x.numel() <= max_elements else _probe_directions
            worst = max(worst, _compare(name, x, tolerance, *probe(function, inputs, x, dy, eps, directions, rng)))
    return worst


def _backward_along_random_dy(function, inputs, names, rng) -> Array:
    for name, x in zip(names, inputs):
        if x.requires_grad and x.dtype != np.float64:
            raise TypeError(f"gradcheck: {name} must be float64, not {x.dtype}: differences of float32 are mostly rounding")
        x.grad = None
    y = function(*inputs)
    dy = xp_of(y.data).asarray(rng.standard_normal(y.shape))
    y.backward(dy)
    return dy


def _probe_elements(function, inputs, x, dy, eps, directions, rng):
    """(labels, backward's values, differences), one of each per element of x."""
    x_grad = x.grad if x.grad is not None else xp_of(x.data).zeros_like(x.data)
    labels = list(np.ndindex(x.shape))
    step = xp_of(x.data).zeros_like(x.data)
    differences = []
    for index in labels:
        step[index] = 1.0
        differences.append(_difference(function, inputs, x, step, dy, eps))
        step[index] = 0.0
    return [f"element {index}" for index in labels], [float(x_grad[index]) for index in labels], differences


def _probe_directions(function, inputs, x, dy, eps, directions, rng):
    """The same along random directions, each scaled so that every element moves by about eps."""
    x_grad = x.grad if x.grad is not None else xp_of(x.data).zeros_like(x.data)
    slopes, differences = [], []
    for _ in range(directions):
        step = xp_of(x.data).asarray(rng.standard_normal(x.shape))
        slopes.append(float((x_grad * step).sum()))
        differences.append(_difference(function, inputs, x, step, dy, eps))
    return [f"random direction {i}" for i in range(directions)], slopes, differences


def _difference(function, inputs, x: Tensor, step: Array, dy: Array, eps: float) -> float:
    """Central difference of Σ dy · function along step. Outputs are subtracted before they are summed: fewer digits cancel."""
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


def _compare(name: str, x: Tensor, tolerance: float, labels: list[str], slopes: list[float], differences: list[float]) -> float:
    if not labels:
        return 0.0
    slope, difference = np.array(slopes), np.array(differences)
    scale = np.abs(difference) + np.sqrt(np.mean(difference**2)) + 1e-30
    error = np.where(slope == difference, 0.0, np.abs(slope - difference) / scale)
    worst = int(np.argmax(error))  # NaN counts as the largest
    if not error[worst] <= tolerance:
        raise GradientError(f"gradcheck: {name} {x.shape}, {labels[worst]}: backward says {slope[worst]:.10g}, "
                            f"finite difference {difference[worst]:.10g} (relative error {error[worst]:.2g}, tolerance {tolerance:.2g})")
    return float(error[worst])
