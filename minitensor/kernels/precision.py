"""What the factors of products are rounded to on their way into the tensor cores of a GPU.

    fp32    not at all
    tf32    to 10 bits behind the point (float32 has 23), the range of float32
    bf16    to 7 bits behind the point, the range of float32, so losses need no scaling

Arrays stay float32 in memory, and sums are float32. float64 arrays, with which gradients are
checked, are never rounded.
"""
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import SimpleNamespace

from ..backend import Array

PRECISIONS = ("fp32", "tf32", "bf16")

_precision: ContextVar[str] = ContextVar("precision", default="fp32")


@contextmanager
def use_precision(name: str) -> Iterator[None]:
    """Run everything inside the with-block in one of PRECISIONS.

    The kernels of the CPU have "fp32" alone, and say so when they are called with another. Raises
    ValueError for a name that is none of PRECISIONS.
    """
    if name not in PRECISIONS:
        raise ValueError(f"use_precision: name must be one of {PRECISIONS}, not {name!r}")
    token = _precision.set(name)
    try:
        yield
    finally:
        _precision.reset(token)


def precision_of(array: Array) -> str:
    """How products with array are rounded: one of PRECISIONS."""
    return _precision.get() if array.dtype == "float32" else "fp32"


def check_precision(kernels: SimpleNamespace) -> None:
    """Raises ValueError unless the kernel set has the precision in force."""
    precision = _precision.get()
    if precision not in kernels.precisions:
        raise ValueError(f"use_precision: {precision!r} needs the 'cuda' kernels and a GPU; "
                         f"{kernels.name!r} has {', '.join(map(repr, kernels.precisions))} alone")
