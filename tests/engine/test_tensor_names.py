"""The names of Tensor that PyTorch's users reach for, each beside PyTorch's own."""
import math
import operator

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import minitensor as mt
from comparing import assert_equals_torch
from minitensor import Tensor

DTYPES = (np.bool_, np.uint8, np.int8, np.int16, np.int32, np.int64, np.float32, np.float64)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


# ---- differentiable: the same result and the same gradients --------------------------------------

ELEMENTWISE = {
    "abs": lambda x: x.abs(), "abs()": abs, "sqrt": lambda x: (x * x + 0.1).sqrt(),
    "exp": lambda x: x.exp(), "reciprocal": lambda x: x.reciprocal(), "clone": lambda x: x.clone(),
    "clamp": lambda x: x.clamp(-0.5, 0.5), "clip": lambda x: x.clip(max=0.2),
    "clamp to min": lambda x: x.clamp(min=0), "clamp past": lambda x: x.clamp(0.5, -0.5),
    "2 ** x": lambda x: 2**x, "pow": lambda x: x.pow(3), "mod": lambda x: x % 0.3,
    "relu": lambda x: x.relu(), "tanh": lambda x: x.tanh(), "sigmoid": lambda x: x.sigmoid(),
    "softmax": lambda x: x.softmax(1), "log_softmax": lambda x: x.log_softmax(-1),
    "where": lambda x: x.where(x > 0, x * 2), "neg": lambda x: -x,
    "maximum": lambda x: x.maximum(-x), "minimum": lambda x: x.minimum(x * x),
}
SHAPES = {
    "squeeze": lambda x: x.squeeze(), "squeeze one": lambda x: x.squeeze(1),
    "squeeze ()": lambda x: x.squeeze(()),
    "squeeze none": lambda x: x.squeeze(0), "squeeze some": lambda x: x.squeeze((0, -3)),
    "unsqueeze": lambda x: x.unsqueeze(0), "unsqueeze last": lambda x: x.unsqueeze(-1),
    "expand": lambda x: x.expand(2, 5, 3, 1), "expand -1": lambda x: x.expand((7, -1, 4, -1, 6)),
    "flatten": lambda x: x.flatten(), "flatten some": lambda x: x.flatten(1, 2),
    "view": lambda x: x.view(6, -1), "view of a tuple": lambda x: x.view((3, 2)),
    "double": lambda x: x.double(), "cpu": lambda x: x.cpu(),
}
STATISTICS = {
    "var": lambda x: x.var(), "var of an axis": lambda x: x.var(1), "std": lambda x: x.std(),
    "var biased": lambda x: x.var(0, False), "var(False)": lambda x: x.var(False),
    "var of axes": lambda x: x.var((0, 2), keepdim=True), "std biased": lambda x: x.std(-1, False),
    "var corrected": lambda x: x.var(0, correction=0.5),
    "std keepdim": lambda x: x.std(1, True, True),
    "amin": lambda x: x.amin(1), "amax": lambda x: x.amax((0, 1), keepdim=True),
}


@pytest.mark.parametrize("op", ELEMENTWISE.values(), ids=ELEMENTWISE)
@pytest.mark.parametrize("shape", [(3, 4), (0, 3)])
def test_elementwise_names_equal_pytorch(torch, op, shape):
    assert_equals_torch(torch, op, op, normal(*shape))


@pytest.mark.parametrize("op", SHAPES.values(), ids=SHAPES)
def test_shape_names_equal_pytorch(torch, op):
    assert_equals_torch(torch, op, op, normal(2, 1, 3, 1))


@pytest.mark.parametrize("op", STATISTICS.values(), ids=STATISTICS)
def test_statistics_equal_pytorch(torch, op):
    assert_equals_torch(torch, op, op, normal(3, 4, 5))


