"""Compile a .cu file's text, as it is, into a shared library; again only when something changed."""
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

from minitensor.kernels.cuda.launcher import kernels_in

HERE = Path(__file__).parent
HEADER, RUNTIME = HERE / "cuda_emulator.h", HERE / "runtime.cpp"
# Traps: an index outside of an array of known size, shared memory included, and an address that its
# type does not allow.
TRAPS = ("-fsanitize=bounds,alignment", "-fsanitize-undefined-trap-on-error")
# Fortified longjmp refuses to change stacks; a library's template statics must stay its own;
# kernels reinterpret arrays as vectors.
FLAGS = ("-std=gnu++20", "-O3", "-march=native", "-fPIC", "-shared", "-U_FORTIFY_SOURCE",
         "-fno-gnu-unique", "-fvisibility=hidden", "-fno-strict-aliasing", "-fno-ipa-reference",
         "-w")


def problem() -> str | None:
    """Why kernels cannot be emulated here, or None."""
    if platform.system() != "Linux":
        return "emulating CUDA needs Linux"
    return None if shutil.which("g++") else "emulating CUDA needs g++, which is not installed"


def cache_folder() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "minitensor" / "emulator"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@functools.cache
def _machine() -> str:
    """What g++ and this processor make of -march=native."""
    command = ["g++", "-march=native", "-Q", "--help=target", "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _compiled(name: str, text: str, *flags: str) -> Path:
    """The library of a C++ text, named after everything that it depends on. Raises SyntaxError with
    the compiler's words."""
    everything = "\0".join((text, HEADER.read_text(), _machine(), *FLAGS, *flags))
    key = hashlib.sha256(everything.encode()).hexdigest()[:24]
    library = cache_folder() / f"{name}-{key}.so"
    if not library.exists():
        unfinished = library.with_suffix(f".{os.getpid()}")
        command = ["g++", *FLAGS, f"-I{HERE}", "-x", "c++", "-", "-x", "none", *flags,
                   "-o", str(unfinished)]
        result = subprocess.run(command, input=text, capture_output=True, text=True)
        if result.returncode:
            raise SyntaxError(result.stderr[:4000])
        os.replace(unfinished, library)
    return library


@functools.cache
def runtime() -> ctypes.CDLL:
    library = ctypes.PyDLL(str(_runtime_path()))            # holds the GIL: one launch at a time
    library.emulator_launch.restype = ctypes.c_char_p
    return library


@functools.cache
def _runtime_path() -> Path:
    return _compiled("runtime", RUNTIME.read_text(), "-fvisibility=default")


ENTRY = """extern "C" __attribute__((visibility("default")))
void emulated_{0}(void **values) {{ emulator::call({0}, values); }}
"""
SHARED_MEMORY = """extern char __bss_start[] __attribute__((visibility("hidden")));
extern char _end[] __attribute__((visibility("hidden")));
extern "C" __attribute__((visibility("default")))
char *emulated_shared(bool end) { return end ? _end : __bss_start; }
"""


def build(source: str, options: tuple[str, ...]) -> ctypes.CDLL:
    """The library of a source: for every kernel a function emulated_NAME(values), and
    emulated_shared, where its shared memory lies."""
    runtime()
    entries = "".join(ENTRY.format(name) for name in kernels_in(source))
    text = f'#include "cuda_emulator.h"\n{source}\n{entries}{SHARED_MEMORY}'
    defines = [option for option in options if option.startswith("-D")]
    library = ctypes.CDLL(str(_compiled("kernels", text, *TRAPS, *defines, str(_runtime_path()))))
    library.emulated_shared.restype = ctypes.c_void_p
    return library
