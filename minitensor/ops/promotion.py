"""The dtype of a result: PyTorch's rules (torch.result_type)."""
from itertools import zip_longest
from numbers import Number
from typing import Any

import numpy as np

from ..tensor import Tensor, operand

CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2}         # bool, integers, floats: by a dtype's kind


def promoted(op: str, *values: Any, floating: bool = False) -> tuple[Tensor, ...]:
    """values as Tensors of the dtype of their result; floating: integers become float32.

    An operand with axes outranks one of a higher dtype but of the same category (bool, integer,
    float) without axes, and both outrank a Python number: uint8 (3,) · 2 is uint8, · 2.5 float32.
    Constants go to the device of the Tensors. Raises TypeError for what is no number,
    OverflowError for one that does not fit the dtype.
    """
    operands = [value if isinstance(value, Tensor) else _constant(op, value) for value in values]
    dtype = _result_type(operands, [isinstance(value, Number) for value in values])
    if floating and dtype.kind != "f":
        dtype = np.dtype(np.float32)
    device = next((v.device for v in values if isinstance(v, Tensor)), "cpu")
    return tuple(_converted(op, x, value, dtype, device) for x, value in zip(operands, values))


def broadcastable(op: str, *operands: Any) -> None:
    """Raises ValueError for arrays or Tensors whose shapes do not fit each other."""
    shapes = [x.shape for x in operands]
    if len({*shapes, ()}) < 3:                              # equal ones, but for those without axes
        return
    for sizes in zip_longest(*(shape[::-1] for shape in shapes), fillvalue=1):
        if len({n for n in sizes if n != 1}) > 1:
            raise ValueError(f"{op}: shapes {' and '.join(map(str, shapes))} cannot be broadcast "
                             "together")


def _constant(op: str, value: Any) -> Tensor:
    operand(op, value)
    return Tensor(value)


def _converted(op: str, x: Tensor, value: Any, dtype: np.dtype, device: str) -> Tensor:
    if isinstance(value, Number) and dtype.kind in "ui":
        limits = np.iinfo(dtype)
        if not limits.min <= value <= limits.max:           # type: ignore[operator]
            raise OverflowError(f"{op}: {value} does not fit {dtype}; convert the tensor with "
                                ".to(dtype=...)")
    if isinstance(value, Number):                           # not by way of float32
        x = Tensor(value, dtype=dtype)
    x = x if x.dtype == dtype else x.to(dtype=dtype)
    return x if isinstance(value, Tensor) or x.device == device else x.to(device)


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
