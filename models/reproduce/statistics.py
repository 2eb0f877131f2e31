"""Summaries of a few measurements: means, spreads, and when a curve falls to a target."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Summary(NamedTuple):
    """The mean of so many measurements, one a seed, and their standard deviation.

    The deviation is that of a sample, over number - 1; None of a single measurement.
    """

    mean: float
    deviation: float | None
    number: int

    def __str__(self) -> str:
        """Such as "18.31 ± 0.22", with two digits of the deviation.

        Three digits of a single measurement.
        """
        if self.deviation is None:
            return f"{self.mean:.3g}"
        digits = max(0, 1 - math.floor(math.log10(self.deviation))) if self.deviation else 2
        return f"{self.mean:.{digits}f} ± {self.deviation:.{digits}f}"

    def signed(self) -> str:
        """With a plus before what is not negative."""
        return f"{self}" if self.mean < 0 else f"+{self}"


def summarise(values: Sequence[float]) -> Summary:
    """Of at least one value."""
    number = len(values)
    mean = math.fsum(values) / number
    if number == 1:
        return Summary(mean, None, 1)
    squares = math.fsum((value - mean)**2 for value in values)
    return Summary(mean, math.sqrt(squares / (number - 1)), number)


def counted(seeds: int) -> str:
    return "1 seed, spread unknown" if seeds == 1 else f"{seeds} seeds"


def crossing(curve: Sequence[float], target: float) -> float | None:
    """After how many epochs a curve, one value an epoch, first is at or below target.

    Between two epochs along a straight line; None if it never is. The first epoch counts whole:
    nothing is known about what was before it.
    """
    for epoch, value in enumerate(curve, 1):
        if value <= target:
            if epoch == 1:
                return 1.0
            before = curve[epoch - 2]
            return epoch - 1 + (before - target) / (before - value)
    return None
