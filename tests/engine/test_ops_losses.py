"""Losses with class weights, ignored rows, probabilities, pixels, against PyTorch and loops."""
import math
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minitensor as mt
from comparing import assert_close, assert_equals_torch
from minitensor import Tensor, nn
from minitensor.backend import capture_mode

IGNORED = {"default": -100, "inside": 1, "behind": 255}


@st.composite
def class_losses(draw):
    """(input, labels, options for both libraries, dtype); the options but for the weights."""
    rest = draw(st.sampled_from(((), (3,), (2, 3), (2, 1, 2))))
    shape = (draw(st.integers(1, 5)), draw(st.integers(2, 6)), *rest)
    shape = shape if draw(st.integers(0, 9)) else shape[1:2]            # (K,) now and then
    classes = shape[min(1, len(shape) - 1)]
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    labels = rng.integers(0, classes, (*shape[:1], *shape[2:]) if len(shape) > 1 else ())
    ignore_index = draw(st.sampled_from(tuple(IGNORED.values())))
    if labels.ndim and ignore_index != 1:
        labels[rng.random(labels.shape) < draw(st.sampled_from((0, 0.4)))] = ignore_index
    dtype = draw(st.sampled_from((np.float64, np.float32)))
    weight = rng.uniform(0.2, 3, classes).astype(dtype) if draw(st.booleans()) else None
    x = (3 * rng.standard_normal(shape)).astype(dtype)
    options = {"ignore_index": ignore_index, "weight": weight,
               "reduction": draw(st.sampled_from(("mean", "sum", "none")))}
    return x, labels, options


def assert_loss_equals_torch(torch, name, x, target, options):
    theirs = {key: torch.tensor(value) if isinstance(value, np.ndarray) else value
              for key, value in options.items()}
    assert_equals_torch(
        torch, lambda t: getattr(mt, name)(t, target, **options),
        lambda t: getattr(torch.nn.functional, name)(t, torch.tensor(target), **theirs), x)


@given(class_losses(), st.sampled_from((0.0, 0.1, 1.0)))
@settings(max_examples=250)
def test_cross_entropy_with_weights_and_ignore_index_equals_pytorch(kernels, torch, case,
                                                                    smoothing):
    x, labels, options = case
    options |= {"label_smoothing": smoothing}
    assert_loss_equals_torch(torch, "cross_entropy", x, labels, options)


@given(class_losses())
@settings(max_examples=150)
def test_nll_loss_with_weights_and_ignore_index_equals_pytorch(kernels, torch, case):
    assert_loss_equals_torch(torch, "nll_loss", *case)


@given(class_losses(), st.sampled_from((0.0, 0.1)), st.integers(0, 99))
@settings(max_examples=150)
def test_cross_entropy_of_soft_labels_equals_pytorch(kernels, torch, case, smoothing, seed):
    x, _, options = case
    rng = np.random.default_rng(seed)
    target = rng.dirichlet(np.ones(3), x.shape)[..., 0].astype(x.dtype)
    options = {**options, "ignore_index": -100, "label_smoothing": smoothing}
    weight = options.pop("weight")
    w = None if weight is None else torch.tensor(weight)
    assert_equals_torch(                        # the targets have a gradient, too
        torch, lambda t, q: mt.cross_entropy(t, q, weight, **options),
        lambda t, q: torch.nn.functional.cross_entropy(t, q, w, **options), x, target)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple), st.booleans(), st.booleans(),
       st.sampled_from(("mean", "sum", "none")), st.sampled_from((np.float64, np.float32)),
       st.sampled_from((1, 50)))
@settings(max_examples=100)
def test_binary_cross_entropy_with_logits_equals_pytorch(
        kernels, torch, shape, weighted, pos_weighted, reduction, dtype, scale):
    rng = np.random.default_rng(len(shape))
    x, target = (a.astype(dtype) for a in (scale * rng.standard_normal(shape), rng.random(shape)))
    x.flat[0] = 0                               # where |x| has a kink and the loss has none
    ours = {"weight": rng.uniform(0, 2, shape).astype(dtype) if weighted else None,
            "pos_weight": rng.uniform(0, 2, shape[-1]).astype(dtype) if pos_weighted else None}
    theirs = {k: None if v is None else torch.tensor(v) for k, v in ours.items()}
    name = "binary_cross_entropy_with_logits"
    assert_equals_torch(
        torch, lambda t, y: getattr(mt, name)(t, y, reduction=reduction, **ours),
        lambda t, y: getattr(torch.nn.functional, name)(t, y, reduction=reduction, **theirs),
        x, target)


