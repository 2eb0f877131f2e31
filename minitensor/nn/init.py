"""Initial values: the 2012 paper's and He's. Each is written into a module's parameters in place, in their order, from one generator."""
from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ..backend import Array, xp_of
from ..random import Generator
from .module import Module

PAPER_ONES = ("conv2", "conv4", "conv5", "fc6", "fc7")


def normal_(array: Array, std: float, generator: Generator) -> Array:
    """Fill array from N(0, std²), drawn in logical order whatever the order in memory."""
    values = generator.numpy().standard_normal(array.shape, dtype=array.dtype.type) * array.dtype.type(std)
    array[...] = xp_of(array).asarray(values)
    return array


def he_normal_(array: Array, generator: Generator) -> Array:
    """N(0, 2 / fan_in): keeps the size of signals through ReLU layers (He et al. 2015). array is a weight (F, ...), fan_in the rest."""
    return normal_(array, math.sqrt(2 / math.prod(array.shape[1:])), generator)


def he(module: Module, generator: Generator) -> None:
    """Every weight N(0, 2 / fan_in), every bias 0."""
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            parameter.data[...] = 0
        else:
            he_normal_(parameter.data, generator)


def paper(module: Module, generator: Generator, ones: Iterable[str] = PAPER_ONES) -> None:
    """Krizhevsky et al. 2012, section 5: weights N(0, 0.01²); biases 1 in the layers named by ones, 0 elsewhere."""
    ones = set(ones)
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            parameter.data[...] = float(name.removesuffix(".bias").split(".")[-1] in ones)
        else:
            normal_(parameter.data, 0.01, generator)


def channels_last(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Zeros of logical shape (F, C, KH, KW) whose memory runs F, KH, KW, C: what the fast kernels read without repacking."""
    F, C, KH, KW = shape
    return np.zeros((F, KH, KW, C), dtype).transpose(0, 3, 1, 2)
