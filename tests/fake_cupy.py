"""A stand-in for CuPy on machines without a GPU: NumPy inside, CuPy's rules outside. It proves how
the engine handles a device's arrays:

- they are no NumPy arrays, and nothing converts one into the other unasked;
- a stream that captures computes nothing it may wait for, and replays the same functions on the
  same memory with the same numbers.

Everything happens at once and in order, so it proves nothing about streams that overlap, nor about
any kernel written in CUDA.
"""
import operator
import sys
import time
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

_tape = None        # while a stream captures: a Tape


class Tape:
    """What a stream captured; calls are (function, arguments, keywords, result). Capturing changes
    nothing, so `before` is restored."""

    def __init__(self):
        self.calls, self.before = [], []

    def will_change(self, arrays):
        self.before += [(array, array.copy()) for array in arrays]

    def restore(self):
        for array, old in reversed(self.before):
            array[...] = old


class CUDARuntimeError(RuntimeError):
    pass


class ndarray(NDArrayOperatorsMixin):
    """A NumPy array that only the functions here can reach."""

    __cuda_array_interface__ = property(
        lambda self: {"shape": self.shape, "typestr": self.dtype.str, "version": 3})
    shape, dtype, ndim, size, strides, nbytes = (
        property(operator.attrgetter(f"host.{name}"))
        for name in ("shape", "dtype", "ndim", "size", "strides", "nbytes"))
    T = property(lambda self: self.transpose())

    def __init__(self, host):
        self.host = host

    @property
    def data(self):
        owner = self.host
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        return SimpleNamespace(mem=owner, ptr=self.host.ctypes.data)

    @property
    def flags(self):
        flags = self.host.flags
        return SimpleNamespace(c_contiguous=flags.c_contiguous, f_contiguous=flags.f_contiguous)

    # ---- what waits for the GPU ------------------------------------------------------------------

    def get(self):
        _wait()
        return np.array(self.host, order="C")

    def item(self):
        return self.get().item()

    def tolist(self):
        return self.get().tolist()

    def __bool__(self):
        return bool(self.get())

    def __float__(self):
        return float(self.get())

    def __int__(self):
        return int(self.get())

    __index__ = __int__

    def set(self, array, stream=None):
        _wait()
        assert self.host.flags.c_contiguous and array.flags.c_contiguous
        assert (self.dtype, self.shape) == (array.dtype, array.shape)
        self.host[...] = array

    # ---- what runs on it -------------------------------------------------------------------------

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. "
                        "Please use `.get()` to construct a NumPy array explicitly.")

    def __array_ufunc__(self, ufunc, method, *inputs, **keywords):
        return run(getattr(ufunc, method), *inputs, **keywords)

    def __array_function__(self, function, types, arguments, keywords):
        return run(function, *arguments, **keywords)

    def __getitem__(self, index):
        return run(lambda host, index: np.asarray(host[index]), self, index)

    def __setitem__(self, index, value):
        run(operator.setitem, self, index, value)

    def __len__(self):
        return len(self.host)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getattr__(self, name):
        """NumPy's methods."""
        if name.startswith("_"):
            raise AttributeError(name)
        method = getattr(np.ndarray, name)
        return lambda *arguments, **keywords: run(method, self, *arguments, **keywords)


IN_PLACE = operator.setitem, np.add.at


def run(function, *arguments, **keywords):
    """function on the arrays inside; a NumPy array beside them is refused, as by CuPy."""
    inputs, options = _hosts(arguments), _hosts(keywords)
    if _tape is not None:
        _tape.will_change(options.get("out", inputs[:1] if function in IN_PLACE else ()))
    result = _wrapped(function(*inputs, **options))
    if _tape is not None:
        _tape.calls.append((function, inputs, options, _hosts(result)))
    return result


def _hosts(value):
    if isinstance(value, ndarray):
        return value.host
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, (tuple, list)):
        return type(value)(map(_hosts, value))
    return {name: _hosts(v) for name, v in value.items()} if isinstance(value, dict) else value


