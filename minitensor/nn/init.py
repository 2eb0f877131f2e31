"""Initial values, written in place into the parameters in their order, drawn from one generator:
the default one where it is None.

Which parameter gets what goes by its kind: weights are drawn, biases are 0, scales are 1.
"""
import math

import numpy as np

from ..backend import Array, xp_of
from ..random import Generator, chosen
from .module import Module

CONSTANTS = {"bias": 0, "scale": 1}


def normal_(array: Array, std: float, generator: Generator | None = None) -> Array:
    """Fill array from N(0, std²), drawn in logical order whatever the order in memory."""
    source = chosen(generator).numpy()
    values = source.standard_normal(array.shape, dtype=array.dtype.type)
    array[...] = xp_of(array).asarray(values * array.dtype.type(std))
    return array


def he_normal_(array: Array, generator: Generator | None = None) -> Array:
    """N(0, 2 / fan_in): keeps the size of signals through ReLU layers (He et al. 2015).

    array is a weight (F, ...), fan_in the product of the other sizes.
    """
    return normal_(array, math.sqrt(2 / math.prod(array.shape[1:])), generator)


def he(module: Module, generator: Generator | None = None) -> None:
    """Weights N(0, 2 / fan_in), biases 0, scales 1."""
    for parameter in module.parameters():
        if parameter.kind == "weight":
            he_normal_(parameter.data, generator)
        else:
            parameter.data[...] = CONSTANTS[parameter.kind]


def normal(module: Module, std: float, generator: Generator | None = None) -> None:
    """Weights N(0, std²), biases 0, scales 1."""
    for parameter in module.parameters():
        if parameter.kind == "weight":
            normal_(parameter.data, std, generator)
        else:
            parameter.data[...] = CONSTANTS[parameter.kind]


def zeros_nhwc(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Zeros of logical shape (F, C, KH, KW) whose memory runs F, KH, KW, C.

    The fast kernels read this order without repacking.
    """
    F, C, KH, KW = shape
    return np.zeros((F, KH, KW, C), dtype).transpose(0, 3, 1, 2)
