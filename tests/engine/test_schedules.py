"""Schedules of the learning rate against PyTorch's and against written-out formulas."""
import json
import math

import numpy as np
import pytest

from comparing import assert_close
from minitensor import Tensor, nn, optim


def parameters():
    return [nn.Parameter(np.ones(2)), nn.Parameter(np.ones(3))]


def two_rates():
    a, b = parameters()
    return optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.2}], 0.1)


def rates(schedule, epochs):
    seen = []
    for _ in range(epochs):
        seen.append([group["lr"] for group in schedule.optimizer.groups])
        schedule.step()
    return np.array(seen)


def torch_sgd_of(torch):
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    return torch.optim.SGD([{"params": weights[:1]}, {"params": weights[1:], "lr": 0.2}], 0.1)


@pytest.mark.parametrize("name, arguments", [
    *(("StepLR", dict(step_size=size, gamma=gamma))
      for size in (1, 3, 100) for gamma in (0.0, 0.5, 1.0)),
    *(("MultiStepLR", dict(milestones=milestones, gamma=gamma))
      for milestones in ([2, 5, 5, 9], [0], [0, 0, 3], [9, 1], []) for gamma in (0.0, 0.1, 1.0)),
    *(("CosineAnnealingLR", dict(T_max=epochs, eta_min=eta_min))
      for epochs in (1, 2, 7, 11, 100) for eta_min in (0.0, 0.05, 0.3))])
def test_schedules_equal_pytorch_from_milestone_0_to_past_t_max(torch, name, arguments):
    torch_sgd = torch_sgd_of(torch)
    schedule = getattr(torch.optim.lr_scheduler, name)(torch_sgd, **arguments)
    expected = []
    for _ in range(25):
        expected.append([group["lr"] for group in torch_sgd.param_groups])
        torch_sgd.step()
        schedule.step()
    assert_close(rates(getattr(optim, name)(two_rates(), **arguments), 25), expected, 1e-12)


@pytest.mark.parametrize("steps", [2, 5])
def test_the_warm_up_equals_pytorchs_linear_rise(torch, steps):
    torch_sgd, sgd = torch_sgd_of(torch), two_rates()
    schedule = torch.optim.lr_scheduler.LinearLR(torch_sgd, 1 / steps, total_iters=steps - 1)
    warmup = optim.LinearWarmup(sgd, steps)
    for _ in range(8):
        assert [group["lr"] * sgd.lr_factor for group in sgd.groups] == pytest.approx(
            [group["lr"] for group in torch_sgd.param_groups], rel=1e-12)
        torch_sgd.step()
        schedule.step()
        warmup.step()


def test_the_first_epoch_has_the_factor_of_epoch_0():
    class Rising(optim.Schedule):
        def factor(self, epoch):
            return (epoch + 1) / 4

    assert_close(rates(Rising(two_rates()), 4), np.outer([0.25, 0.5, 0.75, 1], [0.1, 0.2]))


def test_the_cosine_ends_at_eta_min_and_climbs_again():
    seen = rates(optim.CosineAnnealingLR(two_rates(), T_max=2, eta_min=0.02), 5)
    assert_close(seen, [[0.1, 0.2], [0.06, 0.11], [0.02, 0.02], [0.06, 0.11], [0.1, 0.2]])


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("factor, patience", [(0.5, 2), (0.1, 0)])
def test_the_plateau_equals_pytorch(torch, mode, factor, patience):
    metrics = [5, 4, 3.9999, 3.9998, 4, 3, 3, 3, 3, 3, 3, math.nan, 2, 1, 1, 1, 1, 1.00005, 6, 6.1]
    torch_sgd, sgd = torch_sgd_of(torch), two_rates()
    expected = torch.optim.lr_scheduler.ReduceLROnPlateau(torch_sgd, mode, factor, patience, eps=0)
    schedule = optim.ReduceLROnPlateau(sgd, mode, factor, patience)
    for metric in metrics:
        expected.step(metric)
        schedule.step(metric)
        assert [group["lr"] for group in sgd.groups] == pytest.approx(
            [group["lr"] for group in torch_sgd.param_groups], rel=1e-12)


def test_the_plateau_schedule_cuts_no_more_than_it_may():
    sgd = optim.SGD(parameters(), 1.0)
    schedule = optim.ReduceLROnPlateau(sgd, patience=0, max_reductions=3)
    lrs = []
    for error in (0.5, 0.4, 0.4, 0.3, 0.3, 0.3, 0.3, 0.3):
        schedule.step(error)
        lrs.append(sgd.groups[0]["lr"])
    assert lrs == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.001, 0.001, 0.001])


