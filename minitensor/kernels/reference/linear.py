"""The fully connected layer."""
from ...backend import Array


def linear(x: Array, w: Array, b: Array | None) -> Array:
    """y (N, F) = x (N, C) · wᵀ (C, F) + b (F,)."""
    y = x @ w.T
    return y if b is None else y + b


def linear_backward(dy: Array, x: Array, w: Array, needs: tuple[bool, bool, bool]) -> tuple[Array | None, ...]:
    """dx (N, C), dw (F, C), db (F,); None for each that needs does not ask for."""
    dx = dy @ w if needs[0] else None
    dw = dy.T @ x if needs[1] else None
    db = dy.sum(axis=0) if needs[2] else None
    return dx, dw, db
