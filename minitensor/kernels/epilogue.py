"""What conv2d, linear and batch_norm do to their result before it leaves fast memory."""
from typing import NamedTuple

from ..backend import Array

ACTIVATIONS = (None, "relu", "tanh", "sigmoid")
Needs = tuple[bool, bool, bool, bool]       # which gradients are wanted: of x, w, bias, residual


class Epilogue(NamedTuple):
    """y = activation(product + bias + residual); what is None is left out.

    A layer's output is large and memory is slow: each of these steps on its own would read and
    write all of it once more.
    """
    bias: Array | None = None           # (F,)
    residual: Array | None = None       # of y's shape
    activation: str | None = None       # one of ACTIVATIONS