@pytest.mark.parametrize("dim", [None, 0, -1, (0, 2)])
@pytest.mark.parametrize("keepdim", [False, True])
def test_min_any_all_and_where_the_extremes_are_equal_pytorch(torch, dim, keepdim):
    x, dims = np.round(normal(3, 4, 5)), (0, 1, 2) if dim is None else dim
    assert_equals_torch(torch, lambda t: t.amin(dim, keepdim),
                        lambda t: torch.amin(t, dims, keepdim), x)
    for name in ("any", "all") + ("argmax", "argmin") * (not isinstance(dim, tuple)):
        ours = getattr(Tensor(x), name)(dim, keepdim=keepdim)
        theirs = getattr(torch, name)(torch.tensor(x), dim, keepdim=keepdim).numpy()
        assert ours.dtype == theirs.dtype and not ours.requires_grad
        np.testing.assert_array_equal(ours.data, theirs)


@pytest.mark.parametrize("name", ["max", "min"])
@pytest.mark.parametrize("dim", [0, -1, (1,)])
@pytest.mark.parametrize("keepdim", [False, True])
def test_extremes_along_an_axis_come_with_their_places(torch, name, dim, keepdim):
    """And equal ones give the first the gradient, as PyTorch's."""
    x, theirs_dim = np.round(normal(2, 4, 5)), dim[0] if isinstance(dim, tuple) else dim
    values, indices = getattr(Tensor(x), name)(dim, keepdim)
    theirs = getattr(torch.tensor(x), name)(theirs_dim, keepdim)
    np.testing.assert_array_equal(values.data, theirs.values.numpy())
    np.testing.assert_array_equal(indices.data, theirs.indices.numpy())
    assert indices.dtype == np.int64
    assert_equals_torch(torch, lambda t: getattr(t, name)(dim, keepdim).values,
                        lambda t: getattr(t, name)(theirs_dim, keepdim).values, x)


def test_extremes_along_an_axis_of_a_number_and_of_not_a_number():
    assert Tensor(5.0).max(0) == (5.0, 0) and Tensor([True, False]).min(0).values.dtype == bool
    values, indices = Tensor([[1.0, np.nan], [3.0, 2.0]]).max(dim=1)
    assert np.isnan(values.data[0]) and values.data[1] == 3 and indices.tolist() == [1, 0]
    with pytest.raises(ValueError, match=r"min: dim must be one axis or None, not \(0, 1\)"):
        mt.ones(2, 3).min((0, 1))


@pytest.mark.parametrize("name", ["maximum", "minimum", "where", "power"])
@pytest.mark.parametrize("shapes", [((3, 4), (4,)), ((2, 1), (3,)), ((), (2, 2)), ((0, 2), (1,))])
def test_functions_of_two_equal_pytorch(torch, name, shapes):
    a, b = (np.abs(normal(*shape, seed=i)) for i, shape in enumerate(shapes))
    mask = np.add(a, b) > 1.5
    ours = {"where": lambda a, b: mt.where(mask, a, b), "power": operator.pow}
    theirs = {"where": lambda a, b: torch.where(torch.tensor(mask), a, b), "power": operator.pow}
    assert_equals_torch(torch, ours.get(name) or getattr(mt, name),
                        theirs.get(name) or getattr(torch, name), a, b)


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_stack_equals_pytorch(torch, dim):
    arrays = [normal(2, 3, seed=i) for i in range(3)]
    assert_equals_torch(torch, lambda *t: mt.stack(t, dim), lambda *t: torch.stack(t, dim), *arrays)
    numbers = [normal(seed=i) for i in range(2)]
    assert_equals_torch(torch, lambda *t: mt.stack(t), lambda *t: torch.stack(t), *numbers)


# ---- gradients at kinks and ties: PyTorch's conventions ------------------------------------------

IGNORED = pytest.mark.filterwarnings("ignore:.*degrees of freedom")


