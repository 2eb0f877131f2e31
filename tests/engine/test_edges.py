"""Edges: tensors without axes, without elements, and arrays of other libraries beside Tensors."""
import numpy as np
import pytest

import minitensor as mt
from comparing import assert_equals_torch
from minitensor import Op, Tensor


# ---- a tensor without axes -----------------------------------------------------------------------

REDUCTIONS = ("sum", "mean", "amax", "amin", "softmax", "log_softmax")


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("dim", [0, -1])
def test_a_tensor_without_axes_has_axis_0_and_minus_1(torch, kernels, name, dim):
    def reduce(t):
        return getattr(t, name)(dim)
    assert_equals_torch(torch, reduce, reduce, np.array(2.0))
    with pytest.raises(ValueError, match=r"dim (1|-2) is not an axis of x \(\)"):
        getattr(Tensor(2.0), name)(1 + 3 * dim)


@pytest.mark.parametrize("dim", [0, -1])
def test_without_axes_there_is_a_first_extreme(dim):
    x = Tensor(2.0)
    assert x.argmax(dim).item() == x.argmin(dim).item() == 0 and x.any(dim).item()
    assert np.isnan(x.std(dim).item()) and x.var(dim, unbiased=False).item() == 0


@pytest.mark.parametrize("op", [
    lambda x: x.transpose(0, 0), lambda x: x.transpose(0, -1), lambda x: x.permute(()),
    lambda x: x.flatten(), lambda x: x.squeeze(0), lambda x: x.squeeze(), lambda x: x[None],
    lambda x: x[...], lambda x: x.expand(2, 3), lambda x: x.unsqueeze(-1), lambda x: x.view(1, 1)])
def test_shapes_without_axes_equal_pytorch(torch, op):
    assert_equals_torch(torch, op, op, np.array(2.0))


@pytest.mark.parametrize("op", [
    lambda x: x, lambda x: x * x, lambda x: x + x, lambda x: -x, lambda x: x.sum(), abs,
    lambda x: x.mean(), lambda x: x.max(), lambda x: x.exp(), lambda x: x**2, lambda x: 2**x,
    lambda x: x**x, lambda x: x % 2, lambda x: x[()], lambda x: x.clone(), lambda x: x.clamp(0, 5),
    lambda x: mt.where(True, x, 0), lambda x: mt.stack([x, x]).sum(), lambda x: x.expand(3).sum(),
    lambda x: x.to(dtype="float32"), lambda x: x.T, lambda x: mt.mse_loss(x, 1.0), mt.relu,
    mt.tanh, mt.sigmoid, lambda x: mt.softmax(x, 0), lambda x: (x * np.ones((2, 3))).sum()])
def test_the_gradient_of_a_leaf_without_axes_is_an_array(kernels, op):
    x = Tensor(np.array(2.0), requires_grad=True)
    for _ in range(2):                                  # the second is added to the first
        y = op(x)
        y.backward()
        assert type(y.data) is type(x.grad) is np.ndarray and x.grad.shape == ()
        x.grad[...] += 1


def test_an_op_returns_an_array():
    class Half(Op):
        def forward(self, x):
            return float(x.sum()) / 2
    with pytest.raises(TypeError, match="Half: forward must return an array, not float"):
        Half()(Tensor([1.0]))


# ---- nothing -------------------------------------------------------------------------------------

EMPTY = (0, 3, 9, 9)
OF_NOTHING = {
    "local_response_norm": (lambda x: mt.local_response_norm(x, 5), [EMPTY]),
    "local_response_norm within": (
        lambda x: mt.local_response_norm(x, 5, norm_region="within_channel"), [EMPTY]),
    "conv2d": (lambda x, w, b: mt.conv2d(x, w, b, padding=1), [EMPTY, (4, 3, 3, 3), (4,)]),
    "conv2d in groups": (lambda x, w: mt.conv2d(x, w, groups=3, activation="relu"),
                         [EMPTY, (6, 1, 5, 5)]),
    "max_pool2d": (lambda x: mt.max_pool2d(x, 3, 2), [EMPTY]),
    "avg_pool2d": (lambda x: mt.avg_pool2d(x, 3, 2), [EMPTY]),
    "adaptive_avg_pool2d": (lambda x: mt.adaptive_avg_pool2d(x, 2), [EMPTY]),
    "linear": (lambda x, w, b: mt.linear(x, w, b, activation="tanh"), [(0, 5), (4, 5), (4,)]),
    "linear of nothing": (mt.linear, [(2, 0), (4, 0), (4,)]),
    "softmax": (mt.softmax, [(0, 5)]), "softmax of nothing": (mt.softmax, [(5, 0)]),
    "log_softmax": (lambda x: mt.log_softmax(x, 0), [(0, 5)]),
    "dropout": (mt.dropout, [EMPTY]), "relu": (mt.relu, [EMPTY]), "sigmoid": (mt.sigmoid, [(0,)]),
    "matmul": (lambda a, b: a @ b, [(0, 3), (3, 2)]), "max": (lambda x: x.max(1).values, [(0, 3)]),
    "var": (lambda x: x.var(1), [(0, 3)]), "flatten": (lambda x: x.flatten(1), [EMPTY]),
}


