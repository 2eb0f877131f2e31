"""`python -m minitensor.gradcheck`: proves every gradient by finite differences, as a table."""
from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ..backend import DEVICES, gpu_problem, to_device
from ..command_line import Parser
from ..kernels import SETS, KernelSet, kernel_set, use_kernels
from ..tensor import Tensor
from . import GradientError, gradcheck
from .cases import Case, op_cases
from .family import HEIRS, alexnet, heir, resnet18
from .networks import Network, miniature

EXAMPLES = """examples:
  python -m minitensor.gradcheck                everything, on every kernel set of the CPU
  python -m minitensor.gradcheck --op conv2d    one op
  python -m minitensor.gradcheck --op alexnet   the full network: 62,378,344 parameters at 227 x 227
  python -m minitensor.gradcheck --op resnet18  the same of 11,689,512 parameters
  python -m minitensor.gradcheck --quick        all but these two
  python -m minitensor.gradcheck --quick --kernels my_kernels.py        kernels of your own"""

FULL: dict[str, Callable[[], Network]] = {"resnet18": resnet18, "alexnet": alexnet}
NETWORKS: dict[str, Callable[[], Network]] = {
    "miniature": miniature, **{name: partial(heir, name) for name in HEIRS}, **FULL}


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; returns the exit status, 0 when every check passed and there was one."""
    options = _options(arguments)
    table, start = Table(), time.perf_counter()
    for op, kernels, check in _everything(options):
        with use_kernels(kernels):
            table.add(op, os.path.basename(kernels.name), check)
    print(f"\n{table.passed} passed, {table.failed} failed, {time.perf_counter() - start:.0f} s")
    return int(table.failed > 0 or table.passed == 0)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser("python -m minitensor.gradcheck", description=__doc__, epilog=EXAMPLES)
    names = list(dict.fromkeys([*(case.op for case in op_cases()), *NETWORKS]))
    parser.add_argument("--device", choices=DEVICES, default="cpu")
    parser.add_argument("--kernels",
                        metavar="SET",
                        help="'reference', the device's own (default: both), or your .py file")
    parser.add_argument("--op", metavar="NAME", choices=names,
                        help=f"only this one of: {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="leave out the full networks")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and (problem := gpu_problem()):
        parser.exit(2, f"{parser.prog}: {problem}\n")
    chosen = [options.kernels] if options.kernels else list(SETS[options.device])
    if not chosen[0].endswith(".py") and chosen[0] not in SETS[options.device]:
        there = " and ".join(map(repr, SETS[options.device]))
        parser.error(f"argument --kernels: device {options.device!r} has {there}, "
                     f"not {options.kernels!r}")
    try:
        options.sets = list(map(kernel_set, chosen))
    except ValueError as error:
        parser.error(f"argument --kernels: {error}")
    return options


Report = Callable[[str, float], None]  # is told every case and its worst relative error


def _everything(
        options: argparse.Namespace) -> Iterator[tuple[str, KernelSet, Callable[[Report], None]]]:
    """(op, kernel set, check); check(report), run in that kernel set, raises GradientError."""
    for case in op_cases():
        if options.op in (None, case.op):
            check = partial(_check_case, case, options.device)
            yield from ((case.op, kernels, check) for kernels in options.sets)
    for name, build in NETWORKS.items():
        if options.op == name or options.op is None and not (options.quick and name in FULL):
            try:
                network = build()
            except ImportError as error:
                print(f"{name}: skipped, {error}")
                continue
            check = partial(_check_network, network, options.device)
            yield from ((name, kernels, check) for kernels in options.sets)


def _check_case(case: Case, device: str, report: Report) -> None:
    inputs = [Tensor(to_device(array, device), requires_grad=True) for array in case.arrays]
    report(case.name, gradcheck(case.function, inputs))


def _check_network(network: Network, device: str, report: Report) -> None:
    inputs, names = network.prepare(device)
    titles = [f"{name} {' x '.join(map(str, x.shape))}" for name, x in zip(names, inputs)]
    each = (lambda name, error: None) if network.is_one_row else report
    worst = gradcheck(network.forward, inputs, names=titles, report=each, **network.options)
    if network.is_one_row:
        report(f"{network.module.num_parameters():,} parameters and the input", worst)


class Table:
    """Prints a row per check as soon as it is done, and counts them."""

    def __init__(self) -> None:
        self.passed = self.failed = 0
        self._print("op", "case", "kernels", "worst error", "")

    def add(self, op: str, kernels: str, check: Callable[[Report], None]) -> None:
        """Runs check; a GradientError, or any other exception, is a row that fails."""
        def report(case: str, error: float) -> None:
            self._print(op, case, kernels, f"{error:.1e}", "pass")
            self.passed += 1

        try:
            check(report)
        except Exception as error:      # a kernel that raises fails too, and the rest goes on
            reason = "" if isinstance(error, GradientError) else f"{type(error).__name__}: "
            self._print(op, "", kernels, "", f"FAIL\n    {reason}{error}")
            self.failed += 1

    @staticmethod
    def _print(op: str, case: str, kernels: str, error: str, verdict: str) -> None:
        print(f"{op:<20} {case:<36} {kernels:<10} {error:>11}  {verdict}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