SCHEDULES = {
    "step": lambda o: optim.StepLR(o, 3), "multistep": lambda o: optim.MultiStepLR(o, [2, 4]),
    "cosine": lambda o: optim.CosineAnnealingLR(o, 9),
    "plateau": lambda o: optim.ReduceLROnPlateau(o, patience=1),
}


@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("before", [0, 3])
def test_a_schedule_continues_where_it_was_left(make, before):
    def step(schedule):
        schedule.step(*([1.0] if isinstance(schedule, optim.ReduceLROnPlateau) else []))
        return [group["lr"] for group in schedule.optimizer.groups]

    whole = make(two_rates())
    expected = [step(whole) for _ in range(8)]
    first, second = make(two_rates()), make(two_rates())
    for _ in range(before):
        step(first)
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    assert [step(second) for _ in range(8 - before)] == expected[before:]


def test_an_older_state_of_the_plateau_says_infinity():
    schedule = optim.ReduceLROnPlateau(two_rates(), patience=1)
    schedule.load_state_dict(json.loads('{"best": Infinity, "bad_epochs": 0, "reductions": 0}'))
    json.dumps(schedule.state_dict(), allow_nan=False)
    schedule.step(5.0)
    assert schedule.best == 5


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


def test_a_warm_up_multiplies_what_a_schedule_sets_and_leaves_it_alone():
    """The weights after each step are those of lr · min(1, (k + 1) / 4) by hand, to the bit."""
    w, by_hand = nn.Parameter(np.array([1.0, 3.0])), nn.Parameter(np.array([1.0, 3.0]))
    sgd = optim.SGD([w], 0.1, momentum=0.9, weight_decay=0.01)
    other = optim.SGD([by_hand], 0.1, momentum=0.9, weight_decay=0.01)
    schedule, warmup = optim.StepLR(sgd, 1, 0.7), optim.LinearWarmup(sgd, 4)
    for step in range(9):
        lr = 0.1 * 0.7**(step // 3)
        other.groups[0]["lr"] = lr * min(1.0, (step + 1) / 4)
        for p, optimizer in ((w, sgd), (by_hand, other)):
            p.grad = np.array([0.3, -0.7]) * (step + 1)
            optimizer.step()
        warmup.step()
        assert w.data.tobytes() == by_hand.data.tobytes() and sgd.groups[0]["lr"] == lr
        if step % 3 == 2:
            schedule.step()


def test_a_warm_up_continues_where_it_was_left():
    warmup = optim.LinearWarmup(two_rates(), 4)
    for _ in range(2):
        warmup.step()
    later = optim.LinearWarmup(two_rates(), 4)
    later.load_state_dict(json.loads(json.dumps(warmup.state_dict())))
    assert later.optimizer.lr_factor == warmup.optimizer.lr_factor == 0.75
    assert optim.LinearWarmup(two_rates(), 0).optimizer.lr_factor == 1


@pytest.mark.parametrize("metric", [Tensor(0.5), np.float32(0.5), np.array(0.5)])
def test_a_metric_may_be_a_tensor_and_the_state_is_still_json(metric):
    schedule = optim.ReduceLROnPlateau(two_rates())
    schedule.step(metric)
    assert json.loads(json.dumps(schedule.state_dict()))["best"] == 0.5


@pytest.mark.parametrize("make", [
    lambda o: optim.StepLR(o, 1), lambda o: optim.ReduceLROnPlateau(o),
    lambda o: optim.LinearWarmup(o, 1)])
def test_a_schedule_needs_an_optimizer(make):
    with pytest.raises(TypeError, match="expected an optimizer, not a NoneType"):
        make(None)


@pytest.mark.parametrize("make, message", [
    (lambda p: optim.StepLR(optim.SGD(p, 0.1), 0),
     "StepLR: step_size must be at least 1, not 0"),
    (lambda p: optim.CosineAnnealingLR(optim.SGD(p, 0.1), 0),
     "CosineAnnealingLR: T_max must be at least 1, not 0"),
    (lambda p: optim.LinearWarmup(optim.SGD(p, 0.1), -1),
     "LinearWarmup: steps must be at least 0, not -1"),
    (lambda p: optim.ReduceLROnPlateau(optim.SGD(p, 0.1), 0.1),
     "ReduceLROnPlateau: mode must be 'min' or 'max', not 0.1"),
    (lambda p: optim.ReduceLROnPlateau(optim.SGD(p, 0.1), factor=2.0),
     "ReduceLROnPlateau: factor must be below 1, not 2.0"),
])
def test_bad_input_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make(parameters())
