"""Registers, shared memory and spills of every kernel, from what the assembler says of it;
remembered between runs."""
import hashlib
import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from minitensor.kernels.cuda import launcher
from minitensor.kernels.cuda.launcher import Variant

from . import nvrtc

ARCHITECTURES = ("sm_70", "sm_80", "sm_90")     # Volta, Ampere, Hopper
AS_CUPY = ("-ftz=true",)                        # what CuPy adds


class Build(NamedTuple):
    """One compilation."""
    file: str
    variant: Variant
    architecture: str

    def __str__(self) -> str:
        return " ".join((self.file, self.variant.dtype, *self.variant.options, self.architecture))


class Usage(NamedTuple):
    """What a thread, or for shared memory a block, of one kernel takes. In bytes, but for the
    registers, of 32 bits."""
    kernel: str
    registers: int
    shared: int
    stack: int
    spilled: int


def all_builds() -> list[Build]:
    """Every file and variant that the launcher can be asked for, on every architecture."""
    return [Build(file.name, variant, architecture) for file in sorted(launcher.FOLDER.glob("*.cu"))
            for variant in launcher.variants(file.name) for architecture in ARCHITECTURES]


def usages(builds: list[Build]) -> Iterator[tuple[Build, list[Usage] | SyntaxError]]:
    """Each build with its kernels, or with the compiler's error; two compile at a time."""
    with ThreadPoolExecutor(2) as pool:
        yield from zip(builds, pool.map(_usage, builds))


def _usage(build: Build) -> list[Usage] | SyntaxError:
    try:
        return parsed(_log(build))
    except SyntaxError as error:
        return error


def _log(build: Build) -> str:
    source = launcher.source_of(build.file)
    options = launcher.compiler_options(build.file, *build.variant) + AS_CUPY
    compiler = nvrtc.version(nvrtc.compiler_for(build.architecture))
    key = json.dumps([source, options, build.architecture, compiler])
    remembered = _cache_folder() / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.log"
    if not remembered.exists():
        unfinished = remembered.with_suffix(f".{os.getpid()}")
        unfinished.write_text(nvrtc.compiled(source, options, build.architecture))
        os.replace(unfinished, remembered)
    return remembered.read_text()


def _cache_folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "minitensor" / "cubins"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def parsed(log: str) -> list[Usage]:
    """The kernels of a log of ptxas -v."""
    kernels = []
    for part in re.split(r"Compiling entry function ", log)[1:]:
        name = re.match(r"'(\w+)'", part)
        frames = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, "
                            r"(\d+) bytes spill loads", part)
        used = re.search(r"Used (\d+) registers[^\n]*", part)
        if not (name and frames and used):
            raise ValueError(f"cannot read what ptxas says: {part}")
        shared = re.search(r"(\d+) bytes smem", used[0])
        stack = max(int(stack) for stack, _, _ in frames)
        spilled = sum(int(stores) + int(loads) for _, stores, loads in frames)
        of_block = int(shared[1]) if shared else 0
        kernels.append(Usage(name[1], int(used[1]), of_block, stack, spilled))
    return sorted(kernels)
