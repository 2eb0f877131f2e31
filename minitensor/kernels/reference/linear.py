"""The fully connected layer, and the epilogue that it shares with the convolution."""
from ...backend import Array
from ..epilogue import Epilogue
from . import activation as activations

Needs = tuple[bool, bool, bool, bool]       # which gradients are wanted: of x, w, bias, residual


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
    dbias = dy.sum(axis=0) if needs[2] else None
    return dx, dw, dbias, dy if needs[3] else None


def finish(y: Array, epilogue: Epilogue) -> Array:
    """activation(y + bias + residual) for y (N, F, ...), a product that nobody else holds."""
    bias, residual, activation = epilogue
    if bias is not None:
        y += bias.reshape(-1, *(1 for _ in y.shape[2:]))
    if residual is not None:
        y += residual
    return y if activation is None else getattr(activations, activation)(y)


def before_activation(dy: Array, y: Array | None, activation: str | None) -> Array:
    """The gradient of product + bias + residual, which is that of each of the three."""
    if activation is None:
        return dy
    return getattr(activations, f"{activation}_backward")(dy, y)
