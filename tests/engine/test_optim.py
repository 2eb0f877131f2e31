"""Optimizers against PyTorch and against written-out formulas."""
import json
import math

import numpy as np
import pytest

from comparing import assert_close
from minitensor import Tensor, nn, optim

SHAPES = (4, 3), (5,), (2, 3, 3, 3)
SGD = [dict(), dict(momentum=0.9), dict(weight_decay=5e-4), dict(momentum=0.9, weight_decay=0.1),
       dict(momentum=0.9, weight_decay=0.1, nesterov=True)]
ADAM = [dict(), dict(lr=0.03), dict(betas=(0.5, 0.9)), dict(betas=(0.0, 0.0), eps=0.1),
        dict(weight_decay=0.1), dict(lr=0.02, betas=(0.8, 0.99), eps=1e-3, weight_decay=0.3)]
CASES = [("SGD", dict(lr=0.1, **settings)) for settings in SGD] + [
    (name, settings) for name in ("Adam", "AdamW") for settings in ADAM]


def parameters(dtype=np.float64):
    rng = np.random.default_rng(0)
    return [nn.Parameter(rng.standard_normal(shape).astype(dtype)) for shape in SHAPES]


def gradients(step, dtype=np.float64):
    rng = np.random.default_rng((1, step))
    return [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]


def twins(torch, ours):
    return [torch.nn.Parameter(torch.tensor(p.data.copy())) for p in ours]


def step_both(torch, optimizer, its_twin, ours, theirs, step):
    for p, q, gradient in zip(ours, theirs, gradients(step, ours[0].dtype)):
        p.grad, q.grad = gradient, torch.tensor(gradient)
    optimizer.step()
    its_twin.step()


def assert_equal_to_torch(ours, theirs, tolerance):
    for p, q in zip(ours, theirs):
        assert_close(p.data, q.detach().numpy(), tolerance)


# ---- optimizers ------------------------------------------------------------------------------

@pytest.mark.parametrize("name, settings", CASES)
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_an_optimizer_equals_pytorch(kernels, torch, name, settings, dtype, tolerance):
    ours = parameters(dtype)
    theirs = twins(torch, ours)
    optimizer = getattr(optim, name)(ours, **settings)
    its_twin = getattr(torch.optim, name)(theirs, **settings)
    for step in range(20):
        step_both(torch, optimizer, its_twin, ours, theirs, step)
    assert all(p.dtype == dtype for p in ours)
    assert_equal_to_torch(ours, theirs, tolerance)


def groups_of(p):
    """Biases at twice the rate and without decay, as in 2012."""
    return [{"params": [p[0], p[2]]}, {"params": [p[1]], "lr": 0.2, "weight_decay": 0.0}]


@pytest.mark.parametrize("name, settings", [
    ("SGD", dict(momentum=0.9)), ("Adam", {}), ("AdamW", {})])
def test_groups_override_the_arguments(kernels, torch, name, settings):
    ours = parameters()
    theirs = twins(torch, ours)
    settings = dict(lr=0.1, weight_decay=0.1, **settings)
    optimizer = getattr(optim, name)(groups_of(ours), **settings)
    its_twin = getattr(torch.optim, name)(groups_of(theirs), **settings)
    for step in range(5):
        step_both(torch, optimizer, its_twin, ours, theirs, step)
    assert_equal_to_torch(ours, theirs, 1e-12)


LATER = {"SGD": {"momentum": 0.5}, "Adam": {"betas": (0.8, 0.99)}, "AdamW": {"betas": (0.8, 0.99)}}


