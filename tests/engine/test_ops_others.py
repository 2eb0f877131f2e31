"""The ops beside convolution and pooling against loops and against PyTorch, on every kernel set."""
import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import minitensor as mt
import reference
from comparing import LAYOUTS, TOLERANCE, assert_close, assert_equals_torch, laid_out, run
from minitensor import Generator, Tensor, nn
from strategies import dtypes, images

ACTIVATIONS = ("relu", "tanh", "sigmoid")
shapes = st.lists(st.sampled_from((1, 2, 3, 5, 8, 0)), min_size=0, max_size=4).map(tuple)

# Gradients of saturated functions are differences of nearly equal numbers: float32 has no digits
# left to compare there.
saturating = st.sampled_from(((np.float32, 0.1), (np.float32, 1.0),
                              (np.float64, 0.1), (np.float64, 1.0), (np.float64, 20.0)))


def normal(shape, dtype, seed=0, scale=1.0):
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


# ---- activations ---------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ACTIVATIONS)
@given(shapes, saturating)
@settings(max_examples=150)
def test_activations_equal_pytorch(kernels, torch, name, shape, dtype_and_scale):
    dtype, scale = dtype_and_scale
    x = normal(shape, dtype, scale=scale)
    assert_equals_torch(torch, getattr(mt, name), getattr(torch, name), x)


@pytest.mark.parametrize("name, definition", [
    ("relu", lambda x: max(x, 0.0)), ("tanh", math.tanh),
    ("sigmoid", lambda x: 1 / (1 + math.exp(-x)))])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_activations_equal_their_definition(kernels, name, definition, layout):
    x = normal((2, 3, 5, 4), np.float64, scale=4)
    y = getattr(mt, name)(Tensor(laid_out(x, layout))).data
    assert_close(y, np.vectorize(definition)(x))


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_of_extreme_values_equal_pytorch(kernels, torch, name, dtype):
    x = np.array([0.0, -0.0, np.inf, -np.inf, 1e30, -1e30, 1e-30], dtype)
    assert_equals_torch(torch, getattr(mt, name), getattr(torch, name), x)
    y = getattr(mt, name)(Tensor(np.array([1, np.nan], dtype)))
    assert np.isnan(y.data).tolist() == [False, True]


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-6), (np.float64, 1e-14)])
def test_the_sigmoid_of_a_very_negative_number_keeps_its_digits(kernels, dtype, tolerance):
    x = np.array([-80, -40, -20, -10, 0, 3, 50], dtype)
    y = mt.sigmoid(Tensor(x)).data
    np.testing.assert_allclose(y, [1 / (1 + math.exp(-v)) for v in x], rtol=tolerance)


def test_the_gradient_of_relu_at_zero_is_zero(kernels):
    x = Tensor(np.zeros(3), requires_grad=True)
    mt.relu(x).backward(np.ones(3))
    np.testing.assert_array_equal(x.grad, np.zeros(3))


# ---- linear --------------------------------------------------------------------------------------

@given(st.lists(st.sampled_from((1, 2, 3, 7, 0)), max_size=3).map(tuple), st.integers(1, 9),
       st.integers(1, 9), st.booleans(), dtypes)
@settings(max_examples=250)
def test_linear_equals_pytorch(kernels, torch, leading, inputs, outputs, bias, dtype):
    arrays = [normal(shape, dtype, i)
              for i, shape in enumerate(((*leading, inputs), (outputs, inputs), (outputs,)))]
    assert_equals_torch(torch, mt.linear, torch.nn.functional.linear, *arrays[:2 + bias])


@pytest.mark.parametrize("activation", [None, *ACTIVATIONS])
@pytest.mark.parametrize("leading", [(4,), (2, 3)])
def test_the_epilogue_of_linear_equals_pytorch(kernels, torch, activation, leading):
    x, w, b = (normal(shape, np.float64, i)
               for i, shape in enumerate(((*leading, 5), (6, 5), (6,))))
    residual = normal((*leading, 6), np.float64, 3)

    def torch_linear(x, w, b, r):
        y = torch.nn.functional.linear(x, w, b) + r
        return getattr(torch, activation)(y) if activation else y

    def linear(x, w, b, r):
        return mt.linear(x, w, b, residual=r, activation=activation)
    assert_equals_torch(torch, linear, torch_linear, x, w, b, residual)


