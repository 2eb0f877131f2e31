"""Tensor's operators: their operands' dtypes as in PyTorch, and what changes a tensor in place."""
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from ..guard import check_writable
from ..tensor import Op, Tensor, bind
from .arithmetic import (Add, Div, FloorDivide, MatMul, Mul, Neg, Pow, Power, Remainder, Sub)
from .promotion import promoted

NOT_OF_BOOLS = (Sub, FloorDivide, Remainder, Power)


def binary(op: type[Op], a: Any, b: Any) -> Tensor:
    """op of two operands, one at least a Tensor, in the dtype that PyTorch would give the result.

    Raises TypeError for bools where PyTorch refuses them.
    """
    x, y = promoted(op.__name__, a, b, floating=op is Div)
    if op in NOT_OF_BOOLS and x.dtype == bool:
        raise TypeError(f"{op.__name__}: bools have none; convert them with .to(dtype=...)")
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
        return Pow(exponent)(x)
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
    check_writable(f"{name}: a tensor {x.shape}", x.data)
    if y.shape != x.shape:
        raise ValueError(f"{name}: a tensor {x.shape} cannot become {y.shape} in place")
    if not np.can_cast(y.dtype, x.dtype, "same_kind"):
        raise TypeError(f"{name}: a tensor of {x.dtype} cannot hold {y.dtype}; "
                        "convert it with .to(dtype=...)")
    x.data[...] = y.data
    return x


OPERATORS: dict[str, tuple[str, Callable[[Any, Any], Tensor]]] = {
    **{name: (op.__name__, lambda a, b, op=op: binary(op, a, b))     # type: ignore[misc]
       for name, op in (("add", Add), ("sub", Sub), ("mul", Mul), ("truediv", Div),
                        ("floordiv", FloorDivide), ("mod", Remainder))},
    "pow": ("Pow", power),
    "matmul": ("MatMul", matmul),
}
for name, (op_name, operate) in OPERATORS.items():
    bind(**{f"__{name}__": lambda a, b, f=operate: f(a, b),          # type: ignore[misc]
            f"__r{name}__": lambda b, a, f=operate: f(a, b),         # type: ignore[misc]
            f"__i{name}__": lambda a, b, f=operate, name=op_name: in_place(name, f, a, b)})
bind(__neg__=negative, pow=power)
