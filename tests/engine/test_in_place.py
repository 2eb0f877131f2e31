"""x += 1 and x[0] = 1: in place where nothing is recorded, as in PyTorch."""
import operator

import numpy as np
import pytest

import minitensor as mt
from minitensor import Tensor, no_grad

IN_PLACE = (operator.iadd, operator.isub, operator.imul, operator.itruediv)


@pytest.mark.parametrize("change", IN_PLACE)
@pytest.mark.parametrize("other", [3, 2.5, np.array([1.0, 2.0, 4.0]), Tensor([1.0, 2.0, 4.0])])
def test_without_recording_a_tensor_is_changed_in_place(torch, change, other):
    data = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    p, array, expected = mt.nn.Parameter(data), data, torch.tensor(data.copy())
    with no_grad():
        q = p
        q = change(q, other)
    number = other if isinstance(other, (int, float)) else torch.tensor(np.asarray(other))
    assert q is p and p.data is array
    np.testing.assert_array_equal(array, change(expected, number).numpy())


def test_a_step_by_hand_changes_the_parameter():
    p = mt.nn.Parameter(np.ones(3))
    (p * p).sum().backward()
    with no_grad():
        p -= 0.1 * p.grad
    np.testing.assert_allclose(p.data, 0.8)
    assert p.requires_grad and p.creator is None


def test_recorded_changes_are_refused_or_differentiated(torch):
    p = Tensor(np.ones(2), requires_grad=True)
    with pytest.raises(RuntimeError, match="Sub: a leaf that requires a gradient .* no_grad"):
        p -= 1
    total = Tensor(np.zeros(2))
    for factor in (2.0, 3.0):
        total += factor * p
    total.sum().backward()
    np.testing.assert_array_equal(p.grad, [5, 5])


def test_what_a_backward_pass_needs_is_not_changed():
    x = Tensor(np.ones(2), requires_grad=True)
    y = x * x
    with no_grad(), pytest.raises(
            RuntimeError, match=r"Mul: a tensor \(2,\) is still needed by a backward pass that has "
            "not run: Mul keeps it; call backward first, drop its result, or compute it under"):
        x *= 2
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [2, 2])


@pytest.mark.parametrize("x, other, error, message", [
    (np.ones(3), np.ones((2, 3)), ValueError, r"Add: a tensor \(3,\) cannot become \(2, 3\)"),
    (np.ones(3, np.int64), 0.5, TypeError, "Add: a tensor of int64 cannot hold float32"),
])
def test_changes_that_do_not_fit(x, other, error, message):
    x = Tensor(x)
    with pytest.raises(error, match=message):
        x += other


@pytest.mark.parametrize("write", [
    lambda p: mt.optim.SGD([p], lr=0.1).step(), lambda p: p.__isub__(1),
    lambda p: p.__setitem__(0, 1), lambda p: holding(p).load_state_dict({"p": np.zeros(2)})])
@pytest.mark.parametrize("op, name", [
    (lambda p: mt.relu(p * 1), "Mul"), (lambda p: p.abs(), "Abs"), (lambda p: p**2, "Pow")])
def test_a_refused_write_names_the_op_that_keeps_the_array(write, op, name):
    p = mt.nn.Parameter(np.ones(2))
    p.grad = np.ones(2)
    y = op(p)
    with no_grad():
        with pytest.raises(RuntimeError, match=f"still needed .*: {name} keeps it; call backward"):
            write(p)
        del y
        write(p)


def holding(p):
    module = mt.nn.Module()
    module.p = p
    return module


VIEWS = [
    lambda x: x[0], lambda x: x[1, 2], lambda x: x[:, 1], lambda x: x[..., ::2], lambda x: x.T,
    lambda x: x.reshape(3, 2), lambda x: x.T[2][0], lambda x: x[None, :, 1:], lambda x: x[True]]


@pytest.mark.parametrize("view", VIEWS)
def test_changing_a_view_in_place_changes_what_it_views(torch, view):
    data = np.arange(6, dtype=np.float32).reshape(2, 3)
    x, expected = Tensor(data.copy()), torch.tensor(data)
    for lib, t in ((mt, x), (torch, expected)):
        with lib.no_grad():
            part = view(t)
            part *= 10
            part[...] = part + 1
    np.testing.assert_array_equal(x.data, expected.numpy())


@pytest.mark.parametrize("index", [0, (1, 2), (slice(None), 1), [0, 0], (Ellipsis, slice(1, None))])
def test_an_index_may_be_changed_in_place(torch, index):
    data = np.arange(6, dtype=np.float32).reshape(2, 3)
    x, expected = mt.nn.Parameter(data.copy()), torch.tensor(data)
    expected[index] -= 4
    with no_grad():
        x[index] -= 4
    np.testing.assert_array_equal(x.data, expected.numpy())


@pytest.mark.parametrize("value", [0, 1, 2, 0.0, 0.5, True, np.int64(3)])
def test_a_mask_may_be_set_to_a_number(torch, value):
    x, expected = Tensor([True, False]), torch.tensor([True, False])
    x[:], expected[:] = value, value
    assert x.dtype == bool and x.data.tolist() == expected.tolist()


def test_rows_may_be_changed_one_by_one():
    x = Tensor([1.0, 2.0])
    for row in x:
        row += 1
    assert x.data.tolist() == [2, 3]


def test_a_view_of_what_a_backward_pass_needs_is_not_changed():
    x, w = Tensor(np.ones((2, 2))), Tensor(np.ones((2, 2)), requires_grad=True)
    y, row = (x * w).sum(), x[0]
    with pytest.raises(RuntimeError, match="still needed .* Mul keeps it"):
        row += 1
    with pytest.raises(ValueError, match="read-only"):
        row.data[0] = 5
    y.backward()
    row += 1
    assert x.data.tolist() == [[2, 2], [1, 1]] and w.grad.tolist() == [[1, 1], [1, 1]]


def overlapping():
    return np.lib.stride_tricks.sliding_window_view(np.zeros(4), 3)


@pytest.mark.parametrize("make", [
    lambda: Tensor(np.zeros(3)).expand(2, 3), lambda: Tensor(np.frombuffer(bytes(8))),
    lambda: Tensor(overlapping()), lambda: Tensor(overlapping())[0],
    lambda: Tensor(np.broadcast_to(np.zeros(3), (2, 3)))[:, 1]])
def test_memory_that_is_read_only_or_shared_by_elements_is_not_changed_in_place(make):
    for change in (lambda t: t.__iadd__(1), lambda t: t.__setitem__(..., 1)):
        with pytest.raises(RuntimeError, match=r"is read-only, .*use .clone\(\)"):
            change(make())


@pytest.mark.parametrize("change", [operator.iand, operator.ior, operator.ixor])
@pytest.mark.parametrize("dtype, other", [(np.int32, 5), (np.bool_, True), (np.uint8, None)])
def test_masks_and_bits_are_changed_in_place(torch, change, dtype, other):
    data = np.array([0, 1, 3]).astype(dtype)
    x, expected = Tensor(data.copy()), torch.tensor(data)
    q = change(x, x if other is None else other)
    change(expected, expected if other is None else other)
    assert q is x and x.dtype == dtype
    np.testing.assert_array_equal(x.data, expected.numpy())
    with pytest.raises(TypeError, match="cannot hold int64"):
        change(Tensor([True]), 2)
