"""Module: a layer or a network, and the parameters, buffers and modules assigned to it."""
from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain
from typing import Any, TypeVar

import numpy as np

from ..backend import Array, as_array, is_array, to_device, type_name
from ..guard import check_writable
from ..random import Generator
from ..tensor import FLOATS, Tensor
from .parameter import Buffer, Parameter

COLLECTIONS = (list, tuple, set, frozenset, dict, deque)

Watch = Callable[["Module", Tensor], Tensor]
_watches: ContextVar[tuple[Watch, ...]] = ContextVar("watches", default=())


Own = TypeVar("Own", Parameter, Buffer)


class Module:
    """Base class. Assign Parameters, Buffers and Modules as attributes and define forward;
    everything else follows from the attributes. What a Parameter is, its kind, says how it is
    initialised and decayed: nn.Parameter(np.ones(C), kind="scale") multiplies a normalised input.

    training    True or False for this module and all inside it; set by `train()` and `eval()`

    A list, tuple, set, dict or deque that holds any of them is refused with a TypeError, for what
    is in it would be neither trained nor saved: use ModuleList, ModuleDict or one attribute each.
    """

    training: bool = True

    def __setattr__(self, name: str, value: Any) -> None:
        self._refuse_hidden(name, value)
        kind = _kind(vars(self).get(name))
        if kind and value is not None and not isinstance(value, kind):
            raise TypeError(f"{type(self).__name__}: {name} is a {kind.__name__}, which a "
                            f"{type_name(value)} would hide; assign a {kind.__name__} or None, "
                            "or change its array, .data[...] = value")
        super().__setattr__(name, value)

    def forward(self, *inputs: Any, **options: Any) -> Tensor:
        """What the module computes."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def __call__(self, *inputs: Any, **options: Any) -> Tensor:
        y = self.forward(*inputs, **options)
        for watch in _watches.get():
            y = watch(self, y)
        return y

    # ---- what is inside ----------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules that are attributes of this one; one with two names comes twice."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            else:
                self._refuse_hidden(name, value)

    def children(self) -> Iterator[Module]:
        """The modules that are attributes of this one."""
        return (child for _, child in self.named_children())

    def modules(self) -> Iterator[Module]:
        """This module and all inside it, each once."""
        return (module for _, module in self.named_modules())

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """This module and all inside it, each once, with names like "features.conv1".

        A parent comes before its children; its own name is "".
        """
        return self._walk("", set())

    def _walk(self, prefix: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
        if id(self) not in seen:
            seen.add(id(self))
            yield prefix.removesuffix("."), self
            for name, child in self.named_children():
                yield from child._walk(f"{prefix}{name}.", seen)

    def get_submodule(self, name: str) -> Module:
        """The module called name, like "features.conv1", in this one; this one for "".

        Raises ValueError for a name that there is not.
        """
        found = self._find(name)
        if found is None:
            names = ", ".join(name for name, _ in self.named_modules() if name)
            raise ValueError(f"{type(self).__name__} has no module {name!r}; it has: {names}")
        return found

    def _find(self, name: str) -> Module | None:
        if not name:
            return self
        fitting = ((child, name.removeprefix(own)) for own, child in self.named_children()
                   if name == own or name.startswith(f"{own}."))       # own may have dots itself
        found = (child._find(rest.removeprefix(".")) for child, rest in fitting)
        return next((module for module in found if module is not None), None)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter once, with names like "conv1.weight"."""
        return self._named(Parameter)

    def parameters(self) -> Iterator[Parameter]:
        """Every parameter once."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Buffer]]:
        """Every buffer once, with names like "norm1.running_mean"."""
        return self._named(Buffer)

    def buffers(self) -> Iterator[Buffer]:
        """Every buffer once."""
        return (buffer for _, buffer in self.named_buffers())

    def _named(self, cls: type[Own]) -> Iterator[tuple[str, Own]]:
        seen = set()
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, cls) and id(value) not in seen:
                    seen.add(id(value))
                    yield (f"{prefix}.{name}" if prefix else name), value

    def num_parameters(self) -> int:
        """The number of elements of all parameters."""
        return sum(p.numel() for p in self.parameters())

    def macs(self, output_shape: tuple[int, ...]) -> int:
        """Multiplications per image for an output (N, ...); 0 for a layer without products."""
        return 0

    def _refuse_hidden(self, name: str, value: Any) -> None:
        if isinstance(value, COLLECTIONS) and _holds_state(value):
            raise TypeError(f"{type(self).__name__}: {name} is a {type(value).__name__} of modules "
                            "or parameters, which would be neither trained nor saved; "
                            "use nn.ModuleList, nn.ModuleDict, or one attribute each")

    # ---- modes, devices, gradients, initial values -------------------------------------------

    def apply(self, function: Callable[[Module], Any]) -> Module:
        """Call function on all modules inside this one, then on itself; returns this module."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Whether the parameters get gradients, and learn; returns this module."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def train(self, mode: bool = True) -> Module:
        """Set `training` of this module and all inside it; returns this module."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """`train(False)`."""
        return self.train(False)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Inside the with-block this module and all inside it are in evaluation mode.

        Afterwards each is in the mode it was in.
        """
        modes = [(module, module.training) for _, module in self.named_modules()]
        self.eval()
        try:
            yield
        finally:
            for module, mode in modes:
                module.training = mode

    def zero_grad(self) -> None:
        """Drop the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    def to(self, device: str | None = None, dtype: Any = None) -> Module:
        """Move or convert every parameter and buffer, in place; gradients are dropped.

        Integer buffers keep their dtype. Raises TypeError for a dtype without gradients.
        """
        if device is not None and not isinstance(device, str):      # to(numpy.float64)
            device, dtype = None, device
        if dtype is not None and np.dtype(dtype).name not in FLOATS:
            raise TypeError(f"to: dtype must be {' or '.join(FLOATS)}, not {dtype}")
        for tensor in chain(self.parameters(), self.buffers()):
            data = tensor.data if device is None else to_device(tensor.data, device)
            converted = dtype is not None and data.dtype.kind == "f"
            tensor.data = data.astype(dtype, copy=False) if converted else data
            tensor.grad = None
        return self

    def reset(self, generator: Generator | None = None) -> None:
        """Draw the initial values of this module and all inside it again, in their order."""
        for _, module in self.named_modules():
            module.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Write initial values into the parameters and buffers of this module itself, in place.

        A layer that has any overrides this, and calls it when it is made.
        """

    # ---- saving and loading ------------------------------------------------------------------

    def state_dict(self) -> dict[str, Array]:
        """The arrays of the parameters, then of the buffers, by name; not copies.

        Raises ValueError for a name that two of them have, as dots in modules' names may bring it.
        """
        return {name: tensor.data for name, tensor in self._state().items()}

    def load_state_dict(self, state: Mapping[str, Array | Tensor], strict: bool = True) -> None:
        """Copy arrays into the parameters and buffers of these names; nothing is copied in part.

        strict: the names must be the same on both sides. Raises ValueError naming what does not
        fit, TypeError for what is no array or Tensor, RuntimeError for a parameter that a pending
        backward pass needs.
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"load_state_dict: expected a dict of arrays, not a {type_name(state)}")
        own, state = self._state(), {name: _array_of(name, value) for name, value in state.items()}
        problems = [problem for name, tensor in own.items() if name in state
                    for problem in _misfits(name, tensor, state[name])]
        if strict:
            problems += [f"{name} is missing" for name in own if name not in state]
            problems += [f"{name} is not a parameter or buffer of {type(self).__name__}"
                         for name in state if name not in own]
        if problems:
            more = f", and {len(problems) - 4} more" if len(problems) > 4 else ""
            raise ValueError(f"load_state_dict: {'; '.join(problems[:4])}{more}")
        loaded = {name: tensor for name, tensor in own.items() if name in state}
        for name, tensor in loaded.items():
            check_writable(f"load_state_dict: {name}", tensor.data)
        for name, tensor in loaded.items():     # in place: keeps the order in memory and the dtype
            tensor.data[...] = to_device(state[name], tensor.device)

    def _state(self) -> dict[str, Tensor]:
        state: dict[str, Tensor] = {}
        for name, tensor in (*self.named_parameters(), *self.named_buffers()):
            if state.setdefault(name, tensor) is not tensor:
                raise ValueError(f"{type(self).__name__}: two arrays are called {name!r}; "
                                 "give the module of one of them another name")
        return state

    # ---- printing ----------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """The hyperparameters, as in the constructor."""
        return ""

    def __repr__(self) -> str:
        children = [f"{name}: {child!r}".replace("\n", "\n  ")
                    for name, child in self.named_children()]
        extra = self.extra_repr()
        lines = [extra, *children] if extra else children
        inside = "".join(f"\n  {line}" for line in lines) + "\n" if children else extra
        return f"{type(self).__name__}({inside})"


@contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Inside the with-block every call of a module, in this thread, returns watch(module, y)."""
    token = _watches.set((*_watches.get(), watch))
    try:
        yield
    finally:
        _watches.reset(token)


