"""The layers of the network one by one, forward and backward: checked, then timed."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minitensor.backend import to_numpy
from minitensor.kernels import kernel_set

from .cases import Arrays, Case
from .contestants import torch as torch_side
from .errors import WrongResult
from .timing import alternate, summary, timed

SETS = ("reference", "cpu")
PASSES = ("forward", "backward")

Passes = dict[str, Callable[[], tuple]]
Row = dict[str, Any]


# ---- no wrong kernel is timed --------------------------------------------------------------------

def check(cases: list[Case], batch: int, torch: Any) -> None:
    """Raises WrongResult unless all contestants agree with the reference set, in both passes."""
    for case in cases:
        check_case(case, _contestants(case, case_arrays(case, batch), torch), case.tolerance)


def check_case(case: Case, contestants: dict[str, Passes], tolerance: float) -> None:
    for one in PASSES:
        expected = [_as_numpy(result) for result in contestants["reference"][one]()]
        for name, passes in contestants.items():
            if one not in passes or name.startswith("torch") and case.kernel == "dropout":
                continue                                # another generator, another mask
            for actual, wanted in zip(passes[one](), expected):
                compare(f"{case.name} {one}, {name}", _as_numpy(actual), wanted, tolerance)


def compare(what: str, actual: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    if actual.shape != expected.shape:
        raise WrongResult(f"{what}: shape {actual.shape}, not {expected.shape}")
    error = float(np.abs(actual - expected).max() / np.abs(expected).max())
    if not error <= tolerance:
        raise WrongResult(f"{what}: off by {error:.2g} of the largest value, "
                          f"more than {tolerance:g}")


def _as_numpy(result: Any) -> np.ndarray:
    """From an array of either device, or a tensor of PyTorch's."""
    if hasattr(result, "detach"):
        return result.detach().float().cpu().numpy()
    return to_numpy(result)


# ---- contestants ---------------------------------------------------------------------------------

def case_arrays(case: Case, batch: int) -> Arrays:
    return case.arrays(np.random.default_rng(0), batch)


def passes_of(set_name: str, case: Case, a: Arrays) -> Passes:
    K = kernel_set(set_name)
    results = case.forward(K, a)
    return {"forward": lambda: case.forward(K, a), "backward": lambda: case.backward(K, a, results)}


def _contestants(case: Case, a: Arrays, torch: Any) -> dict[str, Passes]:
    contestants = {name: passes_of(name, case, a) for name in SETS}
    if torch is not None:
        contestants |= {layout: torch_side.passes(torch, layout, case, a)
                        for layout in torch_side.LAYOUTS}
    return contestants


# ---- times on the CPU; on the GPU see gpu_layers.py ----------------------------------------------

def measure(cases: list[Case], batch: int, torch: Any, seconds: float,
            rounds: tuple[int, int]) -> Iterator[Row]:
    """One row per case and pass: layer, kernel, pass, shape, gflop, times by contestant."""
    for case in cases:
        contestants = _contestants(case, case_arrays(case, batch), torch)
        for one in PASSES:
            runs = {name: timed(passes[one]) for name, passes in contestants.items()}
            times = alternate(runs, seconds, rounds)
            yield {"layer": case.name, "kernel": case.kernel, "pass": one, "shape": case.shape,
                   "gflop": gflop(case, one, batch),
                   "times": {name: summary(t) for name, t in times.items()}}


def gflop(case: Case, one: str, batch: int) -> float:
    """Of one pass over a whole batch; 0 for what is no product."""
    products = 1 if one == "forward" else len(set(case.differentiated) & {"x", "w"})
    return 2e-9 * case.macs * batch * products


def product_peak(seconds: float, size: int) -> float:
    """GFLOP/s of a large float32 matrix product in NumPy: the median run."""
    a, b = (np.random.default_rng(i).standard_normal((size, size), np.float32) for i in range(2))
    out = np.empty_like(a)
    times = alternate({"it": timed(lambda: np.matmul(a, b, out=out))}, seconds, (3, 50))
    return 2e-9 * size**3 / summary(times["it"])["median"]
