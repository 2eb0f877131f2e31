"""What the CUDA kernels alone have: precisions, a choice of algorithms, sums in parts. On the
emulator and, where there is one, a GPU."""
from contextlib import nullcontext

import numpy as np
import pytest

import minitensor as mt
from comparing import LAYOUTS, TOLERANCE, assert_close, laid_out
from minitensor import Generator, Tensor
from minitensor.backend import capture_mode, to_device, to_numpy
from minitensor.kernels import (ACTIVATIONS, PRECISIONS, Epilogue, kernel_set, kernels_for,
                                reference, use_kernels, use_precision)
from minitensor.kernels.cuda import choose, conv, products, tuning

EVERYTHING = (True, True, True, True)
NOTHING = Epilogue()
# Half a unit in the last place of one factor: a product of two rounded ones is off by twice that,
# sums by no more than their largest terms.
ROUNDING = {"tf32": 2.0**-11, "bf16": 2.0**-8}
CONVOLUTIONS = [                    # x, w, stride, padding, dilation, groups
    ((2, 3, 11, 9), (7, 3, 5, 3), (2, 3), (2, 0), (1, 1), 1),
    ((2, 8, 7, 7), (8, 4, 3, 3), (1, 1), (1, 1), (1, 2), 2),
    ((1, 64, 6, 6), (9, 64, 3, 3), (1, 1), (1, 1), (1, 1), 1),      # long sums: split-K
    ((1, 6, 12, 12), (9, 2, 1, 1), (1, 1), (0, 0), (1, 1), 3),
]
CONVOLUTION = "x_shape, w_shape, stride, padding, dilation, groups"
LINEARS = [(3, 5, 7), (8, 130, 33), (130, 36, 10), (1, 300, 8), (0, 4, 4), (9, 600, 1)]  # N, C, F


pytestmark = pytest.mark.parametrize(
    "kernels", [pytest.param("cuda-emulated", marks=pytest.mark.slow),
                pytest.param("cuda", marks=pytest.mark.gpu)], indirect=True)


@pytest.fixture(autouse=True)
def cuda(kernels):
    return kernel_set("cuda")


def operands(x_shape, w_shape, dtype=np.float32):
    rng = np.random.default_rng(sum(x_shape))
    return [rng.standard_normal(shape).astype(dtype) for shape in (x_shape, w_shape, w_shape[:1])]


def exact(*arrays):
    return [a.astype(np.float64) for a in arrays]


def conv_and_gradients(kernels, x, w, epilogue, geometry, dy=None):
    """y, dx, dw, db, dresidual of a convolution, and dy."""
    y = kernels.conv2d(x, w, epilogue, *geometry)
    if dy is None:
        dy = np.random.default_rng(1).standard_normal(y.shape).astype(y.dtype)
    of_activation = None if epilogue.activation is None else y
    return [y, *kernels.conv2d_backward(dy, x, w, of_activation, *geometry, epilogue.activation,
                                        EVERYTHING)], dy


def linear_and_gradients(kernels, x, w, epilogue, dy):
    y = kernels.linear(x, w, epilogue)
    of_activation = None if epilogue.activation is None else y
    return [y, *kernels.linear_backward(dy, x, w, of_activation, epilogue.activation, EVERYTHING)]


# ---- precision -----------------------------------------------------------------------------------

def error_of_products(actual, expected, magnitude):
    """The largest error, relative to what the same sum of absolute values is."""
    return (np.abs(actual - expected) / magnitude).max()


