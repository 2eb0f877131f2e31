"""The fast convolution and linear kernels against the reference set in float64, for any shape, stride, view and number of threads."""
import contextvars
import multiprocessing
import sys
import threading

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

from minitensor.kernels import cpu, reference
from minitensor.kernels.cpu import conv, im2col_conv, memory, threads, winograd_conv as winograd

TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}      # norm-wise
EVERYTHING = (True, True, True)


@pytest.fixture(autouse=True)
def same_threads_afterwards():
    n = threads.get_num_threads()
    yield
    threads.set_num_threads(n)


def assert_close(actual, expected, dtype):
    assert actual.shape == expected.shape and actual.dtype == dtype
    error = np.linalg.norm(actual - expected)
    assert error <= TOLERANCE[dtype] * np.linalg.norm(expected) + 1e-30


def in_some_memory_order(rng, array):
    """The same values as a C-ordered array, channels-last, or a view into the middle of a larger array, reversed."""
    order = rng.integers(3)
    if order == 0 or array.ndim != 4:
        return np.ascontiguousarray(array)
    if order == 1:
        return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    larger = np.full([2 * size + 1 for size in array.shape], np.nan, array.dtype)
    view = larger[1::2, 1::2, -2::-2, 1::2]
    view[...] = array
    return view


def check_conv(seed, dtype, N, C, F, size, kernel, stride, padding, dilation, groups, relu, bias):
    """Forward and the three gradients of both sets, the reference one in float64."""
    rng = np.random.default_rng(seed)
    x, w, b = (rng.standard_normal(shape).astype(dtype) for shape in ((N, C, *size), (F, C // groups, *kernel), (F,)))
    b = b if bias else None
    hyper = (stride, padding, dilation, groups)
    exact = [None if a is None else a.astype(np.float64) for a in (x, w, b)]
    y = cpu.conv2d(in_some_memory_order(rng, x), in_some_memory_order(rng, w), b, *hyper, relu)
    assert_close(y, reference.conv2d(*exact, *hyper, relu), dtype)
    dy = rng.standard_normal(y.shape).astype(dtype)
    w = in_some_memory_order(rng, w)
    gradients = cpu.conv2d_backward(in_some_memory_order(rng, dy), in_some_memory_order(rng, x), w, y if relu else None, *hyper, EVERYTHING)
    expected = reference.conv2d_backward(dy.astype(np.float64), exact[0], exact[1], y if relu else None, *hyper, EVERYTHING)
    for actual, wanted in zip(gradients, expected):
        assert_close(actual, wanted, dtype)


def pairs(low, high):
    return st.tuples(st.integers(low, high), st.integers(low, high))


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.data(), st.integers(0, 2**32), st.sampled_from([np.float32, np.float64]))
def test_conv2d_equals_the_reference(data, seed, dtype):
    kernel, stride, padding, dilation = (data.draw(pairs(*limits)) for limits in ((1, 5), (1, 3), (0, 3), (1, 2)))
    size = tuple(d * (k - 1) + 1 + data.draw(st.integers(0, 12)) for d, k in zip(dilation, kernel))
    groups, N = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    C, F = groups * data.draw(st.integers(1, 5)), groups * data.draw(st.integers(1, 5))
    check_conv(seed, dtype, N, C, F, size, kernel, stride, padding, dilation, groups, data.draw(st.booleans()), data.draw(st.booleans()))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.data(), st.integers(0, 2**32), st.sampled_from([np.float32, np.float64]))
def test_winograd_equals_the_reference(data, seed, dtype):
    r, groups, padding = data.draw(st.integers(3, 5)), data.draw(st.integers(1, 2)), data.draw(pairs(0, 3))
    size = tuple(data.draw(st.integers(15, 31)) for _ in range(2))
    C, F = groups * data.draw(st.integers(60, 80)), groups * data.draw(st.integers(60, 80))
    out = tuple(side + 2 * p - r + 1 for side, p in zip(size, padding))
    assume(conv._winograd_tiling(4, C, F, (r, r), (1, 1), (1, 1), groups, out))
    check_conv(seed, dtype, 4, C, F, size, (r, r), (1, 1), padding, (1, 1), groups, data.draw(st.booleans()), data.draw(st.booleans()))


ALEXNET = {                                             # C, F, size, kernel, stride, padding, groups, takes Winograd
    "conv1": (3, 96, (67, 67), 11, 4, 0, 1, False),
    "conv2": (96, 256, (27, 27), 5, 1, 2, 1, True),
    "conv2 of the paper": (96, 256, (27, 27), 5, 1, 2, 2, True),
    "conv3": (256, 384, (13, 13), 3, 1, 1, 1, True),
}


@pytest.mark.parametrize("layer", ALEXNET)
def test_the_layers_of_alexnet(layer):
    C, F, size, k, s, p, groups, takes_winograd = ALEXNET[layer]
    out = tuple((side + 2 * p - k) // s + 1 for side in size)
    assert bool(conv._winograd_tiling(12, C, F, (k, k), (s, s), (1, 1), groups, out)) == takes_winograd
    check_conv(0, np.float32, 12, C, F, size, (k, k), (s, s), (p, p), (1, 1), groups, relu=True, bias=True)


@pytest.mark.parametrize("layer", ALEXNET)
def test_one_image(layer):
    C, F, size, k, s, p, groups, _ = ALEXNET[layer]
    check_conv(0, np.float32, 1, C, F, size, (k, k), (s, s), (p, p), (1, 1), groups, relu=True, bias=True)


@pytest.mark.parametrize("layer", ("conv1", "conv3"))
def test_no_gradient_passes_a_closed_relu_not_even_an_infinite_one(layer):
    C, F, size, k, s, p, groups, _ = ALEXNET[layer]
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape, dtype=np.float32) for shape in ((12, C, *size), (F, C, k, k), (F,)))
    hyper = (s, s), (p, p), (1, 1), groups
    y = cpu.conv2d(x, w, b, *hyper, True)
    dy = rng.standard_normal(y.shape, dtype=np.float32)
    dys = [np.where(y > 0, dy, np.float32(behind)) for behind in (0, "inf")]
    for expected, actual in zip(*(cpu.conv2d_backward(dy, x, w, y, *hyper, EVERYTHING) for dy in dys)):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("stride", (1, 2))
