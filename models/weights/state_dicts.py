"""Which of a file's tensors are a network's: one state dict among wrappers, prefixes and the rest.

Files are read flat: {"model": {"module.conv1.weight": ...}} gives "model/module.conv1.weight".
"""
from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from ..networks.build import FAMILY
from ..networks.layers import Shape
from ..networks.tables import parameter_shapes

# From the shapes of all of a file's tensors by their names: a network's own names, and the file's.
Choose = Callable[[Mapping[str, Shape]], dict[str, str]]

AVERAGES = {"ema", "swa", "averaged"}
USUAL = {"model", "net", "network", "module", "weights", "params", "state_dict"}
COUNTER = "num_batches_tracked"         # has 0 dimensions, but is part of a network


def choose(shapes: Mapping[str, Shape], notes: list[str]) -> dict[str, str]:
    """The names of the network's tensors, without what stands before all of them.

    Of several networks an average of weights goes first, which is what evaluates best, then what is
    called as usual, then what comes first. notes gets a sentence on what is left. Raises ValueError
    where no network begins.
    """
    prefixes = sorted(_prefixes(shapes), key=_rank)
    if not prefixes:
        raise ValueError(_nothing(shapes))
    prefix, *others = prefixes
    container = prefix[:prefix.rfind("/") + 1]
    chosen, beside = {}, []
    for name, shape in shapes.items():
        if shape == () and not name.endswith(COUNTER):     # AveragedModel's n_averaged, say
            continue
        if name.startswith(prefix) and "/" not in name[len(prefix):]:
            chosen[name[len(prefix):]] = name
        elif (name.startswith(container) and "/" not in name[len(container):]
              and not name.startswith(tuple(others))):
            beside.append(name)
    if others:
        notes.append(f"the weights under {_shown([prefix])} are taken, "
                     f"not those under {_shown(others)}")
    if beside:
        notes.append(f"not taken, as no part of the network: {_shown(beside)}")
    return chosen


def begins() -> set[str]:
    """The names of the networks' first parameters."""
    firsts = {next(iter(parameter_shapes(design.table, design.image_size)))
              for design in FAMILY.values()}
    return {"features.0.weight", *firsts}


def _prefixes(names: Iterable[str]) -> list[str]:
    """What stands before a first parameter; not what stands inside the network that it begins."""
    firsts = begins()
    found = {name[:-len(first)]: None for name in names for first in firsts
             if name == first or name.endswith(("." + first, "/" + first))}
    return [prefix for prefix in found
            if not any(prefix != other and prefix.startswith(other)
                       and "/" not in prefix[len(other):] for other in found)
            and not any(word.startswith("optim") for word in _words(prefix))]


def _words(prefix: str) -> list[str]:
    return re.split(r"[._/]", prefix.lower())


def _rank(prefix: str) -> int:
    words = _words(prefix)
    if AVERAGES.intersection(words):
        return 0
    return 1 if not prefix or USUAL.intersection(words) or "state_dict" in prefix else 2


def _shown(names: list[str]) -> str:
    """The first three, and how many more."""
    texts = [name.rstrip("./")[:60] or "no name" for name in names[:3]]
    return ", ".join(texts) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _nothing(shapes: Mapping[str, Shape]) -> str:
    looked_for = " or ".join(sorted(begins()))
    if not shapes:
        return ("it holds no tensors; save the model's state_dict(), in which "
                f"{looked_for} is looked for")
    first = [f"{name or 'a tensor'} {shape}" for name, shape in list(shapes.items())[:2]]
    more = f" and {len(shapes) - 2} more" if len(shapes) > 2 else ""
    return (f"it holds {', '.join(text[:90] for text in first)}{more}, but no {looked_for}, "
            "with which the networks here begin")
