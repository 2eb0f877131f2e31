"""The engine: arithmetic, reductions, shapes, the backward walk, and what it refuses."""
import copy
import gc
import operator
import pickle

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import minitensor as mt
from comparing import assert_equals_torch, run
from minitensor import Op, Tensor, cat, no_grad, nn, optim
from strategies import dtypes


def leaf(values, dtype=np.float64):
    return Tensor(np.array(values, dtype), requires_grad=True)


def normal(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# ---- making and looking ----------------------------------------------------------------------

def test_lists_become_float32_and_arrays_are_not_copied():
    array = np.arange(3.0)
    assert Tensor([1.0, 2.0]).dtype == Tensor(1.5).dtype == np.float32
    assert Tensor([1, 2]).dtype.kind == "i"
    assert Tensor(array).data is array and Tensor(array).numpy() is array
    assert Tensor(array, dtype=np.float32).dtype == np.float32
    assert Tensor([0.1], dtype=np.float64).item() == 0.1, "not through float32"
    assert mt.mse_loss(leaf([0.1]), [0.1]).item() == 0


def test_properties():
    x = leaf([[1, 2, 3], [4, 5, 6]])
    assert (x.shape, x.ndim, x.numel(), len(x)) == ((2, 3), 2, 6, 2)
    assert (x.dtype, x.device) == (np.float64, "cpu")
    assert x[1, 2].item() == 6.0 and not x.detach().requires_grad and x.detach().data is x.data


def test_repr_shows_values_and_origin():
    assert repr(leaf([1.5])) == "Tensor([1.5], shape=(1,), dtype=float64, requires_grad=True)"
    assert repr(leaf([1.5]) * 2) == "Tensor([3.], shape=(1,), dtype=float64, creator=Mul)"
    assert len(repr(Tensor(np.zeros((100, 100))))) < 2000


def test_a_pytorch_tensor_becomes_a_tensor(torch):
    assert Tensor(torch.ones(2, 3, dtype=torch.float64)).dtype == np.float64


def test_a_tensor_is_an_iterable_of_its_rows():
    assert [row.data.tolist() for row in Tensor([[1, 2], [3, 4]])] == [[1, 2], [3, 4]]
    with pytest.raises(TypeError, match="unsized"):
        iter(Tensor(3.0))


# ---- arithmetic ------------------------------------------------------------------------------

BROADCASTS = [((), ()), ((3,), ()), ((2, 3), (3,)), ((2, 3), (2, 1)), ((2, 1, 4), (3, 1)),
              ((1, 1), (2, 3)), ((0, 3), (3,)), ((1,), ())]


@pytest.mark.parametrize("operation", [operator.add, operator.sub, operator.mul, operator.truediv])
@pytest.mark.parametrize("shapes", BROADCASTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("swapped", [False, True])
def test_arithmetic_equals_pytorch(torch, operation, shapes, dtype, swapped):
    a, b = (np.abs(normal(shape, dtype, seed)) + dtype(0.5)
            for seed, shape in enumerate(reversed(shapes) if swapped else shapes))
    assert_equals_torch(torch, operation, operation, a, b)


@pytest.mark.parametrize("operation", [operator.add, operator.sub, operator.mul, operator.truediv])
@pytest.mark.parametrize("number", [3, 2.5, np.float64(2.5), np.int64(2)])
def test_numbers_take_the_dtype_of_the_tensor(operation, number):
    x, array = normal((2, 3), np.float32), np.asarray(number, np.float32)
    for y, expected in ((operation(Tensor(x), number), operation(x, array)),
                        (operation(number, Tensor(x)), operation(array, x))):
        assert isinstance(y, Tensor) and y.dtype == np.float32
        np.testing.assert_array_equal(y.data, expected)


@pytest.mark.parametrize("op", [
    lambda x: x / 2, lambda x: 1 / x, lambda x: x.exp(), lambda x: x.log(), lambda x: x**0.5,
    lambda x: x**2, lambda x: x - 1])
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.float16])
def test_whole_and_half_numbers_give_the_dtype_that_pytorch_gives(torch, op, dtype):
    x = np.array([1, 4, 9], dtype)
    y, expected = op(Tensor(x)), op(torch.tensor(x)).numpy()
    assert y.dtype == expected.dtype
    np.testing.assert_allclose(y.data, expected, rtol=2e-3)


@pytest.mark.parametrize("op", [
    lambda x: -x, lambda x: x.exp(), lambda x: x.log(), lambda x: x**2, lambda x: x**-1.5,
    lambda x: 2 - x / 3])