@pytest.mark.parametrize("C, F, side, kernel, padding", [(4, 4, 20, 3, 30), (64, 64, 15, 5, 25)])
def test_strips_that_lie_in_the_padding_alone(monkeypatch, C, F, side, kernel, padding, stride):
    monkeypatch.setattr(im2col_conv, "BLOCK_BYTES", 1)      # row by row, so that some see nothing of the image
    monkeypatch.setattr(winograd, "STRIP_BYTES", 1)
    check_conv(0, np.float32, 2, C, F, (side, side), (kernel, kernel), (stride, stride), (padding, padding), (1, 1), 1, True, True)


@pytest.mark.parametrize("n", range(4, winograd.MAX_POINTS + 1))
@pytest.mark.parametrize("r", (3, 5))
def test_winograd_matrices_compute_a_correlation(n, r):
    if r >= n:
        pytest.skip("a tile of no output")
    B2, G2, A2 = winograd._matrices(winograd.Tiling(n - r + 1, r, n), np.dtype(np.float64))
    rng = np.random.default_rng(n)
    x, w, m = rng.standard_normal((n, n)), rng.standard_normal((r, r)), n - r + 1
    naive = [(x[i: i + r, j: j + r] * w).sum() for i in range(m) for j in range(m)]
    np.testing.assert_allclose(A2 @ ((G2 @ w.ravel()) * (B2 @ x.ravel())), naive, atol=1e-12)


def test_the_weight_gradient_keeps_the_memory_order_of_the_weights():
    x, dy = np.ones((2, 3, 8, 8)), np.ones((2, 4, 6, 6))
    for w in (np.ones((4, 3, 3, 3)), np.ones((4, 3, 3, 3)).transpose(0, 3, 1, 2)):
        _, dw, _ = cpu.conv2d_backward(dy, x, w, None, (1, 1), (0, 0), (1, 1), 1, (False, True, False))
        assert dw.strides == w.strides


def test_only_what_is_needed_is_returned():
    x, w, dy = np.ones((1, 2, 5, 5)), np.ones((3, 2, 3, 3)), np.ones((1, 3, 3, 3))
    for needs in np.ndindex(2, 2, 2):
        gradients = cpu.conv2d_backward(dy, x, w, None, (1, 1), (0, 0), (1, 1), 1, needs)
        assert [g is not None for g in gradients] == [bool(n) for n in needs]
        gradients = cpu.linear_backward(dy[0, :, 0], w[:, 0, :1, 0].repeat(3, 1), np.ones((3, 3)), needs)
        assert [g is not None for g in gradients] == [bool(n) for n in needs]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**32), st.sampled_from([np.float32, np.float64]), st.integers(1, 5), st.integers(1, 700), st.integers(1, 1100))