@IGNORED
@pytest.mark.parametrize("op, x", [
    (abs, [0.0, -0.0, 1]), (lambda x: x.clamp(1, 2), [math.nan, 0, 1, 2, 3]),
    (lambda x: x.clamp(2, 1), [0.0, 1, 2, 3]), (lambda x: x.sqrt(), [0.0, 4, -1]),
    (lambda x: x.std(), [2.0, 2, 2]), (lambda x: x.std(0, False), [5.0]),
    (lambda x: x.var(), [3.0]),
    (lambda x: x.maximum(x[::-1] if isinstance(x, Tensor) else x.flip(0)), [1.0, 2, 1]),
    (lambda x: x**x, [0.0, 1, 2]), (lambda x: 0**x, [0.0, 1, 2]), (lambda x: x**0, [0.0, 1]),
    (lambda x: x % 2, [-2.0, 2, 3]), (lambda x: x // 0, [1.0, -1, 0])])
def test_kinks_and_ties_go_as_in_pytorch(torch, op, x):
    ours, theirs = Tensor(np.array(x), requires_grad=True), torch.tensor(x, requires_grad=True)
    y, expected = op(ours), op(theirs)
    np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=1e-6)
    if "NotImplemented" not in str(expected.grad_fn):
        y.sum().backward()
        expected.sum().backward()
        np.testing.assert_allclose(ours.grad, theirs.grad.numpy(), rtol=1e-6)


# ---- whole numbers and bools ---------------------------------------------------------------------

def agree(torch, op, *arrays):
    """The same values and dtype as PyTorch, or a refusal where PyTorch refuses."""
    try:
        expected = op(*(torch.tensor(a) for a in arrays)).numpy()
    except (RuntimeError, NotImplementedError, TypeError):
        with pytest.raises((TypeError, ValueError, ZeroDivisionError, OverflowError)):
            op(*map(Tensor, arrays))
        return
    actual = op(*map(Tensor, arrays))
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual.data, expected, rtol=1e-6)


PAIRS = (operator.floordiv, operator.mod, operator.pow, lambda a, b: a.maximum(b),
         lambda a, b: a.where(a > b, b))


@IGNORED
@pytest.mark.parametrize("operate", PAIRS)
@pytest.mark.parametrize("left", DTYPES)
@pytest.mark.parametrize("right", DTYPES)
@pytest.mark.parametrize("shape", [(3,), ()])
def test_new_operators_promote_as_pytorch_does(torch, operate, left, right, shape):
    a = np.array([1, 0, 3]).astype(left)
    b = np.array([1, 2, 1])[:3 if shape else 1].reshape(shape).astype(right)
    agree(torch, operate, a, b)


@IGNORED
@pytest.mark.parametrize("operate", [operator.floordiv, operator.mod, operator.pow])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", [True, 2, 2.5, -1, 0])
def test_new_operators_take_numbers_as_pytorch_does(torch, operate, dtype, number):
    if (dtype, number) in ((np.uint8, -1), (np.bool_, True)):
        pytest.skip("-1 does not fit a uint8: PyTorch wraps, we refuse; so are powers of bools")
    a = np.array([1, 4, 3]).astype(dtype)
    agree(torch, lambda x: operate(x, number), a)
    agree(torch, lambda x: operate(number, x), a)


@pytest.mark.parametrize("op", [
    lambda x: abs(x), lambda x: -x, lambda x: x.sqrt(), lambda x: x.exp(), lambda x: x.log(),
    lambda x: x.tanh(), lambda x: x.sigmoid(), lambda x: x.reciprocal(), lambda x: x.clamp(0, 3),
    lambda x: x.clamp(0.5, 3.5), lambda x: x.sum(), lambda x: x.sum(0), lambda x: x.amax(0),
    lambda x: x.var(), lambda x: ~x, lambda x: x & 1, lambda x: 6 | x, lambda x: x ^ x,
    lambda x: x.float(), lambda x: x.double(), lambda x: x.int(), lambda x: x.long(),
    lambda x: x.bool(), lambda x: x.squeeze()])
@pytest.mark.parametrize("dtype", DTYPES)
def test_whole_numbers_and_bools_give_what_pytorch_gives(torch, op, dtype):
    agree(torch, op, np.array([1, 4, 80]).astype(dtype))


def test_whole_numbers_are_not_divided_by_zero():
    for operate in (operator.floordiv, operator.mod):
        with pytest.raises(ZeroDivisionError, match="whole numbers cannot be divided by 0"):
            operate(Tensor([1, 2]), Tensor([1, 0]))
    with pytest.raises(ValueError, match="negative power; convert them with .float"):
        Tensor([1, 2])**-1


IN_PLACE = (operator.ifloordiv, operator.imod, operator.ipow, operator.imatmul)


@pytest.mark.parametrize("change", IN_PLACE)
def test_new_in_place_operators_change_the_tensor(change):
    data = np.array([[1.0, 2.0], [3.0, 4.0]])
    other, x = np.array([[2.0, 3.0], [1.0, 2.0]]), Tensor(data.copy(), requires_grad=True)
    array, expected = x.data, change(data.copy(), other)
    with mt.no_grad():
        y = x
        y = change(y, Tensor(other))
    assert y is x and x.data is array
    np.testing.assert_allclose(array, expected)
    with pytest.raises(RuntimeError, match="a leaf that requires a gradient"):
        change(x, other)


# ---- as Python's numbers, and as others' arrays --------------------------------------------------

def test_a_tensor_is_a_number_where_python_wants_one():
    x = Tensor([2.75])
    assert f"{x:.1f}" == "2.8" and f"{x.sum():8.3f}" == "   2.750" and f"{x}" == str(x)
    assert int(x) == 2 and float(x) == 2.75 and x.item() == 2.75
    assert "abc"[Tensor(1)] == "b" and list(range(Tensor(2))) == [0, 1]
    assert Tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]] and Tensor(3).tolist() == 3
    for wrong in (lambda: f"{Tensor([1, 2]):.2f}", lambda: int(Tensor([1, 2])),
                  lambda: Tensor([1.0, 2.0]).item()):
        with pytest.raises(ValueError, match=r"item: a tensor \(2,\) has not one element"):
            wrong()
    with pytest.raises(TypeError, match="integer"):
        "abc"[Tensor(1.0)]


