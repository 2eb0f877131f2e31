"""Stochastic gradient descent as in 2012, and schedules for its learning rate, from simple to less simple."""
from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import numpy as np

from ..backend import Array, capturing, device_of, to_device, xp_of
from ..guard import guarded
from ..kernels import kernels_for
from ..nn import Parameter
from ..tensor import Tensor

HYPERPARAMETERS = ("lr", "momentum", "weight_decay", "nesterov")


class SGD:
    """v = momentum·v - lr·(grad + weight_decay·w), then w += v (Krizhevsky et al. 2012, section 5).

    params: parameters, or groups {"params": [...], "lr": ..., "momentum": ..., "weight_decay": ..., "nesterov": ...} that override the
    arguments. The learning rate is inside v, as in the paper; PyTorch multiplies by it afterwards, which differs only after lr changes.
    Raises ValueError for hyperparameters out of range, an empty list, or a parameter in two groups, TypeError for what is no Tensor.
    """

    def __init__(self, params: Iterable[Parameter] | Sequence[dict], lr: float, momentum: float = 0.0, weight_decay: float = 0.0,
                 nesterov: bool = False):
        if isinstance(params, Tensor):
            raise TypeError("SGD: params must be a list of Parameters or of groups, not a single one")
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov}
        given: list[Any] = list(params)
        groups = given if given and isinstance(given[0], dict) else [{"params": given}]
        self.groups: list[dict[str, Any]] = [{**defaults, **group, "params": list(group.get("params", ()))} for group in groups]
        for group in self.groups:
            _check_group(group)
        parameters = self._parameters()
        if len(set(map(id, parameters))) != len(parameters):
            raise ValueError("SGD: params must hold each parameter only once")
        self.velocities = [xp_of(p.data).zeros_like(p.data) for p in parameters]
        self.device_lrs: list[Array] = []

    def _parameters(self) -> list[Parameter]:
        return [p for group in self.groups for p in group["params"]]

    def step(self) -> None:
        """Update every parameter that has a gradient. Raises RuntimeError, before any is changed, when one is needed by a backward pass."""
        for parameter in self._parameters():
            if parameter.grad is not None and guarded(parameter.data):
                raise RuntimeError(f"SGD: a parameter {parameter.shape} is still needed by a backward pass that has not run; "
                                   "call backward first, drop its result, or compute it under no_grad")
        self.velocities = [_following(v, p.data) for v, p in zip(self.velocities, self._parameters())]
        velocities = iter(self.velocities)
        for group, lr in zip(self.groups, self._lrs()):
            arrays = [(p.data, v, p.grad) for p, v in zip(group["params"], velocities) if p.grad is not None]
            if arrays:
                ws, vs, dws = zip(*arrays)
                kernels_for(ws[0]).sgd(ws, vs, dws, lr, *(group[name] for name in HYPERPARAMETERS[1:]))

    def _lrs(self) -> list[Any]:
        if not capturing():
            return [group["lr"] for group in self.groups]
        if not self.device_lrs:
            raise RuntimeError("SGD: a captured step would keep today's learning rate for ever; call send_lrs() before capturing")
        return self.device_lrs

    def send_lrs(self) -> None:
        """Write each group's lr to GPU memory, where a captured step (see `graph`) reads it: before capturing and before every replay."""
        if not self.device_lrs:
            self.device_lrs = [to_device(np.array(0.0), "cuda") for _ in self.groups]
        for array, group in zip(self.device_lrs, self.groups):
            array[...] = group["lr"]

    def zero_grad(self) -> None:
        for parameter in self._parameters():
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """{"velocities": arrays in the order of the parameters, not copies; "groups": the hyperparameters of each group}."""
        groups = [{name: value for name, value in group.items() if name != "params"} for group in self.groups]
        return {"velocities": list(self.velocities), "groups": groups}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises ValueError, before anything is changed, when the groups or the shapes are not those of this optimiser."""
        if len(state["groups"]) != len(self.groups) or [v.shape for v in state["velocities"]] != [v.shape for v in self.velocities]:
            raise ValueError("SGD.load_state_dict: the state is that of an optimiser with other groups or parameters")
        for v, loaded in zip(self.velocities, state["velocities"]):
            v[...] = to_device(loaded, device_of(v))
        for group, loaded in zip(self.groups, state["groups"]):
            group.update(loaded)


def _following(v: Array, w: Array) -> Array:
    """v where w is and of w's dtype, should `Module.to` have moved or converted the parameter since."""
    return to_device(v, device_of(w)).astype(w.dtype, copy=False)


def _check_group(group: dict[str, Any]) -> None:
    if not group["params"]:
        raise ValueError("SGD: params must hold at least one parameter, but there is a group without params")
    for parameter in group["params"]:
        if not isinstance(parameter, Tensor):
            raise TypeError(f"SGD: params must be Parameters, not {type(parameter).__name__}")
    unknown = group.keys() - {"params", *HYPERPARAMETERS}
    if unknown:
        raise ValueError(f"SGD: unknown options {sorted(unknown)}; a group has params, {', '.join(HYPERPARAMETERS)}")
    for name in ("lr", "momentum", "weight_decay"):
        if not (isinstance(group[name], Real) and math.isfinite(group[name]) and group[name] >= 0):
            raise ValueError(f"SGD: {name} must be a number >= 0, not {group[name]!r}")
    if group["nesterov"] and not group["momentum"]:
        raise ValueError("SGD: nesterov needs a momentum above 0")
