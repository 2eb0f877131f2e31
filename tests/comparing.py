"""How tests compare arrays, run ops forward and backward, and lay out arrays in memory."""
import numpy as np

from minitensor import Tensor

TOLERANCE = {"float64": 1e-10, "float32": 1e-5}


def relative_error(actual, expected):
    """max |actual - expected| / max |expected|; NaN and infinity equal themselves only."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(actual[~finite], expected[~finite])
    difference = np.abs(actual[finite] - expected[finite]).max(initial=0.0)
    scale = np.abs(expected[finite]).max(initial=0.0)
    return difference / scale if scale else np.inf if difference else 0.0


def assert_close(actual, expected, tolerance=1e-10, name="result"):
    error = relative_error(actual, expected)
    assert error <= tolerance, f"{name} is off by {error:.2g}, more than {tolerance:g}"


def assert_norm_close(actual, expected, tolerance, name="result"):
    """|actual - expected| <= tolerance |expected|, in the Euclidean norm over all elements."""
    assert actual.shape == expected.shape
    error, scale = np.linalg.norm(actual - expected), np.linalg.norm(expected)
    assert error <= tolerance * scale, f"{name} is off by {error:.2g} of {scale:.2g}"


def run(op, *arrays, dy=None):
    """y, the gradients of the arrays, and the output gradient dy, random if none is given."""
    tensors = [Tensor(a, requires_grad=True) for a in arrays]
    y = op(*tensors)
    if dy is None:
        dy = np.random.default_rng(len(arrays)).standard_normal(y.shape).astype(y.dtype)
    result, seed = y.data.copy(), dy.copy()
    y.backward(dy)
    assert all(t.grad.dtype == t.dtype and t.grad.shape == t.shape for t in tensors)
    np.testing.assert_array_equal((y.data, dy), (result, seed),
                                  "backward changed its input in place")
    return y.data, [t.grad for t in tensors], dy


def run_torch(torch, op, *arrays, dy):
    tensors = [torch.tensor(np.array(a, order="C"), requires_grad=True) for a in arrays]
    y = op(*tensors)
    y.backward(torch.tensor(dy))
    return y.detach().numpy(), [t.grad.numpy() for t in tensors]


def assert_equals_torch(torch, op, torch_op, *arrays):
    """The same result, the same gradients along a random output gradient, and the dtype kept."""
    y, gradients, dy = run(op, *arrays)
    torch_y, torch_gradients = run_torch(torch, torch_op, *arrays, dy=dy)
    assert y.dtype == arrays[0].dtype
    assert_close(y, torch_y, TOLERANCE[y.dtype.name])
    for i, (gradient, torch_gradient) in enumerate(zip(gradients, torch_gradients)):
        assert_close(gradient, torch_gradient, TOLERANCE[y.dtype.name], f"gradient {i}")


def laid_out(array, layout):
    """Equal values, another order or spacing in memory."""
    if layout == "channels last":
        return np.ascontiguousarray(np.moveaxis(array, 1, -1)).transpose(0, 3, 1, 2)
    if layout == "every other":
        wide = np.full([2 * n for n in array.shape], np.nan, array.dtype)
        wide[tuple(slice(None, None, 2) for _ in array.shape)] = array
        return wide[tuple(slice(None, None, 2) for _ in array.shape)]
    if layout == "reversed":
        return np.ascontiguousarray(array[..., ::-1])[..., ::-1]
    assert layout == "contiguous"
    return array


LAYOUTS = ("contiguous", "channels last", "every other", "reversed")
