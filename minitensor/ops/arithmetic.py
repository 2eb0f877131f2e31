"""Arithmetic, with NumPy's broadcasting: what `+ - * / ** @` of Tensors do, `exp` and `log`."""
from numbers import Integral, Real
from typing import Any

import numpy as np

from ..backend import Array, sum_of, xp_of
from ..guard import guarded
from ..kernels import kernels_for
from ..tensor import Op, Tensor, bind
from .promotion import promoted


def _floats(x: Array) -> Array:
    """x, integers as float32, as in PyTorch: the dtype of a result that is not an integer."""
    return x if x.dtype.kind == "f" else x.astype(np.float32)


def _unbroadcast(dx: Array, shape: tuple[int, ...]) -> Array:
    """The adjoint of broadcasting shape to dx.shape: the sum over every axis that was stretched."""
    new = dx.ndim - len(shape)
    stretched = tuple(i + new for i, n in enumerate(shape) if n == 1 and dx.shape[i + new] != 1)
    axes = tuple(range(new)) + stretched
    return sum_of(dx, axes, keepdims=True).reshape(shape) if axes else dx


class Add(Op):
    def forward(self, a, b):
        self.shapes = a.shape, b.shape
        return a + b

    def backward(self, dy):
        return tuple(_unbroadcast(dy, shape) for shape in self.shapes)


class Sub(Op):
    def forward(self, a, b):
        self.shapes = a.shape, b.shape
        return a - b

    def backward(self, dy):
        return _unbroadcast(dy, self.shapes[0]), _unbroadcast(-dy, self.shapes[1])


class Mul(Op):
    def forward(self, a, b):
        self.a, self.b = a, b
        return a * b

    def backward(self, dy):
        return _unbroadcast(dy * self.b, self.a.shape), _unbroadcast(dy * self.a, self.b.shape)


class Div(Op):
    def forward(self, a, b):
        self.a, self.b = a, b
        return a / b

    def backward(self, dy):
        da, db = dy / self.b, -dy * self.a / self.b**2
        return _unbroadcast(da, self.a.shape), _unbroadcast(db, self.b.shape)


class Pow(Op):
    """x ** exponent, for a number exponent."""

    def __init__(self, exponent: float):
        if not isinstance(exponent, Real):
            raise TypeError(f"Pow: exponent must be a number, not {type(exponent).__name__}")
        whole = isinstance(exponent, Integral)
        self.exponent: float = int(exponent) if whole else float(exponent)

    def forward(self, x):
        self.x = x if isinstance(self.exponent, int) else _floats(x)
        return self.x**self.exponent

    def backward(self, dy):
        return dy * self.exponent * self.x**(self.exponent - 1) if self.exponent else dy * 0


class Exp(Op):
    def forward(self, x):
        self.y = xp_of(x).exp(_floats(x))
        return self.y

    def backward(self, dy):
        return dy * self.y


class Log(Op):
    def forward(self, x):
        self.x = _floats(x)
        return xp_of(x).log(self.x)

    def backward(self, dy):
        return dy / self.x


class MatMul(Op):
    """a (..., I, K) @ b (..., K, J) -> (..., I, J), leading axes broadcast.

    A vector counts as one row of a, one column of b.
    """

    def forward(self, a, b):
        if not a.ndim or not b.ndim or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
            raise ValueError(f"matmul: inner sizes differ (a {a.shape}, b {b.shape})")
        if any(1 != m != n != 1 for m, n in zip(a.shape[-3::-1], b.shape[-3::-1])):
            raise ValueError(f"matmul: leading sizes differ (a {a.shape}, b {b.shape})")
        self.shapes = a.shape, b.shape
        self.a = a if a.ndim > 1 else a[None, :]
        self.b = b if b.ndim > 1 else b[:, None]
        y = kernels_for(a).matmul(self.a, self.b)
        y = y if b.ndim > 1 else y[..., 0]
        return y if a.ndim > 1 else y[..., 0, :] if b.ndim > 1 else y[..., 0]

    def backward(self, dy):
        a_shape, b_shape = self.shapes
        dy = dy if len(b_shape) > 1 else dy[..., None]
        dy = dy if len(a_shape) > 1 else dy[..., None, :]
        matmul = kernels_for(dy).matmul
        da, db = matmul(dy, self.b.swapaxes(-1, -2)), matmul(self.a.swapaxes(-1, -2), dy)
        return (_unbroadcast(da, self.a.shape).reshape(a_shape),
                _unbroadcast(db, self.b.shape).reshape(b_shape))


# ---- Tensor's operators and methods ----------------------------------------------------------

def exp(x: Tensor) -> Tensor:
    """e ** x, elementwise; integers give float32."""
    return Exp()(x)


def log(x: Tensor) -> Tensor:
    """The natural logarithm, elementwise; integers give float32."""
    return Log()(x)


def _binary(op: type[Op], a: Any, b: Any) -> Tensor:
    """op of two operands, one at least a Tensor, in the dtype that PyTorch would give the result.
    """
    return op()(*promoted(op.__name__, a, b, floating=op is Div))


def _in_place(op: type[Op], x: Tensor, other: Any) -> Tensor:
    """x += other and the like: x itself is changed where no gradient is recorded.

    Where one is, the name stands for a new tensor. Raises RuntimeError for a leaf that requires a
    gradient, as PyTorch does, and for an array that a backward pass still needs; ValueError and
    TypeError for a result of another shape or of a dtype that does not fit.
    """
    y = _binary(op, x, other)
    if y.requires_grad:
        if x.requires_grad and x.creator is None:
            raise RuntimeError(f"{op.__name__}: a leaf that requires a gradient cannot be changed "
                               "in place while it is recorded; use no_grad(), or x = x + ...")
        return y
    if guarded(x.data):
        raise RuntimeError(f"{op.__name__}: a tensor {x.shape} is still needed by a backward pass "
                           "that has not run; call backward first, or write x = x + ...")
    if y.shape != x.shape:
        raise ValueError(f"{op.__name__}: a tensor {x.shape} cannot become {y.shape} in place")
    if not np.can_cast(y.dtype, x.dtype, "same_kind"):
        raise TypeError(f"{op.__name__}: a tensor of {x.dtype} cannot hold {y.dtype}; "
                        "convert it with .to(dtype=...)")
    x.data[...] = y.data
    return x


bind(
    __add__=lambda a, b: _binary(Add, a, b), __radd__=lambda b, a: _binary(Add, a, b),
    __sub__=lambda a, b: _binary(Sub, a, b), __rsub__=lambda b, a: _binary(Sub, a, b),
    __mul__=lambda a, b: _binary(Mul, a, b), __rmul__=lambda b, a: _binary(Mul, a, b),
    __truediv__=lambda a, b: _binary(Div, a, b), __rtruediv__=lambda b, a: _binary(Div, a, b),
    __matmul__=lambda a, b: MatMul()(a, b), __rmatmul__=lambda b, a: MatMul()(a, b),
    __pow__=lambda x, exponent: Pow(exponent)(x), __neg__=lambda x: Mul()(x, -1),
    __iadd__=lambda a, b: _in_place(Add, a, b), __isub__=lambda a, b: _in_place(Sub, a, b),
    __imul__=lambda a, b: _in_place(Mul, a, b), __itruediv__=lambda a, b: _in_place(Div, a, b),
    exp=exp, log=log,
)
