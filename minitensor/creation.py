"""New tensors: zeros, ones, full, arange, rand and randn, with PyTorch's dtypes."""
from typing import Any

import numpy as np

from .backend import to_device, xp_of
from .random import Generator, chosen
from .tensor import FLOATS, Tensor


def zeros(*size: Any, dtype: Any = np.float32, device: str = "cpu",
          requires_grad: bool = False) -> Tensor:
    """A tensor of 0; size as numbers or as a tuple. Raises ValueError for a negative size."""
    return full(_size("zeros", size), 0, dtype=dtype, device=device, requires_grad=requires_grad)


def ones(*size: Any, dtype: Any = np.float32, device: str = "cpu",
         requires_grad: bool = False) -> Tensor:
    """A tensor of 1; see `zeros`."""
    return full(_size("ones", size), 1, dtype=dtype, device=device, requires_grad=requires_grad)


def full(size: Any, fill_value: float, *, dtype: Any = None, device: str = "cpu",
         requires_grad: bool = False) -> Tensor:
    """A tensor (size) of fill_value, whose own dtype is float32, int64 or bool."""
    dtype = Tensor(fill_value).dtype if dtype is None else dtype
    array = np.full(_size("full", (size,)), fill_value, dtype)
    return Tensor(to_device(array, device), requires_grad=requires_grad)


def zeros_like(x: Tensor) -> Tensor:
    """A tensor of 0 of x's shape, dtype and device."""
    return Tensor(xp_of(x.data).zeros_like(x.data))


def ones_like(x: Tensor) -> Tensor:
    """A tensor of 1 of x's shape, dtype and device."""
    return Tensor(xp_of(x.data).ones_like(x.data))


def arange(start: float, end: float | None = None, step: float = 1, *, dtype: Any = None,
           device: str = "cpu", requires_grad: bool = False) -> Tensor:
    """start, start + step, ... below end, from 0 if there is one number; int64, fractions float32.

    For a dtype of integers all three lose their fractions first, as in PyTorch. Raises ValueError
    for a step of 0 or away from end.
    """
    start, end = (0, start) if end is None else (start, end)
    if dtype is not None and np.dtype(dtype).kind in "iu":
        start, end, step = int(start), int(end), int(step)
    if not step or (end - start) / step < 0:
        raise ValueError(f"arange: step {step} does not lead from {start} to {end}")
    if dtype is None:
        whole = all(isinstance(v, (int, np.integer)) for v in (start, end, step))
        dtype = np.int64 if whole else np.float32
    array = np.arange(start, end, step).astype(dtype)
    return Tensor(to_device(array, device), requires_grad=requires_grad)


def rand(*size: Any, generator: Generator | None = None, dtype: Any = np.float32,
         device: str = "cpu", requires_grad: bool = False) -> Tensor:
    """Uniform in [0, 1), float32 or float64; generator None is the default one (`manual_seed`)."""
    return _drawn("rand", "random", size, generator, dtype, device, requires_grad)


def randn(*size: Any, generator: Generator | None = None, dtype: Any = np.float32,
          device: str = "cpu", requires_grad: bool = False) -> Tensor:
    """Normal of mean 0 and variance 1; see `rand`."""
    return _drawn("randn", "standard_normal", size, generator, dtype, device, requires_grad)


def _drawn(op: str, draw: str, size: tuple, generator: Generator | None, dtype: Any, device: str,
           requires_grad: bool) -> Tensor:
    if np.dtype(dtype).name not in FLOATS:
        raise TypeError(f"{op}: dtype must be {' or '.join(FLOATS)}, not {np.dtype(dtype)}")
    source = chosen(generator).numpy()
    array = getattr(source, draw)(_size(op, size), dtype=np.dtype(dtype))
    return Tensor(to_device(array, device), requires_grad=requires_grad)


def _size(op: str, size: tuple) -> tuple[int, ...]:
    size = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    if not all(isinstance(n, (int, np.integer)) and n >= 0 for n in size):
        raise ValueError(f"{op}: sizes must be integers >= 0, not {size}")
    return size
