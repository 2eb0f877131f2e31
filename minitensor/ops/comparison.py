"""Comparisons and the logic of masks: Tensors that have no gradient."""
import operator
from collections.abc import Callable
from typing import Any

from ..backend import as_array, type_name, xp_of
from ..tensor import Tensor, bind
from .operators import bind_operator
from .promotion import broadcastable, promoted


def comparison(compare: Callable[[Any, Any], Any]) -> Callable[[Tensor, Any], Any]:
    """The method of an operator such as <."""
    def method(x: Tensor, other: Any) -> Any:
        """Elementwise, with broadcasting: a Tensor of bool, which has no gradient.

        Integers are compared as they are, others in the dtype that their sum would have.
        """
        values = as_array(other.data if isinstance(other, Tensor) else other)
        if values.dtype.kind not in "fiub":             # None, text: Python's own answer
            return NotImplemented
        if "f" in (x.dtype.kind, values.dtype.kind):
            x, other = promoted(compare.__name__, x, other)
            values = other.data
        if isinstance(other, Tensor) and other.device != x.device:
            raise RuntimeError(f"{compare.__name__}: one tensor is on {x.device!r}, the other on "
                               f"{other.device!r}; move one with .to(device)")
        broadcastable(compare.__name__, x, values)
        return Tensor(compare(x.data, xp_of(x.data).asarray(values)))
    return method


def logic(name: str, operate: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Tensor]:
    """The function of &, | or ^, which raises TypeError for fractions."""
    def method(a: Any, b: Any) -> Tensor:
        """Of bools and of the bits of integers, elementwise, with broadcasting."""
        x, y = promoted(name, a, b)
        if x.dtype.kind == "f":
            raise TypeError(f"{name}: expected bools or integers, not {x.dtype}")
        broadcastable(name, x, y)
        return Tensor(operate(x.data, y.data))
    return method


def invert(x: Tensor) -> Tensor:
    """~x: True for False, and every bit of an integer. Raises TypeError for fractions."""
    if x.dtype.kind == "f":
        raise TypeError(f"invert: expected bools or integers, not {x.dtype}")
    return Tensor(~x.data)


def contains(x: Tensor, value: Any) -> bool:
    """Whether any element equals value, as in PyTorch. Raises TypeError for what is no number."""
    found = x == value
    if not isinstance(found, Tensor):
        raise TypeError(f"in: a tensor holds numbers, and no {type_name(value)}")
    return bool(found.data.any())


COMPARISONS = {name: comparison(getattr(operator, name))
               for name in ("eq", "ne", "lt", "le", "gt", "ge")}
LOGIC = {"and": logic("and", operator.and_), "or": logic("or", operator.or_),
         "xor": logic("xor", operator.xor)}

bind(__hash__=object.__hash__, __contains__=contains, __invert__=invert,
     **{f"__{name}__": method for name, method in COMPARISONS.items()})
for name, method in LOGIC.items():
    bind_operator(name, name, method)
