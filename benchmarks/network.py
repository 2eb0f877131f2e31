"""The whole network: a training step, and inference. Every engine in a process of its own.

So each tells its own peak memory. The processes wait for one another: steps still alternate. All
start from the same weights and images.
"""
from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np

from .contestants import answers
from .errors import DeadEngine, WrongResult
from .job import Job
from .timing import alternate, summary

Ask = Callable[[str], Any]


def measure(jobs: list[Job], seconds: float, rounds: tuple[int, int],
            tolerance: float = 1e-3) -> dict[str, Any]:
    """One row: mode, batch, times by engine, peak bytes by engine.

    Raises WrongResult, before anything is timed, for an engine whose logits differ from the first
    one's, and DeadEngine.
    """
    mode, batch = jobs[0].mode, jobs[0].batch
    with ExitStack() as stack:
        ask = {job.engine: stack.enter_context(_process(job)) for job in jobs}
        _check({engine: answer("logits") for engine, answer in ask.items()},
               f"{mode}, batch {batch}", tolerance)
        times = alternate({engine: partial(answer, "run") for engine, answer in ask.items()},
                          seconds, rounds)
        row = {"mode": mode, "batch": batch,
               "times": {engine: summary(t) for engine, t in times.items()},
               "peak_bytes": {engine: answer("memory") for engine, answer in ask.items()}}
        if jobs[0].device == "cuda":
            row["first"] = {engine: answer("first") for engine, answer in ask.items()}
        return row


def _check(logits: dict[str, np.ndarray], what: str, tolerance: float) -> None:
    first = next(iter(logits))
    largest = np.abs(logits[first]).max()
    for engine in logits:
        error = float(np.abs(logits[engine] - logits[first]).max() / largest)
        if not error <= tolerance:
            raise WrongResult(f"{what}: the logits of {engine} are off by {error:.2g} "
                              f"of the largest of {first}'s")


@contextmanager
def _process(job: Job) -> Iterator[Ask]:
    """Ask a fresh process about job."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(job, theirs), daemon=True)
    process.start()
    theirs.close()

    def ask(question: str) -> Any:
        ours.send(question)
        try:
            return ours.recv()
        except EOFError:
            raise DeadEngine(job, job.engine) from None
    try:
        yield ask
        ours.send("stop")
    finally:
        ours.close()
        process.join(10)
        if process.is_alive():
            process.terminate()


def serve(job: Job, pipe: Any) -> None:
    """In the engine's process: answer the questions of contestants.answers until "stop"."""
    try:
        answer = answers(job)
        while (question := pipe.recv()) != "stop":
            pipe.send(answer[question]())
    except (EOFError, KeyboardInterrupt):               # the parent is gone, or going
        pass
