"""What the CUDA kernels alone have: precisions, a choice of algorithms, sums in parts. On the emulator and, where there is one, a GPU."""
from contextlib import nullcontext

import numpy as np
import pytest

import minitensor as mt
from comparing import LAYOUTS, TOLERANCE, assert_close, laid_out
from data import Normalize
from minitensor import Generator, Tensor
from minitensor.backend import capture_mode
from minitensor.kernels import PRECISIONS, kernel_set, kernels_for, reference, use_kernels, use_precision
from minitensor.kernels.cuda import choose, im2col_conv, implicit_gemm, reduction

EVERYTHING = (True, True, True)
# Half a unit in the last place of one factor: a product of two rounded ones is off by twice that, sums by no more than their largest terms.
ROUNDING = {"tf32": 2.0**-11, "bf16": 2.0**-8}
CONVOLUTIONS = [                            # x, w, stride, padding, dilation, groups
    ((2, 3, 11, 9), (7, 3, 5, 3), (2, 3), (2, 0), (1, 1), 1),
    ((2, 8, 7, 7), (8, 4, 3, 3), (1, 1), (1, 1), (1, 2), 2),
    ((1, 64, 6, 6), (9, 64, 3, 3), (1, 1), (1, 1), (1, 1), 1),      # long sums: cut into parts
    ((1, 6, 12, 12), (9, 2, 1, 1), (1, 1), (0, 0), (1, 1), 3),
]


pytestmark = pytest.mark.parametrize("kernels", ["cuda-emulated", pytest.param("cuda", marks=pytest.mark.gpu)], indirect=True)


@pytest.fixture(autouse=True)
def cuda(kernels):
    return kernel_set("cuda")


def operands(x_shape, w_shape, dtype=np.float32):
    rng = np.random.default_rng(sum(x_shape))
    return [rng.standard_normal(shape).astype(dtype) for shape in (x_shape, w_shape, w_shape[:1])]


def exact(*arrays):
    return [a.astype(np.float64) for a in arrays]


def conv_and_gradients(kernels, x, w, b, geometry, dy=None):
    """y, dx, dw, db of a convolution without relu, and dy."""
    y = kernels.conv2d(x, w, b, *geometry, False)
    dy = np.random.default_rng(1).standard_normal(y.shape).astype(y.dtype) if dy is None else dy
    return [y, *kernels.conv2d_backward(dy, x, w, None, *geometry, EVERYTHING)], dy


# ---- precision ---------------------------------------------------------------------------------------------------------------

def error_of_products(actual, expected, magnitude):
    """The largest error, relative to what the same sum of absolute values is."""
    return (np.abs(actual - expected) / magnitude).max()


@pytest.mark.parametrize("precision", ROUNDING)
@pytest.mark.parametrize("x_shape, w_shape, stride, padding, dilation, groups", CONVOLUTIONS)
def test_a_convolution_is_rounded_as_its_precision_says(cuda, precision, x_shape, w_shape, stride, padding, dilation, groups):
    x, w, b = operands(x_shape, w_shape)
    geometry = stride, padding, dilation, groups
    with use_precision(precision):
        (*rounded, db), dy = conv_and_gradients(cuda, x, w, b, geometry)
    exactly, _ = conv_and_gradients(reference, *exact(x, w, b), geometry, dy.astype(np.float64))
    magnitudes, _ = conv_and_gradients(reference, *map(np.abs, exact(x, w, b)), geometry, np.abs(dy.astype(np.float64)))
    for actual, expected, magnitude in zip(rounded, exactly, magnitudes):
        error = error_of_products(actual, expected, magnitude + 1e-30)
        assert ROUNDING[precision] / 100 < error < 2.1 * ROUNDING[precision]        # rounded, and no more than that
    assert_close(db, exactly[3], 1e-6)


@pytest.mark.parametrize("precision", ROUNDING)
@pytest.mark.parametrize("N, C, F", [(9, 5, 7), (130, 36, 10), (10, 200, 8)])
def test_a_linear_layer_is_rounded_as_its_precision_says(cuda, precision, N, C, F):
    x, w, b = operands((N, C), (F, C))
    dy = np.random.default_rng(1).standard_normal((N, F)).astype(np.float32)
    with use_precision(precision):
        rounded = [cuda.linear(x, w, b), *cuda.linear_backward(dy, x, w, EVERYTHING)[:2]]
    X, W, B, DY = exact(x, w, b, dy)
    for actual, expected, magnitude in zip(rounded, (X @ W.T + B, DY @ W, DY.T @ X),
                                           (abs(X) @ abs(W).T + abs(B), abs(DY) @ abs(W), abs(DY).T @ abs(X))):
        error = error_of_products(actual, expected, magnitude)
        assert ROUNDING[precision] / 100 < error < 2.1 * ROUNDING[precision]


@pytest.mark.parametrize("N, C", [(1, 300), (8, 7)])
def test_a_linear_layer_of_few_rows_is_not_rounded(cuda, N, C):
    x, w, b = operands((N, C), (33, C))
    with use_precision("bf16"):
        y = cuda.linear(x, w, b)
    X, W, B = exact(x, w, b)
    assert_close(y, X @ W.T + B, 1e-6)