def test_sizes():
    x = mt.zeros(2, 3)
    assert x.size() == (2, 3) and x.size(-1) == 3 and x.dim() == 2


def test_dlpack_shares_memory_both_ways(torch):
    x = Tensor(np.arange(3.0))
    torch.from_dlpack(x)[0] = 7
    assert x.data[0] == 7 and np.from_dlpack(x)[0] == 7
    with pytest.raises(TypeError, match=r"requires a gradient .* use .detach\(\)"):
        torch.from_dlpack(x.requires_grad_())


def test_requires_grad_is_set_for_leaves():
    x = Tensor(np.ones(2)).requires_grad_()
    assert x.requires_grad and not x.requires_grad_(False).requires_grad
    with pytest.raises(TypeError, match="can have a gradient, not int64"):
        Tensor([1]).requires_grad_()
    with pytest.raises(RuntimeError, match="result of an op"):
        (Tensor(np.ones(2), requires_grad=True) * 2).requires_grad_(False)


# ---- x[index] = value ----------------------------------------------------------------------------

@pytest.mark.parametrize("index", [0, -1, (slice(None), 1), ([0, 2], [1, 1]), Ellipsis])
@pytest.mark.parametrize("value", [7, 2.5, np.float32(3), Tensor([1.0])])
def test_elements_are_set_as_in_numpy(index, value):
    x, expected = Tensor(np.zeros((3, 2))), np.zeros((3, 2))
    x[index], expected[index] = value, np.asarray(value)
    np.testing.assert_array_equal(x.data, expected)
    x[x > 1] = 0
    assert not (x > 1).any()


def test_elements_are_not_set_where_a_gradient_would_be_lost():
    x, w = mt.zeros(3), mt.ones(3, requires_grad=True)
    for tensor, value in ((w, 1.0), (x, w)):
        with pytest.raises(RuntimeError, match="set_item: .* loses the gradient"):
            tensor[:] = value
    y = w * w
    with mt.no_grad(), pytest.raises(RuntimeError, match="still needed .* Mul keeps it"):
        w[0] = 2
    del y
    with mt.no_grad():
        w[0] = 2
    assert w.data.tolist() == [2, 1, 1]
    with pytest.raises(TypeError, match="a tensor of int64 cannot hold float32"):
        Tensor([1, 2])[0] = 0.5


