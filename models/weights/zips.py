"""Zip files whose sizes are checked before anything is unpacked."""
from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, TypeVar

MAX_DIRECTORY = 2**24           # bytes
MAX_RATIO = 20                  # of unpacked bytes to the file's; numbers are hardly compressed
Result = TypeVar("Result")


class Entries:
    """What is in a zip, by names without the folder that holds all of it.

    size: the file's, in bytes.
    """

    def __init__(self, archive: zipfile.ZipFile, size: int):
        infos = archive.infolist()
        folders = {info.filename.partition("/")[0] for info in infos}
        skip = len(folders.pop()) + 1 if len(folders) == 1 and "/" in infos[0].filename else 0
        self._archive, self.size = archive, size
        self._infos = {info.filename[skip:]: info for info in infos}
        if (sum(info.file_size for info in infos) > MAX_RATIO * size
                or any(info.compress_size > size for info in infos)):
            raise ValueError("its zip would unpack to an impossible size")

    def __contains__(self, name: str) -> bool:
        return name in self._infos

    def names(self) -> list[str]:
        return list(self._infos)

    def read(self, name: str) -> bytes:
        if name not in self._infos:
            raise ValueError(f"its zip holds no {name[:60]}")
        info = self._infos[name]
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"its zip's {name[:60]} is compressed in a way that is not read here")
        with self._archive.open(info) as entry:     # not more than it says, whatever it unpacks to
            content = entry.read(info.file_size)
        if len(content) != info.file_size:
            raise ValueError(f"its zip's {name[:60]} is cut off")
        return content


def read(path: str, use: Callable[[Entries], Result]) -> Result:
    """use(what is in the zip). Raises ValueError for one that is damaged."""
    try:
        with open(path, "rb") as file:
            _check_directory(file)
            with zipfile.ZipFile(file) as archive:
                return use(Entries(archive, file.seek(0, 2)))
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError,
            struct.error, zlib.error, EOFError, KeyError, OverflowError) as error:
        raise ValueError(f"it is not a whole zip file: {str(error)[:100]}") from error


def _check_directory(file: Any) -> None:
    """The zip's directory, which zipfile reads at once and makes larger, must be small.

    Its size stands at the end of the file.
    """
    file.seek(max(0, file.seek(0, 2) - 98))
    end = file.read()
    record, wide = end[-22:], end[-98:-42]
    if record[:4] != b"PK\5\6":
        raise ValueError("it is not a whole zip file: its end is missing")
    size = struct.unpack("<L", record[12:16])[0]
    if end[-42:-38] == b"PK\6\7" and len(wide) == 56:
        size = struct.unpack("<Q", wide[40:48])[0]
    if size > MAX_DIRECTORY:
        raise ValueError("its zip directory is larger than those of weights are")
