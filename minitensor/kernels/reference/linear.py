"""The fully connected layer."""
from ...backend import Array, sum_of
from ..epilogue import Epilogue, Needs
from .epilogue import before_activation, finish


def linear(x: Array, w: Array, epilogue: Epilogue) -> Array:
    """y (N, F) = x (N, C) · wᵀ (C, F), then the epilogue."""
    return finish(x @ w.T, epilogue)


def linear_backward(dy: Array, x: Array, w: Array, y: Array | None, activation: str | None,
                    needs: Needs) -> tuple[Array | None, ...]:
    """dx (N, C), dw (F, C), dbias (F,), dresidual (N, F); None for each that needs leaves out.

    y is the forward's output if there is an activation, else None.
    """
    dy = before_activation(dy, y, activation)
    dx = dy @ w if needs[0] else None
    dw = dy.T @ x if needs[1] else None
    dbias = sum_of(dy, 0) if needs[2] else None
    return dx, dw, dbias, dy if needs[3] else None
