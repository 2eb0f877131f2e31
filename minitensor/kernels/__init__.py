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
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType, SimpleNamespace

from ..backend import DEVICES, Array, device_of
from . import cpu, cuda, own, reference
from .epilogue import ACTIVATIONS, Epilogue, Needs
from .precision import PRECISIONS, check_precision, precision_of, use_precision

__all__ = [
    "ACTIVATIONS", "KERNELS", "PRECISIONS", "SETS", "Epilogue", "KernelSet", "Needs", "cpu", "cuda",
    "kernel_set", "kernels_for", "precision_of", "reference", "use_kernels", "use_precision",
]
KERNELS = tuple(reference.__all__)
SetLike = str | os.PathLike | ModuleType | SimpleNamespace
CONTRACT = {kernel: getattr(reference, kernel) for kernel in KERNELS}


class KernelSet(SimpleNamespace):
    """The functions of the contract as attributes, with `name`, `devices` and `precisions`."""


def kernel_set(kernels: SetLike) -> KernelSet:
    """kernels: "reference", "cpu", "cuda", a module, the path of a Python file, or a KernelSet.

    Of a file, the functions that it defines itself count, or those in its __all__; of a module that
    is given, and of a SimpleNamespace, all attributes. Raises ValueError for a name that is none of
    these, for a file that cannot be imported, for a kernel with other arguments than the contract's
    and a name that looks like a misspelt kernel, and where there is no kernel at all.
    """
    if isinstance(kernels, KernelSet):
        return kernels
    if not isinstance(kernels, (str, os.PathLike)):
        functions = {name: getattr(kernels, name) for name in dir(kernels)
                     if not name.startswith("_") and callable(getattr(kernels, name))}
        return _with_the_textbooks(getattr(kernels, "__name__", "custom"), kernels, functions)
    path = os.fspath(kernels)
    if path in _sets:
        return _sets[path]
    if not path.endswith(".py") or not os.path.isfile(path):
        raise ValueError(f"use_kernels: there is no kernel set {path!r}; name one of "
                         f"{', '.join(_sets)}, a module, or the path of a .py file")
    module = own.imported(path)
    return _with_the_textbooks(path, module, own.defined_in(module))


def _with_the_textbooks(name: str, module: ModuleType | SimpleNamespace,
                        functions: dict[str, Callable]) -> KernelSet:
    """The kernels among functions, and the reference set's for those that they lack."""
    own.check(name, functions, CONTRACT)
    kernels = {kernel: functions.get(kernel, textbook) for kernel, textbook in CONTRACT.items()}
    return KernelSet(name=name, devices=getattr(module, "DEVICES", reference.DEVICES),
                     precisions=getattr(module, "PRECISIONS", reference.PRECISIONS), **kernels)


_sets = {name: _with_the_textbooks(name, module, {kernel: value for kernel, value
                                                  in vars(module).items() if kernel in CONTRACT})
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
def use_kernels(kernels: SetLike) -> Iterator[None]:
    """Run everything inside the with-block on one kernel set.

    kernels: "reference", "cpu", "cuda", or a set of your own: a module, or the path of a Python
    file, with some of the contract's functions. The others are the reference set's. See
    `kernel_set` for what counts as one, and for what is raised.
    """
    token = _choice.set(kernel_set(kernels))
    try:
        yield
    finally:
        _choice.reset(token)
