"""Shapes: the same elements seen in another order, joined, on another device or converted.

Where NumPy gives a view, its array is read-only: it is changed by `view += 1` and `view[i] = 1`.
"""
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..backend import DEVICES, device_of, to_device, type_name, xp_of
from ..guard import view_of
from ..tensor import FLOATS, Op, Tensor, bind
from .arithmetic import unbroadcast
from .checks import axes_of
from .promotion import promoted

DTYPES = {"float": "float32", "double": "float64", "int": "int32", "long": "int64", "bool": "bool"}


class Reshape(Op):
    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, x):
        self.input_shape = x.shape
        try:
            return view_of(x, x.reshape(self.shape)[...])
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
        return view_of(x, x.transpose(self.dims))

    def backward(self, dy):
        inverse = np.argsort([d % len(self.dims) for d in self.dims])
        return dy.transpose([int(i) for i in inverse])


class Expand(Op):
    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape

    def forward(self, x):
        self.input_shape = x.shape
        return xp_of(x).broadcast_to(x, self.shape)      # NumPy's is read-only

    def backward(self, dy):
        return unbroadcast(dy, self.input_shape)


class Clone(Op):
    def forward(self, x):
        return x.copy(order="K")

    def backward(self, dy):
        return dy


class Cat(Op):
    """Arrays of shape (0,) are passed over, as in PyTorch."""

    def __init__(self, dim: int):
        self.dim = dim

    def forward(self, *arrays):
        self.shapes = [a.shape for a in arrays]
        filled = [a for a in arrays if a.shape != (0,)] or arrays[:1]
        return xp_of(arrays[0]).concatenate(filled, axis=self.dim)

    def backward(self, dy):
        sizes = [0 if shape == (0,) else shape[self.dim] for shape in self.shapes]
        pieces = xp_of(dy).split(dy, np.cumsum(sizes)[:-1].tolist(), axis=self.dim)
        return tuple(piece.reshape(shape) for piece, shape in zip(pieces, self.shapes))


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
    """tensors joined along dim; their other sizes must agree, but one of shape (0,) fits any.

    Dtypes that differ become the one of their sum. Raises ValueError for no tensor, or for sizes
    that differ, TypeError for what is no list of Tensors.
    """
    _check_tensors("cat", tensors)
    filled = [t for t in tensors if t.shape != (0,)] or tensors[:1]
    first = filled[0]
    if not -first.ndim <= dim < first.ndim:
        raise ValueError(f"cat: dim {dim} is not an axis of tensors of shape {first.shape}")
    axis = dim % first.ndim
    if len({(t.ndim, *t.shape[:axis], *t.shape[axis + 1:]) for t in filled}) > 1:
        raise ValueError(f"cat: tensors must have the same sizes but along dim {dim}, "
                         f"not {', '.join(str(t.shape) for t in filled)}")
    return Cat(axis)(*promoted("cat", *tensors))


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """tensors of one shape along a new axis, dim of the result.

    Dtypes and errors: see `cat`.
    """
    _check_tensors("stack", tensors)
    if len({t.shape for t in tensors}) > 1:
        raise ValueError("stack: tensors must have one shape, "
                         f"not {', '.join(str(t.shape) for t in tensors)}")
    rows = [unsqueeze(t, dim) for t in tensors]
    return Cat(dim % rows[0].ndim)(*promoted("stack", *rows))


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """x with the axes from start_dim to end_dim (inclusive) joined into one; of a number, (1,).

    Raises ValueError when they are not axes in order.
    """
    ndim = max(x.ndim, 1)
    start, end = (d + ndim if d < 0 else d for d in (start_dim, end_dim))
    if not 0 <= start <= end < ndim:
        raise ValueError(f"flatten: start_dim {start_dim} and end_dim {end_dim} "
                         f"are not axes in order of x {x.shape}")
    return x.reshape(*x.shape[:start], math.prod(x.shape[start:end + 1]), *x.shape[end + 1:])


