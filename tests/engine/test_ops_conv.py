"""conv2d, im2col and col2im against loops and against PyTorch, on every kernel set."""
import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

import minitensor as mt
import reference
from comparing import TOLERANCE, assert_close, assert_equals_torch, laid_out, run
from minitensor import Generator, Tensor, nn
from minitensor.kernels import ACTIVATIONS
from strategies import convolutions, images


def arguments(convolution):
    window = convolution.window
    return window.stride, window.padding, window.dilation, convolution.groups


def operands(convolution):
    x = convolution.x
    w = np.random.default_rng(x.seed).standard_normal(convolution.w_shape).astype(x.dtype)
    return x.new(), laid_out(w, x.layout), np.linspace(-1, 1, len(w), dtype=x.dtype)


def test_a_sigmoid_in_place_of_pixels_of_four_filters(kernels):
    """NumPy 2.4's negative writes wrong numbers into float32 that stand 16 bytes apart."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 1, 3, 3)), rng.standard_normal((4, 1, 3, 2))
    arrays = [Tensor(a.astype(np.float32)) for a in (x, w)]
    y = mt.conv2d(*arrays, activation="sigmoid").numpy()
    expected = [[(x[0, 0, :, j:j + 2] * f[0]).sum() for j in (0, 1)] for f in w]
    np.testing.assert_allclose(y[0, :, 0], 1 / (1 + np.exp(-np.array(expected))), rtol=1e-5)


@given(convolutions(batch=st.integers(1, 2), sides=st.integers(1, 6)))
@settings(max_examples=40)
def test_conv2d_equals_the_loops(kernels, convolution):
    x, w, b = operands(convolution)
    y, gradients, dy = run(lambda *t: mt.conv2d(*t, *arguments(convolution)), x, w, b)
    expected = reference.conv2d(x, w, b, *arguments(convolution), dy=dy)
    for actual, value in zip((y, *gradients), expected):
        assert_close(actual, value, TOLERANCE[x.dtype.name])


@given(convolutions(), st.booleans(), st.booleans(), st.sampled_from(ACTIVATIONS))
@settings(max_examples=300)
def test_conv2d_equals_pytorch(kernels, torch, convolution, bias, residual, activation):
    """Bias, residual and activation included: all that the epilogue does."""
    x, w, *b = operands(convolution)[:2 + bias]
    geometry = arguments(convolution)
    out = mt.conv2d(Tensor(x), Tensor(w), None, *geometry).shape
    r = [np.random.default_rng(7).standard_normal(out).astype(x.dtype)] if residual else []

    def split(rest):
        return (rest[0] if bias else None), (rest[-1] if residual else None)

    def torch_conv(x, w, *rest):
        b, r = split(rest)
        y = torch.nn.functional.conv2d(x, w, b, *geometry)
        y = y if r is None else y + r
        return getattr(torch, activation)(y) if activation else y

    def conv(x, w, *rest):
        b, r = split(rest)
        return mt.conv2d(x, w, b, *geometry, residual=r, activation=activation)
    assert_equals_torch(torch, conv, torch_conv, x, w, *b, *r)


@given(images(), st.tuples(st.integers(1, 5), st.integers(1, 5)),
       st.tuples(st.integers(1, 3), st.integers(1, 3)), st.sampled_from(("same", "valid")))
@settings(max_examples=100)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_padding_same_and_valid_equal_pytorch(kernels, torch, x, kernel_size, dilation, padding):
    assume(padding == "same" or all(
        side > d * (k - 1) for side, d, k in zip(x.shape[2:], dilation, kernel_size)))
    w, b = x.new(4, x.shape[1], *kernel_size), np.arange(4, dtype=x.dtype)
    options = {"padding": padding, "dilation": dilation}
    assert_equals_torch(torch, lambda x, w, b: mt.conv2d(x, w, b, **options),
                        lambda x, w, b: torch.nn.functional.conv2d(x, w, b, **options),
                        x.new(), w, b)
    layer = nn.Conv2d(x.shape[1], 4, kernel_size, **options, generator=Generator(0), dtype=x.dtype)
    layer.load_state_dict({"weight": w, "bias": b})
    np.testing.assert_array_equal(layer(Tensor(x.new())).data,
                                  mt.conv2d(Tensor(x.new()), Tensor(w), Tensor(b), **options).data)


def test_padding_same_under_a_residual():
    layer = nn.Conv2d(3, 3, 2, padding="same", generator=Generator(0))
    x = Tensor(np.random.default_rng(0).standard_normal((2, 3, 5, 4), np.float32))
    np.testing.assert_array_equal(nn.Residual(layer, activation=None)(x).data,
                                  mt.conv2d(x, layer.weight, layer.bias, padding="same",
                                            residual=x).data)
    assert repr(layer) == "Conv2d(3, 3, kernel_size=(2, 2), stride=(1, 1), padding='same')"


@pytest.mark.parametrize("x_shape, w_shape, stride, padding, groups", [
    ((2, 3, 67, 67), (96, 3, 11, 11), 4, 0, 1),         # conv1
    ((2, 96, 13, 13), (64, 48, 5, 5), 1, 2, 2),         # conv2 of the paper, in two towers
    ((3, 64, 13, 13), (48, 64, 3, 3), 1, 1, 1),         # conv3
    ((1, 20, 30, 7), (24, 20, 3, 3), 1, 1, 1),
    ((2, 32, 27, 27), (32, 32, 1, 1), 1, 0, 1),
])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("layout", ["contiguous", "channels last"])
def test_conv2d_of_networks_equals_pytorch(kernels, torch, x_shape, w_shape, stride, padding,
                                           groups, dtype, layout):
    rng = np.random.default_rng(0)
    x, w = (laid_out(rng.standard_normal(shape).astype(dtype), layout)
            for shape in (x_shape, w_shape))
    b = rng.standard_normal(len(w)).astype(dtype)
    geometry = stride, padding, 1, groups
    assert_equals_torch(torch, lambda *t: mt.conv2d(*t, *geometry, activation="relu"),
                        lambda *t: torch.nn.functional.conv2d(*t, *geometry).relu(), x, w, b)


@given(convolutions(batch=st.integers(1, 2), sides=st.integers(1, 6)))
@settings(max_examples=50)
def test_im2col_equals_the_loops(kernels, convolution):
    x, window = convolution.x.new(), convolution.window
    columns, (dx,), dcolumns = run(lambda x: mt.im2col(x, *window), x)
    np.testing.assert_array_equal(columns, reference.im2col(x, *window))
    image = mt.col2im(Tensor(dcolumns), x.shape[2:], window.stride, window.padding, window.dilation)
    assert_close(dx, image.data, TOLERANCE[x.dtype.name])


@given(convolutions(batch=st.integers(1, 2), sides=st.integers(1, 6)))
@settings(max_examples=50)
def test_col2im_is_the_adjoint_of_im2col(kernels, convolution):
    """Σ im2col(x) · columns = Σ x · col2im(columns), for every x and columns."""
    window = convolution.window
    x = convolution.x.new().astype(np.float64)
    pixels = mt.im2col(Tensor(x), *window).data
    columns = np.random.default_rng(1).standard_normal(pixels.shape)
    image, (dcolumns,), dimage = run(
        lambda c: mt.col2im(c, x.shape[2:], window.stride, window.padding, window.dilation),
        columns)
    assert_close((x * image).sum(), (pixels * columns).sum(), 1e-9)
    np.testing.assert_array_equal(dcolumns, reference.im2col(dimage, *window))


@given(convolutions(), st.sampled_from([(True, False, False), (False, True, False),
                                        (False, False, True), (False, True, True)]))
@settings(max_examples=40)
def test_only_the_gradients_asked_for_are_computed(kernels, convolution, wanted):
    arrays = operands(convolution)
    full = run(lambda *t: mt.conv2d(*t, *arguments(convolution)), *arrays)
    tensors = [Tensor(a, requires_grad=needed) for a, needed in zip(arrays, wanted)]
    mt.conv2d(*tensors, *arguments(convolution)).backward(full[2])
    for tensor, gradient in zip(tensors, full[1]):
        assert (tensor.grad is not None) == tensor.requires_grad
        if tensor.requires_grad:
            assert_close(tensor.grad, gradient, TOLERANCE[gradient.dtype.name])


def test_nan_and_infinity_are_not_lost(kernels):
    x = np.ones((1, 2, 9, 9), np.float32)
    x[0, 1, 4, 4], x[0, 0, 0, 0] = np.nan, np.inf
    y = mt.conv2d(Tensor(x), Tensor(np.ones((3, 2, 3, 3), np.float32)), padding=1).data
    assert not np.isfinite(y[..., 3:6, 3:6]).any() and not np.isfinite(y[..., :2, :2]).any()
