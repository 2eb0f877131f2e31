"""The command line: `python -m benchmarks cpu | engines | gpu | gpu-report | data`.

Each command is a file: cpu.py, engines.py, gpu.py, gpu_report.py, data.py.
"""
from __future__ import annotations

import argparse
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

from minitensor.command_line import Parser
from minitensor.kernels.cpu import get_num_threads, set_num_threads

from . import cpu, engines, gpu, gpu_report
from .errors import BenchmarkError

PROG = "python -m benchmarks"
EXAMPLES = """examples:
  python -m benchmarks cpu --json cpu.json --png cpu.png
  python -m benchmarks cpu --network resnet18 --batch 16
  python -m benchmarks engines                    a training step beside DeZero's and MyGrad's
  python -m benchmarks gpu --json gpu.json --png gpu.png
  python -m benchmarks data --data photos/
  python -m benchmarks gpu-report --out gpu-report
                                                  all that a GPU can prove, tests included; see
                                                  gpu-report --help"""
# Options that not every command reads.
MEANT_FOR = {"data": {"data"}, "only": {"cpu", "gpu"}, "png": {"cpu", "gpu"}, "network": {"cpu"},
             "batch": {"cpu", "gpu", "data"}, "threads": {"cpu", "engines", "gpu"}}


def main(argv: list[str] | None = None) -> int:
    """Run the benchmarks; returns the exit status. A mistake in argv ends in SystemExit(2)."""
    argv = sys.argv[1:] if argv is None else argv
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:               # see __init__.py
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if argv[:1] == ["gpu-report"]:
            return gpu_report.main(argv[1:])
        return _run(_parse(argv))
    except BenchmarkError as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _run(options: argparse.Namespace) -> int:
    if options.what == "data":
        from . import data                              # which needs Pillow
        options.threads = 1
        return data.main(options)
    set_num_threads(options.threads)
    return {"cpu": cpu.main, "engines": engines.main, "gpu": gpu.main}[options.what](options)


def _parse(argv: list[str]) -> argparse.Namespace:
    from models import FAMILY
    parser = Parser(
        prog=PROG, epilog=EXAMPLES,
        description="Time the kernels and the network, checked against the textbook kernels "
        "first; or packing and reading pictures.")
    add = parser.add_argument
    add("what", choices=["cpu", "engines", "gpu", "data"], help="what to time")
    add("--data", metavar="FOLDER",
        help="data: a folder CLASS/PICTURE to pack (default: drawn pictures)")
    add("--quick", action="store_true",
        help="tiny layers and a tiny network, in seconds: does everything run?")
    add("--network", choices=FAMILY, metavar="NAME",
        help="cpu: this network of the family alone; `python -m models summary` lists them "
        "(default: alexnet, after the kernels of its layers)")
    add("--only", choices=["kernels", "network"], help="half of it")
    add("--batch", type=_positive, metavar="N",
        help="images a batch (default 128; for a network 1, 16 and 128, as far as they fit into "
        "memory)")
    add("--threads", type=_positive, metavar="N", default=get_num_threads(),
        help="default: this machine's, %(default)s")
    add("--seconds", type=float, metavar="S", default=2.0,
        help="spent on each figure, about (default %(default)s)")
    add("--json", type=_in_a_folder, metavar="FILE", help="write every figure")
    add("--png", type=_in_a_folder, metavar="FILE", help="draw the ratios to PyTorch")
    options = parser.parse_args(argv)
    for name, commands in MEANT_FOR.items():
        if getattr(options, name) != parser.get_default(name) and options.what not in commands:
            parser.error(f"--{name} has no effect on `{options.what}`")
    options.batches = [options.batch] if options.batch else []
    options.batch = options.batch or (4 if options.quick else 128)
    if options.network:
        options.only = options.only or "network"
    if options.png and find_spec("matplotlib") is None:
        parser.error("--png needs matplotlib; install it with: pip install matplotlib")
    return options


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an integer >= 1, not {text!r}")
    return int(text)


def _in_a_folder(text: str) -> Path:
    """A file that can be written at the end, checked at the beginning."""
    path = Path(text)
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(
            f"must be a file in a folder that can be written to, not {text!r}")
    return path


if __name__ == "__main__":
    sys.exit(main())