def test_elementwise_functions_equal_pytorch(torch, op):
    assert_equals_torch(torch, op, op, np.abs(normal((3, 4))) + 0.1)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3.0])
def test_powers_of_zero_equal_pytorch(torch, exponent):
    def power(x):
        return x**exponent
    assert_equals_torch(torch, power, power, np.array([0.0, 1.0, -2.0]))


@pytest.mark.parametrize("exponent", [np.float64(2), np.float32(2), 2, 2.0])
def test_a_power_keeps_the_dtype(exponent):
    y, (dx,), _ = run(lambda x: x**exponent, np.array([3.0], np.float32))
    assert y.dtype == dx.dtype == np.float32 and y == 9


@pytest.mark.parametrize("shapes", [
    ((3,), (3,)), ((2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,)), ((5, 2, 3), (3, 4)),
    ((5, 2, 3), (5, 3, 4)), ((2, 3), (5, 3, 4)), ((1, 2, 3), (5, 3, 4)), ((6, 1, 2, 3), (5, 3, 4)),
    ((5, 2, 3), (3,)), ((3,), (5, 3, 4)), ((0, 3), (3, 2)), ((2, 0), (0, 3))])
def test_matmul_equals_pytorch(torch, shapes):
    a, b = (normal(shape, seed=seed) for seed, shape in enumerate(shapes))
    assert_equals_torch(torch, operator.matmul, operator.matmul, a, b)


# ---- reductions and shapes -------------------------------------------------------------------

DIMS = [None, 0, -1, 1, (0, 2), (-1, 0), (0, 1, 2)]


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("keepdim", [False, True])
def test_reductions_equal_pytorch(torch, dim, keepdim):
    x, dims = normal((2, 3, 4)), (0, 1, 2) if dim is None else dim
    assert_equals_torch(torch, lambda t: t.sum(dim, keepdim), lambda t: t.sum(dims, keepdim), x)
    assert_equals_torch(torch, lambda t: t.mean(dim, keepdim), lambda t: t.mean(dims, keepdim), x)
    assert_equals_torch(torch, lambda t: t.max(dim, keepdim),
                        lambda t: torch.amax(t, dims, keepdim), x)


@pytest.mark.parametrize("dim", [[0, 1], np.int64(1)])
def test_a_dim_may_be_a_list_or_a_numpy_integer(torch, dim):
    assert_equals_torch(torch, lambda t: t.sum(dim), lambda t: t.sum(dim), normal((2, 3, 4)))


def test_equal_maxima_share_the_gradient(torch):
    x = np.array([[1.0, 3, 3], [2, 2, 2]])
    assert_equals_torch(torch, lambda t: t.max(1), lambda t: torch.amax(t, 1), x)
    assert_equals_torch(torch, lambda t: t.max(), torch.amax, x)


def test_sums_of_nothing():
    y, (dx,), _ = run(lambda x: x.sum(0), np.zeros((0, 3)))
    assert y.tolist() == [0, 0, 0] and dx.shape == (0, 3)


@pytest.mark.parametrize("op", [
    lambda x: x.reshape(6, 4), lambda x: x.reshape((4, -1)), lambda x: x.permute(2, 0, 1),
    lambda x: x.permute((0, -1, 1)), lambda x: x.transpose(0, 2), lambda x: x.transpose(-1, 1),
    lambda x: x[0], lambda x: x[-1, 1:, ::2], lambda x: x[..., None, 1],
    lambda x: x[[0, 1, 1, 0, 0]], lambda x: x[:, [2, 2], [0, 3]], lambda x: x[1, 2, 3],
    lambda x: x.permute(1, 0, 2).reshape(-1),
])
def test_shape_ops_equal_pytorch(torch, op):
    assert_equals_torch(torch, op, op, normal((2, 3, 4)))


def test_T_reverses_the_axes():
    y, (dx,), dy = run(lambda x: x.T, normal((2, 3, 4)))
    np.testing.assert_array_equal(y, normal((2, 3, 4)).T)
    np.testing.assert_array_equal(dx, dy.T)


@pytest.mark.parametrize("index", [True, False, np.int64(1), np.array(1), (slice(1, None), True)])
def test_odd_indices_equal_numpy(index):
    x = normal((3, 2))
    y, (dx,), dy = run(lambda x: x[index], x)
    expected = np.zeros_like(x)
    np.add.at(expected, index, dy)
    np.testing.assert_array_equal(y, x[index])
    np.testing.assert_array_equal(dx, expected)