@pytest.mark.parametrize("precision", ROUNDING)
@pytest.mark.parametrize(CONVOLUTION, CONVOLUTIONS)
def test_a_convolution_is_rounded_as_its_precision_says(cuda, precision, x_shape, w_shape, stride,
                                                        padding, dilation, groups):
    x, w, b = operands(x_shape, w_shape)
    geometry = stride, padding, dilation, groups
    with use_precision(precision):
        (*rounded, db, _), dy = conv_and_gradients(cuda, x, w, Epilogue(b), geometry)
    X, W, B, DY = exact(x, w, b, dy)
    exactly, _ = conv_and_gradients(reference, X, W, Epilogue(B), geometry, DY)
    magnitudes, _ = conv_and_gradients(reference, abs(X), abs(W), Epilogue(abs(B)), geometry,
                                       abs(DY))
    for actual, expected, magnitude in zip(rounded, exactly, magnitudes):
        error = error_of_products(actual, expected, magnitude + 1e-30)
        assert ROUNDING[precision] / 100 < error < 2.1 * ROUNDING[precision]    # and no more
    assert_close(db, exactly[3], 1e-6)


@pytest.mark.parametrize("precision", ROUNDING)
@pytest.mark.parametrize("N, C, F", [(9, 5, 7), (130, 36, 10), (10, 200, 8)])
def test_a_linear_layer_is_rounded_as_its_precision_says(cuda, precision, N, C, F):
    x, w, b = operands((N, C), (F, C))
    dy = np.random.default_rng(1).standard_normal((N, F)).astype(np.float32)
    with use_precision(precision):
        rounded = linear_and_gradients(cuda, x, w, Epilogue(b), dy)[:3]
    X, W, B, DY = exact(x, w, b, dy)
    magnitudes = abs(X) @ abs(W).T + abs(B), abs(DY) @ abs(W), abs(DY).T @ abs(X)
    for actual, expected, magnitude in zip(rounded, (X @ W.T + B, DY @ W, DY.T @ X), magnitudes):
        error = error_of_products(actual, expected, magnitude)
        assert ROUNDING[precision] / 100 < error < 2.1 * ROUNDING[precision]


@pytest.mark.parametrize("N, C", [(1, 300), (8, 7)])
def test_a_linear_layer_of_few_rows_is_not_rounded(cuda, N, C):
    x, w, b = operands((N, C), (33, C))
    with use_precision("bf16"):
        y = cuda.linear(x, w, Epilogue(b))
    X, W, B = exact(x, w, b)
    assert_close(y, X @ W.T + B, 1e-6)


@pytest.mark.parametrize("precision", ROUNDING)
@pytest.mark.parametrize("value", [0.0, np.inf, -np.inf, np.nan, 3.0e38, 1 + 2.0**-11,
                                   1 + 3 * 2.0**-11, 1 + 2.0**-8, 1 + 3 * 2.0**-8])
def test_rounding_of_single_numbers(cuda, precision, value):
    """To the nearest number of 11 or 8 significant bits; halves away from 0 (tf32) or to even
    (bf16), as the hardware does."""
    x, one = np.full((9, 1), value, np.float32), np.ones((1, 1), np.float32)
    bits = 13 if precision == "tf32" else 16
    word = int(x.view(np.uint32)[0, 0])
    if np.isfinite(value):
        half = 2**(bits - 1)
        up = half if precision == "tf32" else half - 1 + (word >> bits & 1)
        word = (word + up) >> bits << bits
    expected = np.full((9, 1), word, np.uint32).view(np.float32)
    with use_precision(precision):
        np.testing.assert_array_equal(cuda.linear(x, one, NOTHING), expected)
        np.testing.assert_array_equal(cuda.matmul(x, one), expected)


def test_float64_is_never_rounded(cuda):
    x, w, b = operands((2, 4, 5, 5), (4, 4, 3, 3), np.float64)
    geometry = (1, 1), (1, 1), (1, 1), 1
    with use_precision("bf16"):
        results, dy = conv_and_gradients(cuda, x, w, Epilogue(b), geometry)
    expected, _ = conv_and_gradients(reference, x, w, Epilogue(b), geometry, dy)
    for actual, wanted in zip(results, expected):
        assert_close(actual, wanted, 1e-13)


