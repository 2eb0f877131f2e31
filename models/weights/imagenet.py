"""The 1,000 classes of ImageNet's challenge, in the order of every published AlexNet.

WordNet's identifiers, and names for people.
"""
from __future__ import annotations

from functools import cache
from pathlib import Path

TABLE = Path(__file__).with_name("imagenet_classes.tsv")        # identifier, tab, name


@cache
def names() -> dict[str, str]:
    """{"n01440764": "tench", ...}: 1,000, in order. Two pairs share a name: crane and maillot."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    return dict(tuple(line.split("\t")) for line in lines)      # type: ignore[misc]


def readable(name: str) -> str:
    """An identifier's name for people; other classes' own."""
    return names().get(name, name)


def classes(count: int) -> list[str]:
    """The identifiers, for a network of 1,000 classes; else "class 0" and so on."""
    return list(names()) if count == len(names()) else [f"class {i}" for i in range(count)]
