"""minitensor and PyTorch on the GPU: step by step or as one CUDA graph, as it is or compiled.

Engines: "reference", "cuda", "cuda graph"; "torch", "torch channels-last", and both with
" compiled" behind.
"""
from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from ..job import LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, Job, Logits, Work, evaluated, images
from ..timing import OnDevice
from .torch import pin_tf32, twin

Memory = Callable[[], int]                  # bytes taken from the GPU


def answers(job: Job) -> dict[str, Callable[[], Any]]:
    """As those of contestants/__init__.py, and "first"."""
    logits, step, memory = (_torch if job.engine.startswith("torch") else _minitensor)(job)
    seconds: list[float] = []
    contestants: list[OnDevice] = []

    def first_logits() -> np.ndarray:
        began = time.perf_counter()
        result = logits()
        seconds.append(time.perf_counter() - began)
        return result

    def run() -> float:
        if not contestants:
            contestants.append(OnDevice(step))
        return contestants[0]()

    return {"logits": first_logits, "run": run, "memory": memory,
            "first": lambda: seconds[0] + contestants[0].first}


def _minitensor(job: Job) -> tuple[Logits, Work, Memory]:
    import minitensor as mt
    from minitensor.backend import cupy
    from minitensor.kernels import use_precision

    process = ExitStack()                   # for as long as this process lives
    process.enter_context(mt.use_kernels(job.engine.split()[0]))
    process.enter_context(use_precision(job.precision))
    generator = mt.Generator(0)
    network = job.network.built(generator)
    network.to("cuda").train(job.mode == "train")
    host_x, host_labels = images(job)
    x = mt.Tensor(host_x).to("cuda")
    optimizer = mt.optim.SGD(network.parameters(), LEARNING_RATE, MOMENTUM,
                             weight_decay=WEIGHT_DECAY)

    def infer(x: Any = x) -> Any:
        with mt.no_grad():
            return network(x)

    def step(x: Any = x, labels: Any = host_labels) -> None:
        optimizer.zero_grad()
        mt.cross_entropy(network(x), labels).backward()
        optimizer.step()

    graphs: list[Any] = []

    def replay() -> None:
        if not graphs and job.mode == "infer":
            graphs.append(mt.capture(infer, x))
        elif not graphs:
            generator.to("cuda")
            optimizer.send_lrs()
            graphs.append(mt.capture(step, x, mt.Tensor(host_labels).to("cuda")))
        graphs[0](*graphs[0].inputs)

    def memory() -> int:
        pool = cupy().get_default_memory_pool()
        return pool.total_bytes() + sum(graph.nbytes for graph in graphs)

    work = step if job.mode == "train" else infer
    return (lambda: evaluated(network, lambda: infer().numpy(), job.mode),
            replay if job.engine.endswith("graph") else work, memory)


def _torch(job: Job) -> tuple[Logits, Work, Memory]:
    import torch

    pin_tf32(torch, job.precision)
    torch.backends.cudnn.benchmark = True
    # PyTorch's best: bfloat16 throughout for inference, autocast over float32 weights for training
    mixed, half = (job.precision == "bf16" and job.mode == mode for mode in ("train", "infer"))
    layout = torch.channels_last if "channels-last" in job.engine else torch.contiguous_format
    dtype = torch.bfloat16 if half else torch.float32
    network = twin(torch, job.network).to("cuda", dtype, memory_format=layout)
    network.train(job.mode == "train")
    x, labels = (torch.from_numpy(np.ascontiguousarray(array)).to("cuda") for array in images(job))
    x = x.to(dtype, memory_format=layout)
    optimizer = torch.optim.SGD(network.parameters(), LEARNING_RATE, MOMENTUM,
                                weight_decay=WEIGHT_DECAY, fused=True)
    compiled = job.engine.endswith("compiled")
    fast = torch.compile(network, mode="reduce-overhead") if compiled else network

    def infer(module: Any = fast) -> Any:
        with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, enabled=mixed):
            return module(x)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16, enabled=mixed):
            loss = torch.nn.functional.cross_entropy(fast(x), labels)
        loss.backward()
        optimizer.step()

    def logits() -> np.ndarray:
        return infer(network).float().cpu().numpy()

    return (lambda: evaluated(network, logits, job.mode),
            step if job.mode == "train" else infer, torch.cuda.max_memory_reserved)