@pytest.mark.parametrize("name", OF_NOTHING)
def test_an_empty_batch_goes_through_every_op(kernels, name):
    op, shapes = OF_NOTHING[name]
    tensors = [Tensor(np.ones(shape), requires_grad=True) for shape in shapes]
    y = op(*tensors)
    y.backward(np.ones(y.shape))
    assert 0 in y.shape or not shapes[0][-1]
    for t in tensors:
        expected = 2 if name == "linear of nothing" else 0          # two rows of bias
        np.testing.assert_array_equal(t.grad, np.full(t.shape, expected))


def test_a_mean_of_nothing_is_nan():
    x = Tensor(np.zeros((0, 3)), requires_grad=True)
    y = x.mean(0)
    y.backward(np.ones(3))
    assert np.isnan(y.data).all() and y.shape == (3,) and x.grad.shape == (0, 3)
    assert np.isnan(Tensor(np.zeros(0, int)).mean().item()) and np.isnan(x.var().item())
    assert x.sum().item() == 0 and not x.any().item() and x.all().item()


@pytest.mark.parametrize("name", ["max", "min", "amax", "amin", "argmax", "argmin"])
def test_nothing_has_no_extreme(name):
    with pytest.raises(ValueError, match=rf"{name[-3:]}: x \(0, 3\) has no element along dim 0"):
        getattr(Tensor(np.zeros((0, 3))), name)(0)


@pytest.mark.parametrize("dim", [(0, 0), (1, -1), [0, -2]])
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "var", "any"])
def test_an_axis_is_reduced_once(name, dim):
    with pytest.raises(ValueError, match=r"names an axis of x \(2, 3\) twice"):
        getattr(mt.ones(2, 3), name)(dim)


@pytest.mark.parametrize("shapes, dim", [([(0,), (2, 3)], 1), ([(2, 3), (0,)], 0),
                                         ([(0,), (0,)], 0), ([(0, 3), (2, 3), (0,)], 0)])
def test_cat_passes_over_what_has_shape_0(torch, shapes, dim):
    arrays = [np.random.default_rng(i).standard_normal(s) for i, s in enumerate(shapes)]
    assert_equals_torch(torch, lambda *t: mt.cat(t, dim), lambda *t: torch.cat(t, dim), *arrays)


@pytest.mark.parametrize("join", ["cat", "stack"])
@pytest.mark.parametrize("dtypes", [(np.uint8, np.int16), (np.int64, np.float32), (bool, np.int8),
                                    (np.float32, np.float64)])
def test_joined_tensors_take_pytorchs_dtype(torch, join, dtypes):
    arrays = [np.ones(2, dtype) for dtype in dtypes]
    expected = getattr(torch, join)([torch.tensor(a) for a in arrays]).numpy()
    y = getattr(mt, join)([Tensor(a) for a in arrays])
    assert y.dtype == expected.dtype
    np.testing.assert_array_equal(y.data, expected)


@pytest.mark.parametrize("wrong", [None, 2.0, np.ones(2)])
def test_cat_names_what_is_no_tensor(wrong):
    with pytest.raises(TypeError, match=f"cat: .* there is a {type(wrong).__name__} among them"):
        mt.cat([mt.ones(2), wrong])


