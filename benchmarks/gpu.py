"""`python -m benchmarks gpu`: the kernels and the network on the GPU, in fp32, TF32 and bf16, beside PyTorch and the hardware's floors."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from minitensor.backend import cupy, gpu_problem, to_device
from minitensor.kernels import PRECISIONS, kernel_set, use_precision

from . import cpu, gpu_tables, network, report, torch_side
from .cases import CASES, QUICK_CASES, Arrays, Case
from .gpu_network import pin_tf32
from .timing import OnDevice, alternate, summary, timed

TOLERANCES = {"fp32": 1e-4, "tf32": 2e-3, "bf16": 2e-2}             # of a kernel's result, relative to the largest value
LOGIT_TOLERANCES = {"fp32": 1e-3, "tf32": 1e-2, "bf16": 5e-2}
COMPILED = {("train", 128), ("infer", 1), ("infer", 128)}           # where torch.compile takes part: it needs half a minute each time
UPDATE_BYTES = 20                                                   # a parameter, its gradient and its velocity, read and written


def main(options: argparse.Namespace) -> int:
    """Run the benchmarks; returns the exit status, 1 with one sentence where there is no GPU."""
    if problem := gpu_problem():
        print(f"python -m benchmarks: {problem}", file=sys.stderr)
        return 1
    torch = torch_side.load(options.threads)
    results: dict[str, Any] = {"machine": {**report.machine(options.threads), **gpu_tables.gpu()}, "batch": options.batch,
                               "kernels": [], "network": []}
    print(", ".join(f"{name} {value}" for name, value in results["machine"].items()), flush=True)
    if torch is None:
        print(torch_side.MISSING, flush=True)
    try:
        results["rates"] = rates = measured_rates(torch, options.quick)
        print(gpu_tables.rates_line(rates), flush=True)
        if options.only != "network":
            _kernels(options, torch, rates, results["kernels"])
        if options.only != "kernels":
            _networks(options, torch is not None, rates, results["network"])
    except (cpu.WrongResult, network.WrongLogits, network.DeadEngine) as error:
        print(f"python -m benchmarks: {error}", file=sys.stderr)
        return 1
    finally:                                                        # what was measured until then is not lost
        if options.json:
            report.write_json(options.json, results)
        if options.png:
            gpu_tables.write_png(options.png, results)
    return 0


# ---- what the hardware does at best ------------------------------------------------------------------------------------------------

def measured_rates(torch: Any, quick: bool = False) -> dict[str, float]:
    """{"copy": bytes/s read and written by a large copy; "fp32", "tf32", "bf16": FLOP/s of a large matrix product by cuBLAS}.

    The products are PyTorch's; without it only fp32's is measured, through CuPy.
    """
    size, nbytes = (256, 2**20) if quick else (8192, 2**30)
    source, target = (cupy().zeros(nbytes, np.uint8) for _ in range(2))
    rates = {"copy": 2 * nbytes / _median(partial(target.__setitem__, Ellipsis, source))}
    for precision in PRECISIONS if torch else ("fp32",):
        rates[precision] = 2 * size**3 / _median(_product(torch, precision, size))
    return rates


def _product(torch: Any, precision: str, size: int) -> Callable[[], Any]:
    a, b = (np.random.default_rng(i).standard_normal((size, size), np.float32) for i in range(2))
    if torch is None:
        return partial(cupy().matmul, to_device(a, "cuda"), to_device(b, "cuda"))
    pin_tf32(torch, precision)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    return partial(torch.matmul, *(torch.from_numpy(array).to("cuda", dtype) for array in (a, b)))


def _median(work: Callable[[], Any]) -> float:
    return summary(alternate({"it": OnDevice(work)}, 0.1, (3, 20))["it"])["median"]


def floor(case: Case, one: str, precision: str, a: Arrays, y: Any, rates: dict[str, float]) -> float | None:
    """Seconds that this pass takes at least: its fewest bytes at the copy's rate, or its FLOPs at the product's, whichever is longer."""
    batch = len(a["x"])
    gradients = sum(a[name].nbytes for name in case.differentiated)
    operands = sum(a[name].nbytes for name in ("x", "w") if name in a)
    nbytes = operands + y.nbytes if one == "forward" else a["dy"].nbytes + gradients + (operands if case.macs else 0)
    flop = 1e9 * cpu.gflop(case, one, batch)
    if flop and precision not in rates:
        return None
    return max(nbytes / rates["copy"], flop / rates[precision] if flop else 0.0)


# ---- layer by layer ------------------------------------------------------------------------------------------------------------------

def _kernels(options: argparse.Namespace, torch: Any, rates: dict[str, float], rows: list[dict[str, Any]]) -> None:
    cases = QUICK_CASES if options.quick else CASES
    seconds, rounds = (0.01, (1, 3)) if options.quick else (options.seconds / 10, (3, 50))
    for precision in PRECISIONS:
        for case in _cases_of(precision, cases):
            cpu.check_case(case, contestants(case, _arrays(case, options.batch), torch, precision), TOLERANCES[precision])
    print(f"All results match. Starting benchmarks.\n\n{gpu_tables.kernel_header(options.batch)}", flush=True)
    for precision in PRECISIONS:
        for case in _cases_of(precision, cases):
            for row in measure(case, options.batch, torch, precision, rates, seconds, rounds):
                rows.append(row)
                print(gpu_tables.kernel_line(row), flush=True)
    rows.append(measure_sgd(10_000 if options.quick else 62_378_344, torch, rates, seconds, rounds))
    print(gpu_tables.kernel_line(rows[-1]), flush=True)


def _cases_of(precision: str, cases: list[Case]) -> list[Case]:
    """Only products know another precision."""
    return [case for case in cases if precision == "fp32" or case.macs]


def _arrays(case: Case, batch: int) -> Arrays:
    return case.arrays(np.random.default_rng(0), batch)


def contestants(case: Case, a: Arrays, torch: Any, precision: str) -> dict[str, cpu.Passes]:
    """The textbook kernels (always fp32), ours, and PyTorch in both layouts, on the GPU."""
    there = {name: to_device(array, "cuda") for name, array in a.items()}
    passes = {"reference": cpu.passes_of("reference", case, there)}
    with use_precision(precision):
        passes["cuda"] = {one: _in_precision(precision, work) for one, work in cpu.passes_of("cuda", case, there).items()}
    if torch is not None:
        pin_tf32(torch, precision)
        torch.backends.cudnn.benchmark = True
        dtype = torch.bfloat16 if precision == "bf16" else None
        passes |= {layout: torch_side.passes(torch, layout, case, a, "cuda", dtype) for layout in torch_side.LAYOUTS}
    return passes


def _in_precision(precision: str, work: Callable[[], tuple]) -> Callable[[], tuple]:
    def run() -> tuple:
        with use_precision(precision):
            return work()
    return run


def measure(case: Case, batch: int, torch: Any, precision: str, rates: dict[str, float], seconds: float,
            rounds: tuple[int, int]) -> Iterator[dict[str, Any]]:
    """A row for each pass: as cpu.measure's, and precision, floor (seconds), first (seconds of cuda's first call)."""
    a = _arrays(case, batch)
    passes = contestants(case, a, torch, precision)
    host = cpu.passes_of("cpu", case, a) if precision == "fp32" else None
    y = passes["reference"]["forward"]()[0]
    for one in cpu.PASSES:
        runs: dict[str, OnDevice] = {name: OnDevice(work[one]) for name, work in passes.items()}
        times = alternate(runs, seconds, rounds)
        if host:
            times |= alternate({"cpu": timed(host[one])}, seconds, (1, 3))
        yield {"layer": case.name, "kernel": case.kernel, "pass": one, "shape": case.shape, "precision": precision,
               "gflop": cpu.gflop(case, one, batch), "floor": floor(case, one, precision, a, y, rates), "first": runs["cuda"].first,
               "times": {name: summary(t) for name, t in times.items()}}


def measure_sgd(parameters: int, torch: Any, rates: dict[str, float], seconds: float, rounds: tuple[int, int]) -> dict[str, Any]:
    """The optimiser's update of so many parameters; PyTorch's is fused."""
    w, v, dw = (np.random.default_rng(i).standard_normal(parameters, np.float32) for i in range(3))
    there = [[to_device(array, "cuda")] for array in (w, v, dw)]
    update = 1e-4, 0.9, 5e-4, False
    runs = {name: OnDevice(partial(kernel_set(name).sgd, *there, *update)) for name in ("reference", "cuda")}
    if torch is not None:
        optimiser = torch_side.sgd(torch, w, dw, *update[:3], {"fused": True}, "cuda")
        runs["torch"] = OnDevice(optimiser.step)
    times = alternate(runs, seconds, rounds)
    return {"layer": "update", "kernel": "sgd", "pass": "step", "shape": f"{parameters:,} parameters", "precision": "fp32", "gflop": 0.0,
            "floor": UPDATE_BYTES * parameters / rates["copy"], "first": runs["cuda"].first,
            "times": {name: summary(t) for name, t in times.items()}}


# ---- the whole network ---------------------------------------------------------------------------------------------------------------

def _networks(options: argparse.Namespace, torch: bool, rates: dict[str, float], rows: list[dict[str, Any]]) -> None:
    seconds, rounds = (0.01, (1, 3)) if options.quick else (options.seconds / 4, (5, 50))
    print(f"\n{gpu_tables.network_header()}", flush=True)
    for name in ("alexnet", "alexnet-paper"):
        shape = network.Network(10, 67, 1 / 32, name) if options.quick else network.Network(name=name)
        for mode in ("train", "infer"):
            for batch in (2,) if options.quick else (1, 16, 128, 512) if name == "alexnet" else (128,):
                for precision in PRECISIONS:
                    jobs = [network.Job(engine, mode, batch, options.threads, shape, "cuda", "fp32" if engine == "reference" else precision)
                            for engine in engines(mode, batch, torch)]
                    row = {**_measured(jobs, seconds, rounds, LOGIT_TOLERANCES[precision]), "network": name, "precision": precision}
                    rows.append({**row, "floor": network_floor(shape, mode, batch, precision, rates)})
                    print(gpu_tables.network_line(rows[-1]), flush=True)


def engines(mode: str, batch: int, torch: bool) -> list[str]:
    """The first one's logits are what the others' are compared with."""
    textbook = ["reference"] if batch <= 16 or not torch else []        # above, its columns take too much memory
    peers = list(torch_side.LAYOUTS) if torch else []
    compiled = [f"{peer} compiled" for peer in peers if (mode, batch) in COMPILED]
    return [*textbook, *peers, *compiled, "cuda", "cuda graph"]


def _measured(jobs: list[network.Job], seconds: float, rounds: tuple[int, int], tolerance: float) -> dict[str, Any]:
    """network.measure, without the engines that die, as long as ours live."""
    while True:
        try:
            return network.measure(jobs, seconds, rounds, tolerance)
        except network.DeadEngine as error:
            print(f"left out: {error}", file=sys.stderr, flush=True)
            jobs = [job for job in jobs if job.engine != error.engine]
            if error.engine == "cuda" or not jobs:
                raise


def network_floor(shape: network.Network, mode: str, batch: int, precision: str, rates: dict[str, float]) -> float | None:
    """Seconds for the products alone (the first layer needs no gradient of the pictures), and for the update in training."""
    if precision not in rates:
        return None
    macs, parameters = gpu_tables.size_of(shape)
    if mode == "infer":
        return 2 * batch * sum(macs) / rates[precision]
    return 2 * batch * (3 * sum(macs) - macs[0]) / rates[precision] + UPDATE_BYTES * parameters / rates["copy"]
