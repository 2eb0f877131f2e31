"""The tensors in what a pickle holds, by flat names: see state_dicts."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from data.pickles import Placeholder

from ..networks.layers import Shape

# A few objects that hold each other may be walked in more ways than a computer can.
MAX_STEPS, MAX_TENSORS, MAX_NAME = 2_000_000, 20_000, 500
PARTS = ("_parameters", "_buffers", "_modules")         # of a module that was pickled whole


def tensors_in(saved: Any) -> dict[str, Any]:
    """Whatever has a shape, in dicts, lists, and modules that were pickled whole.

    Raises ValueError for more than files of weights hold.
    """
    tensors: dict[str, Any] = {}
    for name, value in _walk(saved, "", Budget()):
        tensors.setdefault(name, value)
        if len(tensors) > MAX_TENSORS:
            raise ValueError(f"it holds more than {MAX_TENSORS:,} tensors")
    if not tensors and isinstance(saved, Placeholder):
        raise ValueError(f"it holds what {saved.name[:60].replace(' ', '.')} makes, which is not "
                         "made here; save the model's state_dict()")
    return tensors


def shapes(tensors: Mapping[str, Any]) -> dict[str, Shape]:
    return {name: tensor.shape for name, tensor in tensors.items()}


class Budget:
    def __init__(self) -> None:
        self.steps = 0

    def spend(self, steps: int) -> None:
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise ValueError("its objects hold each other in more ways than those of weights do")


def _walk(value: Any, name: str, budget: Budget) -> Iterator[tuple[str, Any]]:
    """name: with the separator behind it, but for a tensor's own."""
    if isinstance(getattr(value, "shape", None), tuple):
        yield name[:-1], value
        return
    entries, separator = _entries(value)
    budget.spend(1)
    for key, entry in entries:
        budget.spend(1)
        holds = hasattr(entry, "shape") or isinstance(entry, dict | list | tuple | Placeholder)
        if holds and isinstance(key, str | int) and len(inner := f"{name}{key}") < MAX_NAME:
            yield from _walk(entry, inner + separator, budget)


def _entries(value: Any) -> tuple[Iterable[tuple[Any, Any]], str]:
    """What is in it, and what separates its name from theirs: "." in a module, "/" elsewhere."""
    if isinstance(value, Placeholder) and isinstance(value.state, dict):
        parts = [value.state.get(part) for part in PARTS]
        if any(isinstance(part, dict) for part in parts):
            return [entry for part in parts if isinstance(part, dict)
                    for entry in part.items()], "."
        return value.state.items(), "."
    if isinstance(value, Placeholder):
        value = value.items
    if isinstance(value, list | tuple):
        return enumerate(value), "/"
    return (value.items() if isinstance(value, dict) else ()), "/"
