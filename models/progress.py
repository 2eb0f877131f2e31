"""What a command tells its user while it works: lines, warnings, progress bars."""
from __future__ import annotations

import re
import sys
from contextlib import nullcontext
from typing import Any

# Controls, separators of lines, directions of writing, and what stands for a byte.
UNPRINTABLE = re.compile("[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """text with escapes for line breaks, controls of terminals, and bytes that are no UTF-8.

    Names of files, and so of classes, may hold anything, and neither terminals nor figures can.
    """
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class Progress:
    """Says nothing. What takes long is handed one; commands hand out Terminal()."""

    def say(self, line: str, error: bool = False) -> None:
        """error: for standard error."""

    def warn(self, line: str) -> None:
        self.say(f"warning: {printable(line)}", error=True)

    def bar(self, total: int | None, what: str = "", **options: Any) -> Any:
        """A context manager that gives a bar with the methods of tqdm's."""
        return nullcontext(_NoBar())


class _NoBar:
    def update(self, count: float = 1) -> None:
        pass

    def set_description(self, text: str) -> None:
        pass

    def set_postfix(self, values: dict[str, str], refresh: bool = True) -> None:
        pass


SILENT = Progress()


class Terminal(Progress):
    """Lines on standard output and standard error, bars where the latter is a terminal."""

    def say(self, line: str, error: bool = False) -> None:
        file = sys.stderr if error else sys.stdout
        tqdm = sys.modules.get("tqdm")
        if tqdm:                # above its bars, if there are any
            tqdm.tqdm.write(line, file)
        else:
            print(line, file=file)
        file.flush()

    def bar(self, total: int | None, what: str = "", **options: Any) -> Any:
        from tqdm import tqdm
        options = {"unit": " images", "leave": False, **options}
        return tqdm(total=total, desc=what or None, dynamic_ncols=True, disable=None, **options)
