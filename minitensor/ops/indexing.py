"""x[index], and x[index] = value where no gradient is recorded."""
import operator
from numbers import Integral, Number
from typing import Any

import numpy as np

from ..backend import as_array, quiet, to_device, xp_of
from ..guard import view_of, writable
from ..recording import is_grad_enabled
from ..tensor import Op, Tensor, bind
from .promotion import promoted


class GetItem(Op):
    """x[index] for every index NumPy knows; elements picked twice get both gradients."""

    def __init__(self, index: tuple):
        self.basic = all(i is None or i is Ellipsis or isinstance(i, (Integral, slice))
                         and not isinstance(i, bool) for i in index)
        # With the Ellipsis one element is a view, too, and not a number.
        whole = self.basic and not any(i is Ellipsis for i in index)
        self.index = (*index, Ellipsis) if whole else index

    def forward(self, x):
        self.shape = x.shape
        return view_of(x, x[self.index])

    def backward(self, dy):
        if self.basic:                      # picks no element twice
            dx = xp_of(dy).zeros(self.shape, dtype=dy.dtype)
            dx[self.index] = dy
            return dx
        dx = xp_of(dy).zeros(self.shape, dtype=np.float64)      # as in `backend.sum_of`
        xp_of(dy).add.at(dx, self.index, dy.astype(np.float64))
        return dx.astype(dy.dtype)


def get_item(x: Tensor, index: Any) -> Tensor:
    """x[index]: integers, slices, None, Ellipsis, lists, masks, Tensors and arrays of any library.

    Raises IndexError for what is out of range or no index.
    """
    return GetItem(_index(x, index))(x)


def set_item(x: Tensor, index: Any, value: Any) -> None:
    """x[index] = value, in place; index: see `get_item`, value: a Tensor, an array or a number.

    Raises RuntimeError where a gradient would be lost or a backward pass still needs x, TypeError
    for a value that x's dtype cannot hold.
    """
    if x.dtype == bool and isinstance(value, Number):       # mask[0] = 1
        value = bool(value)
    _, y = promoted("set_item", x, value)
    if is_grad_enabled() and (x.requires_grad or y.requires_grad):
        raise RuntimeError("set_item: x[index] = value loses the gradient; use no_grad(), or "
                           "where(mask, value, x)")
    array = writable(f"set_item: a tensor {x.shape}", x.data)
    if not np.can_cast(y.dtype, x.dtype, "same_kind"):
        raise TypeError(f"set_item: a tensor of {x.dtype} cannot hold {y.dtype}; "
                        "convert it with .to(dtype=...)")
    with quiet():
        array[_index(x, index)] = y.data


def _index(x: Tensor, index: Any) -> tuple:
    return tuple(_entry(x, i) for i in (index if isinstance(index, tuple) else (index,)))


def _entry(x: Tensor, entry: Any) -> Any:
    """One entry of an index: arrays on x's device; a list or slice as it is now, as it may change.
    """
    if entry is None or entry is Ellipsis or isinstance(entry, (Integral, np.bool_)):
        return entry
    if isinstance(entry, slice):
        bounds = (entry.start, entry.stop, entry.step)
        return slice(*(None if bound is None else operator.index(bound) for bound in bounds))
    if isinstance(entry, Tensor) or hasattr(entry, "__array__"):
        array = entry.data if isinstance(entry, Tensor) else as_array(entry)
    else:
        array = np.array(entry)
        array = array if array.size else array.astype(np.intp)
    return to_device(array, x.device)


bind(__getitem__=get_item, __setitem__=set_item)
