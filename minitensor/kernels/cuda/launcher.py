"""The one way from Python to a CUDA kernel: compile once, check every argument, cast, launch, and
name what failed.

A kernel is an `extern "C" __global__` function in `minitensor/kernels/cuda/src/*.cu`, where REAL is
the dtype of the call. CuPy checks nothing and passes a Python int as `long long` whatever the
kernel expects, so the launcher reads the kernel's parameters from the source: pointers, numbers,
and structs of numbers, which travel by value.

The first lines of a file state what it is compiled for, one combination a line, and nothing else
can be launched:

    // variant: float32 -DPRECISION=FULL
    // variant: float32 -DPRECISION=TF32
"""
from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...backend import Array, device_of
from . import tuning

FOLDER = Path(__file__).parent / "src"
REAL = {"float32": "float", "float64": "double"}
# Of an array: kernels index with an int, and the last block's threads go on a little past the end.
MOST_NUMBERS = 2**31 - 2**12
TYPES = {
    "float": np.float32, "double": np.float64, "bool": np.bool_,
    "int": np.int32, "int32_t": np.int32, "long long": np.int64, "int64_t": np.int64,
    "unsigned": np.uint32, "unsigned int": np.uint32, "uint32_t": np.uint32,
    "unsigned long long": np.uint64, "uint64_t": np.uint64,
    "unsigned char": np.uint8, "uint8_t": np.uint8, "signed char": np.int8,
    "unsigned short": np.uint16, "uint16_t": np.uint16, "short": np.int16,
}


class Variant(NamedTuple):
    """One combination that a file is compiled for."""
    dtype: str
    options: tuple[str, ...]


class KernelParameter(NamedTuple):
    """One parameter of a kernel."""
    name: str
    dtype: Any          # of the value, with fields for a struct, or of what the pointer points to
    pointer: bool
    const: bool         # for the emulator, which watches what a kernel writes to
    restrict: bool      # for the emulator, which watches what overlaps


class Kernel(NamedTuple):
    """A compiled kernel and what it expects; device tells where its arrays live."""
    function: Any
    parameters: tuple[KernelParameter, ...]
    device: str


def launch(file: str, kernel: str, args: Sequence, *, dtype: Any, items: int | None = None,
           grid: int | tuple[int, ...] | None = None,
           threads: int | tuple[int, ...] = tuning.THREADS, options: tuple[str, ...] = ()) -> None:
    """Run a kernel of file on blocks of threads: `grid` of them, or as many as `items` threads
    need. No block at all is no launch.

    args     in the order of the kernel's parameters: arrays in C order, None (a null pointer),
             Python or NumPy numbers, and for a struct a NamedTuple with the same fields
    dtype    float32 or float64: the kernel's REAL
    options  for the compiler, as on a variant line of the file

    Raises TypeError or ValueError for an argument that does not fit, RuntimeError when compiling or
    launching fails.
    """
    if grid is None:
        assert items is not None
        grid = -(-items // _count(threads))
    blocks = _triple(grid)
    if not all(blocks):
        return
    compiled = _kernel(file, kernel, np.dtype(dtype).name, options)
    try:
        compiled.function(blocks, _triple(threads), _checked(compiled, args))
    except (TypeError, ValueError, OverflowError) as error:
        raise type(error)(f"{kernel} ({file}): {error}") from None
    except Exception as error:
        raise RuntimeError(f"CUDA kernel {kernel} ({file}) failed on {blocks} blocks of {threads} "
                           f"threads, arguments {_described(compiled, args)}: {error}") from error


def _triple(size: int | tuple[int, ...]) -> tuple[int, ...]:
    return (size, 1, 1) if isinstance(size, int) else size + (1,) * (3 - len(size))


def _count(threads: int | tuple[int, ...]) -> int:
    return threads if isinstance(threads, int) else int(np.prod(threads))


# ---- arguments -----------------------------------------------------------------------------------

def _checked(kernel: Kernel, args: Sequence) -> tuple:
    """args as the driver takes them: arrays as they are, numbers in the type of their parameter."""
    if len(args) != len(kernel.parameters):
        raise TypeError(f"takes {len(kernel.parameters)} arguments {_names(kernel)}, "
                        f"not {len(args)}")
    return tuple(_pointer(parameter, value, kernel.device) if parameter.pointer
                 else _struct(parameter, value) if parameter.dtype.names
                 else _number(parameter, value)
                 for parameter, value in zip(kernel.parameters, args))


def _number(parameter: KernelParameter, value: Any) -> np.generic:
    if hasattr(value, "ndim") and value.ndim:
        raise TypeError(f"{parameter.name} must be a number, not an array {value.shape}")
    return parameter.dtype.type(value)


def _struct(parameter: KernelParameter, value: Any) -> np.ndarray:
    """An array of shape (), because CuPy passes NumPy's arrays of size one by value."""
    fields = parameter.dtype.names
    if getattr(value, "_fields", None) != fields:
        raise TypeError(f"{parameter.name} must be a NamedTuple of {', '.join(fields)}, "
                        f"not {value!r}")
    return np.array(tuple(value), parameter.dtype)


def _pointer(parameter: KernelParameter, value: Array | None, device: str) -> Any:
    if value is None:
        return np.uintp(0)
    _check_array(parameter, value, device)
    return value


def _check_array(parameter: KernelParameter, array: Array, device: str) -> None:
    if not hasattr(array, "strides"):
        raise TypeError(f"{parameter.name} must be an array or None, not {array!r}")
    name = f"{parameter.name} {array.shape}"
    if device_of(array) != device:
        raise ValueError(f"{name} lives on device {device_of(array)!r}, not {device!r}")
    if parameter.dtype is not None and array.dtype != parameter.dtype:
        raise TypeError(f"{name} must be {parameter.dtype}, not {array.dtype}")
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} with strides {array.strides} must be in C order")
    if array.size > MOST_NUMBERS:
        raise ValueError(f"{name} has {array.size:,} numbers, and a kernel takes "
                         f"{MOST_NUMBERS:,}: use smaller batches")


