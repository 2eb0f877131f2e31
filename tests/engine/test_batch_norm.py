"""Batch normalisation against loops and against PyTorch, on every kernel set; and its layer."""
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import minitensor as mt
import reference
from comparing import LAYOUTS, assert_close, laid_out, run
from minitensor import Tensor, nn, no_grad
from strategies import Images, images

ACTIVATIONS = (None, "relu", "tanh", "sigmoid")


class Configuration(NamedTuple):
    x: Images
    training: bool
    affine: bool
    residual: bool
    activation: str | None
    momentum: float
    eps: float


configurations = st.builds(
    Configuration, images(channels=st.sampled_from((1, 2, 3, 5, 33))), st.booleans(),
    st.booleans(), st.booleans(), st.sampled_from(ACTIVATIONS),
    st.sampled_from((0.1, 0.0, 0.5, 1.0)), st.sampled_from((1e-5, 1e-3, 1.0)))


def float64(seed, *shape, layout="contiguous"):
    return laid_out(np.random.default_rng(seed).standard_normal(shape), layout)


def ours(arrays, running, c, dy):
    tensors = [None if a is None else Tensor(a, requires_grad=True) for a in arrays]
    statistics = [Tensor(a.copy()) for a in running]
    x, w, b, residual = tensors
    y = mt.batch_norm(x, *statistics, w, b, c.training, c.momentum, c.eps, residual=residual,
                      activation=c.activation)
    y.backward(dy)
    return [y.data, *(s.data for s in statistics), *(t.grad for t in tensors if t is not None)]


def pytorchs(torch, arrays, running, c, dy):
    tensors = [None if a is None else torch.tensor(np.array(a, order="C"), requires_grad=True)
               for a in arrays]
    statistics = [torch.tensor(a.copy()) for a in running]
    x, w, b, residual = tensors
    y = torch.nn.functional.batch_norm(x, *statistics, w, b, c.training, c.momentum, c.eps)
    y = y if residual is None else y + residual
    y = y if c.activation is None else getattr(torch, c.activation)(y)
    y.backward(torch.tensor(dy))
    gradients = [t.grad for t in tensors if t is not None]
    return [a.numpy() for a in (y.detach(), *statistics, *gradients)]


@given(configurations)
@settings(max_examples=200)
def test_batch_norm_equals_pytorch(kernels, torch, c):
    N, C, H, W = c.x.shape
    if c.training and N * H * W < 2:
        return
    x = 2 * float64(1, *c.x.shape, layout=c.x.layout) + 5
    affine = [float64(2, C), float64(3, C)] if c.affine else [None, None]
    residual = float64(4, *c.x.shape, layout=c.x.layout) if c.residual else None
    running = [float64(5, C), np.abs(float64(6, C)) + 0.5]
    arrays, dy = [x, *affine, residual], float64(7, *c.x.shape)
    theirs = pytorchs(torch, arrays, running, c, dy)
    # The variance of very few values may be tiny: gradients are multiplied by 1 / deviation.
    for a, b in zip(ours(arrays, running, c, dy), theirs):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10 * max(1, np.abs(b).max(initial=0)))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("running", [None, (np.array([1.0, -2, 0]), np.array([0.5, 2, 1]))],
                         ids=["of the batch", "running"])
def test_batch_norm_equals_the_loops(kernels, layout, running):
    x, w, b = float64(0, 3, 3, 4, 5, layout=layout) + 3, float64(1, 3), float64(2, 3)
    statistics = [Tensor(s.copy()) for s in running or (np.zeros(3), np.ones(3))]
    y, gradients, dy = run(lambda x, w, b: mt.batch_norm(
        x, *statistics, w, b, training=running is None), x, w, b)
    expected, mean, variance, *expected_gradients = reference.batch_norm(
        x, w, b, 1e-5, running, dy)
    assert_close(y, expected)
    for gradient, of_loops in zip(gradients, expected_gradients):
        assert_close(gradient, of_loops)
    if running is None:                             # 60 values a channel
        assert_close(statistics[0].data, 0.1 * mean)
        assert_close(statistics[1].data, 0.9 + 0.1 * variance * 60 / 59)