@pytest.mark.parametrize("name, settings", CASES)
def test_an_optimizer_equals_pytorch_while_its_learning_rate_changes(kernels, torch, name,
                                                                     settings):
    ours = parameters()
    theirs = twins(torch, ours)
    optimizer = getattr(optim, name)(ours, **settings)
    its_twin = getattr(torch.optim, name)(theirs, **settings)
    for step in range(40):
        changed = {"lr": 0.1 / (1 + step % 7), **(LATER[name] if step > 9 else {})}
        optimizer.groups[0].update(changed)
        its_twin.param_groups[0].update(changed)
        step_both(torch, optimizer, its_twin, ours, theirs, step)
    assert_equal_to_torch(ours, theirs, 1e-13)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_parameters_whose_gradients_start_late_or_pause_equal_pytorchs(kernels, torch, name):
    ours = parameters()
    theirs = twins(torch, ours)
    optimizer = getattr(optim, name)(groups_of(ours), lr=0.1, weight_decay=0.1)
    its_twin = getattr(torch.optim, name)(groups_of(theirs), lr=0.1, weight_decay=0.1)
    for step in range(12):
        optimizer.zero_grad()
        its_twin.zero_grad()
        learning = [True, step > 3, step % 3 > 0]
        for p, q, gradient, learns in zip(ours, theirs, gradients(step), learning):
            if learns:
                p.grad, q.grad = gradient, torch.tensor(gradient)
        optimizer.step()
        its_twin.step()
        if step == 5:       # a state goes into an optimizer that has none yet
            state = optimizer.state_dict()
            optimizer = getattr(optim, name)(groups_of(ours), lr=0.1, weight_decay=0.1)
            optimizer.load_state_dict(state)
    assert_equal_to_torch(ours, theirs, 1e-12)


def test_a_single_parameter_is_a_list_of_one():
    p, q = nn.Parameter(np.full((2, 2), 3.0)), nn.Parameter(np.full((2, 2), 3.0))
    for single, parameters in ((p, p), (q, [q])):
        single.grad = np.full((2, 2), 4.0)
        assert float(optim.clip_grad_norm_(parameters, 1.0)) == 8
        optim.SGD([{"params": parameters}], 0.1).step()
    assert p.data.tolist() == q.data.tolist() and p.grad.tolist() == q.grad.tolist()
    assert p.data[0, 0] == pytest.approx(3 - 0.1 * 0.5)


def test_the_update_of_2012(kernels):
    """v = 0.9 v - 0.0005 lr w - lr grad; w = w + v: lr is inside v also when it changes."""
    w = nn.Parameter(np.array([1.0, -2.0]))
    sgd = optim.SGD([w], 0.1, momentum=0.9, weight_decay=0.0005, lr_in_velocity=True)
    expected, v = w.data.copy(), np.zeros(2)
    for lr, gradient in ((0.1, [1.0, 2.0]), (0.1, [0.5, -1.0]), (0.01, [3.0, 1.0])):
        sgd.groups[0]["lr"], w.grad = lr, np.array(gradient)
        sgd.step()
        v = 0.9 * v - 0.0005 * lr * expected - lr * w.grad
        expected = expected + v
        assert_close(w.data, expected, 1e-14)


def test_a_state_from_before_there_was_a_choice_goes_on_with_the_update_of_2012(kernels):
    def run(lrs, options, state=None, start=(1.0, -2.0)):
        w = nn.Parameter(np.array(start, np.float32))
        sgd = optim.SGD([w], 0.1, momentum=0.9, weight_decay=0.01, **options)
        if state:
            sgd.load_state_dict(state)
        for lr in lrs:
            sgd.groups[0]["lr"], w.grad = lr, np.array([0.3, -0.7], np.float32)
            sgd.step()
        return sgd, w.data

    whole, expected = run((0.1, 0.1, 0.01, 0.02), {"lr_in_velocity": True})
    half, weights = run((0.1, 0.1), {"lr_in_velocity": True})
    state = half.state_dict()
    for group in state["groups"]:
        del group["lr_in_velocity"]
    resumed, actual = run((0.01, 0.02), {}, state, weights)
    assert actual.tobytes() == expected.tobytes()
    assert resumed.groups[0]["lr_in_velocity"] is True


