"""Checks of arguments, each with its one sentence."""
import operator
from typing import Any


def whole(name: str, value: Any, lowest: int) -> int:
    """`value` as an int that is at least `lowest`; `name` says whose argument it is."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, not {value!r}") from None
    if number < lowest:
        raise ValueError(f"{name} must be at least {lowest}, not {value}")
    return number
