"""Reductions: sum, mean, var, max and others, over all axes (dim None), one (an int) or several."""
import math
from typing import NamedTuple

import numpy as np

from ..backend import Array, sum_of, xp_of
from ..tensor import Op, Tensor, bind
from .checks import axes_of
from .elementwise import Sqrt


class Sum(Op):
    def __init__(self, dim: tuple[int, ...], keepdim: bool):
        self.dim, self.keepdim = dim, keepdim

    def forward(self, x):
        self.shape = x.shape
        return sum_of(x, self.dim, self.keepdim)

    def backward(self, dy):
        dy = _restore_dims(dy, self.shape, self.dim, self.keepdim)
        return xp_of(dy).broadcast_to(dy, self.shape)


class Max(Op):
    """The largest value; equal maxima share the gradient equally, as in torch.amax."""

    pick = "max"

    def __init__(self, dim: tuple[int, ...], keepdim: bool):
        self.dim, self.keepdim = dim, keepdim

    def forward(self, x):
        self.x, self.y = x, getattr(x, self.pick)(axis=self.dim, keepdims=True)
        return self.y if self.keepdim else self.y.squeeze(axis=self.dim)

    def backward(self, dy):
        winners = self.x == self.y
        dy = _restore_dims(dy, self.x.shape, self.dim, self.keepdim)
        share = dy / winners.sum(axis=self.dim, keepdims=True)
        return winners * share.astype(dy.dtype, copy=False)


class Min(Max):
    """The smallest value."""

    pick = "min"


class Root(Sqrt):
    """The square root of a variance: its gradient at 0 is 0, as in torch.std."""

    def backward(self, dy):
        flat = self.y == 0
        return xp_of(dy).where(flat, dy.dtype.type(0), dy / (2 * self.y + flat))


def _restore_dims(dy: Array, shape: tuple[int, ...], dim: tuple[int, ...], keepdim: bool) -> Array:
    """dy with the reduced axes back, each of size 1."""
    return dy if keepdim else dy.reshape([1 if i in dim else n for i, n in enumerate(shape)])


# ---- Tensor's methods ------------------------------------------------------------------------

def sum_(x: Tensor, dim=None, keepdim: bool = False) -> Tensor:
    """The sum over dim: None (all axes), an int or several; they stay, of size 1, with keepdim.

    Integers and bools give int64. Raises ValueError where dim is no axis of x, or one twice.
    """
    return Sum(axes_of("sum", x, dim), keepdim)(x)


def mean(x: Tensor, dim=None, keepdim: bool = False) -> Tensor:
    """The mean over dim (see `sum`); integers give float32, no element NaN."""
    if x.dtype == np.float16:                       # whose sum may be too large for it
        return mean(x.float(), dim, keepdim).to(dtype=np.float16)
    total = sum_(x, dim, keepdim)
    count = x.numel() // max(total.numel(), 1)
    return total / count if count or not total.numel() else total * math.nan


def amax(x: Tensor, dim=None, keepdim: bool = False) -> Tensor:
    """The largest value over dim (see `sum`); equal ones share the gradient.

    Raises ValueError where there is no element.
    """
    return Max(_filled("amax", x, dim), keepdim)(x)


def amin(x: Tensor, dim=None, keepdim: bool = False) -> Tensor:
    """The smallest value over dim; see `amax`."""
    return Min(_filled("amin", x, dim), keepdim)(x)


class Extremes(NamedTuple):
    """The extreme values along an axis, and where they are, int64."""
    values: Tensor
    indices: Tensor