def test_the_arguments_after_momentum_are_named():
    """PyTorch's fourth is the dampening, which is not here: no number is taken for another."""
    with pytest.raises(TypeError, match="positional"):
        optim.SGD(parameters(), 0.1, 0.9, 0.0, 5e-4)


def test_parameters_without_a_gradient_stay():
    a, b = nn.Parameter(np.ones(2)), nn.Parameter(np.ones(2))
    b.grad = np.ones(2)
    optim.SGD([a, b], 0.5, weight_decay=0.1).step()
    assert a.data.tolist() == [1, 1] and b.data[0] < 1


@pytest.mark.parametrize("make", [lambda p: optim.SGD(p, 0.5, momentum=0.9),
                                  lambda p: optim.AdamW(p, 0.5)])
def test_gradients_and_weights_may_differ_in_memory_order(kernels, make):
    nhwc = nn.Parameter(nn.init.zeros_nhwc((4, 3, 5, 5), np.float32))
    plain = nn.Parameter(np.zeros((4, 3, 5, 5), np.float32))
    nhwc.grad = plain.grad = np.random.default_rng(0).standard_normal(plain.shape, np.float32)
    for parameter in (nhwc, plain):
        make([parameter]).step()
    assert_close(nhwc.data, plain.data, 1e-6)


def test_a_custom_optimizer_is_an_update():
    class Signs(optim.Optimizer):
        STATE = ("steps",)

        def _update(self, group, lr, ws, kept, dws):
            (steps,) = kept
            for w, count, dw in zip(ws, steps, dws):
                w -= lr * np.sign(dw)
                count += 1

    w = nn.Parameter(np.array([1.0, 2.0]))
    w.grad = np.array([3.0, -0.5])
    signs = Signs([w], {"lr": 0.5})
    signs.step()
    assert w.data.tolist() == [0.5, 2.5] and signs.state["steps"][0].tolist() == [1, 1]


MAKE = {"sgd": lambda p: optim.SGD(p, 0.1, momentum=0.9), "adam": lambda p: optim.Adam(p, 0.1),
        "adamw": lambda p: optim.AdamW(groups_of(p), 0.1)}


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
def test_a_state_continues_where_it_was_left(make):
    def run(steps, state=None, weights=None):
        ps = parameters()
        optimizer = make(ps)
        if state:
            optimizer.load_state_dict({**state, "groups": json.loads(json.dumps(state["groups"]))})
            for p, w in zip(ps, weights):
                p.data[...] = w
        for step in steps:
            for p, gradient in zip(ps, gradients(step)):
                p.grad = gradient
            optimizer.step()
            optimizer.groups[0]["lr"] *= 0.5
        return optimizer.state_dict(), [p.data for p in ps]

    state, weights = run(range(2))
    whole, resumed = run(range(4)), run(range(2, 4), state, weights)
    assert json.dumps(whole[0]["groups"]) == json.dumps(resumed[0]["groups"])
    assert whole[0].get("step") == resumed[0].get("step")
    for a, b in zip(whole[1], resumed[1]):
        np.testing.assert_array_equal(a, b)


def test_what_a_state_holds():
    sgd, adam = optim.SGD(parameters(), 0.1), optim.Adam(parameters())
    assert set(sgd.state_dict()) == {"state", "groups"}
    assert [v.shape for v in sgd.state_dict()["state"]["velocity"]] == [*SHAPES]
    assert set(adam.state_dict()["state"]) == {"exp_avg", "exp_avg_sq"}
    for parameter, gradient in zip(adam.groups[0]["params"][1:], gradients(0)[1:]):
        parameter.grad = gradient
    adam.step()
    assert adam.state_dict()["step"] == [0, 1, 1]
    assert adam.state_dict()["groups"] == [
        {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}]


def with_gradient(p, gradient):
    p[0].grad = gradient
    return optim.SGD(p, 0.1)


