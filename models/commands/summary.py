"""`summary`: the family of networks; or the layers of one, from its name or from a checkpoint."""
from __future__ import annotations

import argparse
import math
import os
from collections.abc import Iterator
from textwrap import fill
from types import ModuleType
from typing import Any

from minitensor import Generator

from ..errors import as_user_error, require
from ..networks import alexnet, cifar10, googlenet, inception, resnet, vgg
from ..networks.build import FAMILY, Network, build
from ..networks.heads import without_heads
from ..networks.published import PUBLISHED, is_name
from ..networks.results import RESULTS, Result
from ..networks.tables import activations, parameter_shapes, walk
from ..progress import Terminal
from .options import OWN, add_network
from .values import UsageError, number, option

HELP = ("Print the family of networks, with what others reached; or a network's layers: output "
        "shapes, parameters, multiplications.")
EXAMPLES = """  python -m models summary
  python -m models summary alexnet-paper
  python -m models summary alexnet --image-size 131 --width 1/4 --classes 10
  python -m models summary runs/cifar10"""
NEEDS = ()
# The first network of each branch of the family, and the file that tells what it changed.
BRANCHES = {"alexnet": alexnet, "cifar10-18pct": cifar10, "vgg11": vgg, "googlenet": googlenet,
            "inception_v3": inception, "resnet18": resnet}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", metavar="NETWORK", nargs="?",
                        help=f"a checkpoint, a run folder, or a name: {', '.join(FAMILY)} "
                        "(default: a line for each of these)")
    add_network(parser)
    parser.add_argument("--classes", dest="num_classes", type=number(int, 2),
                        default=argparse.SUPPRESS, metavar="N",
                        help=f"how many (default: {OWN})")


def run(options: dict[str, Any]) -> int:
    name = options.pop("network")
    if name is None:
        if options:
            raise UsageError(f"{option(next(iter(options)))} is for one network: name it")
        print(*family_tree(), sep="\n")
        return 0
    with as_user_error(ValueError, error=UsageError):
        if name in FAMILY:
            network = build(name, **options, generator=Generator(0))
        else:
            network = _from_checkpoint(name, options)
    print(network)
    return 0


def _from_checkpoint(path: str, config: dict[str, Any]) -> Network:
    if not os.path.exists(path) and not is_name(path):
        raise UsageError(f"there is no network or checkpoint {path!r}; "
                         f"networks: {', '.join(FAMILY)}")
    if config:
        raise UsageError(f"{path} is a checkpoint, whose network is as it is: "
                         f"leave out {option(next(iter(config)))}")
    require("PIL", "safetensors")
    from ..training.checkpoints import load_network
    return load_network(path, progress=Terminal())[0]


# ---- the family ----------------------------------------------------------------------------------

LINE = "{:15}{:>6}{:>13}{:>16}{:>11}{:>11}{:>7}{:>7}  {}".format


def family_tree() -> Iterator[str]:
    """Lines: a heading for each branch, and below it its networks, of their own image size."""
    yield ("MACs (multiply-accumulates) per image. Memory: what a training step keeps for its "
           "backward pass, float32, without weights.\n"
           "top-1, top-5: % of images right, as published; behind them the source, which is what "
           "--weights takes\nto fetch torchvision's, and the file of weights that fits.")
    for name in FAMILY:
        if name in BRANCHES:
            yield f"\n{_first_sentence(BRANCHES[name])}"
            yield LINE("network", "input", "parameters", "MACs", "batch 1", "batch 128", "top-1",
                       "top-5", "source").rstrip()
        yield from _lines(name)


def _first_sentence(module: ModuleType) -> str:
    paragraph = " ".join(str(module.__doc__).partition("\n\n")[0].split())
    return fill(paragraph, 100)


def _lines(name: str) -> Iterator[str]:
    """A network's, one more for each other published result, and its note."""
    design = FAMILY[name]
    table, size = design.table, design.image_size
    parameters, with_heads = (sum(map(math.prod, parameter_shapes(part, size).values()))
                              for part in (without_heads(table), table))
    macs = sum(place.layer.macs(place.input) for place in walk(table, (3, size, size)))
    kept = activations(table, size)
    figures = [name, size, f"{parameters:,}", f"{macs:,}", _memory(kept), _memory(128 * kept)]
    for result in RESULTS.get(name, ()):
        yield LINE(*figures, *_published(result))
        figures = [""] * 6
    if name not in RESULTS:
        yield LINE(*figures, "-", "-", "").rstrip()
    if with_heads > parameters:
        yield f"  {with_heads:,} parameters with the auxiliary heads, which are for training only."
    if design.note:
        yield f"  {design.note}"


def _memory(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _published(result: Result) -> tuple[str, str, str]:
    file = PUBLISHED[result.source].url.rpartition("/")[2] if result.source in PUBLISHED else ""
    top1, top5 = ("-" if share is None else f"{share:.2f}" for share in result[:2])
    return top1, top5, ": ".join(filter(None, [result.source, result.weights or file]))
