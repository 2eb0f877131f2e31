"""Arithmetic, with NumPy's broadcasting: what `+ - * / // % ** @` of Tensors compute."""
from ..backend import Array, capturing, sum_of, xp_of
from ..kernels import kernels_for
from ..tensor import Op


def unbroadcast(dx: Array, shape: tuple[int, ...]) -> Array:
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
        return tuple(unbroadcast(dy, shape) if needed else None
                     for shape, needed in zip(self.shapes, self.needs))


class Sub(Op):
    def forward(self, a, b):
        self.shapes = a.shape, b.shape
        return a - b

    def backward(self, dy):
        return (unbroadcast(dy, self.shapes[0]) if self.needs[0] else None,
                unbroadcast(-dy, self.shapes[1]) if self.needs[1] else None)


class Mul(Op):
    def forward(self, a, b):
        self.a, self.b = a, b
        return a * b

    def backward(self, dy):
        return (unbroadcast(dy * self.b, self.a.shape) if self.needs[0] else None,
                unbroadcast(dy * self.a, self.b.shape) if self.needs[1] else None)


class Div(Op):
    def forward(self, a, b):
        self.a, self.b = a, b
        return a / b

    def backward(self, dy):
        return (unbroadcast(dy / self.b, self.a.shape) if self.needs[0] else None,
                unbroadcast(-dy * self.a / self.b**2, self.b.shape) if self.needs[1] else None)


class Neg(Op):
    def forward(self, x):
        return -x

    def backward(self, dy):
        return -dy


class FloorDivide(Op):
    """The largest whole number that is at most a / b; its gradient is 0."""

    def forward(self, a, b):
        _no_division_by_zero(b)
        self.shapes = a.shape, b.shape
        return a // b

    def backward(self, dy):
        return tuple(xp_of(dy).zeros(shape, dy.dtype) for shape in self.shapes)


class Remainder(Op):
    """a - b (a // b): of b's sign."""

    def forward(self, a, b):
        _no_division_by_zero(b)
        self.a, self.b = a, b
        return a % b

    def backward(self, dy):
        return (unbroadcast(dy, self.a.shape) if self.needs[0] else None,
                unbroadcast(-dy * (self.a // self.b), self.b.shape) if self.needs[1] else None)


def _no_division_by_zero(b: Array) -> None:
    """Of whole numbers; fractions become infinite or NaN."""
    if b.dtype.kind != "f" and not capturing() and not b.all():
        raise ZeroDivisionError("a tensor of whole numbers cannot be divided by 0")


class Pow(Op):
    """x ** exponent, for an int or float exponent and a float x."""

    def __init__(self, exponent: float):
        self.exponent = exponent

    def forward(self, x):
        self.x = x
        return x**self.exponent

    def backward(self, dy):
        return dy * self.exponent * self.x**(self.exponent - 1) if self.exponent else dy * 0


class Power(Op):
    """a ** b, elementwise; where a is 0 the gradient of b >= 0 is 0, as in PyTorch."""

    def forward(self, a, b):
        if b.dtype.kind == "i" and not capturing() and (b < 0).any():
            raise ValueError("pow: whole numbers cannot be raised to a negative power; "
                             "convert them with .float()")
        self.a, self.b, self.y = a, b, a**b
        return self.y

    def backward(self, dy):
        xp, a, b, da, db = xp_of(dy), self.a, self.b, None, None
        if self.needs[0]:
            slope = xp.where(b == 0, 0, b * a**xp.where(b == 0, 1, b - 1))
            da = unbroadcast(dy * slope.astype(dy.dtype, copy=False), a.shape)
        if self.needs[1]:
            flat = (a == 0) & (b >= 0)
            slope = xp.where(flat, 0, self.y * xp.log(xp.where(flat, 1, a)))
            db = unbroadcast(dy * slope.astype(dy.dtype, copy=False), b.shape)
        return da, db


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
        matmul, da, db = kernels_for(dy).matmul, None, None
        if self.needs[0]:
            da = matmul(dy, self.b.swapaxes(-1, -2))
            da = unbroadcast(da, self.a.shape).reshape(a_shape)
        if self.needs[1]:
            db = matmul(self.a.swapaxes(-1, -2), dy)
            db = unbroadcast(db, self.b.shape).reshape(b_shape)
        return da, db