def test_a_list_that_changes_after_indexing_changes_no_gradient():
    x, index = leaf([1, 2, 3]), [0, 0]
    y = x[index]
    index[0] = 2
    y.backward([1, 1])
    assert x.grad.tolist() == [2, 0, 0]


def test_a_mask_or_a_tensor_may_be_an_index(torch):
    x, index = normal((4, 3)), np.array([3, 0, 3])
    assert_equals_torch(torch, lambda t: t[t.data > 0], lambda t: t[t > 0], x)
    assert_equals_torch(torch, lambda t: t[Tensor(index)], lambda t: t[torch.tensor(index)], x)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4), st.integers(-2, 1), dtypes)
@settings(max_examples=60)
def test_cat_equals_pytorch(torch, sizes, dim, dtype):
    arrays = [normal((size, 3) if dim in (0, -2) else (3, size), dtype, seed)
              for seed, size in enumerate(sizes)]
    assert_equals_torch(torch, lambda *t: cat(t, dim), lambda *t: torch.cat(t, dim), *arrays)


def test_to_converts_and_the_gradient_travels_back():
    x = leaf([1, 2], np.float32)
    y = x.to(dtype="float64")
    (y * 3).sum().backward()
    assert y.dtype == np.float64 and x.grad.dtype == np.float32 and x.grad.tolist() == [3, 3]


def test_to_a_device_and_back(device):
    x = leaf([1, 2])
    y = (x.to(device) * 3).to("cpu")
    y.sum().backward()
    assert x.to(device).device == device and y.device == "cpu" and x.grad.tolist() == [3, 3]


def test_integer_tensors():
    x = Tensor([1, 2, 4])
    assert (x * 2).data.tolist() == [2, 4, 8] and (x + 1).dtype == x.dtype
    assert x.mean().item() == pytest.approx(7 / 3)


# ---- the backward walk -----------------------------------------------------------------------

def test_a_tensor_used_twice():
    x = leaf(3.0)
    (x * x).backward()
    assert x.grad == 6


def test_a_shared_intermediate_is_walked_once():
    x = leaf(3.0)
    y = x * 2
    (y * y + y).backward()  # 4x² + 2x
    assert x.grad == 8 * 3 + 2


def test_a_shared_intermediate_at_different_depths():
    x = leaf(2.0)
    a = x * x                   # x²
    b = a * a                   # x⁴
    c = b * a + b               # x⁶ + x⁴
    (c * a + a).backward()      # x⁸ + x⁶ + x²
    assert x.grad == 8 * 2**7 + 6 * 2**5 + 2 * 2


def test_a_chain_of_10_000_ops():
    x = leaf(1.0)
    y = x
    for _ in range(10_000):
        y = y + x
    y.backward()
    assert x.grad == 10_001


@pytest.mark.slow
def test_a_graph_of_100_000_ops_is_freed_without_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    del y
    gc.collect()
    x.data[...] = 2  # and nothing guards x any more


def test_gradients_add_up_over_backward_passes():
    x = leaf([1, 2])
    (x * 2).sum().backward()
    (x * 3).sum().backward()
    assert x.grad.tolist() == [5, 5]


def test_retain_graph_allows_a_second_pass():
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad == 12


def test_a_freed_graph_is_refused():
    y = leaf(3.0) * 2
    z = y * y
    z.backward()
    for root in (z, y):
        with pytest.raises(RuntimeError, match="freed at Mul.*retain_graph=True"):
            root.backward()


def test_an_output_gradient_weighs_the_outputs():
    x = leaf([1, 2, 3])
    (x * x).backward([1, 0, -1])
    assert x.grad.tolist() == [2, 0, -6]


def test_backward_of_a_leaf():
    x = leaf([1, 2])
    x.backward(np.array([3.0, 4.0]))
    assert x.grad.tolist() == [3, 4]


def test_gradients_share_no_memory():
    """Add hands the same dy to both inputs, Reshape a view of it, Sum a broadcast one.

    Changing one gradient in place must not change another.
    """
    a, b, c, d = (leaf([1, 2]) for _ in range(4))
    seed = np.array([1.0, 1.0])
    (a + b + c.reshape(2) + d.sum()).backward(seed)
    a.backward(seed)
    for x in (a, b, c, d):
        others = [y for y in (a, b, c, d) if y is not x]
        before = [y.grad.copy() for y in others]
        x.grad *= 10
        assert all((y.grad == value).all() for y, value in zip(others, before))
    assert seed.tolist() == [1, 1]