def test_class_weights_ignored_rows_and_smoothing_equal_the_loops(kernels):
    rng = np.random.default_rng(0)
    x, weight, smoothing = rng.standard_normal((6, 4)), rng.uniform(0.5, 2, 4), 0.1
    labels, losses, total = [3, 0, -100, 2, 2, -100], [], 0.0
    for row, label in zip(x, labels):
        log_p = row - math.log(sum(math.exp(v) for v in row))
        smooth = sum(-w * v for w, v in zip(weight, log_p)) / 4
        own = -weight[label] * log_p[label] if label >= 0 else 0
        losses.append((1 - smoothing) * own + smoothing * smooth if label >= 0 else 0)
        total += weight[label] if label >= 0 else 0
    options = {"weight": weight, "label_smoothing": smoothing}
    assert_close(mt.cross_entropy(Tensor(x), labels, **options).data, sum(losses) / total)
    assert_close(mt.cross_entropy(Tensor(x), labels, reduction="none", **options).data, losses)


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_the_mean_of_rows_that_are_all_ignored_is_nan_and_their_sum_is_0(kernels, torch, name):
    x, labels = np.ones((2, 3)), np.array([-100, -100])
    for reduction in ("mean", "sum", "none"):
        assert_loss_equals_torch(torch, name, x, labels, {"reduction": reduction})
    t = Tensor(x, requires_grad=True)
    assert math.isnan(getattr(mt, name)(t, labels).item())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_row_that_is_ignored_counts_nothing_though_its_loss_is_infinite(kernels, smoothing):
    x = Tensor(np.array([[0.0, 1.0], [-np.inf, 0.0]]), requires_grad=True)
    for options in ({}, {"weight": [1.0, 2.0]}):
        x.grad = None
        loss = mt.cross_entropy(x, [0, 5], ignore_index=5, label_smoothing=smoothing, **options)
        alone = mt.cross_entropy(Tensor(x.data[:1]), [0], label_smoothing=smoothing, **options)
        assert_close(loss.data, alone.data)
        loss.backward()
        assert x.grad[1].tolist() == [0, 0]


def test_a_masked_class_costs_nothing_with_class_weights(kernels):
    x = Tensor(np.array([[0.0, 1.0, -np.inf]]), requires_grad=True)
    loss = mt.cross_entropy(x, [1], weight=[1, 2, 3])
    assert_close(loss.data, math.log(1 + math.exp(-1)))
    loss.backward()
    assert np.isfinite(x.grad).all()


@pytest.mark.parametrize("labels", [[2, 0, 1], [2, -100, 0], [-100, -100, -100]])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_captured_step_looks_at_no_label_and_ignores_the_same_rows(kernels, labels, reduction):
    x, labels = np.random.default_rng(0).standard_normal((3, 4)), np.array(labels)
    results = []
    for mode in (nullcontext, capture_mode):
        t = Tensor(x, requires_grad=True)
        with mode():
            loss = mt.cross_entropy(t, labels, reduction=reduction, label_smoothing=0.1)
        loss.sum().backward()
        results.append((loss.data, t.grad))
    assert_close(results[1][0], results[0][0], 1e-15)
    assert_close(results[1][1], results[0][1], 1e-15)


@pytest.mark.parametrize("weight", [[1, 2, 3], np.array([1, 2, 3], np.float64),
                                    Tensor(np.array([1, 2, 3], np.float32))])
def test_weights_may_be_any_numbers_and_do_not_change_the_dtype(kernels, weight):
    x = Tensor(np.ones((2, 3), np.float32))
    for loss in (mt.cross_entropy(x, [0, 2], weight), mt.cross_entropy(x, np.eye(3)[:2], weight)):
        assert loss.dtype == np.float32


# ---- as modules ----------------------------------------------------------------------------------

@pytest.mark.parametrize("name, options", [
    ("CrossEntropyLoss", {}), ("NLLLoss", {}), ("MSELoss", {}), ("BCEWithLogitsLoss", {}),
    ("CrossEntropyLoss", {"weight": [1.0, 2.0, 3.0], "ignore_index": 1, "reduction": "sum",
                          "label_smoothing": 0.2}),
    ("NLLLoss", {"weight": [1.0, 2.0, 3.0], "ignore_index": 1, "reduction": "none"}),
    ("MSELoss", {"reduction": "sum"}),
    ("BCEWithLogitsLoss", {"weight": [1.0, 2.0, 3.0], "reduction": "sum",
                           "pos_weight": [3.0, 1.0, 2.0]})])
def test_the_modules_of_losses_equal_pytorchs(kernels, torch, name, options):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((4, 3)).astype(np.float32)
    by_class = name in ("CrossEntropyLoss", "NLLLoss")
    target = np.array([2, 0, 1, 1]) if by_class else rng.random((4, 3)).astype(np.float32)
    theirs = {k: torch.tensor(v) if isinstance(v, list) else v for k, v in options.items()}
    assert_equals_torch(torch, lambda t: getattr(nn, name)(**options)(t, target),
                        lambda t: getattr(torch.nn, name)(**theirs)(t, torch.tensor(target)), x)


def test_the_weights_of_a_loss_are_a_buffer():
    loss = nn.CrossEntropyLoss([1.0, 2.0])
    assert loss.state_dict()["weight"].tolist() == [1, 2] and not list(loss.parameters())
    assert not nn.CrossEntropyLoss().state_dict()
    assert repr(nn.NLLLoss([1.0, 2.0], 3)) == "NLLLoss(ignore_index=3, reduction='mean')"
