"""The only file that asks "NumPy or CuPy?".

An array library is called `xp`, as in CuPy's own guide: after `xp = xp_of(x)`, `xp.exp(x)` runs on
the device that holds x.
"""
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

Array = Any  # a numpy.ndarray or a cupy.ndarray

DEVICES = ("cpu", "cuda")
CUDA = 13           # the major version of CUDA whose CuPy is asked for where there is none

NUMPYS_DEFAULT = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}

_capturing: ContextVar[bool] = ContextVar("capturing", default=False)


def xp_of(array: Array) -> ModuleType:
    """The library, numpy or cupy, that array belongs to. Raises TypeError for what is no array."""
    if isinstance(array, (np.ndarray, np.generic)):
        return np
    if not is_array(array):
        raise TypeError(f"expected an array of NumPy or CuPy, not {type_name(array)}")
    return cupy()


def is_array(value: Any) -> bool:
    """Whether value is a NumPy or a CuPy array."""
    loaded = sys.modules.get("cupy")                # without it there is no array of CuPy
    return isinstance(value, np.ndarray) or loaded is not None and isinstance(value, loaded.ndarray)


def type_name(value: Any) -> str:
    """What a message calls the type of value: int, torch.Tensor, pandas.DataFrame."""
    cls = type(value)
    package = cls.__module__.partition(".")[0]
    return cls.__qualname__ if package in ("builtins", "numpy") else f"{package}.{cls.__qualname__}"


def as_array(data: Any) -> Array:
    """data as a plain array in the machine's own byte order: the same memory where it is one.

    Raises TypeError for a masked array, whose mask would be lost, and for what NumPy cannot read.
    """
    if not isinstance(data, np.ndarray) and is_array(data):
        return data
    if hasattr(data, "__cuda_array_interface__"):   # of another library, on a GPU
        check_device("cuda")
        return cupy().asarray(data)
    try:
        array = np.asarray(data)                    # np.matrix becomes a plain array
    except (TypeError, RuntimeError) as error:      # PyTorch's bfloat16, or one with a gradient
        raise TypeError(f"NumPy cannot read a {type_name(data)}: {error}") from error
    if _is_masked(data, array.ndim):
        raise TypeError("a masked array cannot be used: choose what stands for its gaps, with "
                        ".filled(value)")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _is_masked(data: Any, ndim: int) -> bool:
    """Whether data, of ndim axes, is a masked array, or a list that holds one."""
    if ndim > 1 and isinstance(data, (list, tuple)):
        return any(_is_masked(value, ndim - 1) for value in data)
    return isinstance(data, np.ma.MaskedArray)


def quiet() -> np.errstate:
    """A with-block in which NumPy does not warn of what becomes infinite or NaN: as on a GPU, and
    in PyTorch, it shows in the numbers. What a user has chosen by `numpy.seterr` stays."""
    return np.errstate(all="ignore") if np.geterr() == NUMPYS_DEFAULT else np.errstate()


class Form(NamedTuple):
    """What two arrays have in common that can be added in place."""
    shape: tuple[int, ...]
    dtype: np.dtype
    device: str

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape} on {self.device!r}"


def form_of(value: Any) -> Form | str:
    """The Form of a plain array, the name of the type of anything else."""
    if type(value) is np.ndarray or isinstance(value, np.generic):
        return Form(value.shape, value.dtype, "cpu")
    if isinstance(value, np.ndarray):           # a masked array, a matrix
        return type_name(value)
    return Form(value.shape, value.dtype, "cuda") if is_array(value) else type_name(value)


def sum_of(array: Array, axis: int | tuple[int, ...] | None = None,
           keepdims: bool = False) -> Array:
    """array.sum(axis): float32 with the digits of float64, rounded once; integers as int64.

    NumPy adds row to row, CuPy in strides: 2e7 ones along the first axis were 1.7e7 of 2e7.
    """
    if array.dtype.kind != "f":
        return array.sum(axis=axis, keepdims=keepdims, dtype=np.int64)
    if array.dtype.itemsize >= 8:
        return array.sum(axis=axis, keepdims=keepdims)
    return array.sum(axis=axis, keepdims=keepdims, dtype=np.float64).astype(array.dtype)


def cupy() -> ModuleType:
    """CuPy itself, for what only a GPU has: streams, events, graphs.

    Raises ImportError where it is not installed.
    """
    import cupy
    return cupy