def load_group(p, **changed):
    sgd = optim.SGD(p, 0.1)
    sgd.load_state_dict({**sgd.state_dict(), "groups": [changed]})


def load_state(p, step=None, **changed):
    adam = optim.Adam(p)
    state = adam.state_dict()
    state["step"] = state["step"] if step is None else step
    adam.load_state_dict({**state, "state": {**state["state"], **changed}})


@pytest.mark.parametrize("make, error, message", [
    (lambda p: optim.SGD(p, -0.1), ValueError, "SGD: lr must be a number >= 0, not -0.1"),
    (lambda p: optim.SGD(p, math.nan), ValueError, "SGD: lr must be a number >= 0, not nan"),
    (lambda p: optim.SGD(p, "0.1"), ValueError, "SGD: lr must be a number >= 0, not '0.1'"),
    (lambda p: optim.SGD(p, 0.1, momentum=-1), ValueError,
     "SGD: momentum must be a number >= 0, not -1"),
    (lambda p: optim.SGD(p, 0.1, weight_decay=math.inf), ValueError,
     "SGD: weight_decay must be a number >= 0, not inf"),
    (lambda p: optim.SGD(p, 0.1, nesterov=True), ValueError, "nesterov needs a momentum"),
    (lambda p: optim.SGD([], 0.1), ValueError, "at least one parameter"),
    (lambda p: optim.SGD([p[0], p[0]], 0.1), ValueError, "only once"),
    (lambda p: optim.SGD([{"params": p}, {"params": p[:1]}], 0.1), ValueError, "only once"),
    (lambda p: optim.SGD([{"params": p, "learning_rate": 1}], 0.1), ValueError,
     r"unknown options \['learning_rate'\]; a group has params, lr, momentum"),
    (lambda p: optim.SGD([{"lr": 1}], 0.1), ValueError, "group without params"),
    (lambda p: optim.SGD(nn.Sequential(nn.ReLU()), 0.1), TypeError,
     "params must be Parameters, not minitensor.ReLU"),
    (lambda p: optim.SGD(p[0], 0.1), TypeError, "params must be a list"),
    (lambda p: optim.SGD(p, 0.1).load_state_dict(optim.SGD(p[:1], 0.1).state_dict()), ValueError,
     "SGD.load_state_dict: .* other groups or parameters"),
    (lambda p: optim.Adam(p).load_state_dict(optim.SGD(p, 0.1).state_dict()), ValueError,
     "Adam.load_state_dict: the state has no step"),
    (lambda p: optim.SGD(p, 0.1).load_state_dict(optim.Adam(p).state_dict()), ValueError,
     "SGD.load_state_dict: .* other groups or parameters"),
    (lambda p: load_group(p, lr=-1), ValueError, "SGD: lr must be a number >= 0, not -1"),
    (lambda p: load_group(p, rate=1), ValueError,
     r"unknown options \['rate'\]; a group has params, lr, momentum, weight_decay, nesterov, lr"),
    (lambda p: with_gradient(p, np.ones((1, 3))).step(), ValueError,
     r"SGD: a parameter, float64 \(4, 3\) .*has a gradient that is float64 \(1, 3\)"),
    (lambda p: with_gradient(p, np.ones((4, 3), np.float32)).step(), ValueError,
     r"SGD: a parameter, float64 \(4, 3\) .*has a gradient that is float32 \(4, 3\)"),
    (lambda p: with_gradient(p, [1.0] * 4).step(), ValueError, "has a gradient that is list"),
    (lambda p: optim.Adam(p, betas=(0.9, 1.0)), ValueError,
     r"Adam: betas must be two numbers in \[0, 1\), not \(0.9, 1.0\)"),
    (lambda p: optim.Adam(p, betas=0.9), ValueError, "Adam: betas must be two numbers"),
    (lambda p: optim.AdamW(p, eps=-1), ValueError, "AdamW: eps must be a number >= 0, not -1"),
    (lambda p: optim.Adam([{"params": p, "momentum": 1}]), ValueError, "Adam: unknown options"),
    (lambda p: optim.clip_grad_norm_(p, 0), ValueError, "max_norm must be above 0, not 0"),
    (lambda p: optim.clip_grad_norm_(p, "1"), ValueError, "max_norm must be above 0, not '1'"),
    (lambda p: optim.SGD(None, 0.1), TypeError, "params must be a list .*, not a single NoneType"),
    (lambda p: optim.SGD({"params": p}, 0.1), TypeError, "not a single dict"),
    (lambda p: optim.SGD([{"params": p[:1]}, p[1]], 0.1), TypeError, "Parameters, not dict"),
    (lambda p: optim.SGD([p[0] * 2], 0.1), ValueError, "must be leaves, .* the result of a Mul"),
    (lambda p: with_gradient(p, np.ma.masked_array(np.ones((4, 3)))).step(), ValueError,
     "has a gradient that is MaskedArray"),
    (lambda p: with_gradient(p, np.ones((4, 3)).view(np.matrix)).step(), ValueError, "is matrix"),
    (lambda p: optim.Adam(p).load_state_dict({}), ValueError, "expected what state_dict"),
    (lambda p: optim.SGD(p).load_state_dict(None), ValueError, "expected what state_dict"),
    (lambda p: load_state(p, step=5), ValueError, "other parameters"),
    (lambda p: load_state(p, step=[-1] * 3), ValueError, "step must hold integers >= 0"),
    (lambda p: load_state(p, step=["a"] * 3), ValueError, "step must hold integers >= 0"),
    (lambda p: load_state(p, exp_avg=[np.ones(q.shape, complex) for q in p]), ValueError,
     "other groups or parameters"),
])
def test_bad_input_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make(parameters())


