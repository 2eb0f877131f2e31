"""The whole network: a training step, and inference. Every engine in a process of its own, which also tells its peak memory.

The processes wait for one another, so that steps still alternate. All start from the same weights and pictures.
"""
from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .timing import alternate, summary, timed

LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 1e-4, 0.9, 5e-4


class Network(NamedTuple):
    """The arguments of models.build."""
    num_classes: int = 1000
    image_size: int = 227
    width: float = 1.0
    name: str = "alexnet"

    @property
    def table(self) -> dict[str, Any]:
        from models.networks.build import table_of
        return table_of(self.name, self.num_classes, self.image_size, self.width)


class Job(NamedTuple):
    engine: str             # "reference", "cpu", "torch", "torch channels-last", "dezero", "mygrad"; on a GPU see gpu_network.py
    mode: str               # "train", "infer"
    batch: int
    threads: int
    network: Network
    device: str = "cpu"
    precision: str = "fp32"


# ---- in the engine's process -----------------------------------------------------------------------------------------------

def serve(job: Job, pipe: Any) -> None:
    """Answer "logits" (of an evaluation, before any step), "run" (seconds of one step) and "memory" (peak bytes) until "stop"."""
    try:
        answers = _answers(job)
        while (question := pipe.recv()) != "stop":
            pipe.send(answers[question]())
    except (EOFError, KeyboardInterrupt):               # the parent is gone, or going
        pass


def _answers(job: Job) -> dict[str, Callable[[], Any]]:
    if job.device == "cuda":
        from . import gpu_network
        return gpu_network.answers(job)
    from . import other_engines
    make = other_engines.ENGINES.get(job.engine) or (_torch if job.engine.startswith("torch") else _minitensor)
    logits, step = make(job)
    return {"logits": logits, "run": timed(step), "memory": peak_memory}


def pictures(job: Job) -> tuple[np.ndarray, np.ndarray]:
    rng, side = np.random.default_rng(0), job.network.image_size
    x = rng.standard_normal((job.batch, side, side, 3), np.float32).transpose(0, 3, 1, 2)
    return x, rng.integers(0, job.network.num_classes, job.batch)


def weights(shape: tuple[int, ...], index: int) -> np.ndarray:
    """He's initial weights (F, C, ...), or small biases (F,): the same for every engine."""
    std = (2 / np.prod(shape[1:]))**0.5 if len(shape) > 1 else 0.01
    return np.random.default_rng(index).standard_normal(shape, np.float32) * np.float32(std)


def _minitensor(job: Job) -> tuple[Callable, Callable]:
    import minitensor
    from minitensor.kernels import cpu
    from models import build

    cpu.set_num_threads(job.threads)
    network = build(job.network.name, *job.network[:3], generator=minitensor.Generator(0))
    for i, parameter in enumerate(network.parameters()):
        parameter.data[...] = weights(parameter.shape, i)
    x, labels = pictures(job)
    optimiser = minitensor.optim.SGD(network.parameters(), LEARNING_RATE, MOMENTUM, WEIGHT_DECAY)

    def infer() -> np.ndarray:
        with minitensor.use_kernels(job.engine), minitensor.no_grad():
            return network(minitensor.Tensor(x)).data

    def step() -> None:
        with minitensor.use_kernels(job.engine):
            optimiser.zero_grad()
            minitensor.cross_entropy(network(minitensor.Tensor(x)), labels).backward()
            optimiser.step()

    network.train(job.mode == "train")
    return lambda: evaluated(network, infer, job.mode), step if job.mode == "train" else infer


def _torch(job: Job) -> tuple[Callable, Callable]:
    import torch
    from torch import nn

    from . import torch_side

    torch.set_num_threads(job.threads)
    network = torch_side.network(nn, job.network.table, job.network.image_size)
    with torch.no_grad():
        for i, parameter in enumerate(network.parameters()):
            parameter.copy_(torch.from_numpy(weights(tuple(parameter.shape), i)))
    x, labels = map(torch.from_numpy, pictures(job))
    layout = getattr(torch, torch_side.LAYOUTS[job.engine])
    network, x = network.to(memory_format=layout), x.contiguous(memory_format=layout)
    optimiser = torch.optim.SGD(network.parameters(), LEARNING_RATE, MOMENTUM, weight_decay=WEIGHT_DECAY)

    def infer() -> np.ndarray:
        with torch.no_grad():
            return network(x).numpy()

    def step() -> None:
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(x), labels).backward()
        optimiser.step()

    network.train(job.mode == "train")
    return lambda: evaluated(network, infer, job.mode), step if job.mode == "train" else infer


def evaluated(network: Any, infer: Callable[[], np.ndarray], mode: str) -> np.ndarray:
    network.eval()
    logits = infer()
    network.train(mode == "train")
    return logits


def peak_memory() -> int:
    """Bytes of physical memory this process has had at most."""
    status = Path("/proc/self/status")
    if status.exists():         # not getrusage, which on Linux begins with what the parent had
        return next(1024 * int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


# ---- in the parent ---------------------------------------------------------------------------------------------------------

class DeadEngine(Exception):
    """A process ended before it answered."""

    def __init__(self, job: Job):
        super().__init__(f"the process of {job} ended before it answered; it may have run out of memory")
        self.engine = job.engine


class WrongLogits(Exception):
    """An engine's logits differ from the first one's, given the same weights and pictures."""


@contextmanager
def _process(job: Job) -> Iterator[Callable[[str], Any]]:
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
            raise DeadEngine(job) from None
    try:
        yield ask
        ours.send("stop")
    finally:
        ours.close()
        process.join(10)
        if process.is_alive():
            process.terminate()


def measure(jobs: list[Job], seconds: float, rounds: tuple[int, int], tolerance: float = 1e-3) -> dict[str, Any]:
    """One row: mode, batch, times by engine, and peak bytes by engine. Raises WrongLogits before anything is timed."""
    mode, batch, first = jobs[0].mode, jobs[0].batch, jobs[0].engine
    with ExitStack() as stack:
        ask = {job.engine: stack.enter_context(_process(job)) for job in jobs}
        logits = {engine: answer("logits") for engine, answer in ask.items()}
        for engine in ask:
            error = float(np.abs(logits[engine] - logits[first]).max() / np.abs(logits[first]).max())
            if not error <= tolerance:
                raise WrongLogits(f"{mode}, batch {batch}: the logits of {engine} are off by {error:.2g} of the largest of {first}'s")
        times = alternate({engine: partial(answer, "run") for engine, answer in ask.items()}, seconds, rounds)
        return {"mode": mode, "batch": batch, "times": {engine: summary(t) for engine, t in times.items()},
                "peak_bytes": {engine: answer("memory") for engine, answer in ask.items()},
                **({"first": {engine: answer("first") for engine, answer in ask.items()}} if jobs[0].device == "cuda" else {})}