@pytest.mark.parametrize("mean, deviation", [(1e4, 0.1), (-3e3, 1), (1e6, 2), (0, 1e-3)])
def test_float32_statistics_of_a_large_mean_and_a_small_variance(kernels, mean, deviation):
    """Good to 1e-6, and what is normalised with them as well as float32 can hold it."""
    x = (mean + deviation * float64(0, 4, 3, 17, 19)).astype(np.float32)
    x[0, :, 0, 0] += 40 * deviation                             # the first value is no typical one
    norm = nn.BatchNorm2d(3, eps=1e-12, momentum=1.0)
    y = norm(Tensor(x)).data
    exact = x.astype(np.float64)
    var = exact.var(axis=(0, 2, 3), ddof=1)
    centered = exact - exact.mean(axis=(0, 2, 3), keepdims=True)
    np.testing.assert_allclose(norm.running_mean.data, exact.mean(axis=(0, 2, 3)), rtol=1e-6,
                               atol=1e-6 * deviation)
    np.testing.assert_allclose(norm.running_var.data, var, rtol=1e-6)
    biased = exact.var(axis=(0, 2, 3)).reshape(-1, 1, 1)
    np.testing.assert_allclose(y, centered / np.sqrt(biased + 1e-12), atol=1e-5)


def test_a_constant_channel_has_the_variance_zero(kernels):
    norm = nn.BatchNorm2d(2, momentum=1.0)
    y = norm(Tensor(np.full((3, 2, 5, 5), 0.1, np.float32)))
    np.testing.assert_allclose(y.data, 0, atol=1e-5)
    np.testing.assert_allclose(norm.running_var.data, 0, atol=1e-12)


# ---- the layer -----------------------------------------------------------------------------------

@pytest.mark.parametrize("options", [{}, {"momentum": None}, {"eps": 1e-3, "momentum": 0.3},
                                     {"affine": False}, {"track_running_stats": False}], ids=str)
def test_running_statistics_over_50_steps_equal_pytorchs(kernels, torch, options):
    layer = nn.BatchNorm2d(4, **options, dtype=np.float64)
    twin = torch.nn.BatchNorm2d(4, **options, dtype=torch.float64)
    assert list(layer.state_dict()) == list(twin.state_dict())
    assert [a.shape for a in layer.state_dict().values()] == [
        tuple(t.shape) for t in twin.state_dict().values()]
    for step in range(50):
        x = float64(step, 3, 4, 2, 3) * (1 + step) + step
        assert_close(layer(Tensor(x)).data, twin(torch.tensor(x)).detach().numpy())
    for name, tensor in twin.state_dict().items():
        assert_close(layer.state_dict()[name], tensor.numpy(), name=name)
    layer.eval(), twin.eval()
    assert_close(layer(Tensor(x)).data, twin(torch.tensor(x)).detach().numpy())