@pytest.mark.parametrize("transposed", [False, True])
def test_linear_equals_the_loops(kernels, transposed):
    x, w, b = normal((3, 5), np.float64), normal((4, 5), np.float64, 1), normal(4, np.float64, 2)
    w_in_memory = np.asfortranarray(w) if transposed else w
    y, (dx, dw, db), dy = run(mt.linear, x, w_in_memory, b)
    ns, cs, fs = range(3), range(5), range(4)
    assert_close(y, [[sum(x[n, c] * w[f, c] for c in cs) + b[f] for f in fs] for n in ns])
    assert_close(dx, [[sum(dy[n, f] * w[f, c] for f in fs) for c in cs] for n in ns])
    assert_close(dw, [[sum(dy[n, f] * x[n, c] for n in ns) for c in cs] for f in fs])
    assert_close(db, [sum(dy[n, f] for n in ns) for f in fs])


# ---- softmax and losses --------------------------------------------------------------------------

matrices = st.tuples(st.integers(1, 6), st.integers(2, 9))
reductions = st.sampled_from(("mean", "sum", "none"))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@given(st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple), st.data(), saturating)
@settings(max_examples=200)
def test_softmax_equals_pytorch(kernels, torch, name, shape, data, dtype_and_scale):
    dtype, scale = dtype_and_scale
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    assert_equals_torch(torch, lambda x: getattr(mt, name)(x, dim),
                        lambda x: getattr(torch, name)(x, dim), normal(shape, dtype, scale=scale))


@given(matrices)
@settings(max_examples=20)
def test_softmax_equals_the_loops(kernels, shape):
    x = normal(shape, np.float64)
    assert_close(mt.softmax(Tensor(x)).data, reference.softmax(x))
    assert_close(mt.log_softmax(Tensor(x)).data, np.log(reference.softmax(x)))


@given(matrices, st.integers(0, 99), st.sampled_from((0.0, 0.1, 1.0)), reductions, saturating)
@settings(max_examples=250)
def test_cross_entropy_equals_pytorch(kernels, torch, shape, seed, smoothing, reduction,
                                      dtype_and_scale):
    dtype, scale = dtype_and_scale
    labels = np.random.default_rng(seed).integers(0, shape[1], shape[0])
    options = {"reduction": reduction, "label_smoothing": smoothing}
    assert_equals_torch(
        torch, lambda x: mt.cross_entropy(x, labels, **options),
        lambda x: torch.nn.functional.cross_entropy(x, torch.tensor(labels), **options),
        normal(shape, dtype, scale=scale))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_does_not_overflow(kernels, torch, name, dtype):
    x = np.array([[1e4, -1e4, 9999], [0, -1e30, 0]], dtype)
    expected = getattr(torch, name)(torch.tensor(x), -1).numpy()
    assert_close(getattr(mt, name)(Tensor(x)).data, expected, TOLERANCE[x.dtype.name])


@given(matrices, st.integers(0, 99), st.sampled_from((0.0, 0.1, 1.0)))
@settings(max_examples=30)
def test_cross_entropy_equals_the_loops(kernels, shape, seed, smoothing):
    logits = normal(shape, np.float64)
    labels = np.random.default_rng(seed).integers(0, shape[1], shape[0])
    losses = mt.cross_entropy(Tensor(logits), labels, reduction="none", label_smoothing=smoothing)
    assert_close(losses.data, reference.cross_entropy(logits, labels, smoothing))


@pytest.mark.parametrize("labels", [np.array([1, 0, 2], np.uint8), np.array([1, 0, 2], np.int32),
                                    [1, 0, 2], Tensor(np.array([1, 0, 2]))])
def test_labels_may_be_any_integers(kernels, labels):
    logits = normal((3, 3), np.float64)
    losses = mt.cross_entropy(Tensor(logits), labels, reduction="none")
    assert_close(losses.data, reference.cross_entropy(logits, (1, 0, 2), 0))


@given(matrices, st.integers(0, 99), reductions, dtypes)
@settings(max_examples=100)
def test_nll_loss_equals_pytorch(kernels, torch, shape, seed, reduction, dtype):
    labels = np.random.default_rng(seed).integers(0, shape[1], shape[0])
    assert_equals_torch(
        torch, lambda x: mt.nll_loss(x, labels, reduction=reduction),
        lambda x: torch.nn.functional.nll_loss(x, torch.tensor(labels), reduction=reduction),
        -np.abs(normal(shape, dtype)))