def _check_tensors(op: str, tensors: Any) -> None:
    if not isinstance(tensors, (list, tuple)):
        raise TypeError(f"{op}: tensors must be a list of Tensors, not {tensors!r:.60}")
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{op}: tensors must be a list of Tensors, but there is a "
                            f"{type_name(tensor)} among them")
    if not tensors:
        raise ValueError(f"{op}: expected at least one tensor")


# ---- Tensor's methods ------------------------------------------------------------------------

def reshape(x: Tensor, *shape) -> Tensor:
    """x in another shape of as many elements, given as numbers or as a tuple; -1 is filled in."""
    return Reshape(_unpack(shape))(x)


def squeeze(x: Tensor, dim: Any = None) -> Tensor:
    """x without its axes of size 1, or without those of them that dim, an int or several, names."""
    axes = () if dim == () else axes_of("squeeze", x, dim)
    return x.reshape([n for i, n in enumerate(x.shape) if n != 1 or i not in axes])


def unsqueeze(x: Tensor, dim: int) -> Tensor:
    """x with a new axis of size 1, which is axis dim of the result."""
    if not -x.ndim - 1 <= dim <= x.ndim:
        raise ValueError(f"unsqueeze: dim {dim} is not an axis of x {x.shape} with one more")
    axis = dim % (x.ndim + 1)
    return x.reshape(*x.shape[:axis], 1, *x.shape[axis:])


def expand(x: Tensor, *sizes) -> Tensor:
    """x with axes of size 1 stretched, and new ones before them; -1 keeps a size. Not a copy."""
    sizes = _unpack(sizes)
    new = len(sizes) - x.ndim
    kept = [x.shape[i - new] if n == -1 and i >= new else n for i, n in enumerate(sizes)]
    fits = all(old in (1, n) for old, n in zip(x.shape, kept[max(new, 0):]))
    if new < 0 or not fits or any(n < 0 for n in kept):
        raise ValueError(f"expand: x {x.shape} cannot become {tuple(sizes)}")
    return Expand(tuple(kept))(x)


def permute(x: Tensor, *dims) -> Tensor:
    """x with its axes in the order dims, given as numbers or as a tuple."""
    return Permute(_unpack(dims))(x)


def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """x with two axes swapped."""
    axes = list(range(x.ndim))
    for dim in (dim0, dim1):
        if not -max(x.ndim, 1) <= dim < max(x.ndim, 1):
            raise ValueError(f"transpose: dims {dim0} and {dim1} must be axes of x {x.shape}")
    if axes:
        axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
    return Permute(tuple(axes))(x)


def clone(x: Tensor) -> Tensor:
    """A copy, through which the gradient travels back."""
    return Clone()(x)


def to(x: Tensor, device: str | None = None, dtype: Any = None) -> Tensor:
    """x on a device, "cpu" or "cuda", and of a dtype; its array is copied only where one changes.

    `x.to(numpy.float64)` names the dtype alone. The gradient travels back. Raises TypeError for a
    dtype that has no gradient where x needs one.
    """
    if device is not None and not isinstance(device, str):
        device, dtype = None, device
    return To(device, dtype)(x)


def _unpack(arguments: tuple) -> tuple[int, ...]:
    """`reshape(2, 3)` and `reshape((2, 3))` alike."""
    alone = len(arguments) == 1 and isinstance(arguments[0], Sequence)
    return tuple(arguments[0]) if alone else arguments


def _conversion(name: str, **target: Any) -> Callable[[Tensor], Tensor]:
    def method(x: Tensor) -> Tensor:
        return to(x, **target)
    method.__doc__ = f"x.to({', '.join(f'{k}={v!r}' for k, v in target.items())})."
    method.__name__ = name
    return method


bind(reshape=reshape, view=reshape, permute=permute, transpose=transpose, squeeze=squeeze,
     unsqueeze=unsqueeze, expand=expand, flatten=flatten, clone=clone, to=to,
     T=property(lambda x: permute(x, *reversed(range(x.ndim))), doc="The axes reversed."),
     **{name: _conversion(name, dtype=dtype) for name, dtype in DTYPES.items()},
     **{name: _conversion(name, device=name) for name in DEVICES})
