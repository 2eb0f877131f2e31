"""Published weights, fetched once into a cache.

A download that was cut off goes on, and is kept only if its SHA-256 is right.
"""
from __future__ import annotations

import os
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

from data import sha256
from data.files import alone_with

from ..errors import UserError, require, writing
from ..networks.published import PUBLISHED, Published, names
from ..progress import SILENT, Progress

TIMEOUT = 30                    # seconds without a byte
PIECE = 2**20                   # bytes


class DownloadError(UserError):
    """One sentence with the address, and how to fetch it by hand."""


def cache() -> Path:
    """$XDG_CACHE_HOME/minitensor, or ~/.cache/minitensor."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minitensor"


def fetch(name: str, progress: Progress = SILENT) -> str:
    """The path of the weights called name in PUBLISHED, downloaded if not in the cache yet.

    Raises UserError for a name that is not there, and what `download` raises.
    """
    if name not in PUBLISHED:
        raise UserError(f"there are no weights called {name!r}, but {names()}")
    return str(download(PUBLISHED[name], cache(), progress))


def download(published: Published, folder: Path, progress: Progress = SILENT) -> Path:
    """The file, in folder, under the name that it has in its address.

    Raises DownloadError without a connection or for a wrong sum, UserError for a folder that cannot
    be written.
    """
    url = published.url
    path = folder / url.rpartition("/")[2]
    if path.exists():
        return path
    require("tqdm")
    partial = path.with_suffix(".part")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with writing(partial):
        partial.touch()
    busy = DownloadError(f"another process is fetching {url} already; try again when it has ended")
    with alone_with(partial, busy):
        try:
            _continue(url, partial, progress)
        except (urllib.error.URLError, HTTPException, ConnectionError, TimeoutError) as error:
            raise DownloadError(f"cannot fetch {url} ({getattr(error, 'reason', error)}); to fetch "
                                f"it by hand: curl --create-dirs -o {path} {url}") from error
        if not sha256(partial).startswith(published.sha256):
            partial.unlink()
            raise DownloadError(f"{url} came with a wrong SHA-256, and was deleted; try again")
        with writing(path):
            partial.replace(path)
    progress.say(f"{path.name}: {_checked(published.sha256)}", error=True)
    return path


def _checked(digits: str) -> str:
    if len(digits) == 64:
        return "the whole SHA-256 is right"
    return f"the first {len(digits)} digits of the SHA-256 are right; more are not known here"


def _continue(url: str, partial: Path, progress: Progress) -> None:
    """Append to partial what it lacks, or begin anew where the server cannot do that."""
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:      # nothing is left to send
            return
        raise
    with writing(partial):
        file = open(partial, "ab" if response.status == 206 else "wb")
    with response, file:
        _copy(response, file, url.rpartition("/")[2], progress)


def _copy(response: Any, file: Any, name: str, progress: Progress) -> None:
    left = response.length
    total = None if left is None else file.tell() + left
    with progress.bar(total, name, initial=file.tell(), unit="B", unit_scale=True,
                      leave=True) as bar:
        while piece := response.read(PIECE):
            with writing(file.name):
                file.write(piece)
            bar.update(len(piece))
    if total is not None and file.tell() < total:
        raise ConnectionError(f"the connection ended after {file.tell():,} of {total:,} bytes; "
                              "the same command goes on from there")
