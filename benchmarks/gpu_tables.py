"""What `python -m benchmarks gpu` prints and draws, from rows of figures."""
from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from minitensor.backend import cupy

from .network import Network
from .report import draw_ratios, megabytes, milliseconds, ratio

OURS = "cuda"
KERNEL_COLUMNS = ("reference", "cpu", "cuda", "torch", "torch channels-last")
NETWORK_COLUMNS = ("reference", "cuda", "cuda graph", "torch", "torch channels-last", "torch compiled", "torch channels-last compiled")


def gpu() -> dict[str, Any]:
    """What the figures depend on, beside report.machine."""
    properties = cupy().cuda.runtime.getDeviceProperties(0)
    return {"gpu": properties["name"].decode(), "gpu_memory": properties["totalGlobalMem"],
            "driver": cupy().cuda.runtime.driverGetVersion(), "cupy": _cupy_version()}


def _cupy_version() -> str:
    try:
        return version("cupy-cuda13x")
    except PackageNotFoundError:
        return cupy().__version__


def size_of(shape: Network) -> tuple[list[int], int]:
    """(multiplications per image, layer by layer, of the layers that are products; parameters in all)."""
    macs, parameters = [], 0
    image: tuple[int, ...] = (3, shape.image_size, shape.image_size)
    for spec in shape.table.values():
        output = spec.output(image)
        kind = type(spec).__name__
        if kind in ("Conv", "Linear"):
            weights = output[0] * (image[0] // spec.groups * spec.kernel**2 if kind == "Conv" else image[0])
            macs.append(weights * (output[1] * output[2] if kind == "Conv" else 1))
            parameters += weights + output[0]
        image = output
    return macs, parameters


def rates_line(rates: dict[str, float]) -> str:
    products = ", ".join(f"{name} {rate / 1e12:.0f} TFLOP/s" for name, rate in rates.items() if name != "copy")
    return f"Measured here: a copy moves {rates['copy'] / 1e12:.2f} TB/s (read and written); large matrix products {products}"


# ---- tables ----------------------------------------------------------------------------------------------------------------

def kernel_header(batch: int) -> str:
    columns = "".join(f"{name:>22}" for name in KERNEL_COLUMNS)
    return (f"Kernels, batch {batch}: milliseconds by CUDA events, warm, median (fastest - slowest); first call by the wall clock\n"
            f"{'layer':8}{'pass':10}{'in':6}{columns}{'cuda/torch':>11}{'floor':>9}{'cuda/floor':>11}{'first call':>11}  shape")


def kernel_line(row: dict[str, Any]) -> str:
    columns = "".join(f"{milliseconds(row['times'].get(name)):>22}" for name in KERNEL_COLUMNS)
    return (f"{row['layer']:8}{row['pass']:10}{row['precision']:6}{columns}{_times(ratio(row['times'], OURS)):>11}"
            f"{_floor(row)}{1e3 * row['first']:11.0f}  {row['shape']}")


def network_header() -> str:
    columns = "".join(f"{name:>31}" for name in NETWORK_COLUMNS)
    return ("Network: milliseconds, median (fastest - slowest), memory taken from the GPU in MB; best of ours over best of PyTorch's; "
            f"first: seconds until a result, compiling included\n"
            f"{'network':14}{'mode':7}{'batch':>5} {'in':6}{columns}{'cuda/torch':>11}{'floor':>9}{'cuda/floor':>11}{'first':>8}")


def network_line(row: dict[str, Any]) -> str:
    columns = "".join(f"{milliseconds(row['times'].get(name)) + megabytes(row['peak_bytes'].get(name)):>31}" for name in NETWORK_COLUMNS)
    return (f"{row['network']:14}{row['mode']:7}{row['batch']:5} {row['precision']:6}{columns}{_times(ratio(row['times'], OURS)):>11}"
            f"{_floor(row)}{row['first'][OURS]:8.1f}")


def _floor(row: dict[str, Any]) -> str:
    """The floor in milliseconds, and how many times longer ours takes."""
    if not row["floor"]:
        return f"{'-':>9}{'-':>11}"
    fastest = min(t["median"] for name, t in row["times"].items() if name.startswith(OURS))
    return f"{1e3 * row['floor']:9.3f}{fastest / row['floor']:11.1f}"


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


# ---- picture ---------------------------------------------------------------------------------------------------------------

def write_png(path: Path, results: dict[str, Any]) -> None:
    """Bars: our time over PyTorch's best, per kernel and for the networks; without PyTorch, over the floor."""
    rows = [(f"{row['layer']} {row['pass']}, {row['precision']}", row) for row in results["kernels"]]
    rows += [(f"{row['network']}, {row['mode']}, batch {row['batch']}, {row['precision']}", row) for row in results["network"]]
    against_torch = results["machine"]["torch"] is not None
    ratios = {label: ratio(row["times"], OURS) if against_torch else _over_floor(row) for label, row in rows}
    draw_ratios(path, ratios, "PyTorch's best" if against_torch else "the hardware's floor",
                f"{results['machine']['gpu']}, kernels at batch {results['batch']}")


def _over_floor(row: dict[str, Any]) -> float | None:
    return row["times"][OURS]["median"] / row["floor"] if row["floor"] else None