def test_only_leaves_that_require_it_get_a_gradient():
    x, constant = leaf([1, 2]), Tensor(np.array([3.0, 4.0]))
    y = x * constant
    y.sum().backward()
    assert constant.grad is None and y.grad is None and x.grad.tolist() == [3, 4]


def test_no_grad_records_nothing():
    x = leaf([1, 2])
    with no_grad():
        y = x * 2
    assert not y.requires_grad and y.creator is None and (x * 2).requires_grad
    decorated = no_grad()(lambda: x * 2)
    assert not decorated().requires_grad and not decorated().requires_grad


def test_recording_resumes_after_an_error():
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert (leaf(1.0) * 2).requires_grad


def op_whose_backward_returns(value):
    class Wrong(Op):
        def forward(self, a, b):
            return a + b

        def backward(self, dy):
            return value
    return Wrong()(leaf([1, 2]), leaf([3, 4]))


RIGHT = np.ones(2)


@pytest.mark.parametrize("value, message", [
    (RIGHT, "Wrong returned 1 gradients for 2 inputs"),
    ([RIGHT, RIGHT], "Wrong returned 1 gradients for 2 inputs"),
    ((RIGHT, RIGHT, None), "Wrong returned 3 gradients for 2 inputs"),
    ((RIGHT, None), r"Wrong returned NoneType as .* input 1, which is float64 \(2,\) on 'cpu'"),
    ((RIGHT, [1.0, 1.0]), r"Wrong returned list as .* input 1, which is float64 \(2,\) on 'cpu'"),
    ((np.ones((1, 2)), RIGHT), r"returned float64 \(1, 2\) on 'cpu' as .* input 0, which is"),
    ((RIGHT, np.ones(2, np.float32)), r"returned float32 \(2,\) on 'cpu' as .* input 1, which is"),
    ((RIGHT, 1.0), "returned float as the gradient of input 1"),
])
def test_what_backward_returns_is_checked(value, message):
    with pytest.raises(RuntimeError, match=message):
        op_whose_backward_returns(value).backward([1, 1])


def test_backward_may_return_none_where_no_gradient_is_needed():
    class First(Op):
        def forward(self, a, b):
            return a + b

        def backward(self, dy):
            return dy, None
    x = leaf([1, 2])
    First()(x, Tensor(np.ones(2))).backward([1, 1])
    assert x.grad.tolist() == [1, 1]


def test_an_op_without_backward_says_so():
    class Half(Op):
        def forward(self, x):
            return x / 2
    y = Half()(leaf([1, 2]))
    assert y.data.tolist() == [0.5, 1]
    with pytest.raises(NotImplementedError, match="Half defines no backward"):
        y.backward([1, 1])
    with pytest.raises(NotImplementedError, match="Op defines no forward"):
        Op()(leaf([1, 2]))


@pytest.mark.parametrize("used", ["waiting", "freed", "under no_grad"])
def test_an_op_is_called_once(used):
    op, a = type((leaf(1.0) * 2).creator)(), leaf(3.0)
    if used == "under no_grad":
        with no_grad():
            y = op(a, leaf(2.0))
    else:
        y = op(a, leaf(2.0))
    if used == "freed":
        y.backward()
    with pytest.raises(RuntimeError, match="Mul: this instance was called before"):
        op(leaf(4.0), leaf(5.0))
    if used == "waiting":
        y.backward()
        assert a.grad == 2


def test_one_array_returned_for_two_leaves_is_shared_by_none():
    class Twice(Op):
        def forward(self, a, b, c):
            return a + b + c

        def backward(self, dy):
            both = dy * 2
            return both, both, both[:]
    leaves = [leaf([1, 2]) for _ in range(3)]
    Twice()(*leaves).backward([1, 1])
    leaves[0].grad[...] = 7
    assert leaves[1].grad.tolist() == leaves[2].grad.tolist() == [2, 2]


def test_gradients_are_arrays_that_may_be_changed():
    """NumPy turns arrays of no dimension into numbers, of which views are read-only."""
    x, y = leaf([1, 2, 3]), leaf(2.0)
    (x.sum() * y * 3.0).backward()
    x.grad *= 2
    y.grad[...] += 1
    assert x.grad.tolist() == [12, 12, 12] and y.grad == 19
    (y * 1.0).backward()
    y.grad[...] = 0


