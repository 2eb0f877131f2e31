"""The only file that asks "NumPy or CuPy?".

An array library is called `xp`, as in CuPy's own guide: `xp = xp_of(x)` and then `xp.exp(x)` runs on the device that holds x.
"""
from types import ModuleType
from typing import Any

import numpy as np

Array = Any  # a numpy.ndarray or a cupy.ndarray

DEVICES = ("cpu", "cuda")
GPU_HELP = "install it with: pip install cupy-cuda13x"


def xp_of(array: Array) -> ModuleType:
    """The library, numpy or cupy, that array belongs to."""
    return np if isinstance(array, (np.ndarray, np.generic)) else _cupy()


def device_of(array: Array) -> str:
    return "cpu" if xp_of(array) is np else "cuda"


def gpu_problem() -> str | None:
    """One sentence that says why "cuda" cannot be used, or None when it can."""
    try:
        cupy = _cupy()
    except ImportError:
        return f"device 'cuda' needs CuPy, which is not installed; {GPU_HELP}"
    try:
        cupy.cuda.runtime.driverGetVersion()
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"device 'cuda' needs an NVIDIA driver and GPU; CUDA says: {error}"
    return None if count else "device 'cuda' needs an NVIDIA GPU, and this machine has none"


def gpu_available() -> bool:
    return gpu_problem() is None


def check_device(device: str) -> None:
    """Raises ValueError for an unknown device, RuntimeError when "cuda" cannot be used."""
    if device not in DEVICES:
        raise ValueError(f"device must be one of {DEVICES}, not {device!r}")
    if device == "cuda" and (problem := gpu_problem()):
        raise RuntimeError(problem)


def to_device(array: Array, device: str) -> Array:
    """array on device, the same object when it is there already."""
    if device == device_of(array):
        return array
    check_device(device)
    return to_numpy(array) if device == "cpu" else _cupy().asarray(array)


def to_numpy(array: Array) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else np.asarray(array) if xp_of(array) is np else array.get()


def synchronize(device: str) -> None:
    """Wait until device has finished what it was given (a GPU works asynchronously); needed around every timing."""
    if device == "cuda":
        _cupy().cuda.get_current_stream().synchronize()


def _cupy() -> ModuleType:
    import cupy
    return cupy
