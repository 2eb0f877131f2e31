"""Scratch memory and the memory of results: used again, but never while somebody holds it."""
import sys

import numpy as np
import pytest

from minitensor.kernels.cpu import memory, tuning

ROWS = tuning.KEPT_RESULT_BYTES // 4


@pytest.fixture(autouse=True)
def nothing_kept():
    memory.free_buffers()
    assert memory.kept_bytes() == (0, 0), "somebody still holds a result"
    yield
    memory.free_buffers()


def big(rows=ROWS, columns=2, dtype=np.float32):
    return memory.empty((rows, columns), dtype)


def address(array):
    return array.ctypes.data


def results_kept():
    """How many results like `big()`."""
    return memory.kept_bytes()[1] // (8 * ROWS)


def test_scratch_is_reused_aligned_and_freed():
    first = memory.scratch("test", (100, 7), np.float32)
    assert address(first) % 64 == 0 and first.flags.c_contiguous and first.flags.writeable
    again = memory.scratch("test", (3, 5), np.float64)
    assert address(again) == address(first) and again.shape == (3, 5) and again.dtype == np.float64
    memory.free_buffers()
    assert memory.kept_bytes() == (0, 0)
    first[:] = 1                                            # still this caller's


def test_scratch_keeps_no_more_than_its_limit(monkeypatch):
    monkeypatch.setattr(tuning, "SCRATCH_BYTES", 1000)
    memory.scratch("small", (100,), np.float64)
    kept, _ = memory.kept_bytes()
    assert 800 <= kept <= 1000
    assert memory.scratch("large", (1000,), np.float64).shape == (1000,)
    assert memory.kept_bytes() == (kept, 0)


def test_memory_of_a_dropped_result_is_used_again():
    first = big()
    where = address(first)
    assert where % 64 == 0 and first.flags.c_contiguous and first.shape == (ROWS, 2)
    del first
    assert address(big(ROWS - 100)) == where                # a little smaller: it fits
    assert address(big(ROWS, 1, np.float64)) == where


def test_memory_of_a_result_somebody_holds_is_left_alone():
    result = big()
    result[...] = 7
    corner = result.T[1:, :5]                               # a view keeps the whole memory
    del result
    others = [big() for _ in range(3)]
    for other in others:
        other[...] = 0
    assert (corner == 7).all() and results_kept() == 4


def test_new_memory_takes_the_place_of_idle_memory():
    small = [big() for _ in range(4)]
    del small
    large = big(3 * ROWS)
    kept = memory.kept_bytes()[1]
    assert kept < 1.1 * large.nbytes + 2 * tuning.KEPT_RESULT_BYTES
    del large
    memory.free_buffers()
    assert memory.kept_bytes() == (0, 0)


def test_small_results_are_left_to_numpy():
    assert memory.empty((3, 5), np.float32).shape == (3, 5) and results_kept() == 0


def test_without_the_gil_no_result_is_used_again(monkeypatch):
    """Reference counts then say nothing about what other threads hold."""
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    result = big()
    assert result.shape == (ROWS, 2) and result.dtype == np.float32
    assert memory.kept_bytes() == (0, 0)