def test_every_public_name_of_tensor_is_documented():
    missing = [name for name in dir(Tensor) if not name.startswith("_")
               and name not in Tensor.__slots__ and not getattr(Tensor, name).__doc__]
    assert not missing


# ---- in-place changes ------------------------------------------------------------------------

def test_changing_an_array_that_backward_needs_is_caught():
    x = leaf([1, 2])
    y = (x * x).sum()
    with pytest.raises(ValueError, match="read-only"):
        x.data[0] = 5
    with pytest.raises(ValueError, match="read-only"):
        x.data += 1
    y.backward()
    x.data += 1
    assert x.grad.tolist() == [2, 4] and x.data.tolist() == [2, 3]


def test_changing_the_memory_behind_a_view_is_caught():
    pixels = np.ones((4, 3))
    y = Tensor(pixels[1:3], requires_grad=True)**2
    with pytest.raises(ValueError, match="read-only"):
        pixels[2] = 0
    del y
    pixels[2] = 0


def test_an_intermediate_result_is_guarded_too():
    y = leaf([1, 2]).exp()
    z = y * 3
    with pytest.raises(ValueError, match="read-only"):
        y.data[0] = 1
    z.sum().backward()


def test_a_view_made_by_an_op_cannot_be_changed():
    x = leaf([[1, 2], [3, 4]])
    for view in (x.reshape(4), x.T, x[0]):
        with pytest.raises(ValueError, match="read-only"):
            view.data[0] = 9
    x.data[0] = 9


def test_labels_and_indices_are_guarded():
    scores, labels = leaf(normal((4, 4))), np.array([1, 0, 3, 2])
    for loss in (mt.cross_entropy, lambda s, i: s[i].sum(), lambda s, i: s[i, 1].sum()):
        y = loss(scores, labels)
        with pytest.raises(ValueError, match="read-only"):
            labels[0] = 2
        y.backward()
        labels[0] = 1


def test_labels_that_no_gradient_needs_may_be_changed():
    scores, labels = leaf(normal((4, 4))), np.array([1, 0, 3, 2])
    y = mt.nll_loss(scores, labels, reduction="sum")
    labels[:] = 0
    y.backward()
    assert (-scores.grad).tolist() == np.eye(4)[[1, 0, 3, 2]].tolist()


@pytest.mark.parametrize("copied", [copy.deepcopy, pickle.dumps])
def test_a_graph_cannot_be_copied(copied):
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    with pytest.raises(RuntimeError, match="neither copied nor pickled .* use .detach"):
        copied(y)
    y.backward()
    assert copied(x) is not x and x.grad.tolist() == [2, 4]


def test_an_unpickled_array_is_still_writable_after_backward():
    """NumPy leaves a large one in the memory of the pickle's bytes: once read-only, it could never
    be writable again."""
    scores, labels = leaf(normal((200, 4))), pickle.loads(pickle.dumps(np.zeros(200, np.int64)))
    mt.cross_entropy(scores, labels).backward()
    labels[0] = 1


def test_an_optimizer_step_before_backward_is_refused_and_changes_nothing():
    first, last = (nn.Parameter(np.ones(2)) for _ in range(2))
    optimizer = optim.SGD([first, last], lr=0.1)
    (first + last * last).sum().backward()
    y = last * last
    with pytest.raises(RuntimeError, match="still needed by a backward pass"):
        optimizer.step()
    assert first.data.tolist() == [1, 1]
    del y
    optimizer.step()
    assert first.data.tolist() == [0.9, 0.9]


def test_arrays_are_writable_again_however_the_graph_ends():
    x, w = leaf([1, 2]), leaf([3, 4])
    a, b = (x * w).sum(), (x * x).sum()
    a.backward()
    assert not x.data.flags.writeable and w.data.flags.writeable
    b.backward(retain_graph=True)
    assert not x.data.flags.writeable
    del b
    assert x.data.flags.writeable


def test_an_array_that_was_read_only_stays_so():
    array = np.ones(2)
    array.flags.writeable = False
    (Tensor(array, requires_grad=True)**2).sum().backward()
    assert not array.flags.writeable


# ---- what is refused -------------------------------------------------------------------------

