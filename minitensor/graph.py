"""CUDA graphs: what a function does on the GPU is recorded once, then replayed by a single launch,
without Python in between.

At batch 1 a network is a hundred kernels that each run shorter than Python takes to launch one. A
graph repeats exactly what it recorded: the same kernels on the same memory with the same numbers.
What changes from one replay to the next must be in GPU memory: the inputs, the learning rates
(`Optimizer.send_lrs`), a generator's step (`Generator.to("cuda")`). cuBLAS cannot be recorded
through CuPy: the CUDA set's own products take its place, and the reference set cannot be captured.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .backend import capture_mode, check_device, cupy
from .tensor import Tensor


class Graph:
    """Made by `capture`. Calling it with new inputs replays the recording on them and returns the
    outputs.

    inputs, outputs     the tensors that every replay reads and writes; the next replay overwrites
                        outputs
    first               what the run before the recording returned
    """

    def __init__(self, function: Callable[..., Any], inputs: tuple[Tensor, ...]):
        self.inputs = inputs
        # Memory of its own, which lives as long as the graph: nobody else may be given what the
        # replays will write to.
        self._pool = cupy().cuda.MemoryPool()
        stream = cupy().cuda.Stream(non_blocking=True)
        cupy().cuda.get_current_stream().synchronize()
        with cupy().cuda.using_allocator(self._pool.malloc), stream:
            with capture_mode():                # so that the same kernels run as in the recording
                self.first = function(*inputs)
            self._graph, self.outputs = _record(stream, function, inputs)
        stream.synchronize()

    def __call__(self, *inputs: Tensor) -> Any:
        """Raises ValueError for inputs of other shapes or dtypes than those recorded."""
        if [(x.shape, x.dtype) for x in inputs] != [(x.shape, x.dtype) for x in self.inputs]:
            raise ValueError(f"graph: recorded for {_described(self.inputs)}, "
                             f"not for {_described(inputs)}")
        for recorded, new in zip(self.inputs, inputs):
            if new.data is not recorded.data:
                recorded.data[...] = new.data
        self._graph.launch()
        return self.outputs

    @property
    def nbytes(self) -> int:
        """GPU memory held for what the graph computes."""
        return self._pool.total_bytes()


def capture(function: Callable[..., Any], *inputs: Tensor) -> Graph:
    """Record function(*inputs), tensors on "cuda", which become the graph's own. The function
    returns a Tensor, several, or None.

    It must not wait for the GPU (`item`, `numpy`, printing) nor depend on values. It runs once
    before it is recorded, so that its kernels are compiled and loaded: of a training step that is a
    step, whose result is `first`. Recording itself computes nothing. Raises RuntimeError where
    "cuda" cannot be used, or when what the function does cannot be recorded, ValueError for inputs
    that are elsewhere.
    """
    check_device("cuda")
    for x in inputs:
        if x.device != "cuda":
            raise ValueError(f"capture: inputs must be on 'cuda', but one {x.shape} is on "
                             f"{x.device!r}")
    return Graph(function, inputs)


def _record(stream: Any, function: Callable[..., Any],
            inputs: tuple[Tensor, ...]) -> tuple[Any, Any]:
    stream.begin_capture()
    try:
        with capture_mode():
            outputs = function(*inputs)
    except BaseException as error:      # Ctrl-C too: the stream must not go on capturing
        _abandon(stream)
        if not isinstance(error, Exception):
            raise
        raise RuntimeError(f"capture: this cannot be recorded as a CUDA graph: {error}") from error
    return stream.end_capture(), outputs


def _abandon(stream: Any) -> None:
    try:
        stream.end_capture()
    except Exception:       # the recording was broken by the error that is about to be raised
        pass


def _described(tensors: tuple[Tensor, ...]) -> str:
    return ", ".join(f"{x.dtype} {x.shape}" for x in tensors)
