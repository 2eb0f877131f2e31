"""What the benchmarks print and write: tables, JSON, a picture."""
from __future__ import annotations

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from minitensor.files import written_whole

CONTESTANTS = ("reference", "cpu", "torch", "torch channels-last")
HELP_PLOT = "--png needs matplotlib; install it with: pip install matplotlib"


def machine(threads: int) -> dict[str, Any]:
    """What the figures depend on."""
    return {"processor": _processor(), "cores": os.cpu_count(), "threads": threads, "system": platform.platform(),
            "python": platform.python_version(), "blas": _blas(), **{name: _version(name) for name in ("numpy", "torch")}}


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _blas() -> str | None:
    """NumPy's BLAS and the processor kind it chose its kernels for, which can halve its speed; None without threadpoolctl."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return " and ".join(f"{b['internal_api']} {b['version']} for {b.get('architecture')}" for b in libraries) or None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def ratio(times: dict[str, dict[str, float]], ours: str = "cpu") -> float | None:
    """The fastest median of the contestants whose names begin with ours over the fastest of PyTorch's; None where one is missing."""
    mine, torch = ([t["median"] for name, t in times.items() if name.startswith(who)] for who in (ours, "torch"))
    return min(mine) / min(torch) if mine and torch else None


# ---- tables ----------------------------------------------------------------------------------------------------------------

def kernel_header(batch: int) -> str:
    columns = "".join(f"{name:>20}" for name in CONTESTANTS)
    return (f"Kernels, batch {batch}: milliseconds, median (fastest - slowest)\n"
            f"{'layer':8}{'pass':10}{columns}{'cpu/torch':>11}{'GFLOP/s':>9}{'of peak':>9}  shape")


def kernel_line(row: dict[str, Any], peak: float) -> str:
    columns = "".join(f"{milliseconds(row['times'].get(name)):>20}" for name in CONTESTANTS)
    speed = row["gflop"] / row["times"]["cpu"]["median"]
    share = f"{speed:9.0f}{speed / peak:9.0%}" if speed else f"{'-':>9}{'-':>9}"
    return f"{row['layer']:8}{row['pass']:10}{columns}{_ratio(row['times']):>11}{share}  {row['shape']}"


def network_header() -> str:
    columns = "".join(f"{name:>28}" for name in CONTESTANTS)
    return f"Network: milliseconds, median (fastest - slowest), peak memory in MB\n{'mode':7}{'batch':>5}{columns}{'cpu/torch':>11}"


def network_line(row: dict[str, Any]) -> str:
    columns = "".join(f"{milliseconds(row['times'].get(name)) + megabytes(row['peak_bytes'].get(name)):>28}" for name in CONTESTANTS)
    return f"{row['mode']:7}{row['batch']:5}{columns}{_ratio(row['times']):>11}"


def engines_table(row: dict[str, Any]) -> str:
    """A line for each engine, with its time over minitensor's."""
    ours = row["times"]["cpu"]["median"]
    lines = [f"{'minitensor' if name == 'cpu' else name:22}{milliseconds(times):>24}{megabytes(row['peak_bytes'][name]):>9}"
             f"{times['median'] / ours:8.2f} times minitensor's" for name, times in row["times"].items()]
    return "\n".join([f"A step of training, batch {row['batch']}: milliseconds, median (fastest - slowest), peak memory in MB", *lines])


def milliseconds(times: dict[str, float] | None) -> str:
    if times is None:
        return "-"
    median, fastest, slowest = (1e3 * times[key] for key in ("median", "fastest", "slowest"))
    digits = 0 if median >= 100 else 1 if median >= 10 else 2
    return f"{median:.{digits}f} ({fastest:.{digits}f}-{slowest:.{digits}f})"


def megabytes(size: int | None) -> str:
    return "" if size is None else f" {size / 1e6:.0f}M"


def _ratio(times: dict[str, dict[str, float]]) -> str:
    value = ratio(times)
    return "-" if value is None else f"{value:.2f}"


def pictures_line(row: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """Pictures a second, and how many times the first contestant of its group, whose row is among rows."""
    rates = [row["pictures"] / row["times"][key] for key in ("median", "slowest", "fastest")]
    first = next(other for other in rows if other["group"] == row["group"])
    times = rates[0] * first["times"]["median"] / first["pictures"]
    return f"{row['group']:9}{row['what']:40}{rates[0]:8,.0f} pictures/s ({rates[1]:,.0f}-{rates[2]:,.0f}){times:8.2f} times the first"


# ---- files -----------------------------------------------------------------------------------------------------------------

def write_json(path: Path, results: dict[str, Any]) -> None:
    with written_whole(path) as partial:
        partial.write_text(json.dumps(results, indent=1) + "\n")


def write_png(path: Path, results: dict[str, Any]) -> None:
    """Bars: the cpu set's time over PyTorch's (or, without PyTorch, over the reference set's), per kernel and for the network."""
    rows = [(f"{row['layer']} {row['pass']}", row["times"]) for row in results["kernels"]]
    rows += [(f"network, {row['mode']}, batch {row['batch']}", row["times"]) for row in results["network"]]
    against_torch = results["machine"]["torch"] is not None
    ratios = {label: ratio(times) if against_torch else _over_reference(times) for label, times in rows}
    other = "PyTorch in its faster layout" if against_torch else "the textbook kernels"
    about = results["machine"]
    draw_ratios(path, ratios, other, f"{about['processor']}, {about['threads']} threads, float32, kernels at batch {results['batch']}")


def draw_ratios(path: Path, ratios: dict[str, float | None], other: str, title: str) -> None:
    """A bar for each ratio there is, green where minitensor is not slower."""
    from matplotlib.figure import Figure

    bars = {label: value for label, value in ratios.items() if value is not None}
    figure = Figure(figsize=(8, 1.5 + 0.22 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(list(bars), list(bars.values()), color=["tab:green" if value <= 1 else "tab:red" for value in bars.values()])
    axes.axvline(1, color="black", linewidth=1)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel(f"time of minitensor / time of {other} (medians; lower is better)")
    axes.set_title(title, fontsize=9)
    with written_whole(path) as partial:
        figure.savefig(partial, format="png", dpi=120)


def _over_reference(times: dict[str, dict[str, float]]) -> float | None:
    return times["cpu"]["median"] / times["reference"]["median"] if "reference" in times else None