@pytest.mark.parametrize("call, error, message", [
    (lambda: Tensor("text"), TypeError, "not numeric"),
    (lambda: Tensor([1, "a"]), TypeError, "not numeric"),
    (lambda: Tensor(None), TypeError, "not numeric"),
    (lambda: Tensor(np.zeros(2, complex)), TypeError, "complex128 is not numeric"),
    (lambda: Tensor(Tensor(1.0)), TypeError, "is a Tensor already"),
    (lambda: Tensor([1, 2], requires_grad=True), TypeError,
     "float32 and float64 can have a gradient, not int64"),
    (lambda: leaf([1.0], np.float16), TypeError, "not float16"),
    (lambda: leaf(np.eye(2)) @ leaf(np.eye(2), np.float32), TypeError,
     r"MatMul: .*float64 and float32.*\.to\(dtype"),
    (lambda: leaf([1, 2]) * "3", TypeError, "Mul: cannot use a str"),
    (lambda: leaf([1, 2]) * None, TypeError, "Mul: cannot use a NoneType"),
    (lambda: leaf([1, 2]) + leaf([1, 2, 3]), ValueError, r"\(2,\) \(3,\)"),
    (lambda: leaf([1, 2])**leaf([1, 2]), TypeError, "exponent must be a number, not Tensor"),
    (lambda: leaf([1, 2])**"2", TypeError, "exponent must be a number, not str"),
    (lambda: leaf([[1, 2]]) @ leaf([[1, 2]]), ValueError,
     r"matmul: inner sizes differ \(a \(1, 2\), b \(1, 2\)\)"),
    (lambda: leaf(1.0) @ leaf([1, 2]), ValueError, r"matmul: inner sizes differ"),
    (lambda: leaf([1, 2]).reshape(3), ValueError, r"reshape: x \(2,\) does not fit shape \(3,\)"),
    (lambda: leaf([[1, 2]]).permute(0, 0), ValueError,
     r"permute: dims \(0, 0\) must name each axis of x \(1, 2\) once"),
    (lambda: leaf([[1, 2]]).permute(0, 3), ValueError,
     r"permute: dims \(0, 3\) must name each axis of x \(1, 2\) once"),
    (lambda: leaf([[1, 2]]).transpose(0, 2), ValueError, r"transpose: dims 0 and 2 .* x \(1, 2\)"),
    (lambda: leaf([1, 2]).sum(1), ValueError, "axis 1"),
    (lambda: leaf([1, 2])[2], IndexError, "index 2"),
    (lambda: cat([]), ValueError, "cat: expected at least one tensor"),
    (lambda: cat(leaf([1, 2])), TypeError, r"cat: tensors must be a list of Tensors, not Tensor\("),
    (lambda: cat([leaf([1]), 2]), TypeError, r"must be a list of Tensors, not \[Tensor\("),
    (lambda: leaf(normal((2, 3, 4))) @ leaf(normal((5, 4, 3))), ValueError,
     r"matmul: leading sizes differ \(a \(2, 3, 4\), b \(5, 4, 3\)\)"),
    (lambda: cat([leaf([1, 2]), leaf([[1, 2]])]), ValueError,
     r"cat: .* same sizes but along dim 0, not \(2,\), \(1, 2\)"),
    (lambda: cat([leaf([[1, 2]]), leaf([1])], 1), ValueError, r"along dim 1, not \(1, 2\), \(1,\)"),
    (lambda: cat([leaf([[1, 2]]), leaf([[1]])], -2), ValueError,
     r"along dim -2, not \(1, 2\), \(1, 1\)"),
    (lambda: leaf([1, 2]).backward(), ValueError, r"a tensor of shape \(2,\) needs grad"),
    (lambda: leaf([1, 2]).backward([1, 2, 3]), ValueError,
     r"grad has shape \(3,\) but the tensor \(2,\)"),
    (lambda: Tensor([1.0]).backward(), RuntimeError, "does not require a gradient"),
    (lambda: leaf([1, 2]).to("tpu"), ValueError, "'tpu'"),
    (lambda: leaf([1, 2]).to(dtype="int32"), TypeError, "not int32"),
    (lambda: bool(leaf([1.0, 2.0])), ValueError, "ambiguous"),
])
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_cuda_without_a_gpu_is_one_sentence():
    if mt.gpu_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(RuntimeError, match="device 'cuda' needs"):
        leaf([1, 2]).to("cuda")


def test_a_tensor_is_an_array_and_a_number_to_others():
    assert np.array_equal(np.asarray(Tensor([[1, 2], [3, 4]])), [[1, 2], [3, 4]])
    assert float(Tensor([2.5]).sum()) == 2.5
