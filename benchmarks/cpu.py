"""`python -m benchmarks cpu`: the kernels and the network on the CPU, beside PyTorch."""
from __future__ import annotations

import argparse
import os
from typing import Any

from . import cpu_tables, layers, network, updates
from .cases import CASES, QUICK_CASES
from .contestants import torch as torch_side
from .job import Job, Network
from .output import begin, written_at_the_end

SEED_NETWORK_PARAMETERS = 62_378_344
TEXTBOOK_MACS = 20e9    # a batch of more takes the textbook kernels minutes and 10 GB


def main(options: argparse.Namespace) -> int:
    """Run the benchmarks; returns the exit status. Raises BenchmarkError."""
    torch = torch_side.load(options.threads)
    results = begin(options, kernels=[], network=[])
    if torch is None:
        print(torch_side.MISSING, flush=True)
    with written_at_the_end(options, results, cpu_tables.write_png):
        if options.only != "network":
            _kernels(options, torch, results)
        if options.only != "kernels":
            _networks(options, torch, results["network"])
    return 0


def _kernels(options: argparse.Namespace, torch: Any, results: dict[str, Any]) -> None:
    quick, rows = options.quick, results["kernels"]
    cases = QUICK_CASES if quick else CASES
    seconds, rounds = (0.01, (1, 3)) if quick else (options.seconds, (3, 50))
    layers.check(cases, options.batch, torch)
    for kernel in updates.NUMBERS:
        updates.check(kernel)
    print("All results match. Starting benchmarks.", flush=True)
    results["product_gflops"] = peak = layers.product_peak(seconds, 256 if quick else 3072)
    print(f"A large matrix product in NumPy: {peak:.0f} GFLOP/s\n\n"
          f"{cpu_tables.kernel_header(options.batch)}", flush=True)
    for row in layers.measure(cases, options.batch, torch, seconds, rounds):
        rows.append(row)
        print(cpu_tables.kernel_line(row, peak), flush=True)
    parameters = 10_000 if quick else SEED_NETWORK_PARAMETERS
    for kernel in updates.NUMBERS:
        rows.append(updates.measure(kernel, parameters, torch, seconds, rounds))
        print(cpu_tables.kernel_line(rows[-1], peak), flush=True)


def _networks(options: argparse.Namespace, torch: Any, rows: list[dict[str, Any]]) -> None:
    design = Network.called(options.network or "alexnet", options.quick)
    seconds, rounds = (0.01, (1, 3)) if options.quick else (4 * options.seconds, (5, 50))
    batches = options.batches or ([2] if options.quick else _fitting(design))
    print(f"\n{cpu_tables.network_header(design)}", flush=True)
    for mode in ("train", "infer"):
        for batch in batches:
            engines = ["cpu", *(torch_side.LAYOUTS if torch else ())]
            if batch * design.macs <= TEXTBOOK_MACS:
                engines.insert(0, "reference")
            jobs = [Job(engine, mode, batch, options.threads, design) for engine in engines]
            rows.append({"network": design.name, **network.measure(jobs, seconds, rounds)})
            print(cpu_tables.network_line(rows[-1]), flush=True)


def _fitting(design: Network) -> list[int]:
    """The batches whose training fits into memory: in three engines at once, each with as much for
    gradients as for what it keeps."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    needed = {batch: 6 * batch * design.activations for batch in (1, 16, 128)}
    for batch, size in needed.items():
        if size > memory:
            print(f"batch {batch} is left out: its training needs about {size / 1e9:.0f} GB; "
                  f"--batch {batch} tries it")
    return [batch for batch, size in needed.items() if size <= memory]
