"""Activations, in the order that the elements have in memory; softmax, a block of threads per row.
"""
from ...backend import Array, memory_order, xp_of
from ..epilogue import ACTIVATIONS
from .launcher import launch
from .layout import from_rows, in_order, packs, rows_along, threads_of_row

FILE = "activation.cu"


def _elementwise(kernel: str, activation: str, *arrays: Array) -> Array:
    """y, in the memory order of the first array: kernel(arrays..., y, n, activation)."""
    order, restore = memory_order(arrays[0])
    inputs = in_order(order, *arrays)
    y = xp_of(arrays[0]).empty_like(inputs[0])
    launch(FILE, kernel, (*inputs, y, y.size, ACTIVATIONS.index(activation)), dtype=y.dtype,
           items=packs(y))
    return y.transpose(restore)


def activation_backward(dy: Array, y: Array, activation: str) -> Array:
    """dx from dy and the activation's result y."""
    return _elementwise("activation_backward", activation, dy, y)


def relu(x: Array) -> Array:
    return _elementwise("activation", "relu", x)


def relu_backward(dy: Array, y: Array) -> Array:
    return activation_backward(dy, y, "relu")


def tanh(x: Array) -> Array:
    return _elementwise("activation", "tanh", x)


def tanh_backward(dy: Array, y: Array) -> Array:
    return activation_backward(dy, y, "tanh")


def sigmoid(x: Array) -> Array:
    return _elementwise("activation", "sigmoid", x)


def sigmoid_backward(dy: Array, y: Array) -> Array:
    return activation_backward(dy, y, "sigmoid")


# ---- softmax -------------------------------------------------------------------------------------

def _along_axis(kernel: str, axis: int, *arrays: Array) -> Array:
    rows = rows_along(axis, *arrays)
    y = xp_of(rows[0]).empty_like(rows[0])
    launch(FILE, kernel, (*rows, y, y.shape[1]), dtype=y.dtype, grid=len(y),
           threads=threads_of_row(y.shape[1]))
    return from_rows(y, axis, arrays[0])


def softmax(x: Array, axis: int) -> Array:
    return _along_axis("softmax", axis, x)


def softmax_backward(dy: Array, y: Array, axis: int) -> Array:
    return _along_axis("softmax_backward", axis, dy, y)


def log_softmax(x: Array, axis: int) -> Array:
    return _along_axis("log_softmax", axis, x)


def log_softmax_backward(dy: Array, y: Array, axis: int) -> Array:
    return _along_axis("log_softmax_backward", axis, dy, y)