@given(st.lists(st.integers(1, 5), max_size=3).map(tuple), reductions, dtypes)
@settings(max_examples=100)
def test_mse_loss_equals_pytorch(kernels, torch, shape, reduction, dtype):
    assert_equals_torch(
        torch, lambda x, target: mt.mse_loss(x, target, reduction),
        lambda x, target: torch.nn.functional.mse_loss(x, target, reduction=reduction),
        normal(shape, dtype), normal(shape, dtype, 1))


# ---- local response normalisation ----------------------------------------------------------------

constants = st.tuples(      # size, alpha, beta, k
    st.integers(1, 6), st.sampled_from((1e-4, 0.5, 2.0)), st.sampled_from((0.75, 0.5, 1.3)),
    st.sampled_from((1.0, 2.0, 0.1)))


@given(images(), constants)
@settings(max_examples=250)
def test_local_response_norm_equals_pytorch(kernels, torch, x, constants):
    assert_equals_torch(torch, lambda t: mt.local_response_norm(t, *constants),
                        lambda t: torch.nn.functional.local_response_norm(t, *constants), x.new())


@given(images(), constants)
@settings(max_examples=150)
def test_local_response_norm_within_a_channel_equals_pytorch(kernels, torch, x, constants):
    size, alpha, beta, k = constants

    def composed(t):
        squares = torch.nn.functional.pad(t * t, 2 * (size // 2, (size - 1) // 2))
        return t / (k + alpha * torch.nn.functional.avg_pool2d(squares, size, 1))**beta
    assert_equals_torch(torch, lambda t: mt.local_response_norm(t, *constants, "within_channel"),
                        composed, x.new())


@pytest.mark.parametrize("region", ["across_channels", "within_channel"])
@given(images(batch=st.integers(1, 2)), constants)
@settings(max_examples=30)
def test_local_response_norm_equals_the_loops(kernels, region, x, constants):
    y = mt.local_response_norm(Tensor(x.new()), *constants, region)
    expected = reference.local_response_norm(x.new().astype(np.float64), *constants, region)
    assert_close(y.data, expected, TOLERANCE[y.dtype.name])


# ---- dropout and flatten -------------------------------------------------------------------------

def test_dropout_keeps_or_zeroes_and_the_gradient_has_the_same_mask(kernels):
    x = normal((50, 40), np.float64)
    y, (dx,), dy = run(lambda t: mt.dropout(t, 0.3, generator=Generator(1)), x)
    kept = y != 0
    assert abs(kept.mean() - 0.7) < 4 * math.sqrt(0.3 * 0.7 / x.size)
    assert_close(y, np.where(kept, x / 0.7, 0))
    assert_close(dx, np.where(kept, dy / 0.7, 0))


def test_dropout_does_nothing_in_evaluation_or_with_p_0(kernels):
    x, generator = Tensor(normal(9, np.float32)), Generator(1)
    assert mt.dropout(x, 0.5, training=False, generator=generator) is x
    assert mt.dropout(x, 0.0, generator=generator) is x


def test_dropout_with_p_1_keeps_nothing(kernels):
    y, (dx,), _ = run(lambda t: mt.dropout(t, 1, generator=Generator(1)), np.array([1.0, np.inf]))
    assert y.tolist() == dx.tolist() == [0, 0]
    layer, x = nn.Dropout(1.0, generator=Generator(1)), Tensor(np.ones(3))
    assert layer(x).data.tolist() == [0, 0, 0] and layer.eval()(x) is x


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_mask_depends_on_position_and_not_on_memory_order(kernels, layout):
    x = normal((2, 3, 4, 5), np.float32)
    y = mt.dropout(Tensor(laid_out(x, layout)), generator=Generator(7)).data
    np.testing.assert_array_equal(y, mt.dropout(Tensor(x), generator=Generator(7)).data)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple), st.data())
@settings(max_examples=60)
def test_flatten_equals_pytorch(torch, shape, data):
    start = data.draw(st.integers(0, len(shape) - 1))
    end = data.draw(st.integers(start, len(shape) - 1))
    end -= data.draw(st.sampled_from((0, len(shape))))
    assert_equals_torch(torch, lambda x: mt.flatten(x, start, end),
                        lambda x: torch.flatten(x, start, end), normal(shape, np.float64))
