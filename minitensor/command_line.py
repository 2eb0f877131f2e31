"""The parser of every command line here."""
from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, with what was probably meant; keeps examples' line breaks."""

    def __init__(self, prog: str | None = None, **options: Any):
        super().__init__(prog=prog, formatter_class=argparse.RawDescriptionHelpFormatter,
                         allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        meant = "".join(f" (did you mean {word}?)" for word in self._meant(message))
        self.exit(2, f"{self.prog}: {message}{meant}; see {self.prog} --help\n")

    def _meant(self, message: str) -> list[str]:
        """The likest of what could stand in the place of a word that nobody knows."""
        choice = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if choice:
            return get_close_matches(choice[1], re.findall(r"[\w-]+", choice[2]), 1)
        unknown = re.search(r"unrecognized arguments: (-\S*)", message)
        return get_close_matches(unknown[1].split("=")[0], _options(self), 1) if unknown else []


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Those of its commands, too."""
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _options(command)
