"""Comparisons, masks and changes in place, beside PyTorch."""
import operator

import numpy as np
import pytest

import minitensor as mt
from minitensor import Tensor, no_grad

COMPARISONS = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)
DTYPES = (np.bool_, np.uint8, np.int32, np.int64, np.float32, np.float64)


@pytest.mark.parametrize("compare", COMPARISONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_comparisons_are_pytorchs(torch, compare, dtype):
    a = np.array([[0, 1, 2], [3, 1, 0]]).astype(dtype)
    b = np.array([1, 1, 0]).astype(dtype)
    expected = compare(torch.tensor(a), torch.tensor(b)).numpy()
    for left, right in ((Tensor(a), Tensor(b)), (Tensor(a), b), (a, Tensor(b))):
        actual = compare(left, right)
        assert isinstance(actual, Tensor) and actual.dtype == bool and not actual.requires_grad
        np.testing.assert_array_equal(actual.numpy(), expected)
    number = 1.5 if dtype in (np.float32, np.float64) else 1
    np.testing.assert_array_equal(compare(Tensor(a), number).numpy(),
                                  compare(torch.tensor(a), number).numpy())
    np.testing.assert_array_equal(compare(number, Tensor(a)).numpy(),
                                  compare(number, torch.tensor(a)).numpy())


def test_what_is_no_number_is_not_equal():
    x = Tensor([1.0, 2.0])
    assert (x == None) is False and (x != "text") is True       # noqa: E711
    with pytest.raises(TypeError, match="not supported between"):
        assert x < None


def test_a_tensor_is_in_a_set_by_identity_and_holds_values():
    x, y = Tensor([1.0, 2.0]), Tensor([1.0, 2.0])
    assert len({x, y, x}) == 2 and {x: 1}[x] == 1
    assert 2 in x and 3 not in x


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


def test_a_view_is_not_changed_in_place():
    x = Tensor(np.zeros(4))
    view = x.reshape(2, 2)
    with pytest.raises(RuntimeError, match=r"Add: a tensor \(2, 2\) is read-only.*use .clone\(\)"):
        view += 1
    copy = view.clone()
    copy += 1
    assert x.data.sum() == 0 and copy.data.sum() == 4


@pytest.mark.parametrize("name", ["__and__", "__or__", "__xor__"])
@pytest.mark.parametrize("dtype", DTYPES[:4])
@pytest.mark.parametrize("right", DTYPES[:4])
def test_masks_combine_as_in_pytorch(torch, name, dtype, right):
    a, b = np.array([0, 1, 1, 3]).astype(dtype), np.array([1, 0, 1, 6]).astype(right)
    operate = getattr(operator, name)
    expected = operate(torch.tensor(a), torch.tensor(b)).numpy()
    for y in (operate(Tensor(a), Tensor(b)), operate(Tensor(a), b), operate(a, Tensor(b))):
        assert isinstance(y, Tensor) and y.dtype == expected.dtype
        np.testing.assert_array_equal(y.data, expected)
