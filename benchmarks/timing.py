"""Timing contestants in turn, so that whatever else the machine does hits all of them alike."""
from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from minitensor.backend import cupy

REST = 0.005    # seconds before each call, in which idle threads of the one before stop spinning


def alternate(contestants: Mapping[str, Callable[[], float]], seconds: float,
              rounds: tuple[int, int]) -> dict[str, list[float]]:
    """Times of each contestant, a function that does its work once and returns the seconds.

    Each runs once to warm up, then at least rounds[0] times and at most rounds[1], until its runs
    together took `seconds`.
    """
    for run in contestants.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds[1]):
        for name, run in contestants.items():
            if len(times[name]) < rounds[0] or sum(times[name]) < seconds:
                time.sleep(REST)
                times[name].append(run())
    return times


def timed(work: Callable[[], Any]) -> Callable[[], float]:
    """A contestant from a function."""
    def run() -> float:
        start = time.perf_counter()
        result = work()
        elapsed = time.perf_counter() - start
        del result              # not timed: others' results, too, are given back outside the clock
        return elapsed
    return run


def summary(times: list[float]) -> dict[str, float]:
    """Seconds: median, fastest, slowest; and the number of runs."""
    return {"median": statistics.median(times), "fastest": min(times), "slowest": max(times),
            "runs": len(times)}


class OnDevice:
    """A contestant that works on the GPU: seconds a call between two CUDA events.

    They surround as many calls as take about SPAN.

    first       seconds of the first call by the wall clock, what it compiles and loads included
    """

    SPAN, MOST_CALLS = 0.005, 1000

    def __init__(self, work: Callable[[], Any]):
        self.work = work
        began = time.perf_counter()
        work()
        cupy().cuda.Device().synchronize()
        self.first = time.perf_counter() - began
        self.calls = 1
        self()                                          # the allocator has its memory now
        self.calls = min(self.MOST_CALLS, math.ceil(self.SPAN / max(1e-9, self())))

    def __call__(self) -> float:
        begin, end = cupy().cuda.Event(), cupy().cuda.Event()
        begin.record()
        for _ in range(self.calls):
            self.work()
        end.record()
        end.synchronize()
        return cupy().cuda.get_elapsed_time(begin, end) / 1e3 / self.calls
