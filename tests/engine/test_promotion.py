"""The dtype of a result, for every pair of dtypes, sides and kinds of operand: PyTorch's."""
import operator

import numpy as np
import pytest

from minitensor import Tensor

OPERATORS = (operator.add, operator.mul, operator.sub, operator.truediv)
DTYPES = (np.bool_, np.uint8, np.int8, np.int16, np.int32, np.int64, np.float32, np.float64)
NUMBERS = (True, 2, 2.5)
VALUES = {"with axes": [1, 0, 1], "without": 1}


def same(actual, expected):
    assert isinstance(actual, Tensor)
    expected = expected.numpy()
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual.data, expected)


@pytest.mark.parametrize("operate", OPERATORS)
@pytest.mark.parametrize("left", DTYPES)
@pytest.mark.parametrize("right", DTYPES)
@pytest.mark.parametrize("left_shape", VALUES)
@pytest.mark.parametrize("right_shape", VALUES)
def test_tensors_and_arrays(torch, operate, left, right, left_shape, right_shape):
    if operate is operator.sub and np.bool_ in (left, right):
        pytest.skip("PyTorch does not subtract bools")
    a, b = np.array(VALUES[left_shape], left), np.array(VALUES[right_shape], right)
    expected = operate(torch.tensor(a), torch.tensor(b))
    same(operate(Tensor(a), Tensor(b)), expected)
    if right_shape == "with axes":
        same(operate(Tensor(a), b), expected)
    if left_shape == "with axes":
        same(operate(a, Tensor(b)), expected)


@pytest.mark.parametrize("operate", OPERATORS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("shape", VALUES)
def test_numbers(torch, operate, dtype, number, shape):
    if operate is operator.sub and (dtype is np.bool_ or number is True):
        pytest.skip("PyTorch does not subtract bools")
    a = np.array(VALUES[shape], dtype)
    same(operate(Tensor(a), number), operate(torch.tensor(a), number))
    same(operate(number, Tensor(a)), operate(number, torch.tensor(a)))


def test_whole_numbers_do_not_wrap():
    x = Tensor(np.array([200, 10], np.uint8))
    np.testing.assert_array_equal((x / 256).data, np.float32([0.78125, 0.0390625]))
    np.testing.assert_allclose((x / 300).data, [200 / 300, 10 / 300], rtol=1e-6)
    np.testing.assert_allclose((300 / x).data, [1.5, 30], rtol=1e-6)
    np.testing.assert_array_equal((Tensor(np.array([True, False])) * 2).data, [2, 0])
    np.testing.assert_array_equal((x * np.array([300, 300])).data, [60000, 3000])
    with pytest.raises(OverflowError, match="Add: 300 does not fit uint8"):
        x + 300


def test_gradients_come_back_in_the_dtype_of_each_operand(torch):
    a, b = np.float32([1, 2, 3]), np.float64([4, 5, 6])
    ours = [Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)]
    theirs = [torch.tensor(v, requires_grad=True) for v in (a, b)]
    (ours[0] * ours[1] / 3).sum().backward()
    (theirs[0] * theirs[1] / 3).sum().backward()
    for t, expected in zip(ours, theirs):
        assert t.grad.dtype == t.dtype
        np.testing.assert_allclose(t.grad, expected.grad.numpy(), rtol=1e-7)


def test_a_number_keeps_its_digits():
    assert (Tensor(np.zeros(1)) + 0.1).data[0] == 0.1