@pytest.mark.parametrize("gradient", [
    np.ones((3, 4)), np.ones(1), np.ones((4, 3), np.float32), np.ones((4, 3), int), [1.0], 1.0])
def test_clipping_refuses_a_gradient_that_does_not_fit(gradient):
    p = parameters()
    p[0].grad, p[1].grad = gradient, np.ones(p[1].shape)
    with pytest.raises(ValueError, match=r"clip_grad_norm_: a parameter, float64 \(4, 3\)"):
        optim.clip_grad_norm_(p, 0.1)
    assert (p[1].grad == 1).all()


def test_the_state_may_be_in_arrays_of_another_library(torch):
    first, second = optim.SGD(parameters(), 0.1, 0.9), optim.SGD(parameters(), 0.1, 0.9)
    state = first.state_dict()
    state["state"]["velocity"] = [torch.full(v.shape, 2.0) for v in state["state"]["velocity"]]
    second.load_state_dict(state)
    assert all((v == 2).all() and v.dtype == np.float64 for v in second.state["velocity"])


# ---- clipping --------------------------------------------------------------------------------

@pytest.mark.parametrize("max_norm", [0.1, 3.0, 1e3])
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_clipping_equals_pytorch(torch, max_norm, dtype, tolerance):
    ours = parameters(dtype)
    theirs = twins(torch, ours)
    for p, q, gradient in zip(ours[:2], theirs, gradients(0, dtype)):       # the last has none
        p.grad, q.grad = gradient.copy(), torch.tensor(gradient)
    norm = optim.clip_grad_norm_(iter(ours), max_norm)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm)
    assert isinstance(norm, Tensor) and norm.dtype == dtype and ours[2].grad is None
    assert float(norm) == pytest.approx(float(expected), rel=tolerance)
    for p, q in zip(ours[:2], theirs):
        assert p.grad.dtype == dtype
        assert_close(p.grad, q.grad.numpy(), tolerance)


def test_clipping_nothing():
    assert float(optim.clip_grad_norm_(parameters(), 1.0)) == 0
