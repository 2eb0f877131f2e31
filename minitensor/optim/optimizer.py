"""Optimizers: what all have in common, SGD, Adam and AdamW."""
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress, islice
from numbers import Integral, Real
from typing import Any

import numpy as np

from ..backend import (DEVICES, Array, as_array, capturing, device_of, quiet, to_device, type_name,
                       xp_of)
from ..guard import check_writable
from ..kernels import kernels_for
from ..nn import Parameter
from ..tensor import Tensor
from .gradients import check_gradient, listed


class Optimizer:
    """Base class: parameters in groups, arrays that it keeps for each, one update for all.

    params      parameters, or groups {"params": [...], "lr": ..., ...} that override the defaults;
                a group's may be a single one
    defaults    the hyperparameters of a group, "lr" among them
    groups      the groups in use; change group["lr"] as you like between steps
    state       by name: an array for each parameter, in the order of the parameters
    lr_factor   what every group's lr is multiplied by in a step: a warm-up changes it

    A subclass names its arrays in STATE and defines `_update` and `_check_group`.
    Raises ValueError for hyperparameters out of range, an empty list, or a parameter in two groups,
    TypeError for what is no Tensor.
    """

    STATE: tuple[str, ...] = ()

    def __init__(self, params: Iterable[Parameter] | Sequence[dict], defaults: dict[str, Any]):
        if isinstance(params, (Tensor, dict)) or not isinstance(params, Iterable):
            raise self._error("params must be a list of Parameters or of groups, "
                              f"not a single {type_name(params)}", TypeError)
        given: list[Any] = list(params)
        grouped = bool(given) and all(isinstance(group, dict) for group in given)
        groups = given if grouped else [{"params": given}]
        self.groups = [{**defaults, **group, "params": listed(group.get("params", ()))}
                       for group in groups]
        for group in self.groups:
            self._check_params(group, defaults)
            self._check_group(group)
        parameters = self._parameters()
        if len(set(map(id, parameters))) != len(parameters):
            raise self._error("params must hold each parameter only once")
        self.state = {name: [xp_of(p.data).zeros_like(p.data) for p in parameters]
                      for name in self.STATE}
        self.lr_factor = 1.0
        self.device_lrs: list[Array] = []

    def step(self) -> None:
        """Update every parameter that has a gradient.

        Raises, before any is changed, RuntimeError when one is needed by a backward pass, and
        ValueError when one's gradient has another shape, dtype or device.
        """
        self._check_ready()
        for arrays in self.state.values():
            arrays[:] = map(_moved_like, arrays, (p.data for p in self._parameters()))
        everything = zip(self._parameters(), *self.state.values())
        for group, lr in zip(self.groups, self._lrs()):
            members = list(islice(everything, len(group["params"])))
            for device in DEVICES:
                arrays = [(p.data, *kept, p.grad) for p, *kept in members
                          if p.grad is not None and p.device == device]
                if arrays:
                    ws, *kept, dws = map(list, zip(*arrays))
                    with quiet():
                        self._update(group, lr, ws, kept, dws)

    def _update(self, group: dict[str, Any], lr: Any, ws: Sequence[Array],
                kept: Sequence[Sequence[Array]], dws: Sequence[Array]) -> None:
        """Change ws, and what is kept for them (in the order of STATE), by their gradients dws."""
        raise NotImplementedError(f"{type(self).__name__} defines no _update")

    def zero_grad(self) -> None:
        """Drop the gradients of all parameters."""
        for parameter in self._parameters():
            parameter.grad = None

    # ---- learning rates ----------------------------------------------------------------------

    def _lrs(self) -> list[Any]:
        if not capturing():
            return [group["lr"] * self.lr_factor for group in self.groups]
        if not self.device_lrs:
            raise self._error("a captured step would keep today's learning rate for ever; "
                              "call send_lrs() before capturing", RuntimeError)
        return self.device_lrs

    def send_lrs(self) -> None:
        """Write what changes between steps to GPU memory, where a captured step reads it.

        To be called before capturing a step (see `graph`) and before every replay.
        """
        if not self.device_lrs:
            self.device_lrs = [to_device(np.array(0.0), "cuda") for _ in self.groups]
        for array, group in zip(self.device_lrs, self.groups):
            array[...] = group["lr"] * self.lr_factor

    # ---- saving and loading ------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """{"state": {name: arrays in the order of the parameters, not copies},
        "groups": the hyperparameters of each group}."""
        return {"state": {name: list(arrays) for name, arrays in self.state.items()},
                "groups": list(map(self._options, self.groups))}

    @staticmethod
    def _options(group: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in group.items() if name != "params"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`.

        Raises ValueError, before anything is changed, when the names, the groups or the shapes are
        not those of this optimizer, or hyperparameters are out of range, TypeError for what is no
        array.
        """
        self._check_keys(state)
        arrays = {name: list(map(as_array, kept)) for name, kept in state["state"].items()}
        if len(state["groups"]) != len(self.groups) or _forms(arrays) != _forms(self.state):
            raise ValueError(f"{type(self).__name__}.load_state_dict: the state is that of an "
                             "optimizer with other groups or parameters")
        for group, loaded in zip(self.groups, state["groups"]):
            self._check_params({**group, **loaded}, list(self._options(group)))
            self._check_group({**group, **loaded})
        for name, kept in self.state.items():
            for array, loaded in zip(kept, arrays[name]):
                array[...] = to_device(loaded, device_of(array))
        for group, loaded in zip(self.groups, state["groups"]):
            group.update(loaded)

    def _check_keys(self, state: Any) -> None:
        if not isinstance(state, Mapping) or not {"state", "groups"} <= state.keys():
            raise self._error("load_state_dict: expected what state_dict() of an optimizer of "
                              'minitensor gives, with "state" and "groups"')

    # ---- what is refused ---------------------------------------------------------------------

    def _parameters(self) -> list[Parameter]:
        return [p for group in self.groups for p in group["params"]]

    def _error(self, message: str, error: type[Exception] = ValueError) -> Exception:
        return error(f"{type(self).__name__}: {message}")

    def _check_params(self, group: dict[str, Any], defaults: Iterable[str]) -> None:
        if not group["params"]:
            raise self._error("params must hold at least one parameter, "
                              "but there is a group without params")
        for parameter in group["params"]:
            if not isinstance(parameter, Tensor):
                raise self._error(f"params must be Parameters, not {type_name(parameter)}",
                                  TypeError)
            if parameter.creator:
                raise self._error("params must be leaves, and there is the result of a "
                                  f"{type(parameter.creator).__name__}")
        unknown = group.keys() - {"params", *defaults}
        if unknown:
            raise self._error(f"unknown options {sorted(unknown)}; "
                              f"a group has params, {', '.join(defaults)}")

    def _check_group(self, group: dict[str, Any]) -> None:
        """Raise ValueError for hyperparameters out of range."""

    def _check_numbers(self, group: dict[str, Any], *names: str) -> None:
        for name in names:
            value = group[name]
            if not (isinstance(value, Real) and math.isfinite(value) and float(value) >= 0):
                raise self._error(f"{name} must be a number >= 0, not {value!r}")

    def _check_ready(self) -> None:
        for parameter in self._parameters():
            if parameter.grad is None:
                continue
            check_writable(f"{type(self).__name__}: a parameter {parameter.shape}", parameter.data)
            check_gradient(type(self).__name__, parameter)


