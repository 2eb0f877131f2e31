"""What options take: from text to value, whose ArgumentTypeError is what the user reads."""
from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from ..errors import UserError
from ..networks.published import is_name


class UsageError(UserError):
    """A mistake on the command line."""

    status = 2


def option(name: str) -> str:
    """How the command line writes a setting."""
    return f"--{name.replace('_', '-')}"


def number(kind: type, low: float, high: float = math.inf,
           open_high: bool = False) -> Callable[[str], Any]:
    """A type for numbers in [low, high], or in [low, high) if open_high."""
    name = "a whole number" if kind is int else "a number"
    limits = (f"at least {low}" if high == math.inf
              else f"in [{low}, {high}{')' if open_high else ']'}")

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        too_high = value == math.inf or (open_high and value == high)
        if not low <= value <= high or too_high:
            raise argparse.ArgumentTypeError(f"must be {name} {limits}, not {text!r}")
        return value
    return parse


def width(text: str) -> float:
    try:
        value = float(Fraction(text))
    except (ValueError, ZeroDivisionError, OverflowError):
        value = 0.0
    if value <= 0:
        raise argparse.ArgumentTypeError(
            f"must be a number above 0 such as 0.25 or 1/4, not {text!r}")
    return value


def data_source(text: str) -> str:
    """"builtin", or an absolute path, so that a run can be resumed from elsewhere."""
    if not text:                        # of a shell's variable that is not set, say
        raise argparse.ArgumentTypeError("must be 'builtin' or a folder, not ''")
    return text if text == "builtin" else os.path.abspath(text)


def kernels(text: str) -> str:
    """The name of a set, or the absolute path of a .py file: a run is resumed from anywhere."""
    return os.path.abspath(text) if text.endswith(".py") else text


def weights(text: str) -> str:
    """The name of published weights, or the path, absolute, of a file or a run folder."""
    return text if is_name(text) else os.path.abspath(text)


def named_number(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(
            f"must be a layer and a number such as fc8=0.001, not {text!r}")
    return name, number(float, 0)(value)


def class_weight(text: str) -> str | tuple[str, float]:
    name, _, value = text.rpartition("=")
    if text != "balanced" and not name:
        raise argparse.ArgumentTypeError(
            f"must be balanced, or a class and a number such as cat=2, not {text!r}")
    return text if text == "balanced" else (name, number(float, 1e-6)(value))


class BalancedOrPairs(argparse.Action):
    """"balanced" alone, or pairs, which become a dict."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        if "balanced" in values and len(values) > 1:
            raise argparse.ArgumentError(self, "takes balanced alone, or classes and numbers")
        setattr(namespace, self.dest, "balanced" if "balanced" in values else dict(values))


class Pairs(argparse.Action):
    """Pairs become a dict."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, dict(values))


def new_file(text: str) -> str:
    """A file that is written at the end: its folder is looked for at the beginning."""
    folder = os.path.dirname(text) or "."
    if os.path.isdir(text) or not os.access(folder, os.W_OK):
        raise argparse.ArgumentTypeError(
            f"must be a file in a folder that can be written to, not {text!r}")
    return text


def new_file_ending(*suffixes: str) -> Callable[[str], str]:
    """A type for a new_file of one of these kinds."""
    def parse(text: str) -> str:
        if not text.endswith(suffixes):
            raise argparse.ArgumentTypeError(f"must end in {' or '.join(suffixes)}, not {text!r}")
        return new_file(text)
    return parse
