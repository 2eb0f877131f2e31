"""Modules made of modules: in a list or a dict, one after the other, around a shortcut, side by
side."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, overload

from .. import ops
from ..ops.checks import known_activation
from ..tensor import Tensor
from .conv import Conv2d
from .folding import can_fold, folded
from .linear import Linear
from .module import Module, watched
from .norm import BatchNorm2d


def _check_module(parent: Module, name: str, module: Module) -> None:
    if not isinstance(module, Module):
        raise TypeError(f"{type(parent).__name__}: {name} must be a Module, "
                        f"not {type(module).__name__}")


def _run_chain(layers: list[Module], x: Tensor, **ending: Any) -> Tensor:
    """The layers one after the other; ending goes to the last one's call.

    At inference a BatchNorm2d becomes a part of the Conv2d before it, see `folding`.
    """
    i = 0
    while i < len(layers):
        pair = layers[i: i + 2]
        folds = len(pair) == 2 and can_fold(pair[0], pair[1], x)
        i += 2 if folds else 1
        last = ending if i == len(layers) else {}
        x = folded(pair[0], pair[1], x, **last) if folds else pair[0](x, **last)
    return x


def _adopt(parent: Module, modules: dict[str, Module]) -> None:
    """Make modules attributes of parent; ValueError for names that its methods have."""
    for name, module in modules.items():
        _check_module(parent, name, module)
        if hasattr(parent, name):
            raise ValueError(f"{type(parent).__name__}: {name!r} is taken; choose another name")
        setattr(parent, name, module)


class _Ordered(Module):
    """The modules that are its attributes, in order."""

    def __len__(self) -> int:
        return len(list(self.named_children()))

    def __iter__(self) -> Iterator[Module]:
        return self.children()


class ModuleList(_Ordered):
    """Modules by number, for a forward of your own: it has none itself."""

    def __init__(self, modules: Iterable[Module] = ()):
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> None:
        """Add module at the end."""
        _adopt(self, {str(len(self)): module})

    def __getitem__(self, index: int) -> Module:
        return list(self)[index]


class ModuleDict(Module):
    """Modules by name, for a forward of your own: it has none itself."""

    def __init__(self, modules: Mapping[str, Module] | None = None):
        _adopt(self, dict(modules or {}))

    def __setitem__(self, name: str, module: Module) -> None:
        if name in self:
            _check_module(self, name, module)
            setattr(self, name, module)
        else:
            _adopt(self, {name: module})

    def __getitem__(self, name: str) -> Module:
        return dict(self.items())[name]

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> list[str]:
        """The names, in order."""
        return [name for name, _ in self.named_children()]

    def values(self) -> list[Module]:
        """The modules, in order."""
        return [module for _, module in self.named_children()]

    def items(self) -> list[tuple[str, Module]]:
        """(name, module), in order."""
        return list(self.named_children())


class Sequential(_Ordered):
    """Modules run one after the other.

    Sequential(conv, relu) names them 0, 1; Sequential(conv1=conv, relu1=relu) and
    Sequential({"conv1": conv, "relu1": relu}) as given. An int indexes a module; a slice gives a
    Sequential of the same modules under the same names.
    """

    def __init__(self, *layers: Module | dict[str, Module], **named_layers: Module):
        alone = len(layers) == 1 and isinstance(layers[0], dict)
        numbered: Any = layers[0] if alone else {str(i): layer for i, layer in enumerate(layers)}
        _adopt(self, {**numbered, **named_layers})

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...

    def __getitem__(self, index):
        if not isinstance(index, slice):
            return list(self)[index]
        part = Sequential(**dict(list(self.named_children())[index]))
        part.training = self.training
        return part

    def forward(self, x: Tensor) -> Tensor:
        return _run_chain(list(self), x)


class Residual(_Ordered):
    """activation(body(x) + shortcut(x)) (He et al. 2016).

    body: a Sequential, whose layers become this module's own, under their names; or another
    module. shortcut: a module, or None for x itself. Where the body ends in a Conv2d, a Linear
    or a BatchNorm2d without an activation, the sum and the activation are computed in that layer's
    epilogue, while its output is still in the cache; not while the layers are observed, so that
    each shows its own output.
    """

    shortcut: Module | None = None

    def __init__(self, body: Module, shortcut: Module | None = None,
                 activation: str | None = "relu"):
        known_activation("Residual", activation)
        _check_module(self, "body", body)
        is_chain = type(body) is Sequential
        _adopt(self, dict(body.named_children()) if is_chain else {"body": body})
        self.activation = activation
        if shortcut is not None:
            _check_module(self, "shortcut", shortcut)
            self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        around = x if self.shortcut is None else self.shortcut(x)
        layers = [layer for name, layer in self.named_children() if name != "shortcut"]
        if layers and _has_free_epilogue(layers[-1]) and not watched():
            return _run_chain(layers, x, residual=around, activation=self.activation)
        y = _run_chain(layers, x)
        if y.shape != around.shape:
            raise ValueError(f"Residual: the body gives {y.shape}, the shortcut {around.shape}")
        return getattr(ops, self.activation)(y + around) if self.activation else y + around

    def extra_repr(self) -> str:
        return f"activation={self.activation!r}"


def _has_free_epilogue(layer: Module) -> bool:
    """Whether layer(x, residual=..., activation=...) is understood, and has nothing of its own."""
    # A subclass may have another forward.
    forwards = Conv2d.forward, Linear.forward, BatchNorm2d.forward
    return type(layer).forward in forwards and getattr(layer, "activation", None) is None


class Concat(Module):
    """The outputs of several branches on the same x, joined along the channels (dim 1)."""

    def __init__(self, **branches: Module):
        if not branches:
            raise ValueError("Concat: expected at least one branch")
        _adopt(self, branches)

    def forward(self, x: Tensor) -> Tensor:
        return ops.cat([branch(x) for _, branch in self.named_children()], dim=1)