def _wrapped(value):
    if isinstance(value, (tuple, list)):
        return type(value)(map(_wrapped, value))
    return ndarray(np.asarray(value)) if isinstance(value, (np.ndarray, np.generic)) else value


def _wait():
    if _tape is not None:
        raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported: "
                               "operation not permitted when stream is capturing")


def asarray(value, dtype=None):
    """An upload keeps C or Fortran order; any other becomes C."""
    if isinstance(value, ndarray):
        return value if dtype in (None, value.dtype) else value.astype(dtype)
    host = np.asarray(value, dtype)
    if host.ndim:
        _wait()
    fortran = host.flags.f_contiguous and not host.flags.c_contiguous
    return ndarray(np.array(host, order="F" if fortran else "C"))


# ---- cupy.cuda -----------------------------------------------------------------------------------

class Graph:
    def __init__(self, calls):
        self.calls = calls

    def launch(self):
        for function, arguments, keywords, result in self.calls:
            _copy(result, _hosts(_wrapped(function(*arguments, **keywords))))


def _copy(old, new):
    if isinstance(old, (tuple, list)):
        for pair in zip(old, new):
            _copy(*pair)
    elif isinstance(old, np.ndarray) and not np.may_share_memory(old, new):
        old[...] = new


class Stream:
    def __init__(self, non_blocking=False):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def begin_capture(self):
        global _tape
        _tape = Tape()

    def end_capture(self):
        global _tape
        tape, _tape = _tape, None
        tape.restore()
        return Graph(tape.calls)

    def synchronize(self):
        _wait()

    def wait_event(self, event):
        pass


class Event:
    def __init__(self, block=False, disable_timing=False):
        self.disable_timing = disable_timing

    def record(self, stream=None):
        self.time = time.perf_counter()

    def synchronize(self):
        _wait()


class MemoryPool:
    def malloc(self, size):
        raise NotImplementedError

    def total_bytes(self):
        return 0


@contextmanager
def using_allocator(allocator):
    yield


class FakeCuPy(ModuleType):
    """`import cupy` gives this after `install`. driver, toolkit and devices are what CUDA's runtime
    answers."""

    def __init__(self, driver=13000, toolkit=13000, devices=1):
        super().__init__("cupy")
        stream = Stream()
        self.ndarray, self.asarray = ndarray, asarray
        self.array = lambda value, dtype=None: asarray(value, dtype).copy()
        self.lib = SimpleNamespace(stride_tricks=SimpleNamespace(
            as_strided=lambda *arguments: run(np.lib.stride_tricks.as_strided, *arguments)))
        self.add = SimpleNamespace(at=lambda *arguments: run(np.add.at, *arguments))
        self.cuda = SimpleNamespace(
            runtime=SimpleNamespace(
                driverGetVersion=lambda: driver, runtimeGetVersion=lambda: toolkit,
                getDeviceCount=lambda: devices, CUDARuntimeError=CUDARuntimeError,
                getDeviceProperties=lambda device: {"name": b"stand-in", "totalGlobalMem": 2**30}),
            nvrtc=SimpleNamespace(getVersion=lambda: (13, 0)), get_current_stream=lambda: stream,
            Stream=Stream, Event=Event, Device=lambda: stream, MemoryPool=MemoryPool,
            using_allocator=using_allocator, alloc_pinned_memory=bytearray,
            get_elapsed_time=lambda begin, end: 1e3 * (end.time - begin.time))
        self.__version__ = "14.0"
        self.get_default_memory_pool = MemoryPool

    def __getattr__(self, name):
        """NumPy's functions, on the arrays of this module."""
        function = getattr(np, name)
        if isinstance(function, type) or not callable(function):
            return function
        return lambda *arguments, **keywords: run(function, *arguments, **keywords)


def install(monkeypatch, **machine):
    monkeypatch.setitem(sys.modules, "cupy", FakeCuPy(**machine))
