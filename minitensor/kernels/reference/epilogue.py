"""What conv2d and linear do to their product, and what undoes its activation in their backward."""
from ...backend import Array
from ..epilogue import Epilogue
from . import activation as activations


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
