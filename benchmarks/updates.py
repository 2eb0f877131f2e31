"""The optimizers' updates of many parameters at once: checked, then timed, on either device."""
from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from minitensor.backend import to_device
from minitensor.kernels import kernel_set

from .contestants import torch as torch_side
from .floors import Rates, update_floor
from .layers import SETS, Row, compare
from .timing import OnDevice, alternate, summary, timed

LR, MOMENTUM, BETA1, BETA2, EPS, WEIGHT_DECAY = 1e-4, 0.9, 0.9, 0.999, 1e-8, 5e-4
NUMBERS: dict[str, tuple] = {"sgd": (LR, MOMENTUM, WEIGHT_DECAY, False, False),
                             "adam": (LR, BETA1, BETA2, EPS, WEIGHT_DECAY, False, 1)}
STATES = {"sgd": 1, "adam": 2}          # arrays that an optimizer keeps for a parameter


class Arrays(NamedTuple):
    w: np.ndarray
    states: list[np.ndarray]
    dw: np.ndarray

    def lists(self, device: str = "cpu") -> list[list[Any]]:
        """What a kernel takes: [w], [velocity] or [m], [v], then [dw], on the device."""
        return [[to_device(array, device)] for array in (self.w, *self.states, self.dw)]


def arrays_of(kernel: str, parameters: int) -> Arrays:
    """Normal numbers; states are not negative, as Adam's v must not be."""
    w, dw, *states = (np.random.default_rng(seed).standard_normal(parameters, np.float32)
                      for seed in range(2 + STATES[kernel]))
    return Arrays(w, [np.abs(state) for state in states], dw)


def check(kernel: str) -> None:
    """Raises WrongResult unless each set does what the formulas say."""
    a = arrays_of(kernel, 1000)
    expected = _sgd(a) if kernel == "sgd" else _adam(a)
    for name in SETS:
        *updated, dws = [[array.copy()] for array in (a.w, *a.states, a.dw)]
        getattr(kernel_set(name), kernel)(*updated, dws, *NUMBERS[kernel])
        for (actual,), wanted in zip(updated, expected, strict=True):
            compare(f"{kernel}, {name}", actual, wanted, 1e-5)


def _sgd(a: Arrays) -> tuple[np.ndarray, ...]:
    v = MOMENTUM * a.states[0] + a.dw + WEIGHT_DECAY * a.w
    return a.w - LR * v, v


def _adam(a: Arrays) -> tuple[np.ndarray, ...]:
    """The first step."""
    dw = a.dw + WEIGHT_DECAY * a.w
    m = BETA1 * a.states[0] + (1 - BETA1) * dw
    v = BETA2 * a.states[1] + (1 - BETA2) * dw**2
    step = m / (1 - BETA1) / (np.sqrt(v / (1 - BETA2)) + EPS)
    return a.w - LR * step, m, v


def measure(kernel: str, parameters: int, torch: Any, seconds: float,
            rounds: tuple[int, int]) -> Row:
    """On the CPU. PyTorch's second column is its fused=True, not a layout."""
    a = arrays_of(kernel, parameters)
    lists, numbers = a.lists(), NUMBERS[kernel]
    runs = {name: timed(partial(getattr(kernel_set(name), kernel), *lists, *numbers))
            for name in SETS}
    if torch is not None:
        for name, fused in zip(torch_side.LAYOUTS, (False, True)):
            runs[name] = timed(_torch(torch, kernel, a, "cpu", fused).step)
    times = alternate(runs, seconds, rounds)
    return _row(kernel, times, f"{parameters:,} parameters; 2nd torch: fused")


def measure_on_gpu(kernel: str, parameters: int, torch: Any, rates: Rates, seconds: float,
                   rounds: tuple[int, int]) -> Row:
    """PyTorch's is fused."""
    a = arrays_of(kernel, parameters)
    lists, numbers = a.lists("cuda"), NUMBERS[kernel]
    runs = {name: OnDevice(partial(getattr(kernel_set(name), kernel), *lists, *numbers))
            for name in ("reference", "cuda")}
    if torch is not None:
        runs["torch"] = OnDevice(_torch(torch, kernel, a, "cuda", True).step)
    row = _row(kernel, alternate(runs, seconds, rounds), f"{parameters:,} parameters")
    floor = update_floor(parameters, STATES[kernel], rates)
    return {**row, "precision": "fp32", "floor": floor, "first": runs["cuda"].first}


def _torch(torch: Any, kernel: str, a: Arrays, device: str, fused: bool) -> Any:
    options: dict[str, Any] = {"lr": LR, "weight_decay": WEIGHT_DECAY, "fused": fused}
    if kernel == "sgd":
        return torch_side.optimizer(torch, "SGD", a.w, a.dw, device, momentum=MOMENTUM, **options)
    return torch_side.optimizer(torch, "Adam", a.w, a.dw, device, betas=(BETA1, BETA2), eps=EPS,
                                **options)


def _row(kernel: str, times: dict[str, list[float]], shape: str) -> Row:
    return {"layer": kernel, "kernel": kernel, "pass": "step", "gflop": 0.0, "shape": shape,
            "times": {name: summary(t) for name, t in times.items()}}
