"""The layers one by one on the GPU, in every precision, beside PyTorch and the GPU's floors."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from minitensor.backend import to_device
from minitensor.kernels import PRECISIONS, use_precision
from minitensor.kernels.cuda.conv import conv2d_naive

from .cases import Arrays, Case
from .contestants import torch as torch_side
from .floors import Rates, layer_floor
from .layers import PASSES, Passes, Row, case_arrays, check_case, gflop, passes_of
from .timing import OnDevice, alternate, summary, timed

# Of a kernel's result, relative to the largest value.
TOLERANCES = {"fp32": 1e-4, "tf32": 2e-3, "bf16": 2e-2}
NAIVE = SimpleNamespace(conv2d=conv2d_naive)


def cases_in_precision(cases: list[Case]) -> Iterator[tuple[str, Case]]:
    """Only products know another precision than fp32."""
    for precision in PRECISIONS:
        yield from ((precision, case) for case in cases if precision == "fp32" or case.macs)


def check(cases: list[Case], batch: int, torch: Any) -> None:
    """Raises WrongResult unless all contestants agree with the reference set."""
    for precision, case in cases_in_precision(cases):
        ready = contestants(case, case_arrays(case, batch), torch, precision)
        check_case(case, ready, TOLERANCES[precision])


def contestants(case: Case, a: Arrays, torch: Any, precision: str) -> dict[str, Passes]:
    """The textbook kernels (always fp32), ours, and PyTorch in both layouts, on the GPU.

    In fp32 also the first rung of the ladder of convolutions, forward only.
    """
    there = {name: to_device(array, "cuda") for name, array in a.items()}
    passes = {"reference": passes_of("reference", case, there)}
    with use_precision(precision):
        passes["cuda"] = {one: _in_precision(precision, work)
                          for one, work in passes_of("cuda", case, there).items()}
    if case.kernel == "conv2d" and precision == "fp32":
        passes["naive"] = {"forward": lambda: case.forward(NAIVE, there)}
    if torch is not None:
        torch_side.pin_tf32(torch, precision)
        torch.backends.cudnn.benchmark = True
        dtype = torch.bfloat16 if precision == "bf16" else None
        passes |= {layout: torch_side.passes(torch, layout, case, a, "cuda", dtype)
                   for layout in torch_side.LAYOUTS}
    return passes


def _in_precision(precision: str, work: Callable[[], tuple]) -> Callable[[], tuple]:
    def run() -> tuple:
        with use_precision(precision):
            return work()
    return run


def measure(case: Case, batch: int, torch: Any, precision: str, rates: Rates, seconds: float,
            rounds: tuple[int, int]) -> Iterator[Row]:
    """A row for each pass, as layers.measure's.

    Beside: precision, floor (seconds), first (seconds of cuda's first call).
    """
    a = case_arrays(case, batch)
    passes = contestants(case, a, torch, precision)
    host = passes_of("cpu", case, a) if precision == "fp32" else None
    y = passes["reference"]["forward"]()[0]
    for one in PASSES:
        runs = {name: OnDevice(work[one]) for name, work in passes.items() if one in work}
        times = alternate(runs, seconds, rounds)
        if host:
            times |= alternate({"cpu": timed(host[one])}, seconds, (1, 3))
        yield {"layer": case.name, "kernel": case.kernel, "pass": one, "shape": case.shape,
               "precision": precision, "gflop": gflop(case, one, batch),
               "floor": layer_floor(case, one, precision, a, y, rates),
               "first": runs["cuda"].first,
               "times": {name: summary(t) for name, t in times.items()}}
