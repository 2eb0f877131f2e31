"""Files written whole or not at all."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from minitensor.files import written_whole

from .errors import writing


def write_file(path: Path, write: Callable[[Path], Any]) -> None:
    """write(temporary path), which then becomes path. Raises UserError when the disk refuses."""
    with writing(path), written_whole(path) as partial:
        write(partial)


def write_text(path: Path, text: str) -> None:
    """In UTF-8; names of files that are no text keep their bytes."""
    def write(partial: Path) -> None:
        partial.write_text(text, encoding="utf-8", errors="surrogateescape")
    write_file(path, write)