# ---- new tensors ---------------------------------------------------------------------------------

@pytest.mark.parametrize("make", [
    lambda m: m.zeros(2, 3), lambda m: m.ones((2, 3)), lambda m: m.zeros(()), lambda m: m.ones(0),
    lambda m: m.full((2,), 3), lambda m: m.full((2,), 0.5), lambda m: m.full((1, 2), True),
    lambda m: m.arange(5), lambda m: m.arange(2, 9, 3), lambda m: m.arange(0, 1, 0.25),
    lambda m: m.arange(3.0), lambda m: m.arange(5, 2, -1), lambda m: m.zeros_like(m.ones(2)),
    lambda m: m.ones_like(m.arange(3))])
def test_new_tensors_equal_pytorch(torch, make):
    ours, theirs = make(mt), make(torch).numpy()
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    np.testing.assert_array_equal(ours.data, theirs)


@given(st.integers(0, 2**32), st.sampled_from((np.float32, np.float64)))
@settings(max_examples=20)
def test_random_tensors_repeat_with_their_generator(seed, dtype):
    for draw in (mt.randn, mt.rand):
        a, b = (draw(3, 4, generator=mt.Generator(seed), dtype=dtype) for _ in range(2))
        assert a.dtype == dtype and a.shape == (3, 4)
        np.testing.assert_array_equal(a.data, b.data)
    large = mt.randn(10_000, generator=mt.Generator(seed))
    assert abs(large.mean().item()) < 0.05 and abs(large.std().item() - 1) < 0.05


@pytest.mark.parametrize("call, error, message", [
    (lambda: mt.zeros(-1), ValueError, "zeros: sizes must be integers >= 0"),
    (lambda: mt.randn(2.5), ValueError, "randn: sizes must be integers >= 0"),
    (lambda: mt.rand(2, dtype=int), TypeError, "rand: dtype must be float32 or float64, not int64"),
    (lambda: mt.arange(0, 5, -1), ValueError, "arange: step -1 does not lead from 0 to 5"),
    (lambda: mt.ones(2, device="tpu"), ValueError, "'tpu'"),
    (lambda: mt.where([1, 0], mt.ones(2), 0), TypeError, "where: condition must be bool"),
    (lambda: mt.ones(2).clamp(), TypeError, "clamp: min or max must be given"),
    (lambda: mt.ones(2).clamp(mt.ones(2)), TypeError, "clamp: min and max must be numbers"),
    (lambda: mt.stack([mt.ones(2), mt.ones(3)]), ValueError, r"one shape, not \(2,\), \(3,\)"),
    (lambda: mt.ones(2).expand(3), ValueError, r"expand: x \(2,\) cannot become \(3,\)"),
    (lambda: mt.ones(2).expand(-1, 2), ValueError, "cannot become"),
    (lambda: mt.ones(2).unsqueeze(3), ValueError, "unsqueeze: dim 3"),
    (lambda: mt.ones(2).squeeze(1), ValueError, "squeeze: dim 1 is not an axis"),
    (lambda: mt.ones(2).max(mt.ones(2)), TypeError, "max: dim must be an int, several or None"),
    (lambda: mt.ones(2).sum(True), TypeError, "sum: dim must be an int, several or None"),
    (lambda: mt.ones(2, 2).argmax((0, 1)), ValueError, "argmax: dim must be one axis"),
    (lambda: Tensor([1, 2]).var(), TypeError, "var: x must be float32 or float64, not int64"),
    (lambda: ~mt.ones(2), TypeError, "invert: expected bools or integers, not float32"),
    (lambda: mt.ones(2) & True, TypeError, "and: expected bools or integers"),
    (lambda: -Tensor([True]), TypeError, "Neg: bools have none; .* ~x"),
])
def test_bad_input_to_the_new_names_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
