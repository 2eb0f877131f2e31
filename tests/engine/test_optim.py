"""SGD and the schedules against PyTorch and against written-out formulas."""
import json
import math

import numpy as np
import pytest

from comparing import assert_close
from minitensor import nn, optim

SHAPES = (4, 3), (5,), (2, 3, 3, 3)
SETTINGS = [dict(), dict(momentum=0.9), dict(weight_decay=5e-4), dict(momentum=0.9, weight_decay=0.1),
            dict(momentum=0.9, weight_decay=0.1, nesterov=True)]


def parameters(dtype=np.float64):
    rng = np.random.default_rng(0)
    return [nn.Parameter(rng.standard_normal(shape).astype(dtype)) for shape in SHAPES]


def gradients(step, dtype=np.float64):
    rng = np.random.default_rng((1, step))
    return [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_sgd_equals_pytorch(kernels, torch, settings, dtype, tolerance):
    ours = parameters(dtype)
    theirs = [torch.nn.Parameter(torch.tensor(p.data.copy())) for p in ours]
    sgd, torch_sgd = optim.SGD(ours, 0.1, **settings), torch.optim.SGD(theirs, 0.1, **settings)
    for step in range(5):
        for p, q, gradient in zip(ours, theirs, gradients(step, dtype)):
            p.grad, q.grad = gradient, torch.tensor(gradient)
        sgd.step()
        torch_sgd.step()
    for p, q in zip(ours, theirs):
        assert p.dtype == dtype
        assert_close(p.data, q.detach().numpy(), tolerance)


def test_the_plateau_schedule_cuts_no_more_than_it_may():
    sgd = optim.SGD(parameters(), 1.0)
    schedule = optim.ReduceLROnPlateau(sgd, 0.1, patience=0, max_reductions=3)
    lrs = []
    for error in (0.5, 0.4, 0.4, 0.3, 0.3, 0.3, 0.3, 0.3):
        schedule.step(error)
        lrs.append(sgd.groups[0]["lr"])
    assert lrs == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.001, 0.001, 0.001])


def test_the_update_of_2012(kernels):
    """v = 0.9 v - 0.0005 lr w - lr grad; w = w + v, the learning rate inside v also when it changes."""
    w = nn.Parameter(np.array([1.0, -2.0]))
    sgd = optim.SGD([w], 0.1, momentum=0.9, weight_decay=0.0005)
    expected, v = w.data.copy(), np.zeros(2)
    for lr, gradient in ((0.1, [1.0, 2.0]), (0.1, [0.5, -1.0]), (0.01, [3.0, 1.0])):
        sgd.groups[0]["lr"], w.grad = lr, np.array(gradient)
        sgd.step()
        v = 0.9 * v - 0.0005 * lr * expected - lr * w.grad
        expected = expected + v
        assert_close(w.data, expected, 1e-14)


def test_groups_override_the_arguments(kernels, torch):
    """Biases at twice the rate and without decay, as in 2012."""
    ours = parameters()
    theirs = [torch.nn.Parameter(torch.tensor(p.data.copy())) for p in ours]

    def groups(p):
        return [{"params": [p[0], p[2]]}, {"params": [p[1]], "lr": 0.2, "weight_decay": 0.0}]
    sgd = optim.SGD(groups(ours), 0.1, momentum=0.9, weight_decay=0.1)
    torch_sgd = torch.optim.SGD(groups(theirs), 0.1, momentum=0.9, weight_decay=0.1)
    for step in range(3):
        for p, q, gradient in zip(ours, theirs, gradients(step)):
            p.grad, q.grad = gradient, torch.tensor(gradient)
        sgd.step()
        torch_sgd.step()
    for p, q in zip(ours, theirs):
        assert_close(p.data, q.detach().numpy(), 1e-12)


def test_parameters_without_a_gradient_stay():
    a, b = nn.Parameter(np.ones(2)), nn.Parameter(np.ones(2))
    b.grad = np.ones(2)
    optim.SGD([a, b], 0.5, weight_decay=0.1).step()
    assert a.data.tolist() == [1, 1] and b.data[0] < 1


def test_gradients_and_weights_may_differ_in_memory_order(kernels):
    w = nn.Parameter(nn.init.zeros_nhwc((4, 3, 5, 5), np.float32))
    w.grad = np.random.default_rng(0).standard_normal(w.shape).astype(np.float32)
    optim.SGD([w], 0.5, momentum=0.9).step()
    assert_close(w.data, -0.5 * w.grad, 1e-6)


