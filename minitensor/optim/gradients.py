"""The gradients of parameters: that they fit, and clipping."""
from __future__ import annotations

from collections.abc import Iterable
from numbers import Real

import numpy as np

from ..backend import form_of, quiet, to_device, xp_of
from ..nn import Parameter
from ..tensor import Tensor


def listed(params: Parameter | Iterable[Parameter]) -> list[Parameter]:
    return [params] if isinstance(params, Tensor) else list(params)


def check_gradient(user: str, parameter: Tensor) -> None:
    """Raises ValueError unless the gradient has its parameter's shape, dtype and device."""
    if form_of(parameter.grad) != form_of(parameter.data):
        raise ValueError(f"{user}: a parameter, {form_of(parameter.data)}, has a gradient that is "
                         f"{form_of(parameter.grad)}")


def clip_grad_norm_(parameters: Parameter | Iterable[Parameter], max_norm: float) -> Tensor:
    """Scale all gradients, in place, by min(1, max_norm / (norm + 1e-6)) (Pascanu et al. 2013).

    norm, which is returned as a Tensor (), is that of all gradients as one vector, before. The GPU
    is not waited for. Raises ValueError for a max_norm that is not above 0, and for a gradient that
    is not like its parameter.
    """
    if not (isinstance(max_norm, Real) and max_norm > 0):
        raise ValueError(f"clip_grad_norm_: max_norm must be above 0, not {max_norm!r}")
    learning = [p for p in listed(parameters) if p.grad is not None]
    if not learning:
        return Tensor(0.0)
    for parameter in learning:
        check_gradient("clip_grad_norm_", parameter)
    with quiet():
        return _clipped(learning, float(max_norm))


def _clipped(learning: list[Parameter], max_norm: float) -> Tensor:
    squares = [to_device(xp_of(p.grad).square(p.grad).sum(dtype=np.float64), learning[0].device)
               for p in learning]
    norm = sum(squares[1:], squares[0])**0.5
    factor = xp_of(norm).minimum(1.0, max_norm / (norm + 1e-6))
    for p in learning:
        p.grad *= to_device(factor, p.device).astype(p.dtype)
    return Tensor(norm, dtype=learning[0].dtype)
