"""Files written whole or not at all."""
from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minitensor.files import written_whole

from .errors import writing

# Controls, separators of lines, directions of writing, and what stands for a byte.
UNPRINTABLE = re.compile("[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """text with escapes for line breaks, controls of terminals, and bytes that are no UTF-8.

    Names of files, and so of classes, may hold anything, and neither terminals nor figures can.
    """
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def write_file(path: Path, write: Callable[[Path], Any]) -> None:
    """write(temporary path), which then becomes path. Raises UserError when the disk refuses."""
    with writing(path), written_whole(path) as partial:
        write(partial)


def write_text(path: Path, text: str) -> None:
    """In UTF-8; names of files that are no text keep their bytes."""
    def write(partial: Path) -> None:
        partial.write_text(text, encoding="utf-8", errors="surrogateescape")
    write_file(path, write)
