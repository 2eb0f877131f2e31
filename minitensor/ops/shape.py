"""Shapes: the same elements seen in another order, picked, joined, on another device or converted.

Where NumPy gives a view, the view is read-only: x.data is the one way to change x in place.
"""
import math
from collections.abc import Sequence
from copy import deepcopy
from numbers import Integral
from typing import Any

import numpy as np

from ..backend import Array, device_of, to_device, xp_of
from ..tensor import FLOATS, Op, Tensor, bind


def _read_only(view: Array) -> Array:
    if isinstance(view, np.ndarray) and view.base is not None:
        view.flags.writeable = False
    return view


class Reshape(Op):
    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, x):
        self.input_shape = x.shape
        try:
            return _read_only(x.reshape(self.shape)[...])
        except ValueError:
            raise ValueError(f"reshape: x {x.shape} does not fit shape {self.shape}") from None

    def backward(self, dy):
        return dy.reshape(self.input_shape)


class Permute(Op):
    def __init__(self, dims: tuple[int, ...]):
        self.dims = dims

    def forward(self, x):
        if sorted(d + x.ndim if d < 0 else d for d in self.dims) != list(range(x.ndim)):
            raise ValueError(f"permute: dims {self.dims} must name each axis of x {x.shape} once")
        return _read_only(x.transpose(self.dims))

    def backward(self, dy):
        inverse = np.argsort([d % len(self.dims) for d in self.dims])
        return dy.transpose([int(i) for i in inverse])


class GetItem(Op):
    """x[index] for every index NumPy knows; elements picked twice get both gradients."""

    def __init__(self, index):
        self.index = tuple(map(_raw, index if isinstance(index, tuple) else (index,)))
        self.basic = all(i is None or i is Ellipsis or isinstance(i, (Integral, slice))
                         and not isinstance(i, bool) for i in self.index)

    def forward(self, x):
        self.shape = x.shape
        return _read_only(xp_of(x).asarray(x[self.index]))

    def backward(self, dy):
        if self.basic:                      # picks no element twice
            dx = xp_of(dy).zeros(self.shape, dtype=dy.dtype)
            dx[self.index] = dy
            return dx
        dx = xp_of(dy).zeros(self.shape, dtype=np.float64)      # as in `backend.sum_of`
        xp_of(dy).add.at(dx, self.index, dy.astype(np.float64))
        return dx.astype(dy.dtype)


def _raw(index):
    """index without its Tensor, and as it is now: a list may change before backward."""
    index = index.data if isinstance(index, Tensor) else index
    return deepcopy(index) if isinstance(index, list) else index


class Cat(Op):
    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, *arrays):
        self.ends = np.cumsum([a.shape[self.dim] for a in arrays])[:-1].tolist()
        return xp_of(arrays[0]).concatenate(arrays, axis=self.dim)

    def backward(self, dy):
        return tuple(xp_of(dy).split(dy, self.ends, axis=self.dim))


class To(Op):
    """A copy on another device or of another dtype; the gradient travels back."""

    def __init__(self, device: str | None, dtype: Any):
        self.device, self.dtype = device, dtype

    def forward(self, x):
        if any(self.needs) and self.dtype is not None and np.dtype(self.dtype).name not in FLOATS:
            raise TypeError(f"to: a tensor with a gradient can become {' or '.join(FLOATS)}, "
                            f"not {np.dtype(self.dtype)}; detach it first")
        self.origin = device_of(x), x.dtype
        x = x if self.device is None else to_device(x, self.device)
        return x if self.dtype is None else x.astype(self.dtype, copy=False)

    def backward(self, dy):
        device, dtype = self.origin
        return to_device(dy, device).astype(dtype, copy=False)


# ---- public functions ------------------------------------------------------------------------

def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """tensors joined along dim; their other sizes must agree.

    Raises ValueError for no tensor, or for sizes that differ, TypeError for what is no list of
    Tensors.
    """
    if isinstance(tensors, Tensor) or not all(isinstance(t, Tensor) for t in tensors):
        raise TypeError(f"cat: tensors must be a list of Tensors, not {tensors!r:.60}")
    if not tensors:
        raise ValueError("cat: expected at least one tensor")
    ndim = tensors[0].ndim
    if not -ndim <= dim < ndim:
        raise ValueError(f"cat: dim {dim} is not an axis of tensors of shape {tensors[0].shape}")
    axis = dim % ndim
    if len({(t.ndim, *t.shape[:axis], *t.shape[axis + 1:]) for t in tensors}) > 1:
        raise ValueError(f"cat: tensors must have the same sizes but along dim {dim}, "
                         f"not {', '.join(str(t.shape) for t in tensors)}")
    return Cat(dim)(*tensors)


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """x with the axes from start_dim to end_dim (inclusive) joined into one.

    Raises ValueError when they are not axes in order.
    """
    start, end = (d + x.ndim if d < 0 else d for d in (start_dim, end_dim))
    if not 0 <= start <= end < x.ndim:
        raise ValueError(f"flatten: start_dim {start_dim} and end_dim {end_dim} "
                         f"are not axes in order of x {x.shape}")
    return x.reshape(*x.shape[:start], math.prod(x.shape[start:end + 1]), *x.shape[end + 1:])


# ---- Tensor's methods ------------------------------------------------------------------------

def reshape(x: Tensor, *shape) -> Tensor:
    """x in another shape of as many elements, given as numbers or as a tuple; -1 is filled in."""
    return Reshape(_unpack(shape))(x)


def permute(x: Tensor, *dims) -> Tensor:
    """x with its axes in the order dims, given as numbers or as a tuple."""
    return Permute(_unpack(dims))(x)


def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """x with two axes swapped."""
    dims = list(range(x.ndim))
    try:
        dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    except IndexError:
        raise ValueError(f"transpose: dims {dim0} and {dim1} must be axes of x {x.shape}") from None
    return Permute(tuple(dims))(x)


def to(x: Tensor, device: str | None = None, dtype: Any = None) -> Tensor:
    """x on a device, "cpu" or "cuda", and of a dtype; its array is copied only where one changes.

    The gradient travels back. Raises TypeError for a dtype that has no gradient where x needs one.
    """
    return To(device, dtype)(x)


def _unpack(arguments: tuple) -> tuple[int, ...]:
    """`reshape(2, 3)` and `reshape((2, 3))` alike."""
    alone = len(arguments) == 1 and isinstance(arguments[0], Sequence)
    return tuple(arguments[0]) if alone else arguments


bind(reshape=reshape, permute=permute, transpose=transpose, to=to,
     T=property(lambda x: permute(x, *reversed(range(x.ndim))), doc="The axes reversed."),
     __getitem__=lambda x, index: GetItem(index)(x))
