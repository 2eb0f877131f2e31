"""`python -m benchmarks gpu-report`: everything that only a GPU can prove, in one command.

What came out lies in a folder. Each part has a time limit and runs whatever became of the others;
report.md is written after every part. Nothing is downloaded.
"""
from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from minitensor.backend import gpu_problem
from minitensor.command_line import Parser
from minitensor.files import written_whole

TAIL = 25               # lines of a part's output in the report


class Part(NamedTuple):
    """command: its words, {out} being the report's folder.

    needs: a program without which it cannot run
    """
    name: str
    minutes: float
    proves: str
    command: tuple[str, ...]
    needs: str = ""


PYTHON = sys.executable
BENCHMARKS_GPU = PYTHON, "-m", "benchmarks", "gpu"
SANITIZER, EVERY_KERNEL = "compute-sanitizer", (PYTHON, "-m", "benchmarks.every_kernel")
PARTS = (
    Part("machine", 0.5, "which GPU, driver and packages", ("nvidia-smi",), "nvidia-smi"),
    Part("smoke", 2, "every kernel compiles for this GPU and agrees with the textbook; small "
         "benchmarks run", (*BENCHMARKS_GPU, "--quick", "--only", "kernels")),
    Part("gradcheck", 2, "every gradient in float64, textbook and CUDA kernels",
         (PYTHON, "-m", "minitensor.gradcheck", "--device", "cuda", "--quick")),
    Part("tests", 7, "all op tests on the device, 20 training steps as on the CPU, no leak in "
         "1,000 steps, out of memory, graphs, uploads",
         (PYTHON, "-m", "pytest", "-m", "gpu", "-q", "-rfE", "--tb=short", "-p",
          "no:cacheprovider")),
    Part("sanitizer", 2.5, "no kernel reads or writes outside its arrays",
         (SANITIZER, "--tool", "memcheck", "--error-exitcode", "9", *EVERY_KERNEL), SANITIZER),
    Part("races", 2, "no kernel's threads race in shared memory",
         (SANITIZER, "--tool", "racecheck", "--error-exitcode", "9", *EVERY_KERNEL), SANITIZER),
    Part("kernels", 4, "every layer beside its floor, the textbook kernels and PyTorch",
         (*BENCHMARKS_GPU, "--only", "kernels", "--json", "{out}/kernels.json", "--png",
          "{out}/kernels.png")),
    Part("network", 8, "training and inference at batch 1, 16, 128, 512 in fp32, TF32, bf16, "
         "beside PyTorch's best",
         (*BENCHMARKS_GPU, "--only", "network", "--json", "{out}/network.json", "--png",
          "{out}/network.png")),
    Part("demo", 1.5, "the command line trains on the GPU",
         (PYTHON, "-m", "models", "train", "--recipe", "demo", "--device", "cuda", "--out",
          "{out}/demo")),
)


def main(argv: list[str]) -> int:
    """Run the parts; returns 0 if every one passed, 1 otherwise."""
    options = _parse(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    problem = gpu_problem()
    results: list[str] = []
    failed = 0
    with open(options.out / "log.txt", "a") as log:
        for part in (part for part in PARTS if part.name in options.parts):
            print(f"{part.name}: {part.proves} (at most {part.minutes:g} min) ... ", end="",
                  flush=True)
            began = time.monotonic()
            status, output = run(part, options.out, problem)
            seconds = time.monotonic() - began
            print(f"{status} ({seconds:.0f} s)", flush=True)
            log.write(f"===== {part.name}: {status}\n{output}\n")
            log.flush()
            failed += status != "passed"
            results.append(f"## {part.name}: {status}, {seconds:.0f} s\n\n{part.proves}\n\n"
                           f"```\n{_tail(output)}\n```\n")
            _write(options.out / "report.md", results, failed)
    passed = len(results) - failed
    print(f"{options.out / 'report.md'}: {passed} of {len(results)} parts passed")
    return int(failed > 0)


def run(part: Part, out: Path, problem: str | None) -> tuple[str, str]:
    """("passed", "FAILED: why" or "COULD NOT RUN: why"; what the part printed)."""
    if part.needs and shutil.which(part.needs) is None:
        return f"COULD NOT RUN: {part.needs} is not installed", ""
    if problem and not part.needs:
        return f"COULD NOT RUN: {problem}", ""
    command = [word.format(out=out) for word in part.command]
    path = os.pathsep.join(filter(None, (os.getcwd(), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
    # A file, not a pipe: what was printed until a time limit is kept, and grandchildren cannot
    # hold the end of a pipe open.
    with open(out / "part.txt", "w+", errors="replace") as printed:
        try:
            code = subprocess.run(command, stdout=printed, stderr=subprocess.STDOUT,
                                  stdin=subprocess.DEVNULL, env=environment,
                                  timeout=60 * part.minutes).returncode
            status = "passed" if code == 0 else f"FAILED: exit status {code}"
        except subprocess.TimeoutExpired:
            status = f"FAILED: stopped after {part.minutes:g} minutes"
        except OSError as error:
            status = f"COULD NOT RUN: {error}"
        printed.seek(0)
        output = printed.read()
    (out / "part.txt").unlink()
    return status, output


def _tail(output: str) -> str:
    return "\n".join(output.rstrip().splitlines()[-TAIL:])


def _write(path: Path, results: list[str], failed: int) -> None:
    passed = len(results) - failed
    with written_whole(path) as partial:
        partial.write_text(f"# minitensor on a GPU: {passed} of {len(results)} parts passed\n\n"
                           + "\n".join(results))


def _parse(argv: list[str]) -> argparse.Namespace:
    table = "\n".join(f"  {part.name:10} {part.minutes:4g} min  {part.proves}" for part in PARTS)
    parser = Parser(
        prog="python -m benchmarks gpu-report", epilog=f"parts:\n{table}",
        description="Prove and measure on a GPU all that cannot be without one; writes report.md "
        "and log.txt.")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR",
                        help="where the report goes")
    names = [part.name for part in PARTS]
    parser.add_argument("--parts", nargs="+", choices=names, default=names, metavar="PART",
                        help="only these")
    return parser.parse_args(argv)
