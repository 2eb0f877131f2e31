"""Whether what is computed here is recorded for a backward pass."""
from __future__ import annotations

from collections.abc import Callable, Generator
from contextvars import ContextVar
from functools import wraps
from inspect import isgeneratorfunction
from typing import Any

_pauses: ContextVar[int] = ContextVar("pauses", default=0)     # the blocks of no_grad around here


class no_grad:
    """Inside the with-block (or the function it decorates) nothing is recorded for a backward pass.

    A decorated generator records nothing while it runs; its consumer goes on recording. From inside
    a with-block a `yield` would stop the recording in the consumer, too: leave the block before.
    """

    def __new__(cls, function: Callable | None = None) -> Any:      # @no_grad and @no_grad() alike
        block = super().__new__(cls)
        return block if function is None else block(function)

    def __enter__(self) -> None:
        _pauses.set(_pauses.get() + 1)

    def __exit__(self, *error: Any) -> None:
        _pauses.set(max(_pauses.get() - 1, 0))      # 0: a generator may be closed by another thread

    def __call__(self, function: Callable) -> Callable:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self:
                result = function(*args, **kwargs)
            return _Unrecorded(result) if isgeneratorfunction(function) else result
        return call


class _Unrecorded(Generator):
    """A generator that records nothing while it runs, whatever is sent or thrown into it."""

    def __init__(self, generator: Generator):
        self.generator = generator

    def send(self, value: Any) -> Any:
        with no_grad():
            return self.generator.send(value)

    def throw(self, *error: Any) -> Any:
        with no_grad():
            return self.generator.throw(*error)


def is_grad_enabled() -> bool:
    """Whether what is computed here is recorded; False under `no_grad`."""
    return not _pauses.get()
