"""Every size formula against PyTorch and against counting."""
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from minitensor.kernels.geometry import adaptive_bounds, counted_cells, output_size, reach

sides = st.tuples(st.integers(1, 20), st.integers(1, 6), st.integers(1, 7), st.integers(0, 3))


@given(sides, st.integers(1, 4))
@settings(max_examples=300)
def test_output_size_counts_the_windows_that_fit(side, dilation):
    image, kernel, stride, padding = side
    span = dilation * (kernel - 1)
    starts = range(-padding, image + padding - span, stride)
    assert output_size(image, kernel, stride, padding, dilation) == len(starts)


@given(sides, st.booleans())
@settings(max_examples=400)
def test_output_size_is_pytorchs(torch, side, ceil_mode):
    image, kernel, stride, padding = side
    padding = min(padding, kernel // 2)
    size = output_size(image, kernel, stride, padding, ceil_mode=ceil_mode)
    pool = torch.nn.MaxPool1d(kernel, stride, padding, ceil_mode=ceil_mode)
    if size:
        assert pool(torch.zeros(1, 1, image)).shape[2] == size
    else:
        with pytest.raises(RuntimeError, match="utput size"):
            pool(torch.zeros(1, 1, image))


@given(sides, st.booleans(), st.booleans())
@settings(max_examples=300)
def test_counted_cells_are_pytorchs_divisors(torch, side, ceil_mode, count_include_pad):
    image, kernel, stride, padding = side
    padding = min(padding, kernel // 2)
    out = output_size(image, kernel, stride, padding, ceil_mode=ceil_mode)
    if not out:
        return
    pool = torch.nn.AvgPool1d(kernel, stride, padding, ceil_mode, count_include_pad)
    means = pool(torch.ones(1, 1, image, dtype=torch.float64))[0, 0].numpy()
    starts = np.arange(out) * stride - padding
    on_image = [sum(0 <= pixel < image for pixel in range(s, s + kernel)) for s in starts]
    cells = counted_cells(image, kernel, stride, padding, out, count_include_pad)
    np.testing.assert_allclose(np.array(on_image) / cells, means, rtol=1e-12)


@given(st.integers(1, 30), st.integers(1, 12))
def test_adaptive_windows_are_pytorchs(torch, image, out):
    x = torch.arange(float(image), dtype=torch.float64)[None, None]
    means = torch.nn.functional.adaptive_avg_pool1d(x, out)[0, 0].numpy()
    ours = [x[0, 0, window].mean().item() for window in adaptive_bounds(image, out)]
    np.testing.assert_allclose(ours, means, rtol=1e-12)


@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3))
def test_reach_is_the_smallest_image_with_so_many_windows(out, kernel, stride, dilation):
    image = reach(out, kernel, stride, dilation)
    assert output_size(image, kernel, stride, 0, dilation) == out
    assert output_size(image - 1, kernel, stride, 0, dilation) == out - 1
