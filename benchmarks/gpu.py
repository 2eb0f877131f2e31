"""`python -m benchmarks gpu`: the kernels and the network on the GPU, in fp32, TF32 and bf16.

Beside PyTorch and the hardware's floors.
"""
from __future__ import annotations

import argparse
import sys
from typing import Any

from minitensor.backend import gpu_problem
from minitensor.kernels import PRECISIONS

from . import gpu_layers, gpu_tables, network, updates
from .cases import CASES, QUICK_CASES
from .contestants import torch as torch_side
from .errors import BenchmarkError, DeadEngine
from .floors import Rates, measured_rates, network_floor
from .job import Job, Network
from .machine import gpu, machine
from .output import print_machine, written_at_the_end

LOGIT_TOLERANCES = {"fp32": 1e-3, "tf32": 1e-2, "bf16": 5e-2}
# Where torch.compile takes part: it needs half a minute each time.
COMPILED = {("train", 128), ("infer", 1), ("infer", 128)}


def main(options: argparse.Namespace) -> int:
    """Run the benchmarks; returns the exit status. Raises BenchmarkError, also without a GPU."""
    if problem := gpu_problem():
        raise BenchmarkError(problem)
    torch = torch_side.load(options.threads)
    results: dict[str, Any] = {"machine": {**machine(options.threads), **gpu()},
                               "batch": options.batch, "kernels": [], "network": []}
    print_machine(results)
    if torch is None:
        print(torch_side.MISSING, flush=True)
    with written_at_the_end(options, results, gpu_tables.write_png):
        results["rates"] = rates = measured_rates(torch, options.quick)
        print(gpu_tables.rates_line(rates), flush=True)
        if options.only != "network":
            _kernels(options, torch, rates, results["kernels"])
        if options.only != "kernels":
            _networks(options, torch is not None, rates, results["network"])
    return 0


def _kernels(options: argparse.Namespace, torch: Any, rates: Rates,
             rows: list[dict[str, Any]]) -> None:
    cases = QUICK_CASES if options.quick else CASES
    seconds, rounds = (0.01, (1, 3)) if options.quick else (options.seconds / 10, (3, 50))
    gpu_layers.check(cases, options.batch, torch)
    print("All results match. Starting benchmarks.\n\n"
          f"{gpu_tables.kernel_header(options.batch)}", flush=True)
    for precision, case in gpu_layers.cases_in_precision(cases):
        for row in gpu_layers.measure(case, options.batch, torch, precision, rates, seconds,
                                      rounds):
            rows.append(row)
            print(gpu_tables.kernel_line(row), flush=True)
    parameters = 10_000 if options.quick else 62_378_344
    for kernel in updates.NUMBERS:
        rows.append(updates.measure_on_gpu(kernel, parameters, torch, rates, seconds, rounds))
        print(gpu_tables.kernel_line(rows[-1]), flush=True)


def _networks(options: argparse.Namespace, torch: bool, rates: Rates,
              rows: list[dict[str, Any]]) -> None:
    quick = options.quick
    seconds, rounds = (0.01, (1, 3)) if quick else (options.seconds / 4, (5, 50))
    print(f"\n{gpu_tables.network_header()}", flush=True)
    for name in ("alexnet", "alexnet-paper"):
        design = Network.called(name, quick)
        for mode in ("train", "infer"):
            for batch in (2,) if quick else (1, 16, 128, 512) if name == "alexnet" else (128,):
                for precision in PRECISIONS:
                    jobs = [Job(engine, mode, batch, options.threads, design, "cuda",
                                "fp32" if engine == "reference" else precision)
                            for engine in engines(mode, batch, torch)]
                    row = _measured(jobs, seconds, rounds, LOGIT_TOLERANCES[precision])
                    floor = network_floor(design, mode, batch, precision, rates)
                    rows.append({**row, "network": name, "precision": precision, "floor": floor})
                    print(gpu_tables.network_line(rows[-1]), flush=True)


def engines(mode: str, batch: int, torch: bool) -> list[str]:
    """The first one's logits are what the others' are compared with."""
    # Above batch 16 the columns of the textbook's convolutions take too much memory.
    textbook = ["reference"] if batch <= 16 or not torch else []
    peers = list(torch_side.LAYOUTS) if torch else []
    compiled = [f"{peer} compiled" for peer in peers if (mode, batch) in COMPILED]
    return [*textbook, *peers, *compiled, "cuda", "cuda graph"]


def _measured(jobs: list[Job], seconds: float, rounds: tuple[int, int],
              tolerance: float) -> dict[str, Any]:
    """network.measure, without the engines that die, as long as ours live."""
    while True:
        try:
            return network.measure(jobs, seconds, rounds, tolerance)
        except DeadEngine as error:
            print(f"left out: {error}", file=sys.stderr, flush=True)
            jobs = [job for job in jobs if job.engine != error.engine]
            if error.engine == "cuda" or not jobs:
                raise
