"""The command line: `python -m models train | evaluate | classify | features | similar | convert | summary | reproduce`."""
from __future__ import annotations

import os
import signal
import sys
from contextlib import AbstractContextManager
from typing import Any

from minitensor.checkpoint import CheckpointError

from .errors import UsageError, UserError, require
from .compute import machine
from .commands.parser import PROG, make_parser
from .settings import MACHINE, Settings


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status. A mistake in argv ends in SystemExit(2), after one line on standard error."""
    for stream in (sys.stdout, sys.stderr):
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")       # names of files may hold anything
    options = vars(make_parser().parse_args(argv))
    command = options.pop("command")
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:               # see __init__.py
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return COMMANDS[command](options)
    except (UserError, CheckpointError) as error:
        print(f"{PROG} {command}: {error}", file=sys.stderr)
        return getattr(error, "status", 1)
    except MemoryError as error:
        print(f"{PROG} {command}: not enough memory ({error}); a smaller --width, --image-size or --batch-size needs less", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:             # the reader of our output, `head` say, has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


# ---- commands: what they need is imported when they run, so that --help and summary work with little installed --------------------

def _train(options: dict[str, Any]) -> int:
    require("PIL", "safetensors", "tqdm", "matplotlib")
    from .training.start import train
    return train(options)


def _evaluate(options: dict[str, Any]) -> int:
    require("PIL", "safetensors", "tqdm", "matplotlib")
    from .commands.evaluate import evaluate
    checkpoint, weights = options.pop("checkpoint"), options.pop("weights")
    if bool(checkpoint) == bool(weights):
        raise UsageError("give a CHECKPOINT or --weights, and not both")
    chosen = {name: options.setdefault(name, getattr(Settings, name)) for name in MACHINE}
    with machine(**chosen):
        return evaluate(checkpoint or weights, options.pop("ten_crop"), options.pop("out"), options)


def _classify(options: dict[str, Any]) -> int:
    require("PIL", "safetensors", *(["matplotlib"] if options["figure"] else []))
    from .commands.classify import classify
    given = [options["checkpoint"], *options["pictures"]]
    checkpoint, *pictures = [options["weights"], *given] if options["weights"] else given
    if not pictures:
        raise UsageError("which PICTURE?")
    with _chosen_machine(options):
        return classify(checkpoint, pictures, options["figure"], options["json"], options.get("device", "cpu"))


def _features(options: dict[str, Any]) -> int:
    require("PIL", "safetensors", "tqdm")
    from .commands.features import features
    with _chosen_machine(options):
        return features(options["checkpoint"], options["pictures"], options["out"], options["layer"], options.get("device", "cpu"))


def _similar(options: dict[str, Any]) -> int:
    require("PIL", "safetensors", "tqdm", *(["matplotlib"] if options["figure"] else []))
    from .commands.features import similar
    with _chosen_machine(options):
        return similar(options["checkpoint"], options["queries"], options["folder"], options["count"], options["figure"],
                       options["layer"], options.get("device", "cpu"))


def _chosen_machine(options: dict[str, Any]) -> AbstractContextManager:
    return machine(**{name: options[name] for name in MACHINE if name in options})


def _convert(options: dict[str, Any]) -> int:
    require("safetensors")
    from .commands.convert import convert
    return convert(options["source"], options["target"], options["torchvision"])


def _summary(options: dict[str, Any]) -> int:
    from .commands.summary import show
    return show(options.pop("network"), options)


def _reproduce(options: dict[str, Any]) -> int:
    require("PIL", "safetensors", "tqdm", "matplotlib")
    from .reproduce.runner import reproduce
    return reproduce(options.pop("experiment"), options.pop("quick"), options.pop("seeds"), options.pop("out"), options)


COMMANDS = {"train": _train, "evaluate": _evaluate, "classify": _classify, "features": _features, "similar": _similar,
            "convert": _convert, "summary": _summary, "reproduce": _reproduce}

if __name__ == "__main__":
    sys.exit(main())