def test_other_precisions_are_for_the_cuda_kernels_alone(cuda):
    x = np.ones(3, np.float32)
    with use_precision("bf16"):
        for name in ("reference", "cpu"):
            message = f"'bf16' needs the 'cuda' kernels and a GPU; {name!r} has 'fp32' alone"
            with use_kernels(name), pytest.raises(ValueError, match=message):
                kernels_for(x)
        with use_kernels("cuda"):
            assert kernels_for(x) is cuda
    with pytest.raises(ValueError, match="must be one of .* not 'fp16'"), use_precision("fp16"):
        pass
    assert PRECISIONS == ("fp32", "tf32", "bf16")


# ---- the ladder of convolutions ------------------------------------------------------------------

@pytest.fixture
def naive(kernels):
    """`conv2d_naive` on the device in use, for NumPy's arrays."""
    device = "cuda" if kernels == "cuda" else "cpu"

    def run(x, w, epilogue, *geometry):
        x, w, *others = (None if a is None else to_device(a, device)
                         for a in (x, w, *epilogue[:2]))
        return to_numpy(conv.conv2d_naive(x, w, Epilogue(*others, epilogue.activation), *geometry))
    return run


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(CONVOLUTION, CONVOLUTIONS)
def test_the_first_rung_is_the_definition(naive, activation, x_shape, w_shape, stride, padding,
                                          dilation, groups):
    """The naive kernel, which shares no line with the others, on the textbook's convolution."""
    x, w, b = operands(x_shape, w_shape, np.float64)
    geometry = stride, padding, dilation, groups
    residual = np.random.default_rng(2).standard_normal(
        reference.conv2d(x, w, NOTHING, *geometry).shape)
    epilogue = Epilogue(b, residual, activation)
    assert_close(naive(x, w, epilogue, *geometry), reference.conv2d(x, w, epilogue, *geometry))