def test_a_state_continues_where_it_was_left():
    def run(steps, state=None, weights=None):
        ps = parameters()
        sgd = optim.SGD(ps, 0.1, momentum=0.9)
        if state:
            sgd.load_state_dict(state)
            for p, w in zip(ps, weights):
                p.data[...] = w
        for step in steps:
            for p, gradient in zip(ps, gradients(step)):
                p.grad = gradient
            sgd.step()
            sgd.groups[0]["lr"] *= 0.5
        return sgd.state_dict(), [p.data for p in ps]

    state, weights = run(range(2))
    whole, resumed = run(range(4)), run(range(2, 4), state, weights)
    assert whole[0]["groups"] == resumed[0]["groups"]
    for a, b in zip(whole[1], resumed[1]):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("make, error, message", [
    (lambda p: optim.SGD(p, -0.1), ValueError, "SGD: lr must be a number >= 0, not -0.1"),
    (lambda p: optim.SGD(p, math.nan), ValueError, "SGD: lr must be a number >= 0, not nan"),
    (lambda p: optim.SGD(p, "0.1"), ValueError, "SGD: lr must be a number >= 0, not '0.1'"),
    (lambda p: optim.SGD(p, 0.1, momentum=-1), ValueError, "SGD: momentum must be a number >= 0, not -1"),
    (lambda p: optim.SGD(p, 0.1, weight_decay=math.inf), ValueError, "SGD: weight_decay must be a number >= 0, not inf"),
    (lambda p: optim.SGD(p, 0.1, nesterov=True), ValueError, "nesterov needs a momentum"),
    (lambda p: optim.SGD([], 0.1), ValueError, "at least one parameter"),
    (lambda p: optim.SGD([p[0], p[0]], 0.1), ValueError, "only once"),
    (lambda p: optim.SGD([{"params": p}, {"params": p[:1]}], 0.1), ValueError, "only once"),
    (lambda p: optim.SGD([{"params": p, "learning_rate": 1}], 0.1), ValueError, r"unknown options \['learning_rate'\]"),
    (lambda p: optim.SGD([{"lr": 1}], 0.1), ValueError, "group without params"),
    (lambda p: optim.SGD(nn.Sequential(nn.ReLU()), 0.1), TypeError, "params must be Parameters, not ReLU"),
    (lambda p: optim.SGD(p[0], 0.1), TypeError, "params must be a list"),
    (lambda p: optim.SGD(p, 0.1).load_state_dict(optim.SGD(p[:1], 0.1).state_dict()), ValueError, "other groups or parameters"),
    (lambda p: optim.StepLR(optim.SGD(p, 0.1), 0), ValueError, "StepLR: step_size must be at least 1, not 0"),
    (lambda p: optim.CosineAnnealingLR(optim.SGD(p, 0.1), 0), ValueError, "CosineAnnealingLR: T_max must be at least 1, not 0"),
])
def test_bad_input_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make(parameters())


# ---- schedules ---------------------------------------------------------------------------------------------------------------------

def two_rates():
    a, b, _ = parameters()
    return optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.2}], 0.1)


def rates(schedule, epochs):
    seen = []
    for _ in range(epochs):
        seen.append([group["lr"] for group in schedule.optimizer.groups])
        schedule.step()
    return np.array(seen)


@pytest.mark.parametrize("name, arguments", [("StepLR", dict(step_size=3, gamma=0.5)), ("MultiStepLR", dict(milestones=[2, 5, 5, 9])),
                                             ("CosineAnnealingLR", dict(T_max=11))])
def test_schedules_equal_pytorch(torch, name, arguments):
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    torch_sgd = torch.optim.SGD([{"params": weights[:1]}, {"params": weights[1:], "lr": 0.2}], 0.1)
    schedule = getattr(torch.optim.lr_scheduler, name)(torch_sgd, **arguments)
    expected = []
    for _ in range(11):
        expected.append([group["lr"] for group in torch_sgd.param_groups])
        torch_sgd.step()
        schedule.step()
    assert_close(rates(getattr(optim, name)(two_rates(), **arguments), 11), expected, 1e-12)


def test_the_cosine_ends_at_a_fraction_and_stays_there():
    seen = rates(optim.CosineAnnealingLR(two_rates(), T_max=4, eta_min=0.1), 7)
    assert_close(seen[:, 0], 0.1 * np.array([1, 0.1 + 0.45 * (1 + math.sqrt(0.5)), 0.55, 0.1 + 0.45 * (1 - math.sqrt(0.5)), 0.1, 0.1, 0.1]))
    assert_close(seen[:, 1], 2 * seen[:, 0])


def test_the_plateau_equals_pytorch(torch):
    metrics = [5, 4, 3.9999, 3.9998, 4, 3, 3, 3, 3, 3, 3, math.nan, 2, 1, 1, 1, 1]
    torch_sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)
    expected = torch.optim.lr_scheduler.ReduceLROnPlateau(torch_sgd, factor=0.5, patience=2)
    sgd = two_rates()
    schedule = optim.ReduceLROnPlateau(sgd, factor=0.5, patience=2)
    for metric in metrics:
        expected.step(metric)
        schedule.step(metric)
        assert sgd.groups[0]["lr"] == pytest.approx(torch_sgd.param_groups[0]["lr"])
        assert sgd.groups[1]["lr"] == pytest.approx(2 * sgd.groups[0]["lr"])


@pytest.mark.parametrize("make", [lambda o: optim.StepLR(o, 3), lambda o: optim.MultiStepLR(o, [2, 4]),
                                  lambda o: optim.CosineAnnealingLR(o, 9), lambda o: optim.ReduceLROnPlateau(o, patience=1)])
def test_a_schedule_continues_where_it_was_left(make):
    def step(schedule):
        schedule.step(1.0) if isinstance(schedule, optim.ReduceLROnPlateau) else schedule.step()
        return [group["lr"] for group in schedule.optimizer.groups]

    whole = make(two_rates())
    expected = [step(whole) for _ in range(8)]
    first, second = make(two_rates()), make(two_rates())
    for _ in range(3):
        step(first)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    assert [step(second) for _ in range(5)] == expected[3:]


def test_a_longer_schedule_takes_over_at_its_own_learning_rate():
    """A run of 3 epochs, resumed to 6: the cosine over 6 is half-way down, not at its end."""
    def cosine(epochs):
        return optim.CosineAnnealingLR(optim.SGD([nn.Parameter(np.ones(2))], lr=0.1), epochs)
    short, long = cosine(3), cosine(6)
    for _ in range(3):
        short.step()
    assert short.optimizer.groups[0]["lr"] == pytest.approx(0)
    long.load_state_dict({"epoch": short.state_dict()["epoch"]})
    assert long.optimizer.groups[0]["lr"] == pytest.approx(0.05)
