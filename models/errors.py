"""Mistakes of the user, and refusals of the machine, each told in one sentence."""
import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager

PIP_NAMES = {"PIL": "pillow"}


class UserError(Exception):
    """Its message is one sentence for the user; `status` is the program's exit status."""

    status = 1


class UsageError(UserError):
    """A mistake on the command line."""

    status = 2


@contextmanager
def told(*kinds: type[Exception], what: str = "", error: type[UserError] = UserError) -> Iterator[None]:
    """Exceptions of these kinds become an `error` with the same sentence, after `what`."""
    try:
        yield
    except kinds as exception:
        where = f"{exception.filename}: " if isinstance(exception, OSError) and exception.filename else ""
        raise error((what or where) + sentence(exception)) from exception


def writing(path: str | os.PathLike):
    """Around the writing of path: a full or read-only disk becomes a UserError."""
    return told(OSError, what=f"cannot write {path}: ")


def sentence(exception: Exception) -> str:
    return getattr(exception, "strerror", None) or str(exception)


def require(*modules: str) -> None:
    """Raises UserError with the pip command for those of modules that are not installed."""
    missing = [PIP_NAMES.get(module, module) for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise UserError(f"this command needs {' and '.join(missing)}; install with: pip install {' '.join(missing)}")