@pytest.mark.parametrize("precision", ROUNDING)
@pytest.mark.parametrize("value", [0.0, np.inf, -np.inf, np.nan, 3.0e38, 1 + 2.0**-11, 1 + 3 * 2.0**-11, 1 + 2.0**-8, 1 + 3 * 2.0**-8])
def test_rounding_of_single_numbers(cuda, precision, value):
    """To the nearest number of 11 or 8 significant bits; halves away from 0 (tf32) or to even (bf16), as the hardware does."""
    x, one = np.full((9, 1), value, np.float32), np.ones((1, 1), np.float32)
    bits = 13 if precision == "tf32" else 16
    word = int(x.view(np.uint32)[0, 0])
    if np.isfinite(value):
        half = 2**(bits - 1)
        word = (word + (half if precision == "tf32" else half - 1 + (word >> bits & 1))) >> bits << bits
    expected = np.full((9, 1), word, np.uint32).view(np.float32)
    with use_precision(precision):
        np.testing.assert_array_equal(cuda.linear(x, one, None), expected)


def test_float64_is_never_rounded(cuda):
    x, w, b = operands((2, 4, 5, 5), (4, 4, 3, 3), np.float64)
    geometry = (1, 1), (1, 1), (1, 1), 1
    with use_precision("bf16"):
        results, dy = conv_and_gradients(cuda, x, w, b, geometry)
    for actual, expected in zip(results, conv_and_gradients(reference, x, w, b, geometry, dy)[0]):
        assert_close(actual, expected, 1e-13)


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


# ---- who multiplies ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("algorithm", [im2col_conv, implicit_gemm])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("x_shape, w_shape, stride, padding, dilation, groups", CONVOLUTIONS)
def test_both_algorithms_convolve(cuda, monkeypatch, algorithm, dtype, x_shape, w_shape, stride, padding, dilation, groups):
    monkeypatch.setattr(choose, "COLUMNS_PAY", 0 if algorithm is im2col_conv else 10**6)
    monkeypatch.setattr(im2col_conv, "COLUMN_BYTES", 1)         # image by image
    x, w, b = operands(x_shape, w_shape, dtype)
    geometry = stride, padding, dilation, groups
    results, dy = conv_and_gradients(cuda, x, w, b, geometry)
    for actual, expected in zip(results, conv_and_gradients(reference, *exact(x, w, b), geometry, dy.astype(np.float64))[0]):
        assert actual.dtype == dtype
        assert_close(actual, expected, TOLERANCE[actual.dtype.name])


@pytest.mark.parametrize("capture", [False, True])
def test_a_bias_with_gaps(cuda, capture):
    x, w, b = operands((2, 4), (3, 4), np.float64)
    spaced = laid_out(np.stack([b, b]), "every other")[0]
    assert not spaced.flags.c_contiguous
    with capture_mode() if capture else nullcontext():
        assert_close(cuda.linear(x, w, spaced), x @ w.T + b)
        y = cuda.conv2d(x.reshape(2, 4, 1, 1), w.reshape(3, 4, 1, 1), spaced, (1, 1), (0, 0), (1, 1), 1, False)
        assert_close(y.reshape(2, 3), x @ w.T + b)


def test_arrays_may_begin_anywhere(cuda):
    """A view that begins between two packs of 16 bytes."""
    def shifted(a):
        return np.concatenate([a[:1].ravel()[:1], a.ravel()])[1:].reshape(a.shape)
    x, w, b = operands((2, 8, 1, 1), (4, 8, 1, 1))
    dy = np.random.default_rng(1).standard_normal((2, 4, 1, 1)).astype(np.float32)
    geometry = (1, 1), (0, 0), (1, 1), 1
    with capture_mode():
        results = [cuda.conv2d(*map(shifted, (x, w, b)), *geometry, True),
                   cuda.linear(shifted(x.reshape(2, 8)), shifted(w.reshape(4, 8)), None),
                   *cuda.conv2d_backward(*map(shifted, (dy, x, w)), None, *geometry, EVERYTHING), cuda.relu(shifted(x))]
    expected = [reference.conv2d(x, w, b, *geometry, True), reference.linear(x.reshape(2, 8), w.reshape(4, 8), None),
                *reference.conv2d_backward(dy, x, w, None, *geometry, EVERYTHING), reference.relu(x)]
    for actual, wanted in zip(results, expected):
        assert_close(actual, wanted, 1e-5)


def test_the_rule_that_chooses():
    x = np.ones(1, np.float32)
    assert choose.columns_pay(x, 256) and not choose.columns_pay(x, 96)
    assert choose.columns_pay(x.astype(np.float64), 256)
    with use_precision("tf32"):
        assert not choose.columns_pay(x, 256) and choose.columns_pay(x.astype(np.float64), 256)
    with capture_mode():
        assert not choose.columns_pay(x, 256) and not choose.cublas_multiplies(x)


