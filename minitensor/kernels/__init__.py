"""The contract of the kernels: arrays in, arrays out, no Tensor in sight.

Three sets implement the same functions with the same signatures:

    reference   the textbook, on NumPy and CuPy alike; its docstrings define what every kernel
                computes, and its `__all__` is the list of the contract
    cpu         the fast NumPy set
    cuda        the fast CuPy set: kernels in CUDA C++, in `cuda/src/*.cu`, called from `cuda/*.py`

A set is a module. What it lacks is the reference set's, so a file of your own with a single kernel
is a set too: see `use_kernels`. Its DEVICES and PRECISIONS say where it runs and what it rounds to.
Every argument is explicit and already valid: defaults, broadcasting of `3` to `(3, 3)` and error
messages belong to `minitensor.ops`.

Sizes are called                                    and arrays
    N        images in a batch                      x, dx    (N, C, H, W)        the input
    C, F     channels of the input, the output      w, dw    (F, C / groups, KH, KW)
    H, W     height and width of the input          b, db    (F,)
    KH, KW   height and width of a window           y, dy    (N, F, OH, OW)      the output
    OH, OW   height and width of the output         d...     the gradient of ...
Shapes are logical: the order in memory is free, kernels accept any strides, and the fast sets'
convolutions and pools return channels-last memory. (The update works in place, on any strides too.)
A pair (stride, padding, dilation, kernel_size, image_size) is (vertical, horizontal). Arrays are
float32 or float64.
"""
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType, SimpleNamespace

from ..backend import DEVICES, Array, device_of
from . import cpu, cuda, reference
from .epilogue import ACTIVATIONS, Epilogue
from .precision import PRECISIONS, check_precision, precision_of, use_precision

KERNELS = tuple(reference.__all__)


def kernel_set(kernels: str | os.PathLike | ModuleType | SimpleNamespace) -> SimpleNamespace:
    """The functions of the contract as attributes, with `name`, `devices` and `precisions`.

    kernels: "reference", "cpu", "cuda", a module, or the path of a Python file. Raises ValueError
    for a name that is none of these, and for a module without any kernel.
    """
    if not isinstance(kernels, (str, os.PathLike)):
        return _with_the_textbooks(getattr(kernels, "__name__", "custom"), kernels)
    name = os.fspath(kernels)
    return _sets[name] if name in _sets else _with_the_textbooks(name, _imported(name))


def _with_the_textbooks(name: str, module: ModuleType | SimpleNamespace) -> SimpleNamespace:
    """module's kernels, and the reference set's for those that it lacks."""
    if not any(hasattr(module, kernel) for kernel in KERNELS):
        raise ValueError(f"use_kernels: {name} defines no kernel; the contract's are "
                         f"{', '.join(KERNELS)}")
    functions = {kernel: getattr(module, kernel, getattr(reference, kernel)) for kernel in KERNELS}
    return SimpleNamespace(name=name, devices=getattr(module, "DEVICES", reference.DEVICES),
                           precisions=getattr(module, "PRECISIONS", reference.PRECISIONS),
                           **functions)


def _imported(path: str) -> ModuleType:
    if not path.endswith(".py") or not os.path.isfile(path):
        raise ValueError(f"use_kernels: there is no kernel set {path!r}; name one of "
                         f"{', '.join(_sets)}, a module, or the path of a .py file")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_sets = {name: _with_the_textbooks(name, module)
         for name, module in (("reference", reference), ("cpu", cpu), ("cuda", cuda))}
SETS = {device: tuple(name for name, kernels in _sets.items() if device in kernels.devices)
        for device in DEVICES}              # by device; the last one is the fastest
_choice: ContextVar[SimpleNamespace | None] = ContextVar("kernels", default=None)


def kernels_for(array: Array) -> SimpleNamespace:
    """The one dispatch: the set chosen by `use_kernels`, else the fastest for array's device.

    Raises ValueError where the chosen set does not run on that device, or does not have the
    precision that `use_precision` asks for.
    """
    device, chosen = device_of(array), _choice.get()
    if chosen is None:
        chosen = _sets[SETS[device][-1]]
    elif device not in chosen.devices:
        raise ValueError(f"use_kernels: the set {chosen.name!r} runs on "
                         f"{' and '.join(chosen.devices)}, but the array is on {device!r}")
    check_precision(chosen)
    return chosen


@contextmanager
def use_kernels(kernels: str | os.PathLike | ModuleType | SimpleNamespace) -> Iterator[None]:
    """Run everything inside the with-block on one kernel set.

    kernels: "reference", "cpu", "cuda", or a set of your own: a module, or the path of a Python
    file, with some of the contract's functions. The others are the reference set's. Raises what
    `kernel_set` raises.
    """
    token = _choice.set(kernel_set(kernels))
    try:
        yield
    finally:
        _choice.reset(token)
