"""What `python -m benchmarks cpu` and `engines` print and draw, from rows of figures."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from .job import Network
from .output import Results, Times, draw_ratios, megabytes, milliseconds, ratio, two_digits

CONTESTANTS = ("reference", "cpu", "torch", "torch channels-last")


def kernel_header(batch: int) -> str:
    columns = "".join(f"{name:>20}" for name in CONTESTANTS)
    return (f"Kernels, batch {batch}: milliseconds, median (fastest - slowest)\n"
            f"{'layer':8}{'pass':10}{columns}{'cpu/torch':>11}"
            f"{'GFLOP/s':>9}{'of peak':>9}  shape")


def kernel_line(row: dict[str, Any], peak: float) -> str:
    columns = "".join(f"{milliseconds(row['times'].get(name)):>20}" for name in CONTESTANTS)
    speed = row["gflop"] / row["times"]["cpu"]["median"]
    share = f"{speed:9.0f}{speed / peak:9.0%}" if speed else f"{'-':>9}{'-':>9}"
    return (f"{row['layer']:8}{row['pass']:10}{columns}{two_digits(ratio(row['times'])):>11}"
            f"{share}  {row['shape']}")


def network_header(network: Network) -> str:
    columns = "".join(f"{name:>28}" for name in CONTESTANTS)
    return (f"Network {network.name}, images {network.image_size} x {network.image_size}: "
            "milliseconds, median (fastest - slowest), peak memory in MB\n"
            f"{'mode':7}{'batch':>5}{columns}{'cpu/torch':>11}")


def network_line(row: dict[str, Any]) -> str:
    figures = {name: milliseconds(row["times"].get(name)) + megabytes(row["peak_bytes"].get(name))
               for name in CONTESTANTS}
    columns = "".join(f"{figure:>28}" for figure in figures.values())
    return f"{row['mode']:7}{row['batch']:5}{columns}{two_digits(ratio(row['times'])):>11}"


def engines_table(row: dict[str, Any]) -> str:
    """A line for each engine, with its time over minitensor's."""
    ours = row["times"]["cpu"]["median"]
    lines = [f"{'minitensor' if name == 'cpu' else name:22}{milliseconds(times):>24}"
             f"{megabytes(row['peak_bytes'][name]):>9}"
             f"{times['median'] / ours:8.2f} times minitensor's"
             for name, times in row["times"].items()]
    return "\n".join([f"A step of training, batch {row['batch']}: milliseconds, "
                      "median (fastest - slowest), peak memory in MB", *lines])


def write_png(path: Path, results: Results) -> None:
    """Bars: the cpu set's time over PyTorch's, or without PyTorch over the reference set's."""
    rows = [(f"{row['layer']} {row['pass']}", row["times"]) for row in results["kernels"]]
    rows += [(f"{row['network']}, {row['mode']}, batch {row['batch']}", row["times"])
             for row in results["network"]]
    about = results["machine"]
    against_torch = about["torch"] is not None
    ratios = {label: ratio(times) if against_torch else _over_reference(times)
              for label, times in rows}
    draw_ratios(path, ratios,
                "PyTorch in its faster layout" if against_torch else "the textbook kernels",
                f"{about['processor']}, {about['threads']} threads, float32, "
                f"kernels at batch {results['batch']}")


def _over_reference(times: Times) -> float | None:
    if "reference" not in times:
        return None
    return times["cpu"]["median"] / times["reference"]["median"]