def test_evaluation_mode_and_no_learning_leave_the_statistics_bit_identical():
    layer = nn.BatchNorm2d(3)
    layer(Tensor(float64(0, 4, 3, 5, 5).astype(np.float32)))
    before = {name: a.copy() for name, a in layer.state_dict().items()}
    layer.eval()
    x = Tensor(float64(1, 4, 3, 5, 5).astype(np.float32), requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_gradcheck_leaves_running_statistics_alone(kernels):
    layer = nn.BatchNorm2d(3, dtype=np.float64)
    before = {name: a.copy() for name, a in layer.state_dict().items()}
    x = Tensor(float64(0, 2, 3, 2, 2), requires_grad=True)
    mt.gradcheck(lambda x, w, b: layer(x), (x, layer.weight, layer.bias), seed=1)
    for name, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    layer(x)
    assert layer.num_batches_tracked.item() == 1


def test_two_forwards_before_a_backward():
    layer = nn.BatchNorm2d(2, dtype=np.float64)
    a, b = (Tensor(float64(i, 2, 2, 3, 3), requires_grad=True) for i in (0, 1))
    (layer(a) * layer(b)).sum().backward()
    assert layer.num_batches_tracked.item() == 2 and a.grad.shape == b.grad.shape


def test_to_keeps_the_counter_an_integer_and_state_dicts_load():
    layer, other = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    layer(Tensor(float64(0, 2, 2, 3, 3).astype(np.float32)))
    other.load_state_dict(layer.state_dict())
    assert other.num_batches_tracked.item() == 1
    other.to(dtype=np.float64)
    assert other.running_var.dtype == np.float64
    assert other.num_batches_tracked.dtype == np.int64
    layer.reset(mt.Generator(0))
    assert layer.num_batches_tracked.item() == 0 and layer.running_mean.data.any() == np.False_


@pytest.mark.parametrize("arguments, message", [
    ((0,), "BatchNorm2d: num_features must be an integer >= 1, not 0"),
    ((2, 0.0), "BatchNorm2d: eps must be above 0, not 0.0"),
    ((2, 1e-5, 1.5), r"BatchNorm2d: momentum must be in \[0, 1\], not 1.5")])
def test_what_the_layer_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        nn.BatchNorm2d(*arguments)


def test_what_the_op_refuses():
    x, three = Tensor(np.zeros((1, 3, 1, 1))), Tensor(np.ones(3))
    for arguments, message in (
            ((x, three, three, None, None, True),
             r"expected more than one value per channel when training, not x \(1, 3, 1, 1\)"),
            ((x, None, None), "running_mean and running_var must be given when training is False"),
            ((x, three, None), "running_mean and running_var must be given together"),
            ((x, three, three, Tensor(np.ones(2))), r"w must be \(3,\) for x \(1, 3, 1, 1\)"),
            ((x, three, three, None, None, False, 0.1, 0.0), "eps must be above 0, not 0.0")):
        with pytest.raises(ValueError, match=f"batch_norm: {message}"):
            mt.batch_norm(*arguments)
    with pytest.raises(ValueError, match="residual must be .* like x, not"):
        mt.batch_norm(x, three, three, residual=Tensor(np.zeros((1, 3, 2, 1))))
    with pytest.raises(TypeError, match="x is float64 but running_mean is float32"):
        mt.batch_norm(x, three.to(dtype=np.float32), three)


# ---- folded into a convolution -------------------------------------------------------------------

def chain(activation="relu", bias=True):
    draw = mt.Generator(0)
    body = nn.Sequential(
        conv1=nn.Conv2d(3, 8, 3, padding=1, bias=bias, generator=draw),
        norm1=nn.BatchNorm2d(8, activation=activation),
        conv2=nn.Conv2d(8, 3, 3, padding=1, groups=1, generator=draw),
        norm2=nn.BatchNorm2d(3))
    network = nn.Sequential(block=nn.Residual(body),
                            last=nn.Conv2d(3, 4, 1, generator=draw), norm3=nn.BatchNorm2d(
                                4, affine=False))
    for step in range(3):
        network(Tensor(2 * float64(step, 4, 3, 9, 9).astype(np.float32) + 1))
    return network.eval()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bias", [True, False])
def test_folded_at_inference_the_output_stays_the_same(kernels, activation, bias, monkeypatch):
    network, x = chain(activation, bias), Tensor(float64(9, 4, 3, 9, 9).astype(np.float32))
    with no_grad(), nn.folding(False):
        unfolded = network(x).data
    calls = []
    normalise = mt.ops.batch_norm
    monkeypatch.setattr(mt.ops, "batch_norm", lambda *a, **k: calls.append(1) or normalise(*a, **k))
    with no_grad():
        np.testing.assert_allclose(network(x).data, unfolded, rtol=1e-5, atol=1e-5)
    assert not calls                                                # every one was folded


def test_nothing_is_folded_while_learning_observing_or_training():
    network, x = chain(), Tensor(float64(9, 4, 3, 9, 9).astype(np.float32))
    with no_grad(), nn.folding(False):
        unfolded = network(x).data
    np.testing.assert_array_equal(network(x).data, unfolded)        # gradients are recorded
    with no_grad(), nn.observe(network, "last") as seen:
        y = network(x).data
    np.testing.assert_allclose(y, unfolded, rtol=1e-6, atol=1e-6)
    assert seen.outputs["last"].shape == (4, 4, 9, 9)
    before = network.get_submodule("norm3").num_batches_tracked.item()
    with no_grad():
        network.train()(x)
    assert network.get_submodule("norm3").num_batches_tracked.item() == before + 1


def test_a_change_of_the_weights_or_statistics_shows_in_the_next_folded_output():
    network, x = chain(), Tensor(float64(9, 4, 3, 9, 9).astype(np.float32))
    with no_grad():
        network(x)
        for name in ("last.weight", "norm3.running_var"):
            network.state_dict()[name][...] *= 2
            folded = network(x).data
            with nn.folding(False):
                np.testing.assert_allclose(folded, network(x).data, rtol=1e-5, atol=1e-5)
