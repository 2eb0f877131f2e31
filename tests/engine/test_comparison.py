"""Comparisons and masks, beside PyTorch."""
import operator

import numpy as np
import pytest

from minitensor import Tensor

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


@pytest.mark.parametrize("compare", COMPARISONS)
@pytest.mark.parametrize("a, b", [
    (np.float32([0.1, 0.2]), 0.1), (np.float32([0.1, 0.2]), np.float64(0.1)),
    (np.float32([0.1, 0.2]), np.array(0.1)), (np.float32([0.1]), np.array([0.1])),
    (np.array([2**24 + 1]), np.float32([2**24])), (np.array([2**24 + 1]), 2.0**24),
    (np.array([1, 2]), 1.5), (np.array([True, False]), 0.5), (np.float16([0.1]), 0.1)])
def test_comparisons_are_in_the_dtype_that_pytorch_compares_in(torch, compare, a, b):
    theirs = torch.tensor(b) if isinstance(b, np.ndarray) else b
    expected = compare(torch.tensor(a), theirs).numpy()
    np.testing.assert_array_equal(compare(Tensor(a), b).data, expected)
    np.testing.assert_array_equal(compare(Tensor(a), Tensor(b) if isinstance(b, np.ndarray) else b)
                                  .data, expected)


@pytest.mark.parametrize("compare", COMPARISONS)
@pytest.mark.parametrize("a, b", [
    (np.uint8([0, 255]), -1), (np.uint8([0, 255]), 256), (np.int8([-1, 3]), np.uint64([2**63, 3]))])
def test_integers_are_compared_without_a_wrap(compare, a, b):
    pairs = zip(a.tolist(), np.broadcast_to(b, 2).tolist())
    assert compare(Tensor(a), b).data.tolist() == [compare(x, y) for x, y in pairs]


@pytest.mark.parametrize("value", [None, "text", {}])
def test_what_is_no_number_cannot_be_looked_for_in_a_tensor(value):
    with pytest.raises(TypeError, match=f"tensor holds numbers, and no {type(value).__name__}"):
        value in Tensor([1.0])


def test_a_tensor_is_in_a_set_by_identity_and_holds_values():
    x, y = Tensor([1.0, 2.0]), Tensor([1.0, 2.0])
    assert len({x, y, x}) == 2 and {x: 1}[x] == 1
    assert 2 in x and 3 not in x


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
