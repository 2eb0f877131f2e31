"""What `python -m benchmarks gpu` prints and draws, from rows of figures."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from .floors import Rates
from .output import Results, draw_ratios, megabytes, milliseconds, ratio, two_digits

OURS = "cuda"
KERNEL_COLUMNS = ("reference", "cpu", "naive", "cuda", "torch", "torch channels-last")
NETWORK_COLUMNS = ("reference", "cuda", "cuda graph", "torch", "torch channels-last",
                   "torch compiled", "torch channels-last compiled")


def rates_line(rates: Rates) -> str:
    products = ", ".join(f"{name} {rate / 1e12:.0f} TFLOP/s"
                         for name, rate in rates.items() if name != "copy")
    return (f"Measured here: a copy moves {rates['copy'] / 1e12:.2f} TB/s (read and written); "
            f"large matrix products {products}")


def kernel_header(batch: int) -> str:
    columns = "".join(f"{name:>22}" for name in KERNEL_COLUMNS)
    return (f"Kernels, batch {batch}: milliseconds by CUDA events, warm, "
            "median (fastest - slowest); first call by the wall clock\n"
            f"{'layer':8}{'pass':10}{'in':6}{columns}{'cuda/torch':>11}{'floor':>9}"
            f"{'cuda/floor':>11}{'first call':>11}  shape")


def kernel_line(row: dict[str, Any]) -> str:
    columns = "".join(f"{milliseconds(row['times'].get(name)):>22}" for name in KERNEL_COLUMNS)
    return (f"{row['layer']:8}{row['pass']:10}{row['precision']:6}{columns}"
            f"{two_digits(ratio(row['times'], OURS)):>11}{_floor(row)}"
            f"{1e3 * row['first']:11.0f}  {row['shape']}")


def network_header() -> str:
    columns = "".join(f"{name:>31}" for name in NETWORK_COLUMNS)
    return ("Network: milliseconds, median (fastest - slowest), memory taken from the GPU in MB; "
            "best of ours over best of PyTorch's; first: seconds until a result, compiling "
            "included\n"
            f"{'network':14}{'mode':7}{'batch':>5} {'in':6}{columns}{'cuda/torch':>11}"
            f"{'floor':>9}{'cuda/floor':>11}{'first':>8}")


def network_line(row: dict[str, Any]) -> str:
    figures = [milliseconds(row["times"].get(name)) + megabytes(row["peak_bytes"].get(name))
               for name in NETWORK_COLUMNS]
    columns = "".join(f"{figure:>31}" for figure in figures)
    return (f"{row['network']:14}{row['mode']:7}{row['batch']:5} {row['precision']:6}{columns}"
            f"{two_digits(ratio(row['times'], OURS)):>11}{_floor(row)}{row['first'][OURS]:8.1f}")


def _floor(row: dict[str, Any]) -> str:
    """The floor in milliseconds, and how many times longer ours takes."""
    if not row["floor"]:
        return f"{'-':>9}{'-':>11}"
    fastest = min(t["median"] for name, t in row["times"].items() if name.startswith(OURS))
    return f"{1e3 * row['floor']:9.3f}{fastest / row['floor']:11.1f}"


def write_png(path: Path, results: Results) -> None:
    """Bars: our time over PyTorch's best; without PyTorch, over the floor."""
    rows = [(f"{row['layer']} {row['pass']}, {row['precision']}", row)
            for row in results["kernels"]]
    rows += [(f"{row['network']}, {row['mode']}, batch {row['batch']}, {row['precision']}", row)
             for row in results["network"]]
    against_torch = results["machine"]["torch"] is not None
    ratios = {label: ratio(row["times"], OURS) if against_torch else _over_floor(row)
              for label, row in rows}
    draw_ratios(path, ratios, "PyTorch's best" if against_torch else "the hardware's floor",
                f"{results['machine']['gpu']}, kernels at batch {results['batch']}")


def _over_floor(row: dict[str, Any]) -> float | None:
    return row["times"][OURS]["median"] / row["floor"] if row["floor"] else None
