"""Outliers in Winograd's convolution: what does not see one does not feel it, nor an infinity."""
import numpy as np
import pytest

from comparing import assert_norm_close
from minitensor.kernels import Epilogue, cpu, kernel_set, reference
from minitensor.kernels.cpu import tuning, winograd_range
from minitensor.kernels.cpu.blocks import PaddedInput, as_nhwc
from minitensor.kernels.cpu.conv import winograd_tiling
from minitensor.kernels.cpu.im2col_conv import Windows

CPU = kernel_set("cpu")
N, C, F, SIZE = 12, 64, 96, 15
SIDES = (1, 1), (1, 1), (1, 1)              # stride, padding, dilation
RTOL = 2e-5


@pytest.fixture(params=[1, 2], ids=["one group", "two groups"])
def arrays(request):
    """x, w, dy, groups; Winograd's algorithm takes all three convolutions."""
    groups, rng = request.param, np.random.default_rng(0)
    x, dy = (rng.standard_normal((N, n, SIZE, SIZE), np.float32) for n in (C, F))
    w = 0.02 * rng.standard_normal((F, C // groups, 3, 3), np.float32)
    for channels, filters in ((C, F), (F, C)):
        assert winograd_tiling(N, channels, filters, Windows((3, 3), (1, 1), (1, 1)), groups,
                               (SIZE, SIZE))
    return x, w, dy, groups


def forward(kernels, x, w, groups, epilogue=Epilogue()):
    return kernels.conv2d(x, w, epilogue, *SIDES, groups)


def backward(kernels, dy, x, w, groups, y=None):
    return kernels.conv2d_backward(dy, x, w, y, *SIDES, groups, None if y is None else "relu",
                                   (True, True, True, False))


def exact(function, *arrays):
    """In float64, by the textbook."""
    with np.errstate(invalid="ignore"):
        return function(reference, *(a if isinstance(a, int) or a is None else a.astype(float)
                                     for a in arrays))


def assert_alike(actual, expected):
    """Infinite and NaN where expected is; else close to it, element by element."""
    finite = np.isfinite(expected)
    assert finite.any()
    np.testing.assert_array_equal(actual[~finite], expected[~finite])
    np.testing.assert_allclose(actual[finite], expected[finite], rtol=RTOL, atol=RTOL)


@pytest.mark.parametrize("value", [100.0, -1e4, 1e30, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("row", [6, 0])
def test_outputs_that_do_not_see_an_outlier_do_not_feel_it(arrays, value, row):
    x, w, _, groups = arrays
    x[[1, 5], 7, row, 6] = value
    residual = np.random.default_rng(1).standard_normal((N, F, SIZE, SIZE), np.float32)
    bias = residual[0, :, 0, 0]
    y = forward(CPU, x, w, groups, Epilogue(bias, residual, "tanh"))
    expected = np.tanh(exact(forward, x, w, groups) + residual + bias[:, None, None])
    sees = np.zeros((SIZE, SIZE), bool)
    sees[max(0, row - 1): row + 2, 5:8] = True
    assert_alike(y[..., ~sees], expected[..., ~sees])
    assert np.isnan(y).sum() == np.isnan(expected).sum()


@pytest.mark.parametrize("value", [1e4, np.inf, np.nan])
def test_an_outlier_of_the_outputs_gradient_reaches_only_the_pixels_under_it(arrays, value):
    x, w, dy, groups = arrays
    dy[2, 7, 6, 6] = value
    dx, dw, db = backward(CPU, dy, x, w, groups)[:3]
    expected_dx, expected_dw, expected_db = exact(backward, dy, x, w, groups)[:3]
    sees = np.zeros((SIZE, SIZE), bool)
    sees[5:8, 5:8] = True
    assert_alike(dx[..., ~sees], expected_dx[..., ~sees])
    others = np.arange(F) != 7
    assert_norm_close(dw[others], expected_dw[others].astype(np.float32), 1e-5)
    np.testing.assert_array_equal(np.isnan(dw), np.isnan(expected_dw))
    np.testing.assert_array_equal(np.isinf(dw), np.isinf(expected_dw))
    np.testing.assert_allclose(db, expected_db, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("value", [1e4, np.inf, np.nan])
def test_a_pixel_in_the_corner_reaches_only_the_weights_that_see_it(arrays, value):
    x, w, dy, groups = arrays
    x[2, 7, 0, 0] = value                   # no window has it in its last row or column
    dw = backward(CPU, dy, x, w, groups)[1]
    expected = exact(backward, dy, x, w, groups)[1]
    assert_norm_close(dw[:, 7, 2, 1:], expected[:, 7, 2, 1:].astype(np.float32), 4e-6)
    np.testing.assert_array_equal(np.isfinite(dw), np.isfinite(expected))


def test_an_infinite_gradient_that_a_relu_hides_is_none(arrays):
    x, w, dy, groups = arrays
    y = np.maximum(forward(CPU, x, w, groups), 0)
    hidden = dy.copy()
    hidden[y == 0] = np.inf
    dy[y == 0] = 0
    for actual, expected in zip(backward(CPU, hidden, x, w, groups, y)[:3],
                                exact(backward, dy, x, w, groups)[:3]):
        assert_norm_close(actual, expected.astype(np.float32), 1e-5)


def test_an_outlier_of_a_filter_is_not_felt_where_it_meets_zeros(arrays):
    x, w, _, groups = arrays
    w[3, 5, 1, 1] = 1e4
    x[:, 5, 4:9, 4:9] = 0
    y, expected = forward(CPU, x, w, groups), exact(forward, x, w, groups)
    assert_alike(y[:, 3, 4:9, 4:9], expected[:, 3, 4:9, 4:9])


def test_an_infinite_weight_makes_infinities_and_no_nan(arrays):
    x, w, dy, groups = arrays
    w[4, 5, 1, 1] = np.inf
    np.testing.assert_array_equal(np.isinf(forward(CPU, x, w, groups)).all(axis=(0, 2, 3)),
                                  np.arange(F) == 4)
    np.testing.assert_array_equal(np.isinf(backward(CPU, dy, x, w, groups)[0]).all(axis=(0, 2, 3)),
                                  np.arange(C) == 5)


@pytest.mark.parametrize("change, wide", [
    (lambda x: None, []), (lambda x: x.fill(0), []), (lambda x: np.multiply(x, 1e-30, out=x), []),
    (lambda x: x[3].fill(0), []),
    (lambda x: np.multiply(x, np.logspace(-10, 10, N)[:, None, None, None], out=x), []),
    (lambda x: x[2, 3, 3].fill(1e3), [2]), (lambda x: x[4, :, :, :8].fill(0), [4]),
    (lambda x: x[5, 0, 0, :1].fill(np.nan), [5]), (lambda x: x[6].fill(np.inf), [6]),
    (lambda x: np.multiply(x[7, :, :, 6:], 1e4, out=x[7, :, :, 6:]), [7])])
def test_which_images_are_convolved_directly(arrays, change, wide):
    x, _, _, groups = arrays
    change(x)
    tiling = winograd_tiling(N, C, F, Windows((3, 3), (1, 1), (1, 1)), groups, (SIZE, SIZE))
    found = winograd_range.wide_images(PaddedInput(as_nhwc(x), None, (1, 1)), groups, tiling,
                                       (SIZE, SIZE))
    assert np.flatnonzero(found).tolist() == wide


def test_the_others_are_not(arrays, monkeypatch):
    """Where the range is as wide as it likes, Winograd's algorithm still errs: the test above would
    see it."""
    x, w, _, groups = arrays
    x[:, 7, 6, 6] = 1e4
    expected = exact(forward, x, w, groups)
    error = np.abs(forward(CPU, x, w, groups) - expected)[..., 8, 8].max()
    monkeypatch.setattr(tuning, "WIDEST_TILE", np.inf)
    assert np.abs(cpu.conv2d(x, w, Epilogue(), *SIDES, groups) - expected)[..., 8, 8].max() > (
        100 * error)
