"""Functions of each element, and the choice between two: abs, sqrt, exp, log, clamp, where."""
from typing import Any

import numpy as np

from ..backend import Array, to_device, xp_of
from ..tensor import Op, Tensor, bind
from .arithmetic import unbroadcast
from .operators import binary
from .promotion import broadcastable, promoted


def floats(x: Array) -> Array:
    """x, integers as float32, as in PyTorch: the dtype of a result that is not an integer."""
    return x if x.dtype.kind == "f" else x.astype(np.float32)


class Exp(Op):
    def forward(self, x):
        self.y = xp_of(x).exp(floats(x))
        return self.y

    def backward(self, dy):
        return dy * self.y


class Log(Op):
    def forward(self, x):
        self.x = floats(x)
        return xp_of(x).log(self.x)

    def backward(self, dy):
        return dy / self.x


class Sqrt(Op):
    def forward(self, x):
        self.y = xp_of(x).sqrt(floats(x))
        return self.y

    def backward(self, dy):
        return dy / (2 * self.y)


class Abs(Op):
    def forward(self, x):
        self.x = x
        return abs(x)

    def backward(self, dy):
        sign = (self.x > 0).astype(dy.dtype) - (self.x < 0)     # 0 at NaN, as in PyTorch
        return dy * sign.astype(dy.dtype)


class Clamp(Op):
    def __init__(self, low: float | None, high: float | None):
        self.low, self.high = low, high

    def forward(self, x):
        self.x = x
        x = x if self.low is None else xp_of(x).maximum(x, x.dtype.type(self.low))
        return x if self.high is None else xp_of(x).minimum(x, x.dtype.type(self.high))

    def backward(self, dy):
        inside = self.x == self.x                                       # not NaN
        inside = inside if self.low is None else inside & (self.x >= self.low)
        inside = inside if self.high is None else inside & (self.x <= self.high)
        return xp_of(dy).where(inside, dy, dy.dtype.type(0))


class Where(Op):
    def __init__(self, condition: Array):
        self.condition = condition

    def forward(self, a, b):
        self.shapes = a.shape, b.shape
        return xp_of(a).where(self.condition, a, b)

    def backward(self, dy):
        xp, zero = xp_of(dy), dy.dtype.type(0)
        return (unbroadcast(xp.where(self.condition, dy, zero), self.shapes[0])
                if self.needs[0] else None,
                unbroadcast(xp.where(self.condition, zero, dy), self.shapes[1])
                if self.needs[1] else None)


class Maximum(Op):
    """The larger of two; equal ones share the gradient, as in torch.maximum."""

    pick = "maximum"

    def forward(self, a, b):
        self.a, self.b = a, b
        return getattr(xp_of(a), self.pick)(a, b)

    def backward(self, dy):
        where, zero = xp_of(dy).where, dy.dtype.type(0)
        above, below = self.a > self.b, self.a < self.b
        lost = (below, above) if self.pick == "maximum" else (above, below)
        share = where(self.a == self.b, dy / 2, dy)
        return tuple(unbroadcast(where(loses, zero, share), x.shape) if needed else None
                     for loses, x, needed in zip(lost, (self.a, self.b), self.needs))


class Minimum(Maximum):
    """The smaller of two."""

    pick = "minimum"


# ---- public functions ------------------------------------------------------------------------

def exp(x: Tensor) -> Tensor:
    """e ** x, elementwise; integers give float32."""
    return Exp()(x)


def log(x: Tensor) -> Tensor:
    """The natural logarithm, elementwise; integers give float32."""
    return Log()(x)


def sqrt(x: Tensor) -> Tensor:
    """The square root, elementwise; integers give float32. The gradient at 0 is infinite."""
    return Sqrt()(x)


def abs_(x: Tensor) -> Tensor:
    """|x|, elementwise. The gradient at 0 is 0. Raises TypeError for bools."""
    if x.dtype == bool:
        raise TypeError("abs: bools have none; convert them with .to(dtype=...)")
    return Abs()(x)


def reciprocal(x: Tensor) -> Tensor:
    """1 / x, elementwise; integers give float32."""
    return 1 / x


def clamp(x: Tensor, min: float | None = None, max: float | None = None) -> Tensor:
    """x, what is below min as min, what is above max as max; NaN stays NaN.

    min, max: numbers, or None for no bound; one of them at least is given. The gradient is 1 at
    the bounds, 0 beyond. Raises TypeError for no bound, or one that is no number (see `maximum`).
    """
    if min is None and max is None:
        raise TypeError("clamp: min or max must be given")
    for bound in (min, max):
        if bound is not None:
            if not isinstance(bound, (int, float, np.number)):
                raise TypeError(f"clamp: min and max must be numbers, not {bound!r:.60}; "
                                "see minimum and maximum")
            x = promoted("clamp", x, bound)[0]
    return Clamp(min, max)(x)


def where(condition: Any, a: Any, b: Any) -> Tensor:
    """a where condition holds, else b, with broadcasting; of the dtype that a + b has.

    condition: bools, a Tensor, array or list; a and b: Tensors, arrays or numbers. Raises TypeError
    for a condition that is not bool.
    """
    chosen = condition if isinstance(condition, Tensor) else Tensor(condition)
    if chosen.dtype != bool:
        raise TypeError(f"where: condition must be bool, not {chosen.dtype}")
    x, y = promoted("where", a, b)
    x, y = (t.to(chosen.device) if not isinstance(v, Tensor) else t for t, v in ((x, a), (y, b)))
    broadcastable("where", chosen, x, y)
    return Where(to_device(chosen.data, x.device))(x, y)


def maximum(a: Any, b: Any) -> Tensor:
    """The larger of each pair, with broadcasting; NaN where there is one."""
    return binary(Maximum, a, b)


def minimum(a: Any, b: Any) -> Tensor:
    """The smaller of each pair, with broadcasting; NaN where there is one."""
    return binary(Minimum, a, b)


def _where(x: Tensor, condition: Any, other: Any) -> Tensor:
    """x where condition holds, else other; see the function `where`."""
    return where(condition, x, other)


bind(exp=exp, log=log, sqrt=sqrt, abs=abs_, __abs__=abs_, reciprocal=reciprocal, clamp=clamp,
     clip=clamp, maximum=maximum, minimum=minimum,
     where=_where)
