"""Files of a data set in a folder, or in the .tar.gz that it is handed out as."""
from __future__ import annotations

import os
import tarfile
import zlib
from collections.abc import Sequence

FILE_BYTES = 1 << 30        # of a file in an archive, at most: CIFAR-100's are 155 million

Files = dict[str, bytes]    # by the path for messages


def is_archive(path: str | os.PathLike[str]) -> bool:
    return os.path.isfile(path) and tarfile.is_tarfile(path)


def find_files(root: str | os.PathLike[str], inside: Sequence[str],
               names: Sequence[str]) -> Files:
    """The files of these names, or of all with .bin, in root or a folder or an archive inside it.

    Raises FileNotFoundError where the first, or in a folder any, is missing; ValueError for a
    damaged archive.
    """
    sets = [[name + suffix for name in names] for suffix in (".bin", "")]
    for place in (os.fspath(root), *(os.path.join(root, name) for name in inside)):
        if is_archive(place):
            return _from_archive(place, sets)
        for files in sets:
            paths = [os.path.join(place, name) for name in files]
            if os.path.isfile(paths[0]):
                return {path: _content(path) for path in paths}
    raise FileNotFoundError(f"{root} holds neither {names[0]}.bin nor {names[0]}")


def _content(path: str) -> bytes:
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{path} is missing")
    with open(path, "rb") as file:
        return file.read()


def _from_archive(root: str, sets: list[list[str]]) -> Files:
    found: Files = {}
    wanted = {name for names in sets for name in names}
    try:
        with tarfile.open(root) as archive:
            for member in archive:
                name = os.path.basename(member.name)
                if name in wanted and name not in found and member.size <= FILE_BYTES:
                    file = archive.extractfile(member)          # None for a folder
                    found |= {name: file.read()} if file else {}
                if any(found.keys() >= set(names) for names in sets):
                    break
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{root} is a damaged archive: {error}") from error
    for names in sets:
        if names[0] in found:
            missing = [name for name in names if name not in found]
            if missing:
                raise FileNotFoundError(f"{root}: {missing[0]} is missing")
            return {f"{root}: {name}": found[name] for name in names}
    raise FileNotFoundError(f"{root} holds neither {sets[0][0]} nor {sets[1][0]}")
