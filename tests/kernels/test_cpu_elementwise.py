"""The fast pools, activations, normalisation, loss and update against the reference set: the same
values in every memory order, and on any number of threads."""
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from comparing import LAYOUTS, TOLERANCE, assert_close, laid_out
from minitensor.kernels import kernel_set
from minitensor.kernels.cpu import threads, tuning
from strategies import images, pooled_images

REFERENCE, CPU = kernel_set("reference"), kernel_set("cpu")


@pytest.fixture(autouse=True, scope="module")
def small_blocks():
    """Blocks so small that every example has several."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "BLOCK_ELEMENTS", 64)
        patch.setattr(tuning, "POOL_BLOCK_ELEMENTS", 64)
        yield


@pytest.fixture(autouse=True)
def two_threads():
    before = threads.get_num_threads()
    threads.set_num_threads(2)
    yield
    threads.set_num_threads(before)


def assert_same(name, *arguments, exact=False):
    """Both sets agree, and so do 1, 2 and 3 threads, to the bit. Returns the reference's result."""
    expected = getattr(REFERENCE, name)(*arguments)
    results = []
    for n in (1, 2, 3):
        threads.set_num_threads(n)
        results.append(as_tuple(getattr(CPU, name)(*arguments)))
    for actual, wanted in zip(results[0], as_tuple(expected), strict=True):
        if wanted is None:
            assert actual is None
            continue
        assert (actual.shape, actual.dtype) == (wanted.shape, wanted.dtype)
        if exact:
            np.testing.assert_array_equal(actual, wanted)
        else:
            assert_close(actual, wanted, TOLERANCE[wanted.dtype.name])
    for other in results[1:]:
        for a, b in zip(results[0], other):
            assert a is None or a.tobytes() == b.tobytes()
    return expected


def as_tuple(result):
    return result if isinstance(result, tuple) else (result,)


# ---- pooling -------------------------------------------------------------------------------------

@given(pooled_images(), st.booleans(), st.booleans())
def test_max_pool2d(x_and_window, ceil_mode, ties):
    x, (*window, _) = x_and_window
    values = x.new()
    if ties:
        values = laid_out(np.round(values), x.layout)
    y, winner = assert_same("max_pool2d", values, *window, ceil_mode, True, exact=True)
    assert_same("max_pool2d", values, *window, ceil_mode, False, exact=True)
    assert_same("max_pool2d_backward", x.new(*y.shape), winner, values.shape[2:], *window)


@given(pooled_images(), st.sampled_from((np.nan, np.inf, -np.inf)))
def test_max_pool2d_with_special_values(x_and_window, special):
    x, (*window, _) = x_and_window
    some = np.random.default_rng(x.seed).random(x.shape) < 0.3
    values = np.where(some, x.dtype(special), x.new())
    assert_same("max_pool2d", values, *window, False, True, exact=True)
    assert_same("max_pool2d", values, *window, False, False, exact=True)


@pytest.mark.parametrize("kernel_size", [(1, 300), (17, 17)])
def test_max_pool2d_with_more_than_256_cells(kernel_size):
    x = np.random.default_rng(0).standard_normal((2, 2, 20, 310))
    y, winner = assert_same("max_pool2d", x, kernel_size, (3, 2), (0, 1), True, True, exact=True)
    assert winner.dtype == np.int32
    assert_same("max_pool2d_backward", y, winner, x.shape[2:], kernel_size, (3, 2), (0, 1))


@given(pooled_images(), st.sampled_from((np.inf, -np.inf, np.nan)))
def test_max_pool2d_sends_a_gradient_to_the_winner_alone(x_and_window, special):
    """Even an infinite one, as in PyTorch: no inf * 0 = NaN at the other cells."""
    x, (*window, _) = x_and_window
    y, winner = REFERENCE.max_pool2d(x.new(distinct=True), *window, False, True)
    dy = x.new(*y.shape)
    dy[:1, :1, :1, :1] = special
    assert_same("max_pool2d_backward", dy, winner, x.shape[2:], *window, exact=True)


@given(pooled_images(), st.booleans(), st.booleans())
def test_avg_pool2d(x_and_window, ceil_mode, count_include_pad):
    x, (*window, _) = x_and_window
    y = assert_same("avg_pool2d", x.new(), *window, ceil_mode, count_include_pad)
    assert_same("avg_pool2d_backward", x.new(*y.shape), x.shape[2:], *window, count_include_pad)


# ---- activations and dropout ---------------------------------------------------------------------

@given(images(), st.sampled_from(LAYOUTS))
def test_activations(x, other_layout):
    values, dy = x.new(), laid_out(x.new(*x.shape), other_layout)
    for name in ("relu", "tanh", "sigmoid"):
        y = assert_same(name, values, exact=name == "relu")
        assert_same(f"{name}_backward", dy, y)


