"""Mistakes of the user, and refusals of the computer, each told in one sentence."""
import importlib.util
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

PIP_NAMES = {"PIL": "pillow"}


class UserError(Exception):
    """Its message is one sentence for the user; `status` is the program's exit status."""

    status = 1


class SettingError(UserError):
    """A setting that cannot be, or not beside the others: words follow its name.

    The command line says its option in place of the name.
    """

    status = 2

    def __init__(self, setting: str, words: str):
        super().__init__(setting + words)
        self.setting, self.words = setting, words


@contextmanager
def as_user_error(*kinds: type[Exception], what: str = "",
                  error: type[UserError] = UserError) -> Iterator[None]:
    """Exceptions of these kinds become an `error` with the same sentence, after `what`."""
    try:
        yield
    except kinds as exception:
        file = exception.filename if isinstance(exception, OSError) else None
        where = what or (f"{file}: " if file else "")
        raise error(where + sentence(exception)) from exception


def writing(path: str | os.PathLike) -> AbstractContextManager[None]:
    """Around the writing of path: a full or read-only disk becomes a UserError."""
    return as_user_error(OSError, what=f"cannot write {path}: ")


def sentence(exception: Exception) -> str:
    if isinstance(exception, KeyError):         # its own words are the key alone
        return f"it has no {exception}"
    return getattr(exception, "strerror", None) or str(exception)


def require(*modules: str) -> None:
    """Raises UserError with the pip command for those of modules that are not installed."""
    missing = [PIP_NAMES.get(module, module) for module in modules
               if importlib.util.find_spec(module) is None]
    if missing:
        raise UserError(f"this command needs {' and '.join(missing)}; "
                        f"install with: pip install {' '.join(missing)}")
