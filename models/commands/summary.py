"""`summary`: the layers of a network, from its name or from a checkpoint."""
from __future__ import annotations

import argparse
import os
from typing import Any

from minitensor import Generator

from ..errors import as_user_error, require
from ..networks.build import FAMILY, Network, build
from ..progress import Terminal
from .options import OWN, add_network
from .values import UsageError, number, option

HELP = "Print a network's layers: output shapes, parameters, multiplications."
EXAMPLES = """  python -m models summary
  python -m models summary alexnet-paper
  python -m models summary alexnet --image-size 131 --width 1/4 --classes 10
  python -m models summary runs/cifar10"""
NEEDS = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="NETWORK", nargs="?", default="alexnet",
                        help=f"a checkpoint, a run folder, or a name: {', '.join(FAMILY)} "
                        "(default: alexnet)")
    add_network(parser)
    parser.add_argument("--classes", dest="num_classes", type=number(int, 2),
                        default=argparse.SUPPRESS, metavar="N",
                        help=f"how many (default: {OWN})")


def run(options: dict[str, Any]) -> int:
    name = options.pop("network")
    with as_user_error(ValueError, error=UsageError):
        if name in FAMILY:
            network = build(name, **options, generator=Generator(0))
        else:
            network = _from_checkpoint(name, options)
    print(network)
    return 0


def _from_checkpoint(path: str, config: dict[str, Any]) -> Network:
    from ..training.checkpoints import load_network
    from ..weights import is_name
    if not os.path.exists(path) and not is_name(path):
        raise UsageError(f"there is no network or checkpoint {path!r}; "
                         f"networks: {', '.join(FAMILY)}")
    if config:
        raise UsageError(f"{path} is a checkpoint, whose network is as it is: "
                         f"leave out {option(next(iter(config)))}")
    require("safetensors")
    return load_network(path, progress=Terminal())[0]