def max_(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor | Extremes:
    """The largest value of all; with a dim, an axis, (values, indices) along it, the first of equal
    ones, which gets their gradient.

    `amax` gives values alone. Raises ValueError where there is no element.
    """
    return amax(x) if dim is None else _extremes("max", x, dim, keepdim)


def min_(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor | Extremes:
    """The smallest value of all; with a dim (values, indices): see `max`."""
    return amin(x) if dim is None else _extremes("min", x, dim, keepdim)


def _extremes(op: str, x: Tensor, dim: int, keepdim: bool) -> Extremes:
    axes = _one(op, x, dim)
    indices = (argmax if op == "max" else argmin)(x, dim, keepdim=True)
    grid = list(np.ogrid[tuple(slice(n) for n in x.shape)])     # every element's own index
    for axis in axes:                                           # none of a number ()
        grid[axis] = indices.data
    both = x[tuple(grid)], indices
    return Extremes(*(both if keepdim else (t.squeeze(axes) for t in both)))


def var(x: Tensor, dim=None, unbiased: bool = True, keepdim: bool = False, *,
        correction: float | None = None) -> Tensor:
    """The variance over dim (see `sum`): Σ (x - mean)² / (n - correction), in two passes.

    correction is 1 if unbiased, else 0, unless it is given. x: float32 or float64. Of too few
    elements it is NaN or infinite. Raises TypeError for integers.
    """
    if isinstance(dim, bool):                       # x.var(False), as in PyTorch
        dim, unbiased = None, dim
    if x.dtype.kind != "f":
        raise TypeError(f"var: x must be float32 or float64, not {x.dtype}")
    if x.dtype == np.float16:
        return var(x.float(), dim, unbiased, keepdim, correction=correction).to(dtype=np.float16)
    axes = axes_of("var", x, dim)
    count = math.prod(x.shape[axis] for axis in axes)
    freedom = count - (int(unbiased) if correction is None else correction)
    centred = x - mean(x, axes, keepdim=True) if axes else x - x
    # 0 · inf is NaN, as 0 / 0 in PyTorch.
    return sum_(centred * centred, axes, keepdim) * (1 / freedom if freedom > 0 else math.inf)


def std(x: Tensor, dim=None, unbiased: bool = True, keepdim: bool = False, *,
        correction: float | None = None) -> Tensor:
    """The square root of the variance; see `var`. Its gradient where all are equal is 0."""
    if x.dtype == np.float16:
        return std(x.float(), dim, unbiased, keepdim, correction=correction).to(dtype=np.float16)
    return Root()(var(x, dim, unbiased, keepdim, correction=correction))


def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the largest value along axis dim is, the first of equal ones; int64.

    Without a dim among all elements in C order. Raises ValueError where there is none.
    """
    return _where_it_is("argmax", x, dim, keepdim)


def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the smallest value along axis dim is; see `argmax`."""
    return _where_it_is("argmin", x, dim, keepdim)


def any_(x: Tensor, dim=None, keepdim: bool = False) -> Tensor:
    """Whether an element over dim (see `sum`) is not 0; bool."""
    return Tensor(x.data.any(axis=axes_of("any", x, dim), keepdims=keepdim))


def all_(x: Tensor, dim=None, keepdim: bool = False) -> Tensor:
    """Whether no element over dim (see `sum`) is 0; bool."""
    return Tensor(x.data.all(axis=axes_of("all", x, dim), keepdims=keepdim))


def _filled(op: str, x: Tensor, dim) -> tuple[int, ...]:
    """The axes that dim names. Raises ValueError where x has no element along one of them."""
    axes = axes_of(op, x, dim)
    if any(x.shape[axis] == 0 for axis in axes):
        raise ValueError(f"{op}: x {x.shape} has no element along dim "
                         f"{', '.join(map(str, axes))}")
    return axes


def _one(op: str, x: Tensor, dim: int | None) -> tuple[int, ...]:
    """The axis that dim names, if any: see `_filled`. Raises ValueError for several."""
    axes = _filled(op, x, dim)
    if dim is not None and len(axes) > 1:
        raise ValueError(f"{op}: dim must be one axis or None, not {dim}")
    return axes


def _where_it_is(op: str, x: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    axes = _one(op, x, dim)
    if dim is None or not axes:
        place = getattr(x.data.reshape(-1), op)()
        return Tensor(place.reshape([1] * x.ndim if keepdim else ()))
    place = getattr(x.data, op)(axis=axes[0])
    return Tensor(xp_of(place).expand_dims(place, axes[0]) if keepdim else place)


bind(sum=sum_, mean=mean, max=max_, amax=amax, min=min_, amin=amin, var=var, std=std,
     argmax=argmax, argmin=argmin, any=any_, all=all_)
