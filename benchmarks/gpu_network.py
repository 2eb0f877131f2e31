"""A contestant on the GPU in its process: minitensor step by step or as one CUDA graph, PyTorch as it is or compiled.

Engines: "reference", "cuda", "cuda graph"; "torch", "torch channels-last", and both with " compiled" behind.
"""
from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from .network import LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, Job, evaluated, pictures, weights
from .timing import OnDevice


def answers(job: Job) -> dict[str, Callable[[], Any]]:
    """As network.serve asks them, and "first": seconds of the first evaluation and the first step, all compiling included."""
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

    return {"logits": first_logits, "run": run, "memory": memory, "first": lambda: seconds[0] + contestants[0].first}


def _minitensor(job: Job) -> tuple[Callable, Callable, Callable]:
    import minitensor as mt
    from minitensor.backend import cupy
    from minitensor.kernels import use_precision
    from models import build

    process = ExitStack()                   # for as long as this process lives
    process.enter_context(mt.use_kernels(job.engine.split()[0]))
    process.enter_context(use_precision(job.precision))
    generator = mt.Generator(0)
    network = build(job.network.name, *job.network[:3], generator=generator)
    for i, parameter in enumerate(network.parameters()):
        parameter.data[...] = weights(parameter.shape, i)
    network.to("cuda").train(job.mode == "train")
    x, labels = pictures(job)
    images = mt.Tensor(x).to("cuda")
    optimiser = mt.optim.SGD(network.parameters(), LEARNING_RATE, MOMENTUM, WEIGHT_DECAY)

    def infer(images: Any = images) -> Any:
        with mt.no_grad():
            return network(images)

    def step(images: Any = images, labels: Any = labels) -> None:
        optimiser.zero_grad()
        mt.cross_entropy(network(images), labels).backward()
        optimiser.step()

    graphs: list[Any] = []

    def replay() -> None:
        if not graphs and job.mode == "infer":
            graphs.append(mt.capture(infer, images))
        elif not graphs:
            generator.to("cuda")
            optimiser.send_lrs()
            graphs.append(mt.capture(step, images, mt.Tensor(labels).to("cuda")))
        graphs[0](*graphs[0].inputs)

    def memory() -> int:
        return cupy().get_default_memory_pool().total_bytes() + sum(graph.nbytes for graph in graphs)

    work = replay if job.engine.endswith("graph") else step if job.mode == "train" else infer
    return lambda: evaluated(network, lambda: infer().numpy(), job.mode), work, memory


def _torch(job: Job) -> tuple[Callable, Callable, Callable]:
    import torch

    from . import torch_side

    pin_tf32(torch, job.precision)
    torch.backends.cudnn.benchmark = True
    # PyTorch's best: bfloat16 throughout for inference, autocast over float32 weights for training
    mixed, half = (job.precision == "bf16" and job.mode == mode for mode in ("train", "infer"))
    network = torch_side.network(torch.nn, job.network.table, job.network.image_size)
    with torch.no_grad():
        for i, parameter in enumerate(network.parameters()):
            parameter.copy_(torch.from_numpy(weights(tuple(parameter.shape), i)))
    layout = torch.channels_last if "channels-last" in job.engine else torch.contiguous_format
    dtype = torch.bfloat16 if half else torch.float32
    network = network.to("cuda", dtype, memory_format=layout).train(job.mode == "train")
    x, labels = (torch.from_numpy(np.ascontiguousarray(array)).to("cuda") for array in pictures(job))
    x = x.to(dtype, memory_format=layout)
    optimiser = torch.optim.SGD(network.parameters(), LEARNING_RATE, MOMENTUM, weight_decay=WEIGHT_DECAY, fused=True)
    fast = torch.compile(network, mode="reduce-overhead") if job.engine.endswith("compiled") else network

    def infer(module: Any = fast) -> Any:
        with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, enabled=mixed):
            return module(x)

    def step() -> None:
        optimiser.zero_grad()
        with torch.autocast("cuda", torch.bfloat16, enabled=mixed):
            loss = torch.nn.functional.cross_entropy(fast(x), labels)
        loss.backward()
        optimiser.step()

    return (lambda: evaluated(network, lambda: infer(network).float().cpu().numpy(), job.mode), step if job.mode == "train" else infer,
            torch.cuda.max_memory_reserved)


def pin_tf32(torch: Any, precision: str) -> None:
    """PyTorch's float32 convolutions use TF32 unless told not to, its matrix products the other way round."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