def _names(kernel: Kernel) -> str:
    return "(" + ", ".join(p.name for p in kernel.parameters) + ")"


def _described(kernel: Kernel, args: Sequence) -> str:
    """x (2, 3, 4) float32, n 24, …"""
    return ", ".join(f"{p.name} {a.shape} {a.dtype}" if hasattr(a, "strides") else f"{p.name} {a}"
                     for p, a in zip(kernel.parameters, args))


def scalar_or_pointer(value: Any) -> tuple[Any, Array | None]:
    """Two arguments for a kernel that takes either: (a number, None), or (0, the array () that
    holds it). A CUDA graph repeats its kernels' arguments, but reads memory anew."""
    return (0, value) if hasattr(value, "__setitem__") else (value, None)


# ---- compiling -----------------------------------------------------------------------------------

@cache
def _kernel(file: str, kernel: str, dtype: str, options: tuple[str, ...]) -> Kernel:
    source, defines = source_of(file), compiler_options(file, dtype, options)
    parameters = parameters_of(source, kernel, defines)
    module = _module(file, dtype, options)
    return Kernel(module.get_function(kernel), parameters, device_of_module(module))


@cache
def _module(file: str, dtype: str, options: tuple[str, ...]) -> Any:
    try:
        return compile_module(source_of(file), compiler_options(file, dtype, options))
    except ImportError:
        raise
    except Exception as error:
        raise RuntimeError(f"{file} does not compile for {dtype} with options {options}: "
                           f"{error}") from error


def compiler_options(file: str, dtype: str, options: tuple[str, ...] = ()) -> tuple[str, ...]:
    """All options of one variant. Raises ValueError for a combination that file does not state."""
    if Variant(dtype, options) not in variants(file):
        raise ValueError(f"{file} states no variant: {' '.join((dtype, *options))}")
    return ("-std=c++17", f"-DREAL={REAL[dtype]}", *options)


@cache
def variants(file: str) -> tuple[Variant, ...]:
    """The combinations that file states it is compiled for."""
    lines = re.findall(r"^// variant: (.*)$", (FOLDER / file).read_text(), re.MULTILINE)
    return tuple(Variant(words[0], tuple(words[1:])) for words in map(str.split, lines))


@cache
def source_of(file: str) -> str:
    """The text of file with each of its own headers in the place of its first #include: CuPy's
    cache does not look into those."""
    return "\n".join(_inlined(file, set()))