def test_linear_equals_the_reference(seed, dtype, N, C, F):
    rng = np.random.default_rng(seed)
    x, w, b, dy = (rng.standard_normal(shape).astype(dtype) for shape in ((2 * N, C), (F, C), (F,), (N, F)))
    x = x[::2]
    assert_close(cpu.linear(x, w, b), x.astype(np.float64) @ w.T.astype(np.float64) + b, dtype)
    assert_close(cpu.linear(x, w, None), x.astype(np.float64) @ w.T.astype(np.float64), dtype)
    exact = reference.linear_backward(*(a.astype(np.float64) for a in (dy, x, w)), EVERYTHING)
    for actual, expected in zip(cpu.linear_backward(dy, x, w, EVERYTHING), exact):
        assert_close(actual, expected, dtype)


@pytest.mark.parametrize("layer", ALEXNET)
def test_results_do_not_depend_on_the_number_of_threads(layer):
    C, F, size, k, s, p, groups, _ = ALEXNET[layer]
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape, dtype=np.float32) for shape in ((9, C, *size), (F, C // groups, k, k), (F,)))
    hyper = (s, s), (p, p), (1, 1), groups
    flat, square = rng.standard_normal((9, 1500), dtype=np.float32), rng.standard_normal((1500, 1500), dtype=np.float32)

    def run(n):
        threads.set_num_threads(n)
        y = cpu.conv2d(x, w, b, *hyper, True)
        return (y, *cpu.conv2d_backward(y, x, w, y, *hyper, EVERYTHING),
                cpu.linear(flat, square, None), *cpu.linear_backward(flat, flat, square, EVERYTHING))

    alone = run(1)
    for n in (2, 3):
        for one, many in zip(alone, run(n)):
            np.testing.assert_array_equal(one, many)


# ---- threads ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("uses_blas", (False, True))
def test_parallel_for_runs_every_piece_once(uses_blas):
    threads.set_num_threads(3)
    done = []
    threads.parallel_for(done.append, range(100), uses_blas)
    assert sorted(done) == list(range(100))


def test_parallel_for_raises_the_exception_of_a_piece_and_lives_on():
    threads.set_num_threads(2)
    with pytest.raises(ZeroDivisionError):
        threads.parallel_for(lambda piece: 1 / (piece - 50), range(100))
    test_parallel_for_runs_every_piece_once(True)


def test_parallel_for_inside_a_piece_runs_inline():
    threads.set_num_threads(2)
    done = []
    threads.parallel_for(lambda i: threads.parallel_for(lambda j: done.append((i, j)), range(3)), range(4))
    assert sorted(done) == sorted(np.ndindex(4, 3))


def test_pieces_see_the_callers_errstate():
    threads.set_num_threads(2)
    zeros = np.zeros(10)
    with np.errstate(divide="ignore"):
        threads.parallel_for(lambda i: np.divide(1, zeros), range(8))
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        threads.parallel_for(lambda i: np.divide(1, zeros), range(8))


def test_blas_gets_its_threads_back():
    blas = threads._blas()
    if blas is None:
        pytest.skip("NumPy's BLAS is not an OpenBLAS")
    threads.set_num_threads(2)
    inside = []
    threads.parallel_for(lambda i: inside.append(blas.get_num_threads()), range(4), uses_blas=True)
    assert inside == [1, 1, 1, 1] and blas.get_num_threads() == 2


def test_openblas_is_found_whatever_the_path_of_numpy():
    blas = "/home/a user/openblas tests/venv/numpy.libs/libscipy_openblas64_-32a4b2a6.so"
    maps = [f"7f10-7f20 r-xp 00001000 08:01 393 {' ' * 20}{path}" for path in (
        blas, blas, "/usr/lib/libopenblas.so.0", "/home/a user/openblas tests/venv/numpy/_core/_multiarray_umath.so")]
    assert threads._openblas_paths("\n".join([*maps, "7f30-7f40 rw-p 00000000 00:00 0", "7f50-7f60 r-xp 00000000 00:00 0 [vdso]", ""])) == [
        blas, "/usr/lib/libopenblas.so.0"]


def test_an_unknown_blas_means_one_level_of_threads(monkeypatch):
    monkeypatch.setattr(threads, "_blas", lambda: None)
    monkeypatch.setattr(threads, "_get_pool", lambda: pytest.fail("split around a BLAS with threads of its own"))
    done = []
    threads.parallel_for(done.append, range(5), uses_blas=True)
    assert done == list(range(5))


@pytest.mark.parametrize("n", (0, -1, 1.5, "2", True, None))
def test_set_num_threads_rejects(n):
    with pytest.raises(ValueError, match="set_num_threads: n must be an integer >= 1"):
        threads.set_num_threads(n)


def test_set_num_threads_while_another_thread_computes(monkeypatch):
    threads.set_num_threads(2)
    fewer = threading.Thread(target=threads.set_num_threads, args=(1,))

    def meanwhile():
        """Where a computation has its pool, and is about to submit to it."""
        fewer.start()
        fewer.join(timeout=0.2)             # or it waits for its turn
        return contextvars.copy_context()

    monkeypatch.setattr(threads, "copy_context", meanwhile)
    done = []
    threads.parallel_for(done.append, range(8))
    fewer.join(timeout=60)
    assert sorted(done) == list(range(8)) and threads.get_num_threads() == 1


@pytest.mark.parametrize("variables, expected", (
    ({"OMP_NUM_THREADS": "3"}, 3), ({"OMP_NUM_THREADS": "5,2"}, 5), ({"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "7"}, 2),
    ({"MKL_NUM_THREADS": "many", "OMP_NUM_THREADS": "4"}, 4),
))
def test_the_number_of_threads_comes_from_the_environment(monkeypatch, variables, expected):
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert threads._default_num_threads() == expected


@pytest.mark.parametrize("files, expected", (
    ({"cpu.max": "max 100000\n"}, 64), ({"cpu.max": "200000 100000\n"}, 2), ({"cpu.max": "150000 100000\n"}, 2),
    ({"cpu.max": "5000 100000\n"}, 1), ({"cpu.max": "9900000 100000\n"}, 64), ({}, 64),
    ({"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
    ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 64),
))
def test_a_containers_quota_limits_the_number_of_threads(monkeypatch, tmp_path, files, expected):
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(threads, "CGROUP", str(tmp_path))
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda pid: range(64), raising=False)
    assert threads._default_num_threads() == expected


def _sum_over_threads(queue):
    out = np.zeros(8)
    threads.parallel_for(lambda i: out.__setitem__(i, i), range(8), uses_blas=True)
    queue.put(out.sum())


@pytest.mark.skipif(sys.platform != "linux", reason="fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    threads.set_num_threads(2)
    threads.parallel_for(lambda piece: None, range(4))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=_sum_over_threads, args=(queue,))
    process.start()
    assert queue.get(timeout=30) == 28
    process.join(timeout=30)
    assert process.exitcode == 0


# ---- scratch ---------------------------------------------------------------------------------------------------------------

def test_scratch_is_reused_aligned_and_freed():
    memory.free_buffers()
    first = memory.scratch("test", (100, 7), np.float32)
    assert first.ctypes.data % 64 == 0 and first.flags.c_contiguous and first.flags.writeable
    again = memory.scratch("test", (3, 5), np.float64)
    assert again.ctypes.data == first.ctypes.data and again.shape == (3, 5) and again.dtype == np.float64
    memory.free_buffers()
    assert not any(memory._all_buffers)
    first[:] = 1                                        # still this caller's


def test_scratch_keeps_no_more_than_its_limit(monkeypatch):
    memory.free_buffers()
    monkeypatch.setattr(memory, "SCRATCH_LIMIT", 1000)
    memory.scratch("small", (100,), np.float64)
    assert memory.scratch("large", (1000,), np.float64).shape == (1000,)
    assert set(memory._local.scratch) == {"small"}


# ---- results ---------------------------------------------------------------------------------------------------------------

BIG = (memory.SMALLEST // 4, 2)


@pytest.fixture
def no_blocks():
    memory.free_buffers()
    assert not memory._blocks, "somebody still holds a result"
    yield
    memory.free_buffers()


def test_memory_of_a_dropped_result_is_used_again(no_blocks):
    first = memory.empty(BIG, np.float32)
    address = first.ctypes.data
    assert address % 64 == 0 and first.flags.c_contiguous and first.shape == BIG
    del first
    assert memory.empty((BIG[0] - 100, 2), np.float32).ctypes.data == address      # a little smaller: it fits
    assert memory.empty((BIG[0], 1), np.float64).ctypes.data == address


def test_memory_of_a_result_somebody_holds_is_left_alone(no_blocks):
    result = memory.empty(BIG, np.float32)
    result[...] = 7
    corner = result.T[1:, :5]                               # a view keeps the whole block
    del result
    others = [memory.empty(BIG, np.float32) for _ in range(3)]
    for other in others:
        other[...] = 0
    assert (corner == 7).all() and len(memory._blocks) == 4


def test_a_new_block_takes_the_place_of_idle_ones(no_blocks):
    small = [memory.empty(BIG, np.float32) for _ in range(4)]
    del small
    large = memory.empty((3 * BIG[0], 2), np.float32)
    assert sum(block.size for block in memory._blocks) < 1.1 * large.nbytes + memory.SMALLEST * 2
    del large
    memory.free_buffers()
    assert not memory._blocks


def test_small_results_are_left_to_numpy(no_blocks):
    assert memory.empty((3, 5), np.float32).shape == (3, 5) and not memory._blocks
