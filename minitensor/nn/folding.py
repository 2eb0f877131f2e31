"""BatchNorm2d folded into the Conv2d before it: at inference both together are one convolution."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from .. import ops
from ..ops.checks import one_activation
from ..recording import is_grad_enabled
from ..tensor import Tensor
from .conv import Conv2d
from .module import Module, watched
from .norm import BatchNorm2d

_folding: ContextVar[bool] = ContextVar("folding", default=True)


@contextmanager
def folding(mode: bool) -> Iterator[None]:
    """Inside the with-block a BatchNorm2d is folded into the Conv2d before it, or never.

    It is by default: in a Sequential or Residual, in evaluation mode, under no_grad, while nobody
    observes, and where the filters are fewer numbers than the output. Results differ by roundings.
    """
    token = _folding.set(mode)
    try:
        yield
    finally:
        _folding.reset(token)


def can_fold(conv: Module, norm: Module, x: Tensor) -> bool:
    """Whether norm(conv(x)) may be one convolution, and gains from it: the filters are scaled on
    every call, for they may have changed."""
    if type(conv).forward is not Conv2d.forward or type(norm).forward is not BatchNorm2d.forward:
        return False
    assert isinstance(conv, Conv2d) and isinstance(norm, BatchNorm2d)
    fits = conv.activation is None and norm.num_features == len(conv.weight)
    fixed = not norm.training and norm.running_mean is not None
    if not (fits and fixed and _folding.get()) or is_grad_enabled() or watched() or x.ndim != 4:
        return False
    pixels = len(x) * x.shape[2] * x.shape[3] // (conv.stride[0] * conv.stride[1])
    return conv.weight.numel() // len(conv.weight) < pixels


def folded(conv: Any, norm: Any, x: Tensor, residual: Tensor | None = None,
           activation: str | None = None) -> Tensor:
    """norm(conv(x)) of a pair that `can_fold`, as one convolution."""
    scale = (norm.running_var + norm.eps)**-0.5
    scale = scale if norm.weight is None else scale * norm.weight
    shift = -norm.running_mean if conv.bias is None else conv.bias - norm.running_mean
    b = shift * scale if norm.bias is None else shift * scale + norm.bias
    w = conv.weight * scale.reshape(-1, 1, 1, 1)
    activation = one_activation("BatchNorm2d", norm.activation, activation)
    return ops.conv2d(x, w, b, conv.stride, conv.padding, conv.dilation, conv.groups,
                      residual=residual, activation=activation)
