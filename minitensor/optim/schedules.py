"""Schedules of the learning rate, from simple to less simple; the last one goes by steps."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..backend import type_name
from .optimizer import Optimizer


class Schedule:
    """Sets every group's lr to its initial lr times `factor(epoch)`, that of epoch 0 at once.

    Call `step()` once after each epoch. A subclass sets what its factor needs before
    `super().__init__(optimizer)`.
    """

    def __init__(self, optimizer: Optimizer):
        self.optimizer, self.epoch = _optimizer(self, optimizer), 0
        self.initial = [group["lr"] for group in optimizer.groups]
        self._apply()

    def factor(self, epoch: int) -> float:
        """What the initial learning rates are multiplied by in that epoch, counted from 0."""
        return 1.0

    def step(self) -> None:
        """An epoch has ended: set the learning rates of the next one."""
        self.epoch += 1
        self._apply()

    def rate(self, initial: float, epoch: int) -> float:
        """The learning rate in that epoch of a group whose initial one is given."""
        return initial * self.factor(epoch)

    def _apply(self) -> None:
        for group, initial in zip(self.optimizer.groups, self.initial):
            group["lr"] = self.rate(initial, self.epoch)

    def state_dict(self) -> dict[str, Any]:
        """Finite numbers and None only: valid JSON."""
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`, or a part of it.

        The learning rates become those of this schedule, should its settings differ.
        """
        vars(self).update(state)
        self._apply()


def _optimizer(schedule: Any, optimizer: Optimizer) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(schedule).__name__}: expected an optimizer, "
                        f"not a {type_name(optimizer)}")
    return optimizer


class StepLR(Schedule):
    """lr · gamma^(epoch // step_size)."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1):
        if step_size < 1:
            raise ValueError(f"StepLR: step_size must be at least 1, not {step_size}")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def factor(self, epoch: int) -> float:
        return self.gamma**(epoch // self.step_size)


class MultiStepLR(Schedule):
    """lr · gamma^(how many milestones are reached); a milestone 0 is from the beginning."""

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1):
        self.milestones, self.gamma = list(milestones), gamma
        super().__init__(optimizer)

    def factor(self, epoch: int) -> float:
        return self.gamma**sum(epoch >= milestone for milestone in self.milestones)


class CosineAnnealingLR(Schedule):
    """From lr down to eta_min along half a cosine in T_max epochs.

    Loshchilov and Hutter 2017, without restarts. After T_max it climbs back along the other half of
    the cosine, as PyTorch's does: stop there, or give a larger T_max.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0):
        if T_max < 1:
            raise ValueError(f"CosineAnnealingLR: T_max must be at least 1, not {T_max}")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def factor(self, epoch: int) -> float:
        """What the way from eta_min up to the initial learning rate is multiplied by."""
        return (1 + math.cos(math.pi * epoch / self.T_max)) / 2

    def rate(self, initial: float, epoch: int) -> float:
        return self.eta_min + (initial - self.eta_min) * self.factor(epoch)


class ReduceLROnPlateau(Schedule):
    """The 2012 schedule: lr is multiplied by factor when the metric does not improve any more.

    That is, when it has not improved, by a share of threshold, for more than patience epochs.
    mode            "min" where a lower metric is better, "max" where a higher one is
    max_reductions  how often at most, three times in 2012; None: without end
    best            the best metric so far, None before the first
    PyTorch's, but for its least change of lr, eps.
    """

    def __init__(self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1,
                 patience: int = 10, threshold: float = 1e-4, *,
                 max_reductions: int | None = None):
        if mode not in ("min", "max"):
            raise ValueError(f"ReduceLROnPlateau: mode must be 'min' or 'max', not {mode!r}")
        if not factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor must be below 1, not {factor}")
        self.mode, self.reduction, self.patience, self.threshold = mode, factor, patience, threshold
        self.max_reductions = max_reductions
        self.best: float | None = None
        self.bad_epochs, self.reductions = 0, 0
        super().__init__(optimizer)

    def factor(self, epoch: int) -> float:
        return self.reduction**self.reductions

    def step(self, metric: float) -> None:  # type: ignore[override]
        """An epoch has ended; metric, a number or a Tensor of one: its validation loss or error."""
        metric = float(metric)                          # so that the state is JSON
        self.epoch += 1
        if self._is_better(metric):
            self.best, self.bad_epochs = metric, 0
            return
        self.bad_epochs += 1
        if self.bad_epochs > self.patience and self.reductions != self.max_reductions:
            self.bad_epochs, self.reductions = 0, self.reductions + 1
            self._apply()

    def _is_better(self, metric: float) -> bool:
        if self.mode == "max":
            return metric > (-math.inf if self.best is None else self.best * (1 + self.threshold))
        return metric < (math.inf if self.best is None else self.best * (1 - self.threshold))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if state.get("best") == math.inf:       # how older checkpoints say None
            state = {**state, "best": None}
        super().load_state_dict(state)


class LinearWarmup:
    """The learning rates of the first steps rise in a straight line to the groups' own.

    Step k = 0, 1, ... is taken with group["lr"] · min(1, (k + 1) / steps). Large first steps would
    kill ReLUs. It composes with a Schedule, which sets group["lr"] for each epoch: this one sets
    `optimizer.lr_factor` for each step. Call `step()` once after each step of the optimizer.
    """

    def __init__(self, optimizer: Optimizer, steps: int):
        if steps < 0:
            raise ValueError(f"LinearWarmup: steps must be at least 0, not {steps}")
        self.optimizer, self.steps = _optimizer(self, optimizer), steps
        self.load_state_dict({"done": 0})

    def factor(self, step: int) -> float:
        """What the learning rates are multiplied by in that step, counted from 0."""
        return min(1.0, (step + 1) / max(1, self.steps))

    def step(self) -> None:
        """The optimizer has made a step: set the factor of the next one."""
        self.load_state_dict({"done": self.done + 1})

    def state_dict(self) -> dict[str, int]:
        """{"done": the number of steps so far}."""
        return {"done": self.done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after state["done"] steps."""
        self.done = state["done"]
        self.optimizer.lr_factor = self.factor(self.done)
