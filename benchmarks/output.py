"""What all benchmarks print, draw and write alike."""
from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minitensor.files import written_whole

from .machine import machine

Results = dict[str, Any]
Times = dict[str, dict[str, float]]             # by contestant, as timing.summary gives them


def begin(options: argparse.Namespace, **rows: list) -> Results:
    """The results, with the machine that is printed, and the empty lists of rows."""
    results = {"machine": machine(options.threads), "batch": options.batch, **rows}
    print_machine(results)
    return results


def print_machine(results: Results) -> None:
    print(", ".join(f"{name} {value}" for name, value in results["machine"].items()), flush=True)


@contextmanager
def written_at_the_end(options: argparse.Namespace, results: Results,
                       draw: Callable[[Path, Results], None] | None = None) -> Iterator[None]:
    """What was measured until an error is not lost."""
    try:
        yield
    finally:
        if options.json:
            with written_whole(options.json) as partial:
                partial.write_text(json.dumps(results, indent=1) + "\n")
        if options.png and draw:
            draw(options.png, results)


def ratio(times: Times, ours: str = "cpu") -> float | None:
    """The best median of contestants called `ours`... over PyTorch's best; None without either."""
    mine, torch = ([t["median"] for name, t in times.items() if name.startswith(who)]
                   for who in (ours, "torch"))
    return min(mine) / min(torch) if mine and torch else None


def two_digits(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def milliseconds(times: dict[str, float] | None) -> str:
    if times is None:
        return "-"
    median, fastest, slowest = (1e3 * times[key] for key in ("median", "fastest", "slowest"))
    digits = 0 if median >= 100 else 1 if median >= 10 else 2
    return f"{median:.{digits}f} ({fastest:.{digits}f}-{slowest:.{digits}f})"


def megabytes(size: int | None) -> str:
    return "" if size is None else f" {size / 1e6:.0f}M"


def draw_ratios(path: Path, ratios: dict[str, float | None], other: str, title: str) -> None:
    """A bar for each ratio there is, green where minitensor is not slower."""
    from matplotlib.figure import Figure

    bars = {label: value for label, value in ratios.items() if value is not None}
    colours = ["tab:green" if value <= 1 else "tab:red" for value in bars.values()]
    figure = Figure(figsize=(8, 1.5 + 0.22 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(list(bars), list(bars.values()), color=colours)
    axes.axvline(1, color="black", linewidth=1)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel(f"time of minitensor / time of {other} (medians; lower is better)")
    axes.set_title(title, fontsize=9)
    with written_whole(path) as partial:
        figure.savefig(partial, format="png", dpi=120)
