"""What goes through named layers of a network in a normal forward and backward."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from ..backend import Array
from ..tensor import Op, Tensor
from .module import Module, watching


class Seen:
    """Filled while `observe` is open, by name of the module.

    outputs     its output in its latest call: a Tensor; after the with-block without its graph
    gradients   the gradient of that output: an array after backward, None before
    """

    def __init__(self) -> None:
        self.outputs: dict[str, Tensor] = {}
        self.gradients: dict[str, Array | None] = {}
        self._latest: dict[str, object] = {}

    def _note(self, name: str, y: Tensor) -> Tensor:
        if not isinstance(y, Tensor):
            raise TypeError(f"observe: {name} returns no Tensor, but a {type(y).__name__}")
        call = self._latest[name] = object()

        def keep(dy: Array) -> None:
            if self._latest[name] is call:
                self.gradients[name] = dy.copy()

        observed = Observed(keep)(y) if y.requires_grad else y
        self.outputs[name] = observed if observed.requires_grad else y
        self.gradients[name] = None
        return self.outputs[name]


class Observed(Op):
    """y = x, the same array; tells what gradient comes back."""

    def __init__(self, keep: Callable[[Array], None]):
        self.keep = keep

    def forward(self, x):
        return x

    def backward(self, dy):
        self.keep(dy)
        return dy


@contextmanager
def observe(module: Module, names: str | Iterable[str]) -> Iterator[Seen]:
    """Record the outputs and gradients of the modules called names (see `get_submodule`) in module.

        with nn.observe(network, ["conv5", "layer1.0"]) as seen:
            loss = cross_entropy(network(images), labels)
            loss.backward()
        seen.outputs["conv5"], seen.gradients["conv5"]

    Only forwards in this thread are seen. Results stay the same (a Residual does its sum apart, so
    on a GPU they may differ by a rounding). Raises ValueError for a name that module does not have,
    TypeError where one that is observed returns no Tensor.
    """
    wanted: dict[Module, list[str]] = {}
    for name in [names] if isinstance(names, str) else names:
        wanted.setdefault(module.get_submodule(name), []).append(name)
    seen = Seen()

    def watch(called: Module, y: Tensor) -> Tensor:
        for name in wanted.get(called, ()):
            y = seen._note(name, y)
        return y

    try:
        with watching(watch):
            yield seen
    finally:
        seen.outputs = {name: y.detach() for name, y in seen.outputs.items()}
