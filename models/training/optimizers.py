"""The optimizers and the schedules that settings can name."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from minitensor import optim

from ..settings import Settings

Groups = list[dict[str, Any]]       # with their own lr and weight_decay
OPTIMIZERS: dict[str, Callable[[Groups, Settings], optim.Optimizer]] = {
    "sgd": lambda groups, s: optim.SGD(groups, s.lr, s.momentum,
                                       lr_in_velocity=s.lr_in_velocity),
    "adam": lambda groups, s: optim.Adam(groups, s.lr),
    "adamw": lambda groups, s: optim.AdamW(groups, s.lr),
}


def _step(optimizer: optim.Optimizer, s: Settings) -> optim.Schedule:
    return optim.StepLR(optimizer, s.step_size or math.ceil(s.epochs / 3), s.gamma)


def _multistep(optimizer: optim.Optimizer, s: Settings) -> optim.Schedule:
    usual = [math.ceil(s.epochs / 2), math.ceil(3 * s.epochs / 4)]
    return optim.MultiStepLR(optimizer, s.milestones or usual, s.gamma)


def _plateau(optimizer: optim.Optimizer, s: Settings) -> optim.Schedule:
    return optim.ReduceLROnPlateau(optimizer, factor=s.gamma, patience=s.patience,
                                   max_reductions=s.cuts)


SCHEDULES: dict[str, Callable[[optim.Optimizer, Settings], optim.Schedule]] = {
    "constant": lambda optimizer, s: optim.Schedule(optimizer),
    "step": _step,
    "multistep": _multistep,
    "plateau": _plateau,
    "cosine": lambda optimizer, s: optim.CosineAnnealingLR(optimizer, s.epochs),
}
