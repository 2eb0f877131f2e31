"""Comparisons, which give Tensors of bool, and what NumPy's own functions do with Tensors."""
import operator
from collections.abc import Callable
from typing import Any

from ..backend import as_array, xp_of
from ..tensor import Tensor, bind


def _comparison(compare: Callable[[Any, Any], Any]) -> Callable[[Tensor, Any], Any]:
    def method(x: Tensor, other: Any) -> Any:
        """Elementwise, with broadcasting: a Tensor of bool, which has no gradient."""
        values = as_array(other.data if isinstance(other, Tensor) else other)
        if values.dtype.kind not in "fiub":             # None, text: Python's own answer
            return NotImplemented
        if isinstance(other, Tensor) and other.device != x.device:
            raise RuntimeError(f"{compare.__name__}: one tensor is on {x.device!r}, the other on "
                               f"{other.device!r}; move one with .to(device)")
        return Tensor(compare(x.data, xp_of(x.data).asarray(values)))
    return method


def contains(x: Tensor, value: Any) -> bool:
    """Whether any element equals value, as in PyTorch."""
    return bool((x == value).data.any())


def array_function(x: Tensor, function: Callable, types: Any, args: tuple, kwargs: dict) -> Any:
    """What a function of NumPy gives for the arrays of the Tensors in its arguments: arrays.

    Raises TypeError for a Tensor that requires a gradient, which would be lost in silence.
    """
    return function(*_arrays(function, args), **_arrays(function, kwargs))


def _arrays(function: Callable, value: Any) -> Any:
    if isinstance(value, Tensor):
        if value.requires_grad:
            raise TypeError(f"numpy.{function.__name__}: a tensor that requires a gradient would "
                            "lose it; use an op of minitensor, or .detach() first")
        return value.numpy()
    if isinstance(value, (list, tuple)):
        return type(value)(_arrays(function, item) for item in value)
    if isinstance(value, dict):
        return {key: _arrays(function, item) for key, item in value.items()}
    return value


bind(
    __eq__=_comparison(operator.eq), __ne__=_comparison(operator.ne),
    __lt__=_comparison(operator.lt), __le__=_comparison(operator.le),
    __gt__=_comparison(operator.gt), __ge__=_comparison(operator.ge),
    __hash__=object.__hash__, __contains__=contains, __array_function__=array_function,
)