@pytest.mark.parametrize("rung", ["im2col", "implicit GEMM"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(CONVOLUTION, CONVOLUTIONS)
def test_every_rung_computes_what_the_first_does(cuda, naive, monkeypatch, rung, dtype,
                                                 activation, x_shape, w_shape, stride, padding,
                                                 dilation, groups):
    monkeypatch.setattr(tuning, "IM2COL_FILTERS", 0 if rung == "im2col" else 10**6)
    monkeypatch.setattr(tuning, "IM2COL_BYTES", 1)              # image by image
    x, w, b = operands(x_shape, w_shape, dtype)
    w *= dtype(0.1)                     # or else 1 - tanh² would lose too many digits in float32
    geometry = stride, padding, dilation, groups
    shape = reference.conv2d(x, w, NOTHING, *geometry).shape
    residual = np.random.default_rng(2).standard_normal(shape).astype(dtype)
    epilogue = Epilogue(b, residual, activation)
    results, dy = conv_and_gradients(cuda, x, w, epilogue, geometry)
    assert_close(results[0], naive(x, w, epilogue, *geometry), TOLERANCE[results[0].dtype.name])
    X, W, B, R, DY = exact(x, w, b, residual, dy)
    expected, _ = conv_and_gradients(reference, X, W, Epilogue(B, R, activation), geometry, DY)
    for actual, wanted in zip(results, expected):
        assert actual.dtype == dtype
        assert_close(actual, wanted, TOLERANCE[actual.dtype.name])


@pytest.mark.parametrize("needs", list(np.ndindex(2, 2, 2, 2)))
@pytest.mark.parametrize("activation", [None, "tanh"])
def test_only_what_is_needed_is_computed(cuda, needs, activation):
    x, w, _ = operands((2, 4, 3, 3), (4, 4, 3, 3), np.float64)
    geometry = (1, 1), (1, 1), (1, 1), 1
    y = np.tanh(reference.conv2d(x, w, NOTHING, *geometry))
    dy = np.random.default_rng(1).standard_normal(y.shape)
    for theme in ("conv2d", "linear"):
        arguments = (dy, x, w, y if activation else None, *geometry)
        if theme == "linear":
            arguments = tuple(None if a is None else a[0, 0] for a in arguments[:4])
        results, expected = (
            getattr(kernels, f"{theme}_backward")(*arguments, activation, needs)
            for kernels in (cuda, reference))
        for actual, wanted in zip(results, expected):
            assert (actual is None) == (wanted is None)
            if wanted is not None:
                assert_close(actual, wanted)


# ---- who multiplies ------------------------------------------------------------------------------

@pytest.mark.parametrize("capture", [False, True])
def test_an_epilogue_with_gaps(cuda, capture):
    x, w, b = operands((2, 4), (3, 4), np.float64)
    spaced = laid_out(np.stack([b, b]), "every other")[0]
    residual = laid_out(np.arange(6.0).reshape(2, 3), "every other")
    assert not spaced.flags.c_contiguous and not residual.flags.c_contiguous
    with capture_mode() if capture else nullcontext():
        epilogue = Epilogue(spaced, residual)
        assert_close(cuda.linear(x, w, epilogue), x @ w.T + b + residual)
        epilogue = Epilogue(spaced, residual[:, :, None, None])
        y = cuda.conv2d(x.reshape(2, 4, 1, 1), w.reshape(3, 4, 1, 1), epilogue, (1, 1), (0, 0),
                        (1, 1), 1)
        assert_close(y.reshape(2, 3), x @ w.T + b + residual)


def test_arrays_may_begin_anywhere(cuda):
    """A view that begins between two packs of 16 bytes."""
    def shifted(a):
        return np.concatenate([a[:1].ravel()[:1], a.ravel()])[1:].reshape(a.shape)
    x, w, b = operands((2, 8, 1, 1), (4, 8, 1, 1))
    dy = np.random.default_rng(1).standard_normal((2, 4, 1, 1)).astype(np.float32)
    geometry = (1, 1), (0, 0), (1, 1), 1
    rows, filters, relu = x.reshape(2, 8), w.reshape(4, 8), Epilogue(b, None, "relu")
    shifted_relu = Epilogue(shifted(b), None, "relu")
    with capture_mode():
        results = [cuda.conv2d(shifted(x), shifted(w), shifted_relu, *geometry),
                   cuda.linear(shifted(rows), shifted(filters), NOTHING),
                   cuda.matmul(shifted(rows), shifted(filters.T)),
                   *cuda.conv2d_backward(*map(shifted, (dy, x, w)), None, *geometry, None,
                                         EVERYTHING), cuda.relu(shifted(x))]
    expected = [reference.conv2d(x, w, relu, *geometry), rows @ filters.T, rows @ filters.T,
                *reference.conv2d_backward(dy, x, w, None, *geometry, None, EVERYTHING),
                reference.relu(x)]
    for actual, wanted in zip(results, expected):
        assert_close(actual, wanted, 1e-5)


def test_the_rule_that_chooses():
    x = np.ones(1, np.float32)
    assert choose.use_im2col(x, 256) and not choose.use_im2col(x, 96)
    assert choose.use_im2col(x.astype(np.float64), 256)
    with use_precision("tf32"):
        assert not choose.use_im2col(x, 256) and choose.use_im2col(x.astype(np.float64), 256)
    with capture_mode():
        assert not choose.use_im2col(x, 256) and not choose.cublas_multiplies(x)


@pytest.fixture
def no_cublas(monkeypatch):
    """As while a graph is recorded: nothing but our own kernels may multiply."""
    monkeypatch.setattr(np, "matmul", None)
    with capture_mode():
        yield


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("N, C, F", LINEARS)
def test_linear_of_our_own(cuda, no_cublas, activation, N, C, F):
    x, w, b = operands((N, C), (F, C))
    dy, residual = np.random.default_rng(1).standard_normal((2, N, F)).astype(np.float32)
    results = linear_and_gradients(cuda, x, w, Epilogue(b, residual, activation), dy)
    X, W, B, R, DY = exact(x, w, b, residual, dy)
    expected = linear_and_gradients(reference, X, W, Epilogue(B, R, activation), DY)
    for actual, wanted in zip(results, expected):
        assert_close(actual, wanted, 1e-5)


def test_wide_filters_of_our_own(cuda, no_cublas):
    x, w = np.ones((1, 3, 5, 5), np.float32), np.ones((160, 3, 3, 3), np.float32)
    y = cuda.conv2d(x, w, NOTHING, (1, 1), (0, 0), (1, 1), 1)
    np.testing.assert_array_equal(y, np.full((1, 160, 3, 3), 27, np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("a_shape, b_shape", [
    ((3, 5), (5, 7)), ((1, 1), (1, 1)), ((130, 36), (36, 10)), ((5, 1000), (1000, 3)),
    ((2, 3, 5), (5, 7)), ((2, 3, 5), (2, 5, 7)), ((4, 1, 3, 5), (2, 5, 7)), ((3, 5), (2, 5, 7)),
    ((0, 3, 5), (5, 7)), ((3, 0), (0, 7)), ((2, 3, 0), (2, 0, 7)), ((2, 0, 3), (2, 3, 4)),
    ((0, 2, 3), (0, 3, 4))])
@pytest.mark.parametrize("layout", ["n", "t", "gaps"])
def test_products_of_our_own(cuda, no_cublas, dtype, a_shape, b_shape, layout):
    """Whichever way the matrices lie in memory."""
    def as_laid_out(a):
        if layout == "t":
            return np.ascontiguousarray(a.swapaxes(-1, -2)).swapaxes(-1, -2)
        return laid_out(a, "every other") if layout == "gaps" else a
    a, b, _ = operands(a_shape, b_shape, dtype)
    A, B = exact(a, b)
    of_a, of_b = as_laid_out(a), as_laid_out(b)
    for first, second in ((of_a, b), (a, of_b), (of_a, of_b)):
        y = cuda.matmul(first, second)
        assert y.dtype == dtype
        assert_close(y, A @ B, TOLERANCE[y.dtype.name])


def test_more_products_than_a_launch_takes(cuda, no_cublas, monkeypatch):
    monkeypatch.setattr(products, "MOST_BATCHES", 2)
    a, b, _ = operands((5, 2, 3), (5, 3, 4), np.float64)
    assert_close(cuda.matmul(a, b), a @ b)


@pytest.mark.parametrize("tiles, steps, split_k", [
    (1, 7, 1), (1, 16, 2), (1, 10_000, 264), (132, 100, 2), (200, 100, 1), (0, 5, 1), (3, 0, 1)])
def test_a_sum_is_cut_where_tiles_are_few(tiles, steps, split_k):
    assert products.split_k_of(tiles, steps) == split_k


@pytest.mark.parametrize("rows, columns", [(1, 1), (31, 33), (1000, 5), (0, 3)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_bias_gradients_are_summed_in_two_stages(monkeypatch, cuda, rows, columns, activation):
    monkeypatch.setattr(tuning, "COLUMN_SUM_BLOCKS", 4)
    dy, y = (np.random.default_rng(seed).uniform(-1, 1, (rows, columns)) for seed in range(2))
    y = y if activation else None
    needs = (False, False, True, False)
    x, w = np.ones((rows, 1)), np.ones((columns, 1))
    expected = reference.linear_backward(dy, x, w, y, activation, needs)[2]
    assert_close(cuda.linear_backward(dy, x, w, y, activation, needs)[2], expected)
    pixels = [None if a is None else a[:, :, None, None] for a in (dy, x, w, y)]
    results = cuda.conv2d_backward(*pixels, (1, 1), (0, 0), (1, 1), 1, activation, needs)
    assert_close(results[2], expected)


# ---- the rest ------------------------------------------------------------------------------------

def test_rows_that_several_warps_share(cuda):
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((8, 300)), rng.integers(0, 300, 8)
    assert_close(cuda.softmax(x, 1), reference.softmax(x, 1))
    assert_close(cuda.log_softmax(x, 1), reference.log_softmax(x, 1))
    expected = reference.cross_entropy(x, labels, 0.1)
    for actual, wanted in zip(cuda.cross_entropy(x, labels, 0.1), expected):
        assert_close(actual, wanted)


@pytest.mark.parametrize("shape", [(1,), (1001,), (3, 4, 5, 6)])
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1 - 2**-30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dropout_equals_the_textbooks_to_the_bit(cuda, shape, p, dtype):
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    key = (2**64 - 1, 12345678901234567890)
    np.testing.assert_array_equal(cuda.dropout(x, p, key), reference.dropout(x, p, key))


def test_a_mask_is_the_same_as_on_the_cpu():
    x = Tensor(np.ones((7, 11), np.float32))
    y = mt.dropout(x, 0.3, generator=Generator(5, 9)).data
    with use_kernels("cpu"):
        np.testing.assert_array_equal(y, mt.dropout(x, 0.3, generator=Generator(5, 9)).data)


# ---- updates -------------------------------------------------------------------------------------

# More tensors than one launch takes, of both dtypes, one of them empty.
SHAPES = [(3,), (4, 5), (2, 3, 4, 5), (0, 2), (1,), (129,), (6, 6, 1, 1)] * 3


def tensors(seed, layout="contiguous"):
    """Positive numbers of SHAPES, as second moments are."""
    rng = np.random.default_rng(seed)
    arrays = [rng.uniform(0.5, 2, shape).astype((np.float32, np.float64)[i % 2])
              for i, shape in enumerate(SHAPES)]
    return [laid_out(a, layout) if a.ndim == 4 else a for a in arrays]


def assert_all_close(actual, expected):
    for one, other in zip(sum(actual, []), sum(expected, [])):
        assert_close(one, other, TOLERANCE[other.dtype.name])


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("lr, lr_in_velocity", [(0.1, False), (np.array(0.1), True)])
def test_sgd_of_many_tensors(cuda, nesterov, layout, lr, lr_in_velocity):
    expected, actual = [[tensors(1, layout), tensors(2, layout)] for _ in range(2)]
    reference.sgd(*expected, tensors(3), 0.1, 0.9, 5e-4, nesterov, lr_in_velocity)
    cuda.sgd(*actual, tensors(3), lr, 0.9, 5e-4, nesterov, lr_in_velocity)
    assert_all_close(actual, expected)


def adam_of_one(w, m, v, dw, lr, beta1, beta2, eps, weight_decay, decoupled, step):
    """PyTorch's Adam and AdamW for one tensor, on float64 arrays."""
    if decoupled:
        w = w - lr * weight_decay * w
    else:
        dw = dw + weight_decay * w
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * dw**2
    return w - lr * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + eps), m, v


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("step, in_memory", [(1, False), (7, True), (100_000, False)])
def test_adam_of_many_tensors(cuda, decoupled, layout, step, in_memory):
    actual, dws = [tensors(i, layout) for i in (1, 2, 3)], tensors(4)
    expected = [list(arrays) for arrays in zip(*(
        adam_of_one(*exact(*arrays), 0.01, 0.9, 0.999, 1e-8, 0.1, decoupled, step)
        for arrays in zip(*actual, dws)))]
    lr, count = (np.array(0.01), np.array(float(step))) if in_memory else (0.01, step)
    cuda.adam(*actual, dws, lr, 0.9, 0.999, 1e-8, 0.1, decoupled, count)
    for one, other in zip(sum(actual, []), sum(expected, [])):
        assert_close(one, other, TOLERANCE[one.dtype.name])