@pytest.mark.parametrize("N, C, F", [(3, 5, 7), (8, 130, 33), (130, 36, 10), (1, 300, 8), (0, 4, 4)])
def test_nothing_but_our_kernels_multiplies_while_a_graph_is_recorded(cuda, monkeypatch, N, C, F):
    x, w, b = operands((N, C), (F, C))
    dy = np.ones((N, F), np.float32)
    expected = [reference.linear(x, w, b), *reference.linear_backward(dy, x, w, EVERYTHING)]
    monkeypatch.setattr(np, "matmul", None)
    with capture_mode():
        results = [cuda.linear(x, w, b), *cuda.linear_backward(dy, x, w, EVERYTHING)]
        cuda.conv2d(np.ones((1, 3, 5, 5), np.float32), np.ones((160, 3, 3, 3), np.float32), None, (1, 1), (0, 0), (1, 1), 1, False)
    for actual, wanted in zip(results, expected):
        assert_close(actual, wanted, 1e-5)


@pytest.mark.parametrize("tiles, steps, splits", [
    (1, 7, 1), (1, 16, 2), (1, 10_000, 264), (132, 100, 2), (200, 100, 1), (0, 5, 1), (3, 0, 1)])
def test_a_sum_is_cut_where_tiles_are_few(tiles, steps, splits):
    assert implicit_gemm._splits(tiles, steps) == splits


@pytest.mark.parametrize("rows, columns", [(1, 1), (31, 33), (1000, 5), (0, 3)])
def test_bias_gradients_are_summed_in_two_stages(monkeypatch, cuda, rows, columns):
    monkeypatch.setattr(reduction, "BLOCKS", 4)
    dy, y = (np.random.default_rng(seed).standard_normal((rows, columns)) for seed in range(2))
    assert_close(cuda.linear_backward(dy, np.ones((rows, 1)), np.ones((columns, 1)), (False, False, True))[2], dy.sum(axis=0))
    pixels = [a.reshape(rows, columns, 1, 1) for a in (dy, y)]
    x, w = np.ones((rows, 1, 1, 1)), np.ones((columns, 1, 1, 1))
    db = cuda.conv2d_backward(pixels[0], x, w, pixels[1], (1, 1), (0, 0), (1, 1), 1, (False, False, True))[2]
    assert_close(db, (dy * (y > 0)).sum(axis=0))


# ---- the rest ----------------------------------------------------------------------------------------------------------------

def test_rows_that_several_warps_share(cuda):
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((8, 300)), rng.integers(0, 300, 8)
    assert_close(cuda.softmax(x, 1), reference.softmax(x, 1))
    assert_close(cuda.log_softmax(x, 1), reference.log_softmax(x, 1))
    for actual, expected in zip(cuda.cross_entropy(x, labels, 0.1), reference.cross_entropy(x, labels, 0.1)):
        assert_close(actual, expected)


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


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_update_of_many_tensors(cuda, nesterov):
    """More than one launch takes, of both dtypes, in any order in memory, one of them empty."""
    rng = np.random.default_rng(0)
    shapes = [(3,), (4, 5), (2, 3, 4, 5), (0, 2), (1,), (129,), (6, 6, 1, 1)] * 3

    def arrays(seed, layout):
        rng = np.random.default_rng(seed)
        return [laid_out(a, layout) if a.ndim == 4 else a
                for a in (rng.standard_normal(s).astype((np.float32, np.float64)[i % 2]) for i, s in enumerate(shapes))]
    for layout in LAYOUTS:
        dws = [rng.standard_normal(s).astype((np.float32, np.float64)[i % 2]) for i, s in enumerate(shapes)]
        expected, actual = [(arrays(1, layout), arrays(2, layout)) for _ in range(2)]
        reference.sgd(*expected, dws, 0.1, 0.9, 5e-4, nesterov)
        cuda.sgd(*actual, dws, 0.1, 0.9, 5e-4, nesterov)
        for one, other in zip(sum(actual, []), sum(expected, [])):
            assert_close(one, other, TOLERANCE[other.dtype.name])


@pytest.mark.parametrize("name", ["reference", "cpu", "cuda"])
def test_pictures_are_cropped_mirrored_and_normalised(name):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 9, 12, 3), np.uint8)
    tops, lefts, flips = np.array([0, 2, -1, 4]), np.array([3, 0, -2, 8]), np.array([False, True, True, False])
    mean, std, (OH, OW) = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (6, 7)
    y = kernel_set(name).pictures(images, tops, lefts, flips, (OH, OW), mean, std)
    assert y.shape == (4, 3, OH, OW) and y.dtype == np.float32 and y.transpose(0, 2, 3, 1).flags.c_contiguous
    black = np.zeros((4, 30, 30, 3), np.uint8)
    black[:, 10:19, 10:22] = images
    for picture, image, top, left, flip in zip(y, black, tops + 10, lefts + 10, flips):
        crop = image[top:top + OH, left:left + OW]
        expected = Normalize(mean, std)(crop[:, ::-1] if flip else crop, None)
        np.testing.assert_allclose(picture, expected, rtol=0, atol=1e-6)
