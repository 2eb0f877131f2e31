"""Pooling against loops and against PyTorch, on every kernel set."""
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import minitensor as mt
import reference
from comparing import TOLERANCE, assert_close, assert_equals_torch, laid_out, run
from minitensor import Tensor
from strategies import images, pooled_images

small = {"batch": st.integers(1, 2), "channels": st.integers(1, 2)}


@given(pooled_images(**small), st.booleans())
@settings(max_examples=80)
def test_max_pool2d_equals_the_loops(kernels, pooled, ceil_mode):
    x, (*window, _) = pooled
    assert_max_pool2d_equals_the_loops(x.new(distinct=True), window, ceil_mode)


def assert_max_pool2d_equals_the_loops(x, window, ceil_mode):
    given = x.copy()
    y, (dx,), dy = run(lambda t: mt.max_pool2d(t, *window, ceil_mode=ceil_mode), x)
    expected_y, expected_dx = reference.max_pool2d(given, *window, ceil_mode, dy)
    np.testing.assert_array_equal(y, expected_y)
    assert_close(dx, expected_dx, TOLERANCE[y.dtype.name])


@given(pooled_images(), st.booleans())
@settings(max_examples=300)
def test_max_pool2d_equals_pytorch(kernels, torch, pooled, ceil_mode):
    x, (*window, _) = pooled
    assert_equals_torch(
        torch, lambda t: mt.max_pool2d(t, *window, ceil_mode=ceil_mode),
        lambda t: torch.nn.functional.max_pool2d(t, *window, ceil_mode=ceil_mode),
        x.new(distinct=True))


@given(pooled_images(**small), st.booleans(), st.sampled_from((1, 2, 3)))
@settings(max_examples=100)
def test_the_first_of_equal_maxima_gets_the_gradient(kernels, pooled, ceil_mode, levels):
    x, (*window, _) = pooled
    values = np.floor(levels * x.new(distinct=True)).astype(x.dtype)
    assert_max_pool2d_equals_the_loops(values, window, ceil_mode)


@given(pooled_images(**small), st.booleans())
@settings(max_examples=80)
def test_a_window_of_minus_infinity_gives_its_first_pixel_the_gradient(kernels, pooled, ceil_mode):
    x, (*window, _) = pooled
    values = np.where(x.new(distinct=True) < 0.6, -np.inf, x.new(distinct=True)).astype(x.dtype)
    assert_max_pool2d_equals_the_loops(values, window, ceil_mode)


def test_a_window_of_minus_infinity_as_in_pytorch(kernels, torch):
    x = np.random.default_rng(0).permutation(2 * 7 * 9).reshape(1, 2, 7, 9).astype(np.float64)
    x[x < 90] = -np.inf
    x[0, 1, 6, 8] = np.nan
    assert_equals_torch(torch, lambda t: mt.max_pool2d(t, 3, 2, 1),
                        lambda t: torch.nn.functional.max_pool2d(t, 3, 2, 1), x)


def test_padding_of_max_pool2d_never_wins(kernels):
    y = mt.max_pool2d(Tensor(np.full((1, 1, 4, 4), -1.0)), 3, 2, 1)
    np.testing.assert_array_equal(y.data, np.full((1, 1, 2, 2), -1.0))


@pytest.mark.parametrize("requires_grad", [True, False])
@pytest.mark.parametrize("row, column", [(0, 0), (3, 3), (6, 6), (2, 5)])
def test_nan_wins_every_window_it_is_in(kernels, torch, row, column, requires_grad):
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 7))
    x[1, 2, row, column] = np.nan
    y = mt.max_pool2d(Tensor(x, requires_grad=requires_grad), 3, 2, 1)
    expected = torch.nn.functional.max_pool2d(torch.tensor(x), 3, 2, 1)
    np.testing.assert_array_equal(y.data, expected.numpy())


def test_windows_of_more_than_256_cells(kernels, torch):
    x = np.random.default_rng(0).permutation(2 * 40 * 40).reshape(1, 2, 40, 40).astype(np.float64)
    assert_equals_torch(torch, lambda t: mt.max_pool2d(t, 20, 7, 3),
                        lambda t: torch.nn.functional.max_pool2d(t, 20, 7, 3), x)


@pytest.mark.parametrize("layout", ["contiguous", "channels last"])
def test_the_pools_of_alexnet(kernels, torch, layout):
    shape = (2, 96, 55, 55)
    x = np.random.default_rng(0).permutation(np.prod(shape)).reshape(shape).astype(np.float32)
    assert_equals_torch(torch, lambda t: mt.max_pool2d(t, 3, 2),
                        lambda t: torch.nn.functional.max_pool2d(t, 3, 2), laid_out(x, layout))


@given(pooled_images(**small), st.booleans(), st.booleans())
@settings(max_examples=80)
def test_avg_pool2d_equals_the_loops(kernels, pooled, ceil_mode, count_include_pad):
    x, (*window, _) = pooled
    options = *window, ceil_mode, count_include_pad
    y, (dx,), dy = run(lambda t: mt.avg_pool2d(t, *options), x.new())
    expected_y, expected_dx = reference.avg_pool2d(x.new(), *options, dy)
    assert_close(y, expected_y, TOLERANCE[y.dtype.name])
    assert_close(dx, expected_dx, TOLERANCE[y.dtype.name])


@given(pooled_images(), st.booleans(), st.booleans())
@settings(max_examples=300)
def test_avg_pool2d_equals_pytorch(kernels, torch, pooled, ceil_mode, count_include_pad):
    x, (*window, _) = pooled
    options = *window, ceil_mode, count_include_pad
    assert_equals_torch(torch, lambda t: mt.avg_pool2d(t, *options),
                        lambda t: torch.nn.functional.avg_pool2d(t, *options), x.new())


output_sizes = st.tuples(st.integers(1, 7), st.integers(1, 7))


# image sides, (kernel_size, stride, padding): the window is larger than the padded image, by less
# than the stride
HANGING = [((2, 3), (3, 2, 0)), ((1, 1), (4, 4, 1)), ((1, 2), ((5, 2), (3, 1), (1, 0))),
           ((2, 2), ((4, 6), (3, 5), (1, 0)))]


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize("sides, window", HANGING)
def test_in_ceil_mode_a_window_may_be_larger_than_the_image(kernels, torch, sides, window, name):
    shape = (2, 3, *sides)
    x = np.random.default_rng(0).permutation(np.prod(shape)).reshape(shape).astype(np.float64)
    ours, theirs = getattr(mt, name), getattr(torch.nn.functional, name)
    assert_equals_torch(torch, lambda t: ours(t, *window, ceil_mode=True),
                        lambda t: theirs(t, *window, ceil_mode=True), x)
    with pytest.raises(ValueError, match="does not fit"):
        ours(Tensor(x), *window)


@given(images(**small), output_sizes)
@settings(max_examples=50)
def test_adaptive_avg_pool2d_equals_the_loops(kernels, x, output_size):
    y = mt.adaptive_avg_pool2d(Tensor(x.new()), output_size)
    expected = reference.adaptive_avg_pool2d(x.new(), output_size)
    assert_close(y.data, expected, TOLERANCE[y.dtype.name])


@given(images(), output_sizes)
@settings(max_examples=250)
def test_adaptive_avg_pool2d_equals_pytorch(kernels, torch, x, output_size):
    assert_equals_torch(torch, lambda t: mt.adaptive_avg_pool2d(t, output_size),
                        lambda t: torch.nn.functional.adaptive_avg_pool2d(t, output_size), x.new())
