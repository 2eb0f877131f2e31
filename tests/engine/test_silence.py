"""What becomes infinite or NaN shows in the numbers: nothing warns, as in PyTorch and on a GPU.

Every warning is an error in these tests.
"""
import math

import numpy as np
import pytest

import minitensor as mt
from minitensor import Tensor, nn, optim


def test_a_training_that_diverges_is_silent(kernels):
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False, generator=mt.Generator(0)), nn.BatchNorm2d(8),
        nn.ReLU(), nn.LocalResponseNorm(5), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1, activation="relu", generator=mt.Generator(1)),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(generator=mt.Generator(2)),
        nn.Linear(32, 4, generator=mt.Generator(3)))
    x = Tensor(np.random.default_rng(0).standard_normal((4, 3, 12, 12)).astype(np.float32))
    optimizer = optim.SGD(network.parameters(), lr=1e25, momentum=0.9)
    for _ in range(4):
        loss = mt.cross_entropy(network(x), np.arange(4))
        loss.backward()
        optim.clip_grad_norm_(network.parameters(), 1e30)
        optimizer.step()
        optimizer.zero_grad()
    assert not math.isfinite(loss.item())


@pytest.mark.parametrize("operate", [
    lambda x: x / 0, lambda x: 0 / x, lambda x: x // 0, lambda x: x % 0, lambda x: x**-1,
    lambda x: x**0.5, lambda x: (x * 1000).exp(), lambda x: x.log(), lambda x: x.sqrt(),
    lambda x: x * 1e38 * 1e38, lambda x: (x / 0).std(), lambda x: (x / 0).var(),
    lambda x: (x / 0).softmax(0), lambda x: (x / 0) - (x / 0), lambda x: x.double() * 1e300 * 1e300,
    lambda x: (x.double() * 1e300).float(), lambda x: (x / 0 - x / 0).max()])
def test_ops_and_their_gradients_are_silent(operate):
    x = Tensor(np.array([0.0, -1.0, 2.0], np.float32), requires_grad=True)
    y = operate(x)
    y.sum().backward()
    assert not np.isfinite(np.append(x.grad, y.data)).all()


@pytest.mark.parametrize("make", [optim.SGD, optim.Adam, optim.AdamW])
def test_an_update_that_overflows_is_silent(make, kernels):
    p = nn.Parameter(np.ones(3, np.float32))
    p.grad = np.array([1e30, math.nan, math.inf], np.float32)
    make([p], lr=1e20).step()
    assert not np.isfinite(p.data[1:]).any()


def test_changes_in_place_and_new_tensors_are_silent():
    x = Tensor([1.0, 2.0])
    x *= Tensor(np.array([1e300, 1.0]))
    x[1] = np.float64(1e300)
    y = x + 1e300
    for t in (x, y, Tensor(1e300)):
        assert np.isinf(t.data).all()


def test_what_the_user_asked_of_numpy_is_obeyed():
    x = Tensor([0.0], requires_grad=True)
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        1 / x
    y = x.sqrt()
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        y.sum().backward()