def test_relu_keeps_nan_and_lets_no_gradient_but_its_own_through():
    x = np.array([np.nan, -1, 0, -0.0, np.inf, -np.inf], np.float32)
    assert_same("relu", x, exact=True)
    dy = np.array([np.nan, np.inf, -np.inf, 1, 2, np.nan], np.float32)
    assert_same("relu_backward", dy, np.maximum(x, 0), exact=True)


@given(images(), st.sampled_from((0.0, 0.1, 0.5, 0.9, 1 - 2**-30)), st.integers(0, 2**64 - 1))
def test_dropout_draws_the_same_mask(x, p, seed):
    assert_same("dropout", x.new(), p, (seed, 7), exact=True)


@pytest.mark.parametrize("block", [8, 64, 1000])
def test_dropout_does_not_depend_on_blocks(monkeypatch, block):
    monkeypatch.setattr(tuning, "BLOCK_ELEMENTS", block)
    assert_same("dropout", np.ones((7, 151), np.float32), 0.5, (1, 2), exact=True)


@given(images())
def test_elementwise_results_keep_the_order_in_memory(x):
    values = x.new()
    y = np.zeros_like(values)
    for result in (CPU.relu(values), CPU.tanh(values), CPU.relu_backward(values, y),
                   CPU.dropout(values, 0.5, (1, 2))):
        assert result.strides == y.strides


# ---- the loss ------------------------------------------------------------------------------------

@given(st.integers(0, 5), st.integers(2, 7), st.sampled_from((0.0, 0.1)),
       st.sampled_from((np.float32, np.float64)), st.floats(-200, 200))
def test_cross_entropy(N, K, smoothing, dtype, shift):
    rng = np.random.default_rng(N)
    logits = (rng.standard_normal((N, K)) * 20 + shift).astype(dtype)
    labels, dlosses = rng.integers(0, K, N), rng.standard_normal(N).astype(dtype)
    _, probabilities = assert_same("cross_entropy", logits, labels, smoothing)
    assert_same("cross_entropy_backward", dlosses, probabilities, labels, smoothing)


# ---- normalisation -------------------------------------------------------------------------------

@given(images(), st.integers(1, 6), st.sampled_from((0.75, 0.5, 1.3)),
       st.sampled_from(((1,), (2, 3))))
def test_local_response_norm(x, size, beta, axes):
    values = x.new()
    _, scale = assert_same("local_response_norm", values, size, 0.5, beta, 2.0, axes)
    dy = x.new(*x.shape)
    assert_same("local_response_norm_backward", dy, values, scale, size, 0.5, beta, axes)


# ---- the update ----------------------------------------------------------------------------------

@settings(max_examples=60)
@given(images(), st.sampled_from(LAYOUTS), st.sampled_from((0.0, 0.3)), st.booleans(),
       st.sampled_from((1, 7)))
def test_adam(x, other_layout, weight_decay, decoupled, step):
    """w, m, v, dw in one order or in several, contiguous or not."""
    kept = [x.new(), *(laid_out(abs(x.new(*x.shape)), x.layout) for _ in range(2))]
    dw = laid_out(x.new() - 1, other_layout)
    hyperparameters = 0.1, 0.8, 0.99, 1e-3, weight_decay, decoupled, step
    expected = [array.copy() for array in kept]
    REFERENCE.adam(*([array] for array in (*expected, dw)), *hyperparameters)
    for n in (1, 2, 3):
        threads.set_num_threads(n)
        actual = [laid_out(array.copy(), x.layout) for array in kept]
        CPU.adam(*([array] for array in (*actual, dw)), *hyperparameters)
        for one, other in zip(actual, expected):
            assert_close(one, other, TOLERANCE[dw.dtype.name])


@settings(max_examples=60)
@given(images(), st.sampled_from(LAYOUTS), st.sampled_from((0.0, 0.9)),
       st.sampled_from((0.0, 5e-4)), st.booleans(), st.booleans())
def test_sgd(x, other_layout, momentum, weight_decay, nesterov, lr_in_velocity):
    """w, v, dw in one order or in several, contiguous or not."""
    w, v = x.new(), laid_out(x.new(*x.shape) * 0.5, x.layout)
    dw = laid_out(x.new() - 1, other_layout)
    expected_w, expected_v = w.copy(), v.copy()
    hyperparameters = 0.1, momentum, weight_decay, nesterov, lr_in_velocity
    REFERENCE.sgd([expected_w], [expected_v], [dw], *hyperparameters)
    for n in (1, 2, 3):
        threads.set_num_threads(n)
        actual_w, actual_v = laid_out(w.copy(), x.layout), laid_out(v.copy(), x.layout)
        CPU.sgd([actual_w], [actual_v], [dw], *hyperparameters)
        assert_close(actual_w, expected_w, TOLERANCE[w.dtype.name])
        assert_close(actual_v, expected_v, TOLERANCE[w.dtype.name])
