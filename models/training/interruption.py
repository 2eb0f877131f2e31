"""Ctrl-C without loss: the program is told, and stops when it is ready."""
from __future__ import annotations

import signal
from typing import Any


class Interruption:
    """Inside the with-block the first Ctrl-C or SIGTERM only sets `signal`.

    A second one acts as always.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def __enter__(self) -> Interruption:
        self._before: dict[int, Any] = {number: signal.signal(number, self._note)
                                        for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _note(self, number: int, frame: Any) -> None:
        self.signal = number
        self.__exit__()

    def __exit__(self, *exception: object) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
