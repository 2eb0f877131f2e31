"""What figures depend on: the processor, the libraries and their versions, the GPU."""
from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from minitensor.backend import cupy


def machine(threads: int) -> dict[str, Any]:
    return {"processor": _processor(), "cores": os.cpu_count(), "threads": threads,
            "system": platform.platform(), "python": platform.python_version(), "blas": _blas(),
            "numpy": _version("numpy"), "torch": _version("torch")}


def gpu() -> dict[str, Any]:
    """Beside the machine."""
    runtime = cupy().cuda.runtime
    properties = runtime.getDeviceProperties(0)
    return {"gpu": properties["name"].decode(), "gpu_memory": properties["totalGlobalMem"],
            "driver": runtime.driverGetVersion(),
            "cupy": _version("cupy-cuda13x") or cupy().__version__}


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _blas() -> str | None:
    """NumPy's BLAS and the processor kind it chose its kernels for, which can halve its speed.

    None without threadpoolctl.
    """
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return " and ".join(f"{library['internal_api']} {library['version']} for "
                        f"{library.get('architecture')}" for library in libraries) or None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