def watched() -> bool:
    """Whether somebody watches the modules that are called in this thread."""
    return bool(_watches.get())


def _holds_state(value: Any, around: frozenset[int] = frozenset()) -> bool:
    """around: the lists that value is in; one may hold itself."""
    if isinstance(value, COLLECTIONS):
        around |= {id(value)}
        inside = value.values() if isinstance(value, dict) else value
        return any(_holds_state(v, around) for v in inside if id(v) not in around)
    return _kind(value) is not None


def _kind(value: Any) -> type | None:
    """Module, Parameter or Buffer, if value is one."""
    return next((kind for kind in (Module, Parameter, Buffer) if isinstance(value, kind)), None)


def _array_of(name: str, value: Any) -> Array:
    value = value.detach() if hasattr(value, "detach") else value       # PyTorch's, too
    array = value.data if isinstance(value, Tensor) else value
    if not (is_array(array) or hasattr(array, "__array__")):
        raise TypeError(f"load_state_dict: {name} must be an array or a Tensor, "
                        f"not {type_name(array)}")
    try:
        return as_array(array)
    except TypeError as error:
        raise TypeError(f"load_state_dict: {name}: {error}") from error


def _misfits(name: str, tensor: Tensor, array: Array) -> Iterator[str]:
    if tuple(array.shape) != tensor.shape:
        yield f"{name} is {tuple(array.shape)} but must be {tensor.shape}"
    elif not np.can_cast(array.dtype, tensor.dtype, "same_kind"):
        yield f"{name} is {array.dtype} but must be {tensor.dtype}"
