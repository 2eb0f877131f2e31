"""The command line, a file a command: its arguments, their help, and its run.

A command's file imports what its run needs when it runs, so that --help needs little installed. It
has HELP, a line; EXAMPLES, text; NEEDS, modules to be installed; add_arguments(parser), and
run(options), which takes the options by name and returns the exit status.
"""
from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import Any

from minitensor.checkpoint import CheckpointError
from minitensor.command_line import Parser

from ..errors import SettingError, UserError, require, sentence
from ..progress import printable
from . import classify, convert, evaluate, features, reproduce, similar, summary, train
from .values import option

PROG = "python -m models"
COMMANDS: dict[str, Any] = {
    "train": train, "evaluate": evaluate, "classify": classify, "features": features,
    "similar": similar, "convert": convert, "summary": summary, "reproduce": reproduce}


def _parse(argv: list[str]) -> tuple[str, dict[str, Any]]:
    """The command and its options by name; options and pictures may come in any order."""
    parser = Parser(prog=PROG, description="Train AlexNet or one of its relatives on pictures, "
                    "and use it.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        command.add_arguments(commands.add_parser(
            name, help=command.HELP, description=command.HELP,
            epilog=f"examples:\n{command.EXAMPLES}"))
    if argv[:1] and argv[0] in COMMANDS:
        return argv[0], vars(commands.choices[argv[0]].parse_intermixed_args(argv[1:]))
    parser.parse_args(argv)             # helps, or says what is wrong
    raise AssertionError


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status.

    A mistake in argv ends in SystemExit(2), after one line on standard error.
    """
    for stream in (sys.stdout, sys.stderr):             # names of files may hold anything
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    name, options = _parse(sys.argv[1:] if argv is None else argv)
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:               # see models/__init__.py
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        require(*COMMANDS[name].NEEDS, *(["matplotlib"] if options.get("figure") else []))
        return COMMANDS[name].run(options)
    except (UserError, CheckpointError) as error:
        said = option(error.setting) + error.words if isinstance(error, SettingError) else error
        print(f"{PROG} {name}: {printable(str(said))}", file=sys.stderr)
        return getattr(error, "status", 1)
    except MemoryError as error:
        print(f"{PROG} {name}: not enough memory ({error}); "
              "a smaller --width, --image-size or --batch-size needs less", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:             # the reader of our output, `head` say, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:            # a folder that may not be looked into, say
        where = f"{error.filename}: " if error.filename else ""
        print(f"{PROG} {name}: {printable(where + sentence(error))}", file=sys.stderr)
        return 1
