"""The dtype of a result: PyTorch's rules (torch.result_type)."""
from numbers import Number
from typing import Any

import numpy as np

from ..backend import as_array, xp_of
from ..tensor import Tensor

CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2}         # bool, integers, floats: by a dtype's kind


def promoted(op: str, a: Any, b: Any, floating: bool = False) -> tuple[Tensor, Tensor]:
    """a and b as Tensors of the dtype of their result; floating: integers become float32.

    An operand with axes outranks one of a higher dtype but of the same category (bool, integer,
    float) without axes, and both outrank a Python number: uint8 (3,) · 2 is uint8, · 2.5 float32.
    Raises TypeError for what is no number, OverflowError for one that does not fit the dtype.
    """
    operands = [value if isinstance(value, Tensor) else _constant(op, value) for value in (a, b)]
    dtype = _result_type(operands, [isinstance(value, Number) for value in (a, b)])
    if floating and dtype.kind != "f":
        dtype = np.dtype(np.float32)
    x, y = (_converted(op, operand, value, dtype) for operand, value in zip(operands, (a, b)))
    device = next(value.device for value in (a, b) if isinstance(value, Tensor))
    x, y = (t if isinstance(value, Tensor) else t.to(device) for t, value in zip((x, y), (a, b)))
    return x, y


def _constant(op: str, value: Any) -> Tensor:
    array = as_array(value)
    if array.dtype.kind not in CATEGORY:
        raise TypeError(f"{op}: cannot use a {type(value).__name__} as an operand")
    return Tensor(value)


def _converted(op: str, x: Tensor, value: Any, dtype: np.dtype) -> Tensor:
    if isinstance(value, Number) and dtype.kind in "ui":
        limits = np.iinfo(dtype)
        if not limits.min <= value <= limits.max:           # type: ignore[operator]
            raise OverflowError(f"{op}: {value} does not fit {dtype}; convert the tensor with "
                                ".to(dtype=...)")
    if isinstance(value, Number):                           # not by way of float32
        return Tensor(xp_of(x.data).asarray(value, dtype=dtype))
    return x if x.dtype == dtype else x.to(dtype=dtype)


def _result_type(operands: list[Tensor], are_numbers: list[bool]) -> np.dtype:
    ranks: list[np.dtype | None] = [None, None, None]       # with axes, without, Python's numbers
    for x, is_number in zip(operands, are_numbers):
        rank = 2 if is_number else 0 if x.ndim else 1
        ranks[rank] = _wider(ranks[rank], x.dtype)
    result = None
    for dtype in reversed(ranks):                           # the last word has the first rank
        if dtype is None or result is None:
            result = result or dtype
        elif CATEGORY[dtype.kind] >= CATEGORY[result.kind] and dtype.kind != "b":
            result = dtype
        else:
            result = _wider(dtype, result)
    assert result is not None
    return result


def _wider(a: np.dtype | None, b: np.dtype) -> np.dtype:
    """The dtype that holds both, as in PyTorch: a float that meets integers stays as it is."""
    if a is None or a == b:
        return b
    if "f" in (a.kind, b.kind) and a.kind != b.kind:
        return a if a.kind == "f" else b
    return np.promote_types(a, b)