INDICES = {
    "[]": [], "rows of none": slice(0, 0), "None": None, "Ellipsis": Ellipsis,
    "a column": (slice(None), 0), "integers": np.zeros(0, np.int64), "mask": np.zeros(0, bool),
    "full mask": np.zeros((0, 3), bool), "[] and 0": ([], 0), "None, ..., 1": (None, ..., 1)}


@pytest.mark.parametrize("name", INDICES)
def test_an_empty_tensor_is_indexed_as_in_pytorch(torch, name):
    index = INDICES[name]
    theirs = torch.tensor(index) if isinstance(index, np.ndarray) else index
    assert_equals_torch(torch, lambda t: t[index], lambda t: t[theirs], np.zeros((0, 3)))


# ---- arrays of other libraries -------------------------------------------------------------------

@pytest.mark.parametrize("index", [[0, 2], [True, False, True], 1, [[0, 1], [1, 1]]])
def test_a_tensor_of_pytorch_is_an_index(torch, index):
    x = np.arange(12.0).reshape(3, 4)
    theirs = torch.tensor(index)
    for op in (lambda t: t[theirs], lambda t: t[None, theirs], lambda t: t[theirs, ..., None]):
        assert_equals_torch(torch, op, op, x)


def test_a_list_of_tensors_is_an_index(torch):
    x = Tensor(np.arange(6.0).reshape(3, 2))
    for entries in ([torch.tensor(2), torch.tensor(0)], [Tensor(2), 0]):
        np.testing.assert_array_equal(x[entries].data, x.data[[2, 0]])


class Series:
    """As a column of pandas: an object that is no array but gives one."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype)


@pytest.mark.parametrize("kind", ["torch", "series", "list"])
def test_what_gives_an_array_stands_beside_a_tensor(request, kind):
    make = request.getfixturevalue("torch").tensor if kind == "torch" else \
        Series if kind == "series" else list
    x = Tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    for y, expected in ((x * make([2.0, 3.0]), x.data * [2, 3]), (x - make([1.0, 1]), x.data - 1),
                        (x > make([1.0, 3.0]), x.data > [1, 3]), (x[make([0, 2])], x.data[[0, 2]]),
                        (mt.maximum(x, make([3.0, 3.0])), np.maximum(x.data, 3)),
                        (mt.where(make([True, False]), x, 0), x.data * [1, 0])):
        np.testing.assert_array_equal(y.data, expected)
    loss = mt.cross_entropy(x, make([0, 1, 1]))
    assert loss.item() == mt.cross_entropy(x, np.array([0, 1, 1])).item()
    assert mt.mse_loss(x[0], make([0.0, 1.0])).item() == 0


def test_state_of_pytorch_is_loaded(torch):
    theirs, ours = torch.nn.Linear(3, 2), mt.nn.Linear(3, 2)
    for state in (theirs.state_dict(), dict(theirs.named_parameters())):
        ours.load_state_dict(state)
        np.testing.assert_array_equal(ours.weight.data, theirs.weight.detach().numpy())
    before = ours.weight.data.copy()
    with pytest.raises(TypeError, match="dict: weight: NumPy cannot read a torch.Tensor"):
        ours.load_state_dict(theirs.bfloat16().state_dict())
    np.testing.assert_array_equal(ours.weight.data, before)


@pytest.mark.parametrize("use, message", [
    (lambda t: mt.relu(t), "relu: x must be a Tensor, not torch.Tensor"),
    (lambda t: type((mt.ones(2, requires_grad=True) * 2).creator)()(t, t),
     "Mul: expected a Tensor of minitensor, got torch.Tensor, torch.Tensor"),
    (lambda t: mt.cat([mt.ones(2), t]), "cat: .* there is a torch.Tensor among them"),
    (lambda t: mt.ones(2) * t.requires_grad_(), "NumPy cannot read a torch.Tensor: .*grad"),
    (lambda t: mt.ones(2) * t.bfloat16(), "NumPy cannot read a torch.Tensor: .*BFloat16"),
    (lambda t: mt.nn.Linear(2, 2)(t), "linear: x must be a Tensor, not torch.Tensor"),
    (lambda t: mt.kernels.reference.relu(t), "expected an array .*, not torch.Tensor"),
    (lambda t: mt.ones(2) * {1: 2}, "Mul: cannot use a dict"),
])
def test_a_tensor_of_pytorch_is_refused_by_its_name(torch, use, message):
    with pytest.raises(TypeError, match=message):
        use(torch.ones(2))
