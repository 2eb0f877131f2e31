"""Arrays whose memory belongs to somebody else: they get gradients, and are left as they came."""
import ctypes
import mmap
import pickle
import sys
import threading

import numpy as np
import pytest

import minitensor as mt
from minitensor import Tensor

VALUES = np.arange(6.0).reshape(2, 3)


class Interface:
    """Memory that is handed out by the array interface, without a buffer."""

    def __init__(self):
        self.memory = VALUES.copy()
        self.__array_interface__ = self.memory.__array_interface__


def mapped():
    memory = mmap.mmap(-1, VALUES.nbytes)
    memory.write(VALUES.tobytes())
    return np.frombuffer(memory, np.float64).reshape(2, 3)


def in_ctypes():
    memory = (ctypes.c_double * 6)(*VALUES.ravel())
    return np.ctypeslib.as_array(memory).reshape(2, 3)


SOURCES = {
    "its own": lambda: VALUES.copy(),
    "a view": lambda: VALUES.repeat(2, axis=1)[:, ::2],
    "dlpack": lambda: np.from_dlpack(VALUES.copy()),
    "a view of dlpack": lambda: np.from_dlpack(VALUES.repeat(2, axis=1))[:, ::2],
    "array interface": lambda: np.asarray(Interface()),
    "as_strided": lambda: np.lib.stride_tricks.as_strided(VALUES.copy(), (2, 3), (24, 8)),
    "sliding windows": lambda: np.lib.stride_tricks.sliding_window_view(np.arange(4.0), 3),
    "bytes": lambda: np.frombuffer(VALUES.tobytes()).reshape(2, 3),
    "bytearray": lambda: np.frombuffer(bytearray(VALUES.tobytes())).reshape(2, 3),
    "mmap": mapped,
    "ctypes": in_ctypes,
    "a pickle": lambda: pickle.loads(pickle.dumps(VALUES)),
    "read-only": lambda: np.broadcast_to(np.arange(3.0), (2, 3)),
}


def check(array):
    was_writable = array.flags.writeable
    x, w = Tensor(array, requires_grad=True), Tensor(np.ones((3, 2)), requires_grad=True)
    for _ in range(2):                                  # twice: the first pass must not spoil it
        x.grad = None
        ((x @ w) * (x @ w)).sum().backward()
        np.testing.assert_allclose(x.grad, np.repeat(4 * array.sum(1, keepdims=True), 3, 1))
    assert array.flags.writeable == was_writable
    if was_writable:
        array[0, 0] = 7
        assert x.data[0, 0] == 7


@pytest.mark.parametrize("source", SOURCES)
def test_memory_of_others_gets_gradients_and_stays_writable(source):
    check(SOURCES[source]())


def test_memory_of_pytorch_gets_gradients_and_stays_writable(torch):
    check(torch.arange(6, dtype=torch.float64).reshape(2, 3).numpy())


def test_the_engine_itself_does_not_write_to_it_while_it_is_needed():
    p = mt.nn.Parameter(np.from_dlpack(VALUES.copy()))
    loss = (p * p).sum()
    p.grad = np.ones((2, 3))
    optimizer = mt.optim.SGD([p], lr=1.0)
    with pytest.raises(RuntimeError, match="still needed by a backward pass"):
        optimizer.step()
    loss.backward()


def test_threads_that_share_a_leaf_do_not_disturb_each_other():
    shared, errors = Tensor(VALUES.copy(), requires_grad=False), []

    def work():
        try:
            for _ in range(4000):
                x = Tensor(np.ones((2, 3)), requires_grad=True)
                (x * shared).sum().backward()
        except Exception as error:          # noqa: BLE001
            errors.append(error)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert errors == [] and shared.data.flags.writeable


# ---- arrays that are not plain -------------------------------------------------------------------

def test_a_matrix_is_a_plain_array():
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix([[1.0, 2.0], [3.0, 4.0]])
    x = Tensor(matrix)
    assert type(x.data) is np.ndarray and np.shares_memory(x.data, matrix)
    np.testing.assert_array_equal((x * x).data, [[1, 4], [9, 16]])
    np.testing.assert_array_equal((Tensor(np.ones((2, 2))) * matrix).data, [[1, 2], [3, 4]])


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i4"])
def test_numbers_of_the_other_byte_order_are_turned(dtype):
    x = Tensor(np.arange(4, dtype=dtype))
    assert x.data.dtype.isnative and x.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal((x + np.arange(4, dtype=dtype)).data, [0, 2, 4, 6])


@pytest.mark.parametrize("use", [Tensor, lambda gaps: Tensor(np.ones(2)) + gaps,
                                 lambda gaps: Tensor(np.ones(2)) == gaps])
def test_a_masked_array_is_refused(use):
    with pytest.raises(TypeError, match="masked array .*filled"):
        use(np.ma.masked_array([1.0, 2.0], [True, False]))
