"""Files are written whole or not at all, and are known by their SHA-256."""
from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from typing import BinaryIO

READ_BYTES = 1 << 20        # at a time


@contextlib.contextmanager
def written_whole(path: str) -> Iterator[BinaryIO]:
    """A file to write, which appears as `path` when the with-block ends well.

    Its partial file always has the same name: the next attempt overwrites what a kill left.
    """
    folder, name = os.path.split(path)
    partial = os.path.join(folder, f".{name}.partial")
    try:
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        if isinstance(error, OSError) and not error.filename:   # a full disk names no file
            raise OSError(error.errno, error.strerror, path) from error
        raise


@contextlib.contextmanager
def alone_with(path: str | os.PathLike, otherwise: Exception) -> Iterator[None]:
    """Keep other processes from path, a file or a folder, in this way; raises otherwise where one
    keeps us.

    Where there are no such locks, on Windows and some network drives, nobody is kept.
    """
    handle = None
    try:
        import fcntl
        handle = os.open(path, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle or 0)
        raise otherwise from None
    except (ImportError, OSError):
        pass
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def sha256(path: str | os.PathLike, report: Callable[[int], object] = lambda size: None) -> str:
    """The SHA-256 of a file, in hexadecimal; `report(n)` is told of n more bytes read."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while content := file.read(READ_BYTES):
            digest.update(content)
            report(len(content))
    return digest.hexdigest()
