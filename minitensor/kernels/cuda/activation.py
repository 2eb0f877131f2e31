"""Activations, in the order that the elements have in memory; softmax, a block of threads per row."""
from ...backend import Array, memory_order, xp_of
from .launcher import launch
from .layout import from_rows, in_order, packs, rows_along, threads_of_row

FILE = "activation.cu"


def _elementwise(kernel: str, *arrays: Array) -> Array:
    """y, in the memory order of the first array: kernel(arrays..., y, n)."""
    order, restore = memory_order(arrays[0])
    inputs = in_order(order, *arrays)
    y = xp_of(arrays[0]).empty_like(inputs[0])
    launch(FILE, kernel, (*inputs, y, y.size), dtype=y.dtype, items=packs(y))
    return y.transpose(restore)


def relu(x: Array) -> Array:
    return _elementwise("relu", x)


def relu_backward(dy: Array, y: Array) -> Array:
    return _elementwise("relu_backward", dy, y)


def tanh(x: Array) -> Array:
    return _elementwise("tanh_forward", x)


def tanh_backward(dy: Array, y: Array) -> Array:
    return _elementwise("tanh_backward", dy, y)


def sigmoid(x: Array) -> Array:
    return _elementwise("sigmoid", x)


def sigmoid_backward(dy: Array, y: Array) -> Array:
    return _elementwise("sigmoid_backward", dy, y)


def _along_axis(kernel: str, axis: int, *arrays: Array) -> Array:
    rows = rows_along(axis, *arrays)
    y = xp_of(rows[0]).empty_like(rows[0])
    launch(FILE, kernel, (*rows, y, y.shape[1]), dtype=y.dtype, grid=len(y), threads=threads_of_row(y.shape[1]))
    return from_rows(y, axis, arrays[0])


def softmax(x: Array, axis: int) -> Array:
    return _along_axis("softmax", axis, x)


def softmax_backward(dy: Array, y: Array, axis: int) -> Array:
    return _along_axis("softmax_backward", axis, dy, y)


def log_softmax(x: Array, axis: int) -> Array:
    return _along_axis("log_softmax", axis, x)


def log_softmax_backward(dy: Array, y: Array, axis: int) -> Array:
    return _along_axis("log_softmax_backward", axis, dy, y)
