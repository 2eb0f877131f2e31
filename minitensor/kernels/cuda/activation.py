"""Activations and dropout, in the order that the elements have in memory."""
import math
from typing import Any

from ...backend import Array, memory_order, xp_of
from .launcher import launch
from .layout import contiguous, in_order, packs
from .arguments import number_or_memory

FILE = "elementwise.cu"
DRAWS = 8               # elements of a dropout mask that one thread decides: those of one counter of the generator


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


def dropout(x: Array, p: float, key: tuple[int, Any]) -> Array:
    x, (seed, step) = contiguous(x), key
    y = xp_of(x).empty_like(x)
    arguments = x, y, x.size, math.ceil(p * 2**24), 1 - p, seed, *number_or_memory(step)
    launch(FILE, "dropout", arguments, dtype=x.dtype, items=math.ceil(x.size / DRAWS))
    return y


def add_bias(y: Array, b: Array | None, relu: bool) -> None:
    """In place: y (..., F) + b (F,), then max(·, 0) if relu; y is in C order."""
    if b is not None or relu:
        launch(FILE, "add_bias", (y, b, y.size, y.shape[-1], relu), dtype=y.dtype, items=y.size)
