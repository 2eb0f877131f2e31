"""`python -m benchmarks engines`: a training step beside DeZero's, MyGrad's and PyTorch's."""
from __future__ import annotations

import argparse
from importlib.util import find_spec

from . import cpu_tables, network
from .contestants import torch as torch_side
from .errors import BenchmarkError
from .job import Job, Network
from .output import begin, written_at_the_end

OTHERS = ("dezero", "mygrad")
MISSING = "no other engine is installed; install them with: pip install dezero mygrad"


def installed() -> list[str]:
    return [name for name in OTHERS if find_spec(name)]


def main(options: argparse.Namespace) -> int:
    """Run the benchmark, at batch 16, where the slowest engine takes seconds."""
    torch = torch_side.load(options.threads)
    results = begin(options, kernels=[], network=[])
    if torch is None:
        print(torch_side.MISSING, flush=True)
    with written_at_the_end(options, results):
        if not installed():
            raise BenchmarkError(MISSING)
        batch, rounds = (2, (1, 3)) if options.quick else (16, (5, 20))
        names = ["cpu", *installed(), *(torch_side.LAYOUTS if torch else ())]
        design = Network.called("alexnet", options.quick)
        jobs = [Job(name, "train", batch, options.threads, design) for name in names]
        row = network.measure(jobs, options.seconds, rounds)
        results["network"].append(row)
        print(cpu_tables.engines_table(row))
    return 0
