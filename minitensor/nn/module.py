"""Module: a layer or a network, the parameters it owns and the modules inside it, in the order they were assigned."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..backend import Array, to_device
from ..guard import guarded
from ..tensor import FLOATS, Tensor


class Parameter(Tensor):
    """A tensor that a module owns and an optimiser changes."""

    __slots__ = ()

    def __init__(self, data: Any):
        super().__init__(data, requires_grad=True)


class Module:
    """Base class. Assign Parameters and Modules as attributes and define forward; everything else follows from the attributes.

    training    True or False for this module and all inside it; set by `train()` and `eval()`
    """

    training: bool = True

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def __call__(self, x: Tensor) -> Tensor:
        return self.forward(x)

    # ---- what is inside ------------------------------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all inside it, with names like "features.conv1"; a parent before its children."""
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter once, with names like "conv1.weight"."""
        seen = set()
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and id(value) not in seen:
                    seen.add(id(value))
                    yield (f"{prefix}.{name}" if prefix else name), value

    def parameters(self) -> Iterator[Parameter]:
        return (parameter for _, parameter in self.named_parameters())

    def num_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters())

    # ---- modes, devices, gradients --------------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Module:
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        return self.train(False)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Inside the with-block this module and all inside it are in evaluation mode; afterwards each is in the mode it was in."""
        modes = [(module, module.training) for _, module in self.named_modules()]
        self.eval()
        try:
            yield
        finally:
            for module, mode in modes:
                module.training = mode

    def zero_grad(self) -> None:
        for parameter in self.parameters():
            parameter.grad = None

    def to(self, device: str | None = None, dtype: Any = None) -> Module:
        """Move or convert every parameter, in place; their gradients are dropped. Raises TypeError for a dtype without gradients."""
        if dtype is not None and np.dtype(dtype).name not in FLOATS:
            raise TypeError(f"to: dtype must be {' or '.join(FLOATS)}, not {dtype}")
        for parameter in self.parameters():
            data = parameter.data if device is None else to_device(parameter.data, device)
            parameter.data = data if dtype is None else data.astype(dtype, copy=False)
            parameter.grad = None
        return self

    # ---- saving and loading ----------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Array]:
        """The parameters' own arrays by name; not copies."""
        return {name: parameter.data for name, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, Array], strict: bool = True) -> None:
        """Copy arrays into the parameters of the same name.

        Raises, before anything is changed, ValueError for shapes that differ and, if strict, for names missing here or there;
        RuntimeError for a parameter that a backward pass still needs.
        """
        parameters = dict(self.named_parameters())
        problems = [f"{name} is {tuple(state[name].shape)} but must be {p.shape}"
                    for name, p in parameters.items() if name in state and tuple(state[name].shape) != p.shape]
        if strict:
            problems += [f"{name} is missing" for name in parameters if name not in state]
            problems += [f"{name} is not a parameter of {type(self).__name__}" for name in state if name not in parameters]
        if problems:
            more = f", and {len(problems) - 4} more" if len(problems) > 4 else ""
            raise ValueError(f"load_state_dict: {'; '.join(problems[:4])}{more}")
        loaded = {name: parameter for name, parameter in parameters.items() if name in state}
        for name, parameter in loaded.items():
            if guarded(parameter.data):
                raise RuntimeError(f"load_state_dict: {name} is still needed by a backward pass that has not run")
        for name, parameter in loaded.items():
            parameter.data[...] = to_device(state[name], parameter.device)  # in place: keeps the order in memory and the dtype

    # ---- printing ------------------------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """The hyperparameters, as in the constructor."""
        return ""

    def __repr__(self) -> str:
        children = [f"{name}: {child!r}".replace("\n", "\n  ") for name, child in self.named_children()]
        inside = "".join(f"\n  {line}" for line in children) + "\n" if children else self.extra_repr()
        return f"{type(self).__name__}({inside})"
