"""The optimizers' updates: eight tensors a launch."""
from collections.abc import Sequence
from typing import Any

from ...backend import Array, memory_order
from . import tuning
from .launcher import launch, scalar_or_pointer
from .layout import in_order, packs


def sgd(ws: Sequence[Array], vs: Sequence[Array], dws: Sequence[Array], lr: Any, momentum: float,
        weight_decay: float, nesterov: bool, lr_in_velocity: bool) -> None:
    hyperparameters = *scalar_or_pointer(lr), momentum, weight_decay, nesterov, lr_in_velocity
    _update("sgd", hyperparameters, ws, vs, dws)


def adam(ws: Sequence[Array], ms: Sequence[Array], vs: Sequence[Array], dws: Sequence[Array],
         lr: Any, beta1: float, beta2: float, eps: float, weight_decay: float, decoupled: bool,
         step: Any) -> None:
    hyperparameters = (*scalar_or_pointer(lr), *scalar_or_pointer(step), beta1, beta2, eps,
                       weight_decay, decoupled)
    _update("adam", hyperparameters, ws, ms, vs, dws)


def _update(kernel: str, hyperparameters: tuple, *lists: Sequence[Array]) -> None:
    """lists: of the arrays that the kernel changes, and last of the gradients."""
    by_dtype: dict[Any, list] = {}
    gaps: list[tuple[Array, Array]] = []        # views with gaps, and the dense copies to update
    for arrays in zip(*lists):
        order, _ = memory_order(arrays[0])
        dense = in_order(order, *arrays)
        views = [state.transpose(order) for state in arrays[:-1]]
        gaps += [pair for pair in zip(views, dense) if not pair[0].flags.c_contiguous]
        by_dtype.setdefault(arrays[0].dtype, []).append(dense)
    for dtype, tensors in by_dtype.items():
        for start in range(0, len(tensors), tuning.UPDATE_TENSORS):
            _launch(kernel, dtype, hyperparameters, tensors[start:start + tuning.UPDATE_TENSORS])
    for view, updated in gaps:
        view[...] = updated


def _launch(kernel: str, dtype: Any, hyperparameters: tuple, tensors: list[list[Array]]) -> None:
    slots = [(*arrays, arrays[0].size) for arrays in tensors]
    nothing = (*(None for _ in tensors[0]), 0)
    slots += (tuning.UPDATE_TENSORS - len(tensors)) * [nothing]
    threads = max(packs(arrays[0]) for arrays in tensors)
    blocks = min(tuning.UPDATE_BLOCKS, -(-threads // tuning.UPDATE_THREADS))
    launch("update.cu", kernel, (*hyperparameters, *(value for slot in slots for value in slot)),
           dtype=dtype, grid=max(1, blocks), threads=tuning.UPDATE_THREADS)
