"""A stand-in for CuPy's RawModule that runs on NumPy arrays."""
import ctypes
import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from unittest import mock

import numpy as np

from minitensor.kernels import kernel_set
from minitensor.kernels.cuda import launcher

from .build import build, runtime

POISON = 0xff
seeds = itertools.count(1)      # every launch orders its threads in another way, alike on every run


class EmulationError(RuntimeError):
    """A kernel did what it must not do."""


class Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("bytes", ctypes.c_size_t), ("align", ctypes.c_int),
                ("written", ctypes.c_int), ("inside", ctypes.c_void_p)]


class Region(NamedTuple):
    """Memory that one or more arrays of a launch share: [start, stop), and which arguments lie in
    it."""
    start: int
    stop: int
    arguments: tuple[int, ...]


class EmulatedModule:
    device = "cpu"

    def __init__(self, source: str, options: tuple[str, ...]):
        self.library = build(source, options)
        self.source, self.options = source, options
        self.vectors = "__align__" in source
        self.shared = tuple(self.library.emulated_shared(end) for end in (False, True))

    def get_function(self, name: str) -> "EmulatedKernel":
        return EmulatedKernel(self, name, launcher.parameters_of(self.source, name, self.options))


class EmulatedKernel:
    """Called as CuPy's kernels are. Raises EmulationError."""
    def __init__(self, module: EmulatedModule, name: str,
                 parameters: tuple[launcher.KernelParameter, ...]):
        self.module, self.name, self.parameters = module, name, parameters
        self.entry = getattr(module.library, f"emulated_{name}")

    def __call__(self, grid, block, values):
        self._check_limits(grid, block)
        arrays = [(i, v) for i, (p, v) in enumerate(zip(self.parameters, values))
                  if p.pointer and isinstance(v, np.ndarray)]
        regions = self._regions(arrays)
        places = (ctypes.c_int * len(values))(*[-1] * len(values))
        offsets = (ctypes.c_size_t * len(values))()
        for number, region in enumerate(regions):
            for i in region.arguments:
                places[i], offsets[i] = number, values[i].ctypes.data - region.start
        start, stop = self.module.shared
        error = runtime().emulator_launch(
            self.entry, _addresses(values), (ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block),
            self._buffers(regions), ctypes.c_size_t(len(regions)), places,
            ctypes.c_size_t(len(values)), offsets, ctypes.c_void_p(start),
            ctypes.c_size_t(stop - start), ctypes.c_uint64(next(seeds)))
        if error:
            raise EmulationError(self._named(error.decode(), regions))

    def _check_limits(self, grid, block):
        """What CUDA refuses."""
        too_large = (np.prod(block) > 1024 or block[2] > 64
                     or grid[0] >= 2**31 or max(grid[1:]) >= 2**16)
        if too_large or min(*grid, *block) < 1:
            raise EmulationError(f"no GPU runs {grid} blocks of {block} threads")

    def _regions(self, arrays) -> list[Region]:
        """The arrays, those that overlap together. An overlap that the kernel writes to must not be
        declared __restrict__."""
        regions: list[Region] = []
        for i, array in sorted(arrays, key=lambda pair: pair[1].ctypes.data):
            start = array.ctypes.data
            if regions and array.nbytes and start < regions[-1].stop:
                before = regions.pop()
                stop = max(before.stop, start + array.nbytes)
                regions.append(Region(before.start, stop, (*before.arguments, i)))
                together = [self.parameters[j] for j in regions[-1].arguments]
                if any(p.restrict for p in together) and not all(p.const for p in together):
                    names = " and ".join(p.name for p in together)
                    raise EmulationError(f"{self.name}: {names} overlap in spite of __restrict__")
            else:
                regions.append(Region(start, start + array.nbytes, (i,)))
        return regions

    def _buffers(self, regions: list[Region]):
        buffers = (Buffer * len(regions))()
        for buffer, (start, stop, arguments) in zip(buffers, regions):
            parameters = [self.parameters[i] for i in arguments]
            sizes = [p.dtype.itemsize for p in parameters if p.dtype is not None]
            align = 16 if self.module.vectors else max(sizes, default=1)
            buffer.data, buffer.bytes, buffer.align = start, stop - start, align
            buffer.written = not all(p.const for p in parameters)
        return buffers

    def _named(self, error: str, regions: list[Region]) -> str:
        def names(match):
            return " and ".join(self.parameters[i].name for i in regions[int(match[1])].arguments)
        return f"{self.name}: " + re.sub(r"buffer (\d+)", names, error)


def _addresses(values):
    """Where the driver finds each value: a number or a struct here, an array where the runtime puts
    it in."""
    kept = [np.asarray(v) for v in values]
    addresses = (ctypes.c_void_p * len(values))(*[v.ctypes.data for v in kept])
    addresses.kept = kept                               # as long as the addresses live
    return addresses


@contextmanager
def plugged_in() -> Iterator[None]:
    """The launcher compiles for the emulator, and the CUDA set runs on the CPU's arrays. Memory
    that numpy.empty hands out is NaN, so an output that nobody writes shows."""
    launcher.forget_modules()
    with mock.patch.object(launcher, "compile_module", _module), \
            mock.patch.object(kernel_set("cuda"), "devices", ("cpu",)), \
            mock.patch.multiple(np, empty=_poisoned(np.empty), empty_like=_poisoned(np.empty_like)):
        yield
    launcher.forget_modules()


_modules: dict[tuple, EmulatedModule] = {}


def _module(source: str, options: tuple[str, ...]) -> EmulatedModule:
    if (source, options) not in _modules:
        _modules[source, options] = EmulatedModule(source, options)
    return _modules[source, options]


def _poisoned(new):
    def empty(*args, **options):
        array = new(*args, **options)
        if array.dtype != object and array.itemsize:
            array.view()[...] = np.frombuffer(bytes([POISON]) * array.itemsize, array.dtype)[0]
        return array
    return empty
