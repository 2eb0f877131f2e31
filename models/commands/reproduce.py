"""`reproduce`: claims of the 2012 paper, of its code and of its heirs, put to the test."""
from __future__ import annotations

import argparse
from typing import Any

from ..progress import Terminal
from ..reproduce.experiment import BUILTIN
from ..reproduce.experiments import EXPERIMENTS
from .options import add_data, add_device, add_loading, add_setting
from .values import UsageError, number

HELP = ("Put a claim of the 2012 paper or of its heirs to the test; a stopped experiment goes on "
        "where it was.")
EXAMPLES = """  python -m models reproduce relu-vs-tanh --quick
  python -m models reproduce cifar10-18pct --data cifar10/ --workers 0
  python -m models reproduce lrn --data cifar10/ --seeds 1 --out runs/lrn
  python -m models reproduce transfer --data cifar10/ --workers 0"""
NEEDS = ("PIL", "safetensors", "tqdm", "matplotlib")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", metavar="NAME", choices=EXPERIMENTS,
                        help=", ".join(EXPERIMENTS))
    add_data(parser, "CIFAR-10: a folder with train/ and test/, packed, or its official files")
    parser.add_argument("--quick", action="store_true", help="a few minutes on built-in pictures: "
                        "shows the experiment, proves nothing")
    parser.add_argument("--seeds", type=number(int, 1), metavar="N",
                        help="how many, each of which trains all variants (default: 1 or 3)")
    add_setting(parser, "epochs", number(int, 1), "of each training; a finished experiment can be "
                "given more", "the experiment's own")
    parser.add_argument("--out", metavar="FOLDER", help="for trainings, measurements and plot "
                        "(default: runs/NAME, with -quick if it is)")
    add_loading(parser)
    add_device(parser)


def run(options: dict[str, Any]) -> int:
    from ..reproduce.runner import reproduce
    name, quick, seeds, out = (options.pop(option)
                               for option in ("experiment", "quick", "seeds", "out"))
    options["data"] = _source(quick, options.get("data"))
    return reproduce(name, quick, options, Terminal(), seeds, out)


def _source(quick: bool, source: str | None) -> str:
    if quick and source not in (None, BUILTIN):
        raise UsageError(f"--quick draws its own pictures: leave out --data {source}, or --quick")
    if not quick and source in (None, BUILTIN):
        raise UsageError("--data is required: a folder with CIFAR-10; "
                         "--quick draws pictures instead")
    return source or BUILTIN
