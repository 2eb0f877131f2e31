"""Tensor's operators: their operands' dtypes as in PyTorch, and what changes a tensor in place."""
from collections.abc import Callable
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np

from ..backend import quiet
from ..guard import writable
from ..tensor import Op, Tensor, bind
from .arithmetic import (Add, Div, FloorDivide, MatMul, Mul, Neg, Pow, Power, Remainder, Sub)
from .promotion import broadcastable, promoted

NOT_OF_BOOLS = (Sub, FloorDivide, Remainder, Power)


def binary(op: type[Op], a: Any, b: Any) -> Tensor:
    """op of two operands, one at least a Tensor, in the dtype that PyTorch would give the result.

    Raises TypeError for bools where PyTorch refuses them.
    """
    x, y = promoted(op.__name__, a, b, floating=op is Div)
    if op in NOT_OF_BOOLS and x.dtype == bool:
        raise TypeError(f"{op.__name__}: bools have none; convert them with .to(dtype=...)")
    broadcastable(op.__name__, x, y)
    return op()(x, y)


def negative(x: Tensor) -> Tensor:
    """-x. Raises TypeError for bools."""
    if x.dtype == bool:
        raise TypeError("Neg: bools have none; to turn True into False write ~x")
    return Neg()(x)


def power(x: Any, exponent: Any) -> Tensor:
    """x ** exponent, elementwise; one is a Tensor, the other a Tensor, an array or a number.

    Whole numbers stay such. Raises ValueError for a negative power of them, TypeError for bools
    and for what is no number.
    """
    if isinstance(exponent, Real) and isinstance(x, Tensor) and x.dtype.kind == "f":
        return Pow(int(exponent) if isinstance(exponent, Integral) else float(exponent))(x)
    return binary(Power, x, exponent)


def matmul(a: Any, b: Any) -> Tensor:
    """a @ b: vectors, matrices, or stacks of them. Raises ValueError for sizes that do not fit."""
    return MatMul()(a, b)


def in_place(name: str, operate: Callable[[Tensor, Any], Tensor], x: Tensor, other: Any) -> Tensor:
    """x += other and the like: x itself is changed where no gradient is recorded.

    Where one is, the name stands for a new tensor. Raises RuntimeError for a leaf that requires a
    gradient, as PyTorch does, and for an array that a backward pass still needs; ValueError and
    TypeError for a result of another shape or of a dtype that does not fit.
    """
    y = operate(x, other)
    if y.requires_grad:
        if x.requires_grad and x.creator is None:
            raise RuntimeError(f"{name}: a leaf that requires a gradient cannot be changed "
                               "in place while it is recorded; use no_grad(), or x = x + ...")
        return y
    array = writable(f"{name}: a tensor {x.shape}", x.data)
    if y.shape != x.shape:
        raise ValueError(f"{name}: a tensor {x.shape} cannot become {y.shape} in place")
    if not np.can_cast(y.dtype, x.dtype, "same_kind"):
        raise TypeError(f"{name}: a tensor of {x.dtype} cannot hold {y.dtype}; "
                        "convert it with .to(dtype=...)")
    with quiet():
        array[...] = y.data
    return x


def bind_operator(name: str, title: str, operate: Callable[[Any, Any], Tensor]) -> None:
    """Tensor's operator name, on either side and in place; title: what messages call it."""
    def direct(a: Tensor, b: Any) -> Tensor:
        return operate(a, b)

    def reflected(b: Tensor, a: Any) -> Tensor:
        return operate(a, b)

    def changed(a: Tensor, b: Any) -> Tensor:
        return in_place(title, operate, a, b)
    bind(**{f"__{name}__": direct, f"__r{name}__": reflected, f"__i{name}__": changed})


for name, op in (("add", Add), ("sub", Sub), ("mul", Mul), ("truediv", Div),
                 ("floordiv", FloorDivide), ("mod", Remainder)):
    bind_operator(name, op.__name__, partial(binary, op))
bind_operator("pow", "Power", power)
bind_operator("matmul", "MatMul", matmul)
bind(__neg__=negative, pow=power)
