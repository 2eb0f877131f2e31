"""The optimiser's update: eight tensors a launch."""
from collections.abc import Sequence
from typing import Any

from ...backend import Array, memory_order
from .. import reference
from .launcher import launch
from .layout import in_order, packs
from .arguments import scalar_or_pointer

TENSORS = 8             # that the kernel takes
THREADS = 256
MOST_BLOCKS = 2048      # threads beyond these only wait in line: each goes on to the next numbers


def sgd(ws: Sequence[Array], vs: Sequence[Array], dws: Sequence[Array], lr: Any, momentum: float, weight_decay: float,
        nesterov: bool) -> None:
    hyperparameters = lr, momentum, weight_decay, nesterov
    by_dtype: dict = {}
    for w, v, dw in zip(ws, vs, dws):
        order, _ = memory_order(w)
        if not (w.transpose(order).flags.c_contiguous and v.transpose(order).flags.c_contiguous):
            reference.sgd([w], [v], [dw], *hyperparameters)                 # views with gaps, which no layer makes
            continue
        by_dtype.setdefault(w.dtype, []).append(in_order(order, w, v, dw))
    for dtype, tensors in by_dtype.items():
        for start in range(0, len(tensors), TENSORS):
            _update(dtype, tensors[start:start + TENSORS], hyperparameters)


def _update(dtype, tensors: list[list[Array]], hyperparameters: tuple) -> None:
    lr, *others = hyperparameters
    slots = [(w, v, dw, w.size) for w, v, dw in tensors] + (TENSORS - len(tensors)) * [(None, None, None, 0)]
    blocks = min(MOST_BLOCKS, -(-max(packs(w) for w, _, _ in tensors) // THREADS))
    arguments = *scalar_or_pointer(lr), *others, *(value for slot in slots for value in slot)
    launch("update.cu", "sgd", arguments, dtype=dtype, grid=max(1, blocks), threads=THREADS)
