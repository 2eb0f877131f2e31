"""The engines that a network is timed in, each in a process of its own (see network.py).

A contestant is made from a job: -> logits of an evaluation, and one step of its mode.
"""
from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..job import Job
from ..timing import timed
from . import dezero, gpu, minitensor, mygrad, torch

CONTESTANTS = {
    "reference": minitensor.contestant,
    "cpu": minitensor.contestant,
    "torch": torch.contestant,
    "torch channels-last": torch.contestant,
    "dezero": dezero.contestant,
    "mygrad": mygrad.contestant,
}


def answers(job: Job) -> dict[str, Callable[[], Any]]:
    """What an engine's process answers by question.

    "logits", of an evaluation before any step; "run", the seconds of one step; "memory", peak
    bytes; on a GPU also "first", the seconds of the first evaluation and step.
    """
    if job.device == "cuda":
        return gpu.answers(job)
    logits, step = CONTESTANTS[job.engine](job)
    return {"logits": logits, "run": timed(step), "memory": peak_memory}


def peak_memory() -> int:
    """Bytes of physical memory this process has had at most."""
    status = Path("/proc/self/status")
    if status.exists():         # not getrusage, which on Linux begins with what the parent had
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return 1024 * int(peak.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
