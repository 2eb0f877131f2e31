"""PyTorch, in both layouts of images in memory. Optional: without it minitensor is timed alone."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..cases import Arrays, Case
from ..job import (LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, Job, Logits, Network, Work, evaluated,
                   images, weights)

LAYOUTS = {"torch": "contiguous_format", "torch channels-last": "channels_last"}
MISSING = ("PyTorch is not installed, so its columns stay empty; install it with: "
           "pip install torch")


def load(threads: int) -> Any | None:
    """PyTorch held to so many threads, or None."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(threads)
    return torch


def pin_tf32(torch: Any, precision: str) -> None:
    """Without this, float32 convolutions use TF32, and float32 matrix products do not."""
    allowed = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed


def twin(torch: Any, network: Network) -> Any:
    """PyTorch's module for a network of models, with the weights that every engine begins with.

    It is made without minitensor's arrays, which would count as memory.
    """
    from models.networks.torch_twin import torch_twin
    module = torch_twin(network.table, network.input_shape)
    with torch.no_grad():
        for index, (name, parameter) in enumerate(module.named_parameters()):
            parameter.copy_(torch.from_numpy(weights(name, tuple(parameter.shape), index)))
    return module


# ---- the whole network, on the CPU; on the GPU see gpu.py ----------------------------------------

def contestant(job: Job) -> tuple[Logits, Work]:
    """Engines: the names in LAYOUTS."""
    torch: Any = load(job.threads)
    layout = getattr(torch, LAYOUTS[job.engine])
    network = twin(torch, job.network).to(memory_format=layout)
    x, labels = map(torch.from_numpy, images(job))
    x = x.contiguous(memory_format=layout)
    optimizer = torch.optim.SGD(network.parameters(), LEARNING_RATE, MOMENTUM,
                                weight_decay=WEIGHT_DECAY)

    def infer() -> np.ndarray:
        with torch.no_grad():
            return network(x).numpy()

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(x), labels).backward()
        optimizer.step()

    network.train(job.mode == "train")
    work = step if job.mode == "train" else infer
    return lambda: evaluated(network, infer, job.mode), work


# ---- one layer, one update -----------------------------------------------------------------------

def passes(torch: Any, layout: str, case: Case, a: Arrays, device: str = "cpu",
           dtype: Any = None) -> dict[str, Callable[[], tuple]]:
    """forward and backward of a case, as functions that return tensors: (y,) and the gradients.

    dtype: of all but the labels.
    """
    tensors = {name: _tensor(torch, layout, array).to(device) for name, array in a.items()}
    if dtype is not None:
        tensors = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor
                   for name, tensor in tensors.items()}
    for name in case.differentiated:
        tensors[name].requires_grad_()
    y = case.torch(torch, tensors)
    inputs, dy = [tensors[name] for name in case.differentiated], tensors["dy"]
    return {"forward": lambda: (case.torch(torch, tensors),),
            "backward": lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True)}


def _tensor(torch: Any, layout: str, array: np.ndarray) -> Any:
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if tensor.ndim != 4:
        return tensor
    return tensor.contiguous(memory_format=getattr(torch, LAYOUTS[layout]))


def optimizer(torch: Any, kind: str, w: np.ndarray, dw: np.ndarray, device: str,
              **options: Any) -> Any:
    """torch.optim's of one parameter that has its gradient and is ready for step()."""
    parameter = torch.nn.Parameter(torch.tensor(w, device=device))
    parameter.grad = torch.tensor(dw, device=device)
    return getattr(torch.optim, kind)([parameter], **options)
