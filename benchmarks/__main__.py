"""The command line: `python -m benchmarks cpu | engines | gpu | gpu-report | data`."""
from __future__ import annotations

import argparse
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from minitensor.kernels.cpu import get_num_threads, set_num_threads

from . import cpu, gpu, network, other_engines, report, torch_side, visit
from .cases import CASES, QUICK_CASES

SEED_NETWORK_PARAMETERS = 62_378_344
EXAMPLES = """examples:
  python -m benchmarks cpu --json cpu.json --png cpu.png
  python -m benchmarks cpu --only network --network alexnet-paper
  python -m benchmarks engines                           a training step beside DeZero's and MyGrad's
  python -m benchmarks gpu --json gpu.json --png gpu.png
  python -m benchmarks data --data photos/
  python -m benchmarks gpu-report --out gpu-report       all that a GPU can prove, tests included; see gpu-report --help"""


def main(argv: list[str] | None = None) -> int:
    """Run the benchmarks; returns the exit status. A mistake in argv ends in SystemExit(2)."""
    argv = sys.argv[1:] if argv is None else argv
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:               # see __init__.py
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if argv[:1] == ["gpu-report"]:
            return visit.main(argv[1:])
        options = _parse(argv)
        set_num_threads(options.threads)
        return {"cpu": _cpu, "engines": _cpu, "gpu": gpu.main, "data": _data}[options.what](options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _cpu(options: argparse.Namespace) -> int:
    torch = torch_side.load(options.threads)
    results: dict[str, Any] = {"machine": report.machine(options.threads), "batch": options.batch, "kernels": [], "network": []}
    print(", ".join(f"{name} {value}" for name, value in results["machine"].items()), flush=True)
    if torch is None:
        print(torch_side.MISSING, flush=True)
    try:
        if options.what == "engines":
            return _engines(options, torch, results)
        if options.only != "network":
            _kernels(options, torch, results)
        if options.only != "kernels":
            _networks(options, torch, results)
    except (cpu.WrongResult, network.WrongLogits, network.DeadEngine) as error:
        print(f"python -m benchmarks: {error}", file=sys.stderr)
        return 1
    finally:                                            # what was measured until then is not lost
        if options.json:
            report.write_json(options.json, results)
        if options.png:
            report.write_png(options.png, results)
    return 0


def _data(options: argparse.Namespace) -> int:
    from data import UnreadableImage

    from . import pictures                              # which need Pillow
    results: dict[str, Any] = {"machine": report.machine(1), "batch": options.batch, "data": []}
    print(", ".join(f"{name} {value}" for name, value in results["machine"].items()), flush=True)
    size, rounds = (pictures.QUICK, (1, 2)) if options.quick else (pictures.FULL, (3, 20))
    try:
        for row in pictures.measure(options.data, size, options.batch, options.seconds, rounds):
            results["data"].append(row)
            print(report.pictures_line(row, results["data"]), flush=True)
    except (pictures.WrongBatch, UnreadableImage, ValueError, OSError) as error:
        print(f"python -m benchmarks: {error}", file=sys.stderr)
        return 1
    finally:
        if options.json:
            report.write_json(options.json, results)
    return 0


def _kernels(options: argparse.Namespace, torch: Any, results: dict[str, Any]) -> None:
    cases, parameters = (QUICK_CASES, 10_000) if options.quick else (CASES, SEED_NETWORK_PARAMETERS)
    seconds, rounds = (0.01, (1, 3)) if options.quick else (options.seconds, (3, 50))
    cpu.check(cases, options.batch, torch)
    print("All results match. Starting benchmarks.", flush=True)
    results["product_gflops"] = peak = cpu.product_peak(seconds, 256 if options.quick else 3072)
    print(f"A large matrix product in NumPy: {peak:.0f} GFLOP/s\n\n{report.kernel_header(options.batch)}", flush=True)
    for row in cpu.measure(cases, options.batch, torch, seconds, rounds):
        results["kernels"].append(row)
        print(report.kernel_line(row, peak), flush=True)
    results["kernels"].append(cpu.measure_sgd(parameters, torch, seconds, rounds))
    print(report.kernel_line(results["kernels"][-1], peak), flush=True)


def _networks(options: argparse.Namespace, torch: Any, results: dict[str, Any]) -> None:
    shape = _shape(options)
    seconds, rounds = (0.01, (1, 3)) if options.quick else (4 * options.seconds, (5, 50))
    print(f"\n{report.network_header()}", flush=True)
    for mode in ("train", "infer"):
        for batch in (2,) if options.quick else (1, 16, 128):
            engines = ["cpu", *(torch_side.LAYOUTS if torch else ())]
            if batch <= 16:                     # at 128 the textbook kernels take minutes and 10 GB
                engines.insert(0, "reference")
            jobs = [network.Job(engine, mode, batch, options.threads, shape) for engine in engines]
            results["network"].append(network.measure(jobs, seconds, rounds))
            print(report.network_line(results["network"][-1]), flush=True)


def _shape(options: argparse.Namespace) -> network.Network:
    from models.networks.build import FAMILY
    design = FAMILY[options.network]
    small = network.Network(10, 67, 1 / 32, options.network)
    return small if options.quick else network.Network(design.num_classes, design.image_size, name=options.network)


def _engines(options: argparse.Namespace, torch: Any, results: dict[str, Any]) -> int:
    """A training step at batch 16, where the slowest engine takes seconds."""
    others = other_engines.installed()
    if not others:
        print(f"python -m benchmarks: {other_engines.MISSING}", file=sys.stderr)
        return 1
    batch, rounds = (2, (1, 3)) if options.quick else (16, (5, 20))
    engines = ["cpu", *others, *(torch_side.LAYOUTS if torch else ())]
    jobs = [network.Job(engine, "train", batch, options.threads, _shape(options)) for engine in engines]
    row = network.measure(jobs, options.seconds, rounds)
    results["network"].append(row)
    print(report.engines_table(row))
    return 0


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", formatter_class=argparse.RawDescriptionHelpFormatter,
                                     description="Time the kernels and the network, checked against the textbook kernels first; or packing "
                                     "and reading pictures.", epilog=EXAMPLES)
    parser.add_argument("what", choices=["cpu", "engines", "gpu", "data"], help="what to time")
    parser.add_argument("--data", metavar="FOLDER", help="data: a folder CLASS/PICTURE to pack (default: drawn pictures)")
    parser.add_argument("--quick", action="store_true", help="tiny layers and a tiny network, in seconds: does everything run?")
    parser.add_argument("--network", choices=["alexnet", "alexnet-paper", "cifar10-18pct"], default="alexnet",
                        help="cpu: which one (default %(default)s)")
    parser.add_argument("--only", choices=["kernels", "network"], help="half of it")
    parser.add_argument("--batch", type=_positive, metavar="N", help="images a batch, for the kernels (default 128)")
    parser.add_argument("--threads", type=_positive, metavar="N", default=get_num_threads(), help="default: this machine's, %(default)s")
    parser.add_argument("--seconds", type=float, metavar="S", default=2.0, help="spent on each figure, about (default %(default)s)")
    parser.add_argument("--json", type=_in_a_folder, metavar="FILE", help="write every figure")
    parser.add_argument("--png", type=_in_a_folder, metavar="FILE", help="draw the ratios to PyTorch")
    options = parser.parse_args(argv)
    options.batch = options.batch or (4 if options.quick else 128)
    meant_for = {"data": {"data"}, "only": {"cpu", "gpu"}, "png": {"cpu", "gpu"}, "network": {"cpu"}}
    for name, kinds in meant_for.items():
        if getattr(options, name) != parser.get_default(name) and options.what not in kinds:
            parser.error(f"--{name} says nothing to `{options.what}`")
    if options.png and find_spec("matplotlib") is None:
        parser.error(report.HELP_PLOT)
    return options


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an integer >= 1, not {text!r}")
    return int(text)


def _in_a_folder(text: str) -> Path:
    """A file that can be written at the end, checked at the beginning."""
    path = Path(text)
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"must be a file in a folder that can be written to, not {text!r}")
    return path


if __name__ == "__main__":
    sys.exit(main())
