"""NumPy's functions and operators on Tensors: through our ops, or refused; no gradient is lost."""
import numpy as np
import pytest

from minitensor import Tensor

A, B = np.array([[0.5, 2.0, 1.5], [3.0, 0.25, 1.0]]), np.array([1.5, 0.5, 2.5])
ROW = B[None]

THROUGH_OPS = {     # function of arrays and of tensors alike
    "add": lambda x: np.add(B, x), "subtract": lambda x: np.subtract(B, x),
    "multiply": lambda x: np.multiply(x, B), "divide": lambda x: np.divide(B, x),
    "power": lambda x: np.power(x, B), "power of": lambda x: np.power(B, x),
    "remainder": lambda x: np.mod(x, 0.7), "matmul": lambda x: np.matmul(x, B),
    "negative": np.negative, "abs": np.abs, "exp": np.exp, "log": np.log, "sqrt": np.sqrt,
    "tanh": np.tanh, "maximum": lambda x: np.maximum(x, B), "minimum": lambda x: np.minimum(B, x),
    "array + x": lambda x: B + x, "array - x": lambda x: B - x, "array @ x": lambda x: A[:, :2] @ x,
    "array ** x": lambda x: B**x, "number * x": lambda x: np.float64(2) * x,
    "where": lambda x: np.where(A > 1, x, B), "clip": lambda x: np.clip(x, 0.4, 2.2),
    "stack": lambda x: np.stack([x, 2 * x], axis=1), "sum": lambda x: np.sum(x, axis=1),
    "concatenate": lambda x: np.concatenate([x, A]) if isinstance(x, np.ndarray)
    else np.concatenate([x, Tensor(A)]), "reshape": lambda x: np.reshape(x, (3, 2)),
    "transpose": lambda x: np.transpose(x), "axes": lambda x: np.transpose(x, (1, 0)),
    "swapaxes": lambda x: np.swapaxes(x, 0, 1), "expand_dims": lambda x: np.expand_dims(x, 1),
    "squeeze": lambda x: np.squeeze(x[:1]), "mean": lambda x: np.mean(x, axis=0, keepdims=True),
    "max": lambda x: np.max(x, axis=1), "min": np.min, "var": lambda x: np.var(x, axis=0),
    "std": lambda x: np.std(x, ddof=1),
}


@pytest.mark.parametrize("function", THROUGH_OPS.values(), ids=THROUGH_OPS)
def test_numpys_functions_keep_the_gradient(function):
    x = Tensor(A.copy(), requires_grad=True)
    y, expected = function(x), function(A)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12)
    dy = np.random.default_rng(0).standard_normal(expected.shape)
    y.backward(dy)
    slopes = np.zeros_like(A)
    for index in np.ndindex(A.shape):                       # central differences
        step = np.zeros_like(A)
        step[index] = 1e-6
        slopes[index] = ((function(A + step) - function(A - step)) * dy).sum() / 2e-6
    np.testing.assert_allclose(x.grad, slopes, rtol=1e-6, atol=1e-8)
    assert isinstance(function(Tensor(A)), Tensor)


@pytest.mark.parametrize("function", [
    np.sin, np.cumsum, np.linalg.norm, np.asarray, np.array, lambda x: np.array([x, x]),
    lambda x: np.sum(x, dtype=np.float32), lambda x: np.exp(x, out=np.zeros((2, 3))), np.ravel,
    lambda x: np.add.reduce(x), lambda x: np.dot(x, B), lambda x: np.tensordot(x, B, 1),
    lambda x: np.multiply.outer(x, B), lambda x: np.testing.assert_allclose(x, A),
    lambda x: Tensor([x, x]), np.float32])
def test_numpys_functions_lose_no_gradient_in_silence(function):
    with pytest.raises(TypeError, match=r"requires a gradient would .*\.detach\(\)"):
        function(Tensor(A.copy(), requires_grad=True))


def test_an_array_is_changed_in_place_by_a_tensor_without_gradient():
    array = A.copy()
    same = array
    same += Tensor(np.ones(3))
    assert same is array
    np.testing.assert_array_equal(array, A + 1)
    with pytest.raises(TypeError, match="requires a gradient"):
        same -= Tensor(np.ones(3), requires_grad=True)
    np.testing.assert_array_equal(array, A + 1)


def test_numpys_other_functions_give_arrays_where_there_is_no_gradient():
    x = Tensor(A)
    for function in (np.sin, np.cumsum, np.ravel, np.add.reduce, lambda x: np.sum(x, dtype=float)):
        y = function(x)
        assert isinstance(y, (np.ndarray, np.floating))
        np.testing.assert_array_equal(y, function(A))


def test_numpys_questions_need_no_gradient():
    x = Tensor(np.array([1.0, np.nan, np.inf]), requires_grad=True)
    assert np.isnan(x).tolist() == [False, True, False]
    assert np.isfinite(x).tolist() == [True, False, False]
    assert np.any(x > 0).item() and not np.all(x > 0).item() and np.argmax(x[:1]).item() == 0


def test_labels_are_compared_with_predictions():
    labels, predicted = np.array([1, 2, 3, 3]), Tensor(np.array([1, 2, 0, 3]))
    assert np.mean(labels == predicted) == 0.75
    np.testing.assert_array_equal(np.stack([predicted, predicted]), [[1, 2, 0, 3]] * 2)
    assert np.where(predicted > 1, predicted, 0).tolist() == [0, 2, 0, 3]
    for compare in (np.less, np.less_equal, np.greater, np.greater_equal, np.equal):
        np.testing.assert_array_equal(compare(labels, predicted),
                                      compare(labels, predicted.numpy()))
