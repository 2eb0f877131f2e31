"""Values that are not finite: every kernel set gives PyTorch's results."""
import numpy as np
import pytest

import minitensor as mt
from minitensor import Tensor

inf, nan = np.inf, np.nan


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("logits", [[[0.0, -inf, 1.0]], [[0.0, nan, 1.0]], [[0.0, -3e38, 1.0]]])
def test_cross_entropy(kernels, torch, logits, smoothing):
    x = Tensor(np.array(logits), requires_grad=True)
    t = torch.tensor(np.array(logits), requires_grad=True)
    with np.errstate(invalid="ignore"):
        loss = mt.cross_entropy(x, [2], label_smoothing=smoothing)
        loss.backward()
    expected = torch.nn.functional.cross_entropy(t, torch.tensor([2]), label_smoothing=smoothing)
    expected.backward()
    np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-12)
    np.testing.assert_allclose(x.grad, t.grad.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dy", [inf, -inf, nan])
def test_max_pool_sends_a_gradient_to_the_winner_alone(kernels, torch, dy):
    values = np.random.default_rng(0).permutation(2 * 3 * 7 * 7).reshape(2, 3, 7, 7) / 7.0
    x, t = Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    y, expected = mt.max_pool2d(x, 3, 2), torch.nn.functional.max_pool2d(t, 3, 2)
    seed = np.ones(y.shape)
    seed[0, 0, 1, 1] = dy
    y.backward(seed)
    expected.backward(torch.tensor(seed))
    np.testing.assert_array_equal(x.grad, t.grad.numpy())


SPECIAL = np.array([nan, inf, -inf, 0.0, -0.0, 1.0, -1.0, 3e38])


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("dy", [1.0, inf, nan])
def test_activations(kernels, torch, name, dy):
    compare(torch, lambda x: getattr(mt, name)(x), getattr(torch, name), SPECIAL, dy)


def rows(*special):
    return np.array([[0.5, *special, -1.0], [0.5, 1.0, 2.0, -1.0][:2 + len(special)]])


def image_with(value, side=7):
    """Two images of 8 channels; one value of the first is not finite."""
    image = np.random.default_rng(0).permutation(2 * 8 * side * side) / 100 - 2.0
    image = image.reshape(2, 8, side, side)
    image[0, 3, 2, 4] = value
    return image


OPS = {     # ours, PyTorch's
    "softmax": lambda F: (lambda x: mt.softmax(x, 1), lambda x: F.softmax(x, 1)),
    "log_softmax": lambda F: (lambda x: mt.log_softmax(x, 1), lambda x: F.log_softmax(x, 1)),
    "max_pool2d": lambda F: (lambda x: mt.max_pool2d(x, 3, 2, 1),
                             lambda x: F.max_pool2d(x, 3, 2, 1)),
    "avg_pool2d": lambda F: (lambda x: mt.avg_pool2d(x, 3, 2, 1),
                             lambda x: F.avg_pool2d(x, 3, 2, 1)),
    "adaptive_avg_pool2d": lambda F: (lambda x: mt.adaptive_avg_pool2d(x, 3),
                                      lambda x: F.adaptive_avg_pool2d(x, 3)),
    "local_response_norm": lambda F: (lambda x: mt.local_response_norm(x, 5, 1e-2),
                                      lambda x: F.local_response_norm(x, 5, 1e-2)),
}


def compare(torch, ours, theirs, values, dy):
    """Result and gradient; dy is the first element of a gradient of ones."""
    x, t = Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    with np.errstate(all="ignore"):
        y, expected = ours(x), theirs(t)
        seed = np.ones(y.shape)
        seed.flat[0] = dy
        y.backward(seed)
    expected.backward(torch.tensor(seed))
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(x.grad, t.grad.numpy(), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("values", [
    rows(-inf), rows(inf), rows(nan), rows(-inf, -inf), np.full((2, 3), -inf), rows(3e38, -3e38)])
def test_softmax(kernels, torch, name, values):
    compare(torch, *OPS[name](torch.nn.functional), values, 1.0)


@pytest.mark.parametrize("name", [name for name in OPS if "softmax" not in name])
@pytest.mark.parametrize("value, dy", [(inf, 1.0), (-inf, 1.0), (nan, 1.0), (0.0, inf), (0.0, nan)])
def test_pools_and_normalisation(kernels, torch, name, value, dy):
    compare(torch, *OPS[name](torch.nn.functional), image_with(value), dy)


def test_dropout_drops_infinities(kernels):
    """PyTorch multiplies by 0, and has NaN there."""
    x = Tensor(np.full(1000, inf), requires_grad=True)
    y = mt.dropout(x, 0.5, generator=mt.Generator(0))
    y.backward(np.full(1000, nan))
    dropped = y.data == 0
    assert 400 < dropped.sum() < 600 and (y.data[~dropped] == inf).all()
    assert (x.grad[dropped] == 0).all() and np.isnan(x.grad[~dropped]).all()


@pytest.mark.parametrize("value", [inf, -inf, nan])
@pytest.mark.parametrize("where", ["x", "dy"])
def test_convolution(kernels, torch, value, where):
    x, w = image_with(0.0), np.random.default_rng(1).uniform(0.5, 1, (4, 8, 3, 3))
    dy = np.random.default_rng(2).standard_normal((2, 4, 7, 7))
    if where == "x":
        x[0, 3, 2, 4] = value
    else:
        dy[0, 3, 2, 4] = value
    ours = [Tensor(a, requires_grad=True) for a in (x, w)]
    theirs = [torch.tensor(a, requires_grad=True) for a in (x, w)]
    with np.errstate(all="ignore"):
        y = mt.conv2d(*ours, padding=1)
        y.backward(dy)
    expected = torch.nn.functional.conv2d(*theirs, padding=1)
    expected.backward(torch.tensor(dy))
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-10)
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("value", [inf, nan])
def test_the_fused_relus_gradient(kernels, torch, value):
    """NaN lets a gradient pass, a closed relu not even an infinite one."""
    x, w, b = np.array([[1.0, 2.0]]), np.array([[1.0, 1.0], [-1.0, -1.0]]), np.array([value, 0.0])
    dy = np.array([[2.0, inf]])
    ours = [Tensor(a, requires_grad=True) for a in (x, w, b)]
    theirs = [torch.tensor(a, requires_grad=True) for a in (x, w, b)]
    mt.linear(*ours, activation="relu").backward(dy)
    torch.relu(torch.nn.functional.linear(*theirs)).backward(torch.tensor(dy))
    for a, t in zip(ours, theirs):
        np.testing.assert_allclose(a.grad, t.grad.numpy(), rtol=1e-12)