def device_of(array: Array) -> str:
    """One of DEVICES."""
    return "cpu" if xp_of(array) is np else "cuda"


# ---- is there a GPU? -----------------------------------------------------------------------------

def gpu_problem() -> str | None:
    """One sentence that says what "cuda" lacks here (package, driver or GPU), or None."""
    try:
        cuda = cupy().cuda
    except ModuleNotFoundError as error:
        if error.name == "cupy":
            return ("device 'cuda' needs CuPy, which is not installed; "
                    f"install it with: {_install()}")
        return (f"device 'cuda' needs CuPy, whose installation lacks {error.name}; "
                f"install it again with: {_install()}")
    except ImportError as error:
        return (f"device 'cuda' needs CuPy, which cannot be loaded ({_first_line(error)}); "
                f"install it again with: {_install()}")
    version = cuda.runtime.runtimeGetVersion() // 1000      # CuPy's CUDA: 13020 is CUDA 13.2
    return _driver_problem(cuda.runtime, version) or _compiler_problem(cuda.nvrtc, version)


def _install(version: int = CUDA) -> str:
    return f"pip install 'cupy-cuda{version}x[ctk]'"


def _driver_problem(runtime: Any, version: int) -> str | None:
    driver = runtime.driverGetVersion()                     # 0 without a driver
    if driver == 0:
        return ("device 'cuda' needs an NVIDIA driver, and none is installed "
                "(CuPy is; pip brings no driver)")
    if (supported := driver // 1000) < version:
        return (f"device 'cuda' needs a driver for CUDA {version}, and this one is for CUDA "
                f"{supported}; update it, or install its CuPy with: {_install(supported)}")
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        return f"device 'cuda' needs an NVIDIA GPU; CUDA says: {_first_line(error)}"
    return None if count else "device 'cuda' needs an NVIDIA GPU, and this machine has none"


def _compiler_problem(nvrtc: Any, version: int) -> str | None:
    try:
        nvrtc.getVersion()
    except Exception as error:                              # its type depends on CuPy's version
        return (f"device 'cuda' needs CUDA's run-time compiler, NVRTC ({_first_line(error)}); "
                f"install it with: {_install(version)}")
    return None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def gpu_available() -> bool:
    """Whether device "cuda" can be used here."""
    return gpu_problem() is None


def check_device(device: str) -> None:
    """Raises ValueError for an unknown device, RuntimeError when "cuda" cannot be used."""
    if device not in DEVICES:
        raise ValueError(f"device must be one of {DEVICES}, not {device!r}")
    if device == "cuda" and (problem := gpu_problem()):
        raise RuntimeError(problem)


# ---- from here to there --------------------------------------------------------------------------

def to_device(array: Array, device: str) -> Array:
    """array on device, in the same order in memory; the same object when it is there already.

    Raises what `check_device` raises.
    """
    if device == device_of(array):
        return array
    check_device(device)
    return to_numpy(array) if device == "cpu" else _moved(array, cupy().asarray)


def to_numpy(array: Array) -> np.ndarray:
    """array on the CPU, in the same order in memory; the same object when it is there already."""
    if isinstance(array, np.ndarray):
        return array
    return np.asarray(array) if xp_of(array) is np else _moved(array, lambda a: a.get())


def _moved(array: Array, move: Any) -> Array:
    """move(array), which keeps only C order: it gets the axes in their order in memory."""
    axes, restore = memory_order(array)
    return move(array.transpose(axes)).transpose(restore) if array.ndim > 1 else move(array)


def memory_order(array: Array) -> tuple[list[int], list[int]]:
    """The axes from the longest stride to the shortest, and the axes that transpose back."""
    axes = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    return axes, sorted(range(array.ndim), key=axes.__getitem__)


# ---- work that a GPU does on its own time --------------------------------------------------------

def synchronize(device: str) -> None:
    """Wait until device has finished its work (a GPU runs asynchronously): needed for timing."""
    if device == "cuda":
        cupy().cuda.get_current_stream().synchronize()


def capturing() -> bool:
    """Whether a CUDA graph is being recorded (see `graph`): nothing may wait for a result then."""
    return _capturing.get()


@contextmanager
def capture_mode() -> Iterator[None]:
    """`capturing()` is True inside the with-block."""
    token = _capturing.set(True)
    try:
        yield
    finally:
        _capturing.reset(token)