def _moved_like(array: Array, w: Array) -> Array:
    """array on w's device and of w's dtype, should `Module.to` have changed those of w since."""
    return to_device(array, device_of(w)).astype(w.dtype, copy=False)


def _distinct(arrays: Iterable[Array]) -> list[Array]:
    return list({id(array): array for array in arrays}.values())


def _forms(state: Mapping[str, Sequence[Array]]) -> dict[str, list[tuple]]:
    return {name: [(array.shape, array.dtype.kind) for array in arrays]
            for name, arrays in state.items()}


class SGD(Optimizer):
    """v = momentum·v + grad + weight_decay·w, then w -= lr·v: PyTorch's, without dampening.

    With nesterov w -= lr·(momentum·v + grad + weight_decay·w), with the new v. With lr_in_velocity
    v = momentum·v - lr·(grad + weight_decay·w), then w += v (Krizhevsky et al. 2012, section 5):
    the same while lr stays; after it changes, v goes on at the old one. params, errors: see
    `Optimizer`.
    """

    STATE = ("velocity",)

    def __init__(self, params: Iterable[Parameter] | Sequence[dict], lr: float = 1e-3,
                 momentum: float = 0.0, *, weight_decay: float = 0.0, nesterov: bool = False,
                 lr_in_velocity: bool = False):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay,
                                  "nesterov": nesterov, "lr_in_velocity": lr_in_velocity})

    def _check_group(self, group):
        self._check_numbers(group, "lr", "momentum", "weight_decay")
        if group["nesterov"] and not group["momentum"]:
            raise self._error("nesterov needs a momentum above 0")

    def _update(self, group, lr, ws, kept, dws):
        kernels_for(ws[0]).sgd(ws, *kept, dws, lr, group["momentum"], group["weight_decay"],
                               group["nesterov"], group["lr_in_velocity"])

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`; one from before lr_in_velocity was an option has it."""
        self._check_keys(state)
        groups = [{"lr_in_velocity": True, **group} for group in state["groups"]]
        super().load_state_dict({**state, "groups": groups})


class Adam(Optimizer):
    """w -= lr · m̂ / (√v̂ + eps): means of the gradient and of its square (Kingma and Ba 2015).

    m = β1·m + (1 - β1)·grad, v = β2·v + (1 - β2)·grad², m̂ = m / (1 - β1^t), v̂ = v / (1 - β2^t) in
    step t = 1, 2, ... of the parameter: a step in which it has no gradient does not count.
    weight_decay·w is added to the gradient. params, errors: see `Optimizer`; betas are (β1, β2), in
    [0, 1).
    """

    STATE = ("exp_avg", "exp_avg_sq")
    decoupled = False

    def __init__(self, params: Iterable[Parameter] | Sequence[dict], lr: float = 1e-3,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps,
                                  "weight_decay": weight_decay})
        # Steps done, of each parameter. Those that learn together share an array (), after send_lrs
        # on the GPU, and an update.
        self._steps: list[Array] = [np.array(0.0)] * len(self._parameters())

    def _check_group(self, group):
        self._check_numbers(group, "lr", "eps", "weight_decay")
        betas = group["betas"]
        if not (isinstance(betas, Sequence) and len(betas) == 2
                and all(isinstance(beta, Real) and 0 <= float(beta) < 1 for beta in betas)):
            raise self._error(f"betas must be two numbers in [0, 1), not {betas!r}")

    def step(self) -> None:
        super().step()
        learning = [parameter.grad is not None for parameter in self._parameters()]
        self._separate_steps(learning)
        for count in _distinct(compress(self._steps, learning)):
            count += 1

    def _update(self, group, lr, ws, kept, dws):
        steps = {id(p.data): count for p, count in zip(self._parameters(), self._steps)}
        for count in _distinct(steps[id(w)] for w in ws):
            together = [arrays for arrays in zip(ws, *kept, dws) if steps[id(arrays[0])] is count]
            step = count + 1 if device_of(count) == "cuda" else int(count) + 1
            kernels_for(ws[0]).adam(*map(list, zip(*together)), lr, *group["betas"], group["eps"],
                                    group["weight_decay"], self.decoupled, step)

    def _separate_steps(self, keys: Sequence[Any]) -> None:
        """Parameters share a count no longer if their keys differ."""
        first: dict[int, Any] = {}
        copies: dict[Any, Array] = {}
        for i, (count, key) in enumerate(zip(self._steps, keys)):
            if first.setdefault(id(count), key) != key:
                self._steps[i] = copies.setdefault((id(count), key), count.copy())

    def send_lrs(self) -> None:
        super().send_lrs()
        sent = {id(count): to_device(count, "cuda") for count in _distinct(self._steps)}
        self._steps = [sent[id(count)] for count in self._steps]    # now the replays count

    def state_dict(self) -> dict[str, Any]:
        """Also "step": how many steps each parameter has learned in."""
        return {**super().state_dict(), "step": [int(count) for count in self._steps]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._check_keys(state)
        if "step" not in state:
            raise ValueError(f"{type(self).__name__}.load_state_dict: the state has no step; "
                             "it is that of another optimizer")
        steps = state["step"]
        if not isinstance(steps, Sequence) or len(steps) != len(self._steps):
            raise self._error("load_state_dict: the state is that of other parameters")
        if not all(isinstance(step, Integral) and int(step) >= 0 for step in steps):
            raise self._error(f"load_state_dict: step must hold integers >= 0, not {steps!r:.60}")
        super().load_state_dict(state)
        self._separate_steps(steps)
        for count, step in zip(self._steps, steps):
            count[...] = step


class AdamW(Adam):
    """Adam whose weight decay shrinks w itself, w *= 1 - lr·weight_decay, before the update.

    Loshchilov and Hutter 2019. With Adam's the decay of a weight depends on its gradients.
    """

    decoupled = True

    def __init__(self, params: Iterable[Parameter] | Sequence[dict], lr: float = 1e-3,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 1e-2):
        super().__init__(params, lr, betas, eps, weight_decay)
