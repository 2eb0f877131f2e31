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


def passes(torch: Any, layout: str, case: Case, a: Arrays, device: str = "cpu", dtype: Any = None) -> dict[str, Callable[[], tuple]]:
    """forward and backward of a case, as functions that return tensors: (y,) and the gradients. dtype: of all but the labels."""
    tensors = {name: _tensor(torch, layout, array).to(device) for name, array in a.items()}
    if dtype is not None:
        tensors = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    for name in case.differentiated:
        tensors[name].requires_grad_()
    y = case.torch(torch, tensors)
    inputs = [tensors[name] for name in case.differentiated]
    return {"forward": lambda: (case.torch(torch, tensors),),
            "backward": lambda: torch.autograd.grad(y, inputs, tensors["dy"], retain_graph=True)}


def _tensor(torch: Any, layout: str, array: np.ndarray) -> Any:
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.contiguous(memory_format=getattr(torch, LAYOUTS[layout])) if tensor.ndim == 4 else tensor


def sgd(torch: Any, w: np.ndarray, dw: np.ndarray, lr: float, momentum: float, weight_decay: float, options: dict[str, bool],
        device: str = "cpu") -> Any:
    """An optimiser of one parameter that has its gradient and is ready for step()."""
    parameter = torch.nn.Parameter(torch.tensor(w, device=device))
    parameter.grad = torch.tensor(dw, device=device)
    return torch.optim.SGD([parameter], lr=lr, momentum=momentum, weight_decay=weight_decay, **options)


def network(nn: Any, table: dict[str, Any], image_size: int) -> Any:
    """PyTorch's layers for a table of models/networks, without minitensor's arrays, which would count as memory."""
    layers: list[Any] = []
    shape: tuple[int, ...] = (3, image_size, image_size)
    for spec in table.values():
        layers += LAYERS[type(spec).__name__](nn, spec, shape)
        if getattr(spec, "activation", None) == "relu":
            layers.append(nn.ReLU(True))
        shape = spec.output(shape)
    return nn.Sequential(*layers)


def _norm(nn: Any, spec: Any) -> Any:
    if spec.region == "across_channels":
        return nn.LocalResponseNorm(spec.size, spec.alpha, spec.beta, spec.k)

    class WithinChannel(nn.Module):
        """Which PyTorch has no layer for; written as its users would."""

        def forward(self, x: Any) -> Any:
            mean_square = nn.functional.avg_pool2d(x * x, spec.size, 1, spec.size // 2)
            return x / (spec.k + spec.alpha * mean_square)**spec.beta

    return WithinChannel()


LAYERS: dict[str, Callable[[Any, Any, tuple[int, ...]], list[Any]]] = {
    "Conv": lambda nn, s, shape: [nn.Conv2d(shape[0], s.channels, s.kernel, s.stride, s.padding, groups=s.groups)],
    "MaxPool": lambda nn, s, shape: [nn.MaxPool2d(s.kernel, s.stride, ceil_mode=s.ceil)],
    "AvgPool": lambda nn, s, shape: [nn.AvgPool2d(s.kernel, s.stride, ceil_mode=s.ceil)],
    "LRN": lambda nn, s, shape: [_norm(nn, s)],
    "Flatten": lambda nn, s, shape: [nn.Flatten()],
    "Dropout": lambda nn, s, shape: [nn.Dropout(s.p)],
    "Linear": lambda nn, s, shape: [nn.Linear(shape[0], s.features)],
}
