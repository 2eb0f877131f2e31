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


def test_relu(kernels, torch):
    values = np.array([nan, inf, -inf, 0.0, -0.0, 1.0])
    x, t = Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    y, expected = mt.relu(x), torch.relu(t)
    np.testing.assert_array_equal(y.data, expected.detach().numpy())
    y.backward(np.full(6, inf))
    expected.backward(torch.full((6,), inf, dtype=torch.float64))
    np.testing.assert_array_equal(x.grad[1:], t.grad.numpy()[1:])
