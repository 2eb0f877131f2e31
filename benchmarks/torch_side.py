"""PyTorch as a contestant, in both layouts of images in memory. Optional: without it minitensor is timed alone."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .cases import Arrays, Case

LAYOUTS = {"torch": "contiguous_format", "torch channels-last": "channels_last"}
MISSING = "PyTorch is not installed, so its columns stay empty; install it with: pip install torch"


def load(threads: int) -> Any | None:
    """PyTorch held to so many threads, or None."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(threads)
    return torch


def passes(torch: Any, layout: str, case: Case, a: Arrays) -> dict[str, Callable[[], tuple[np.ndarray, ...]]]:
    """forward and backward of a case, as functions that return tensors: (y,) and the gradients."""
    tensors = {name: _tensor(torch, layout, array) for name, array in a.items()}
    for name in case.differentiated:
        tensors[name].requires_grad_()
    y = case.torch(torch, tensors)
    inputs = [tensors[name] for name in case.differentiated]
    return {"forward": lambda: (case.torch(torch, tensors),),
            "backward": lambda: torch.autograd.grad(y, inputs, tensors["dy"], retain_graph=True)}


def _tensor(torch: Any, layout: str, array: np.ndarray) -> Any:
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.contiguous(memory_format=getattr(torch, LAYOUTS[layout])) if tensor.ndim == 4 else tensor


def sgd(torch: Any, w: np.ndarray, dw: np.ndarray, lr: float, momentum: float, weight_decay: float, options: dict[str, bool]) -> Any:
    """An optimiser of one parameter that has its gradient and is ready for step()."""
    parameter = torch.nn.Parameter(torch.tensor(w))
    parameter.grad = torch.tensor(dw)
    return torch.optim.SGD([parameter], lr=lr, momentum=momentum, weight_decay=weight_decay, **options)
