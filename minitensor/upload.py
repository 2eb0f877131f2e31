"""The way to the GPU: while one batch of images is computed with, the next one travels."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .backend import Array, cupy, memory_order


def uploaded(batches: Iterable[tuple[np.ndarray, Any]], device: str) -> Iterator[tuple[Array, Any]]:
    """batches, (images, labels) each, with the images on device; on "cpu" they are passed through
    as they are.

    On "cuda" a thread takes the next batch from batches and copies it to pinned memory, and a
    second stream uploads it, both during the computations on the batch before. Two batches' memory
    is used in turn: images are valid until the next ones are asked for.
    """
    if device == "cpu":
        yield from batches
        return
    from concurrent.futures import ThreadPoolExecutor
    source, stream = iter(batches), cupy().cuda.Stream(non_blocking=True)
    slot, other = _Slot(stream), _Slot(stream)
    try:
        with ThreadPoolExecutor(1) as background:
            coming = background.submit(slot.fill, source)
            while coming.result():
                main = cupy().cuda.get_current_stream()
                # Whoever asks for this batch has begun all that it does with the one before.
                other.used.record(main)
                coming = background.submit(other.fill, source)
                main.wait_event(slot.copied)
                yield slot.images, slot.labels
                slot, other = other, slot
    finally:
        cupy().cuda.Device().synchronize()              # before the memory in use is given back


class _Slot:
    """Room for one batch: pinned memory to copy from, GPU memory to copy to, and events that say
    when each may be written again."""

    def __init__(self, stream: Any):
        self.stream = stream
        self.copied, self.used = (cupy().cuda.Event(disable_timing=True) for _ in range(2))
        self.pinned: Array = np.empty(0, np.uint8)
        self.device: Array = None
        self.images: Array = None
        self.labels: Any = None

    def fill(self, source: Iterator[tuple[np.ndarray, Any]]) -> bool:
        """Take the next batch from source and begin to upload it; False when there is none."""
        images, self.labels = next(source, (None, None))
        if images is None:
            return False
        self._make_room(images.nbytes)
        axes, restore = memory_order(images)
        dense = images.transpose(axes)
        here, there = (room[:images.nbytes].view(images.dtype).reshape(dense.shape)
                       for room in (self.pinned, self.device))
        self.copied.synchronize()                       # the pinned memory may still be on its way
        here[...] = dense
        self.stream.wait_event(self.used)
        there.set(here, stream=self.stream)
        self.copied.record(self.stream)
        self.images = there.transpose(restore)
        return True

    def _make_room(self, nbytes: int) -> None:
        if nbytes > self.pinned.nbytes:
            self.stream.synchronize()
            memory = cupy().cuda.alloc_pinned_memory(nbytes)
            self.pinned = np.frombuffer(memory, np.uint8, nbytes)
            self.device = cupy().empty(nbytes, np.uint8)
            cupy().cuda.Device().synchronize()          # whoever had this memory may still use it
