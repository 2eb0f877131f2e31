"""The contract of the kernels: arrays in, arrays out, no Tensor in sight.

Three sets implement the same functions with the same signatures:

    reference   the textbook, on NumPy and CuPy alike; its docstrings define what every kernel computes
    cpu         the fast NumPy set
    cuda        the fast CuPy set: kernels in CUDA C++, in `cuda/src/*.cu`, called from `cuda/*.py`

A kernel that a fast set lacks falls back to the reference set. Every argument is explicit and already valid: defaults,
broadcasting of `3` to `(3, 3)` and error messages belong to `minitensor.ops`.

Sizes are called                                    and arrays
    N        images in a batch                          x, dx    (N, C, H, W)         the input and its gradient
    C, F     channels of the input, of the output       w, dw    (F, C / groups, KH, KW)
    H, W     height and width of the input              b, db    (F,)
    KH, KW   height and width of a window               y, dy    (N, F, OH, OW)       the output and its gradient
    OH, OW   height and width of the output
Shapes are logical: the order in memory is free, kernels accept any strides, and the fast sets'
convolutions and pools return channels-last memory.
A pair (stride, padding, dilation, kernel_size, image_size) is (vertical, horizontal). Arrays are float32 or float64.
"""
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import SimpleNamespace

from ..backend import Array, device_of
from . import reference
from .precision import PRECISIONS, check_precision, precision_of, use_precision

KERNELS = (
    "im2col", "col2im", "conv2d", "conv2d_backward", "linear", "linear_backward",
    "max_pool2d", "max_pool2d_backward", "avg_pool2d", "avg_pool2d_backward",
    "adaptive_avg_pool2d", "adaptive_avg_pool2d_backward",
    "relu", "relu_backward", "tanh", "tanh_backward", "sigmoid", "sigmoid_backward", "dropout",
    "local_response_norm", "local_response_norm_backward",
    "softmax", "softmax_backward", "log_softmax", "log_softmax_backward", "cross_entropy", "cross_entropy_backward",
    "sgd",
)


def _kernel_set(name: str, *modules) -> SimpleNamespace:
    """The contract's functions, each from the first of modules that has it."""
    pick = {kernel: next(getattr(m, kernel) for m in modules if hasattr(m, kernel)) for kernel in KERNELS}
    return SimpleNamespace(name=name, **pick)


def _load(name: str) -> SimpleNamespace:
    if name == "reference":
        return _kernel_set(name, reference)
    if name == "cpu":
        from . import cpu
        return _kernel_set(name, cpu, reference)
    if name == "cuda":
        from . import cuda
        return _kernel_set(name, cuda, reference)
    raise ValueError(f"use_kernels: no kernel set {name!r}; there are 'reference', 'cpu' and 'cuda'")


SETS = {"cpu": ("reference", "cpu"), "cuda": ("reference", "cuda")}  # by device; the last one is the fastest

_sets: dict[str, SimpleNamespace] = {}
_choice: ContextVar[str | None] = ContextVar("kernels", default=None)


def kernel_set(name: str) -> SimpleNamespace:
    """One set by name, its functions as attributes. Raises ValueError for an unknown name."""
    if name not in _sets:
        _sets[name] = _load(name)
    return _sets[name]


def kernels_for(array: Array) -> SimpleNamespace:
    """The one dispatch: the set chosen by `use_kernels`, else the fastest one for the device that holds array.

    Raises ValueError where a `use_precision` is in force that the set does not have.
    """
    name = _choice.get() or SETS[device_of(array)][-1]
    check_precision(name)
    return kernel_set(name)


@contextmanager
def use_kernels(name: str) -> Iterator[None]:
    """Run everything inside the with-block on one kernel set, "reference", "cpu" or "cuda"."""
    kernel_set(name)
    token = _choice.set(name)
    try:
        yield
    finally:
        _choice.reset(token)
