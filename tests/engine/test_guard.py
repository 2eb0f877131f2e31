"""What a backward pass needs is not changed before it has run."""
import copy
import pickle

import numpy as np
import pytest

import minitensor as mt
from minitensor import Tensor, nn, optim


def leaf(values, dtype=np.float64):
    return Tensor(np.array(values, dtype), requires_grad=True)


def normal(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def test_changing_an_array_that_backward_needs_is_caught():
    x = leaf([1, 2])
    y = (x * x).sum()
    with pytest.raises(ValueError, match="read-only"):
        x.data[0] = 5
    with pytest.raises(ValueError, match="read-only"):
        x.data += 1
    y.backward()
    x.data += 1
    assert x.grad.tolist() == [2, 4] and x.data.tolist() == [2, 3]


def test_changing_the_memory_behind_a_view_is_caught():
    pixels = np.ones((4, 3))
    y = Tensor(pixels[1:3], requires_grad=True)**2
    with pytest.raises(ValueError, match="read-only"):
        pixels[2] = 0
    del y
    pixels[2] = 0


def test_an_intermediate_result_is_guarded_too():
    y = leaf([1, 2]).exp()
    z = y * 3
    with pytest.raises(ValueError, match="read-only"):
        y.data[0] = 1
    z.sum().backward()


def test_a_view_made_by_an_op_cannot_be_changed():
    x = leaf([[1, 2], [3, 4]])
    for view in (x.reshape(4), x.T, x[0]):
        with pytest.raises(ValueError, match="read-only"):
            view.data[0] = 9
    x.data[0] = 9


def test_labels_and_indices_are_guarded():
    scores, labels = leaf(normal((4, 4))), np.array([1, 0, 3, 2])
    for loss in (mt.cross_entropy, lambda s, i: s[i].sum(), lambda s, i: s[i, 1].sum()):
        y = loss(scores, labels)
        with pytest.raises(ValueError, match="read-only"):
            labels[0] = 2
        y.backward()
        labels[0] = 1


def test_labels_that_no_gradient_needs_may_be_changed():
    scores, labels = leaf(normal((4, 4))), np.array([1, 0, 3, 2])
    y = mt.nll_loss(scores, labels, reduction="sum")
    labels[:] = 0
    y.backward()
    assert (-scores.grad).tolist() == np.eye(4)[[1, 0, 3, 2]].tolist()


@pytest.mark.parametrize("copied", [copy.deepcopy, pickle.dumps])
def test_a_graph_cannot_be_copied(copied):
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    with pytest.raises(RuntimeError, match="neither copied nor pickled .* use .detach"):
        copied(y)
    y.backward()
    assert copied(x) is not x and x.grad.tolist() == [2, 4]


def test_an_unpickled_array_is_still_writable_after_backward():
    """NumPy leaves a large one in the memory of the pickle's bytes: once read-only, it could never
    be writable again."""
    scores, labels = leaf(normal((200, 4))), pickle.loads(pickle.dumps(np.zeros(200, np.int64)))
    mt.cross_entropy(scores, labels).backward()
    labels[0] = 1


def test_an_optimizer_step_before_backward_is_refused_and_changes_nothing():
    first, last = (nn.Parameter(np.ones(2)) for _ in range(2))
    optimizer = optim.SGD([first, last], lr=0.1)
    (first + last * last).sum().backward()
    y = last * last
    with pytest.raises(RuntimeError, match="still needed by a backward pass"):
        optimizer.step()
    assert first.data.tolist() == [1, 1]
    del y
    optimizer.step()
    assert first.data.tolist() == [0.9, 0.9]


def test_arrays_are_writable_again_however_the_graph_ends():
    x, w = leaf([1, 2]), leaf([3, 4])
    a, b = (x * w).sum(), (x * x).sum()
    a.backward()
    assert not x.data.flags.writeable and w.data.flags.writeable
    b.backward(retain_graph=True)
    assert not x.data.flags.writeable
    del b
    assert x.data.flags.writeable


def test_an_array_that_was_read_only_stays_so():
    array = np.ones(2)
    array.flags.writeable = False
    (Tensor(array, requires_grad=True)**2).sum().backward()
    assert not array.flags.writeable
