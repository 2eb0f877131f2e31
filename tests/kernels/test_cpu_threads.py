"""The threads of the fast CPU kernels: every task once, errors, BLAS, their number, fork."""
import contextvars
import multiprocessing
import sys
import threading

import numpy as np
import pytest

from minitensor.kernels.cpu import threads


@pytest.fixture(autouse=True)
def same_threads_afterwards():
    n = threads.get_num_threads()
    yield
    threads.set_num_threads(n)


def tasks_done(number, **options):
    done = []
    threads.parallel_for(done.append, range(number), **options)
    return sorted(done)


@pytest.mark.parametrize("uses_blas", (False, True))
def test_every_task_runs_once(uses_blas):
    threads.set_num_threads(3)
    assert tasks_done(100, uses_blas=uses_blas) == list(range(100))


def test_the_exception_of_a_task_is_raised_and_the_threads_live_on():
    threads.set_num_threads(2)
    with pytest.raises(ZeroDivisionError):
        threads.parallel_for(lambda task: 1 / (task - 50), range(100))
    assert tasks_done(100) == list(range(100))


def test_parallel_for_inside_a_task_runs_inline():
    threads.set_num_threads(2)
    done = []

    def outer(i):
        here = threading.get_ident()
        threads.parallel_for(lambda j: done.append((i, j, threading.get_ident() == here)), range(3))
    threads.parallel_for(outer, range(4))
    assert sorted(done) == [(i, j, True) for i in range(4) for j in range(3)]


def test_tasks_see_the_callers_errstate():
    threads.set_num_threads(2)
    zeros = np.zeros(10)
    with np.errstate(divide="ignore"):
        threads.parallel_for(lambda i: np.divide(1, zeros), range(8))
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        threads.parallel_for(lambda i: np.divide(1, zeros), range(8))


def test_blas_gets_its_threads_back():
    blas = threads.openblas()
    if blas is None:
        pytest.skip("NumPy's BLAS is not an OpenBLAS")
    threads.set_num_threads(2)
    inside = []
    threads.parallel_for(lambda i: inside.append(blas.get_num_threads()), range(4), uses_blas=True)
    assert inside == [1, 1, 1, 1] and blas.get_num_threads() == 2


def test_openblas_is_found_whatever_the_path_of_numpy():
    numpy = "/home/a user/openblas tests/venv/numpy"
    blas = f"{numpy}.libs/libscipy_openblas64_-32a4b2a6.so"
    paths = blas, blas, "/usr/lib/libopenblas.so.0", f"{numpy}/_core/_multiarray_umath.so"
    maps = [f"7f10-7f20 r-xp 00001000 08:01 393 {' ' * 20}{path}" for path in paths]
    maps += ["7f30-7f40 rw-p 00000000 00:00 0", "7f50-7f60 r-xp 00000000 00:00 0 [vdso]", ""]
    assert threads.openblas_paths("\n".join(maps)) == [blas, "/usr/lib/libopenblas.so.0"]


def test_an_unknown_blas_means_one_level_of_threads(monkeypatch):
    monkeypatch.setattr(threads, "openblas", lambda: None)
    threads.set_num_threads(3)
    done = []
    threads.parallel_for(lambda i: done.append((i, threading.get_ident())), range(50), True)
    assert done == [(i, threading.get_ident()) for i in range(50)]


@pytest.mark.parametrize("n", (0, -1, 1.5, "2", True, None))
def test_set_num_threads_rejects(n):
    with pytest.raises(ValueError, match="set_num_threads: n must be an integer >= 1"):
        threads.set_num_threads(n)


def test_set_num_threads_while_another_thread_computes(monkeypatch):
    """A computation that has its pool, and is about to hand out tasks, gets them all done."""
    threads.set_num_threads(2)
    fewer = threading.Thread(target=threads.set_num_threads, args=(1,))

    def meanwhile():
        fewer.start()
        fewer.join(timeout=0.2)             # it must wait for its turn
        return contextvars.copy_context()

    monkeypatch.setattr(threads, "copy_context", meanwhile)
    assert tasks_done(8) == list(range(8))
    fewer.join(timeout=60)
    assert threads.get_num_threads() == 1


@pytest.mark.parametrize("variables, expected", (
    ({"OMP_NUM_THREADS": "3"}, 3), ({"OMP_NUM_THREADS": "5,2"}, 5),
    ({"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "7"}, 2),
    ({"MKL_NUM_THREADS": "many", "OMP_NUM_THREADS": "4"}, 4),
))
def test_the_number_of_threads_comes_from_the_environment(monkeypatch, variables, expected):
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert threads.default_num_threads() == expected


@pytest.mark.parametrize("files, expected", (
    ({"cpu.max": "max 100000\n"}, 64), ({"cpu.max": "200000 100000\n"}, 2),
    ({"cpu.max": "150000 100000\n"}, 2), ({"cpu.max": "5000 100000\n"}, 1),
    ({"cpu.max": "9900000 100000\n"}, 64), ({}, 64),
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
    assert threads.default_num_threads() == expected


def _sum_over_threads(queue):
    out = np.zeros(8)
    threads.parallel_for(lambda i: out.__setitem__(i, i), range(8), uses_blas=True)
    queue.put(out.sum())


@pytest.mark.skipif(sys.platform != "linux", reason="fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    threads.set_num_threads(2)
    threads.parallel_for(lambda task: None, range(4))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=_sum_over_threads, args=(queue,))
    process.start()
    assert queue.get(timeout=30) == 28
    process.join(timeout=30)
    assert process.exitcode == 0