def _inlined(file: str, seen: set[str]) -> list[str]:
    seen.add(file)
    lines = [f'#line 1 "{file}"']
    for number, line in enumerate((FOLDER / file).read_text().splitlines(), 1):
        header = re.fullmatch(r'\s*#include\s+"(.+)"\s*', line)
        if header:
            inside = _inlined(header[1], seen) if header[1] not in seen else []
            lines += [*inside, f'#line {number + 1} "{file}"']
        elif line.strip() != "#pragma once":
            lines.append(line)
        else:
            lines.append("")
    return lines


# ---- for the emulator: what a test puts in the place of CuPy's modules ---------------------------

def compile_module(source: str, options: tuple[str, ...]) -> Any:
    """CuPy's module of a source: `get_function(name)` gives a kernel."""
    import cupy
    module = cupy.RawModule(code=source, options=options)
    module.compile()                # which CuPy puts off, but its error belongs here
    return module


def device_of_module(module: Any) -> str:
    """Where the arrays of a module's kernels live: an emulated one has a device."""
    return getattr(module, "device", "cuda")


def forget_modules() -> None:
    """Compile again from now on: for whoever replaces `compile_module`."""
    for remembered in (_kernel, _module):
        remembered.cache_clear()


# ---- what a source says about its kernels --------------------------------------------------------

KERNEL = re.compile(r'extern\s+"C"\s+__global__\s+void\s+'
                    r'(?:__launch_bounds__\s*\([^)]*\)\s+)?(\w+)\s*\(([^)]*)\)')
STRUCT = re.compile(r"struct\s+(\w+)\s*\{([^{}()]*)\}\s*;")     # of plain numbers


def kernels_in(source: str) -> list[str]:
    """Names of the kernels that source defines."""
    return [name for name, _ in KERNEL.findall(_without_comments(source))]


def parameters_of(source: str, kernel: str,
                  options: tuple[str, ...]) -> tuple[KernelParameter, ...]:
    """The parameters of a kernel. Raises ValueError where source has no such kernel, or a type is
    not understood."""
    text = _without_comments(source)
    aliases = {name: kind for kind, name in re.findall(r"typedef\s+([\w ]+?)\s+(\w+);", text)}
    aliases |= dict(re.findall(r"using\s+(\w+)\s*=\s*([\w ]+?)\s*;", text))
    aliases |= dict(option[2:].split("=", 1) for option in options
                    if option.startswith("-D") and "=" in option)
    structs = dict(STRUCT.findall(text))
    lists = [parameters for name, parameters in KERNEL.findall(text) if name == kernel]
    if not lists:
        raise ValueError(f"no kernel {kernel!r}; there are {', '.join(kernels_in(source))}")
    return tuple(_parameter(text, aliases, structs)
                 for text in lists[0].split(",") if text.strip())


def _parameter(text: str, aliases: dict[str, str], structs: dict[str, str]) -> KernelParameter:
    *words, name = re.findall(r"\w+|\*", text)
    kind = " ".join(w for w in words if w not in ("const", "__restrict__", "*"))
    pointer = "*" in words
    dtype = _dtype(kind, aliases, {} if pointer else structs)
    if dtype is None and not pointer:
        raise ValueError(f"parameter {name!r} has the unknown type {kind!r}")
    return KernelParameter(name, dtype, pointer, "const" in words, "__restrict__" in words)


def _dtype(kind: str, aliases: dict[str, str], structs: dict[str, str]) -> np.dtype | None:
    """The dtype of a C++ type, of a struct with its fields where C++ puts them; None if unknown."""
    while kind in aliases:
        kind = aliases[kind]
    if kind in TYPES:
        return np.dtype(TYPES[kind])
    if kind not in structs:
        return None
    fields: list[tuple[str, Any]] = []
    for line in structs[kind].split(";"):
        if line.strip():
            first, *others = line.split(",")
            *words, name = first.split()
            of_field = _dtype(" ".join(words), aliases, structs)
            if of_field is None:
                return None
            fields += [(other.strip(), of_field) for other in (name, *others)]
    return np.dtype(fields, align=True)


def _without_comments(source: str) -> str:
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", source, flags=re.DOTALL)
