"""Tensors: making them, arithmetic, reductions, shapes, and what is refused."""
import operator
from array import array

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import minitensor as mt
from comparing import assert_equals_torch, run
from minitensor import Tensor, cat, optim
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
    with pytest.raises(TypeError, match="a tensor without axes has no length"):
        iter(Tensor(3.0))


def test_what_is_assigned_to_data_becomes_a_plain_array():
    x = leaf(1.0)
    x.data = x.data * 2                             # NumPy makes a number of it
    x.data = np.multiply(x.data, 2)
    (x * 3.0).backward()
    optim.SGD([x], lr=0.5).step()
    assert x.data == 4 - 1.5 and isinstance(x.data, np.ndarray)
    matrix = np.array([[1.0, 2.0]]).view(np.matrix)
    for value in (Tensor([1.0, 2.0]), [1.0, 2.0], np.array([1, 2], ">f4"), matrix):
        x.data = value
        assert type(x.data) is np.ndarray and x.dtype.isnative and x.data.ravel().tolist() == [1, 2]
    for value in (None, "text", np.ma.masked_array([1.0], [True]), 1j):
        with pytest.raises(TypeError, match="not numeric|masked"):
            x.data = value


def test_requires_grad_can_be_set_for_leaves_of_floats_only(torch):
    for make in (lambda a: torch.tensor(a), Tensor):
        x = make(np.ones(2))
        x.requires_grad = True
        assert x.requires_grad and (x * 2).requires_grad
        with pytest.raises(RuntimeError):
            (x * 2).requires_grad = False
        with pytest.raises((TypeError, RuntimeError)):
            make(np.ones(2, np.int64)).requires_grad = True
    with pytest.raises(RuntimeError, match="the result of an op; use .detach"):
        (Tensor([1.0], requires_grad=True) * 2).requires_grad = False


@pytest.mark.parametrize("dtype", ["complex64", object, str, "M8[s]"])
def test_a_dtype_that_is_not_numeric_is_refused(dtype):
    with pytest.raises((TypeError, ValueError), match="not numeric|Could not convert"):
        Tensor([1.0, 2.0], dtype=dtype)


def test_a_dtype_is_taken_in_native_byte_order():
    assert Tensor([1.5], dtype=">f4").dtype.isnative and Tensor([1.5], dtype=">f4").data == 1.5
    assert Tensor([1.0]).to(dtype=">f8").dtype.isnative


@pytest.mark.parametrize("data", [
    [np.ma.masked_array([1.0, 2.0], [True, False])], ([np.ma.masked_array([1], [True])],)])
def test_masked_arrays_in_a_list_are_refused(data):
    with pytest.raises(TypeError, match="a masked array cannot be used"):
        Tensor(data)


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
    assert_equals_torch(torch, lambda t: t.amax(dim, keepdim),
                        lambda t: torch.amax(t, dims, keepdim), x)


@pytest.mark.parametrize("dim", [[0, 1], np.int64(1)])
def test_a_dim_may_be_a_list_or_a_numpy_integer(torch, dim):
    assert_equals_torch(torch, lambda t: t.sum(dim), lambda t: t.sum(dim), normal((2, 3, 4)))


def test_equal_maxima_share_the_gradient(torch):
    x = np.array([[1.0, 3, 3], [2, 2, 2]])
    assert_equals_torch(torch, lambda t: t.amax(1), lambda t: torch.amax(t, 1), x)
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


@pytest.mark.parametrize("index, change", [
    (array("q", [0, 0]), lambda i: i.__setitem__(0, 2)),
    (memoryview(bytearray(2)), lambda i: i.__setitem__(0, 2)),
    (slice(np.array(1), None), lambda i: i.start.__setitem__(..., 3)),
    (slice(None, Tensor(2)), lambda i: i.stop.__setitem__(..., 3)),
    (([0, 0],), lambda i: i[0].__setitem__(0, 2)),
    ((([0, 0], [1, 1]),), lambda i: i[0][0].__setitem__(0, 2))])
def test_whatever_changes_after_indexing_changes_no_gradient(index, change):
    x, twin = leaf([1.0, 2, 3, 4]), leaf([1.0, 2, 3, 4])
    twin[index].sum().backward()
    y = x[index].sum()
    change(index)
    y.backward()
    assert x.grad.tolist() == twin.grad.tolist()


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
    assert x.to(np.float32).dtype == np.float32
    assert x.to(device).device == device and y.device == "cpu" and x.grad.tolist() == [3, 3]


def test_integer_tensors():
    x = Tensor([1, 2, 4])
    assert (x * 2).data.tolist() == [2, 4, 8] and (x + 1).dtype == x.dtype
    assert x.mean().item() == pytest.approx(7 / 3)


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
    (lambda: leaf([1, 2]) + leaf([1, 2, 3]), ValueError, r"Add: shapes \(2,\) and \(3,\)"),
    (lambda: leaf([1, 2])**"2", TypeError, "Power: cannot use a str"),
    (lambda: leaf([[1, 2]]) @ leaf([[1, 2]]), ValueError,
     r"matmul: inner sizes differ \(a \(1, 2\), b \(1, 2\)\)"),
    (lambda: leaf(1.0) @ leaf([1, 2]), ValueError, r"matmul: inner sizes differ"),
    (lambda: leaf([1, 2]).reshape(3), ValueError, r"reshape: x \(2,\) does not fit shape \(3,\)"),
    (lambda: leaf([[1, 2]]).permute(0, 0), ValueError,
     r"permute: dims \(0, 0\) must name each axis of x \(1, 2\) once"),
    (lambda: leaf([[1, 2]]).permute(0, 3), ValueError,
     r"permute: dims \(0, 3\) must name each axis of x \(1, 2\) once"),
    (lambda: leaf([[1, 2]]).transpose(0, 2), ValueError, r"transpose: dims 0 and 2 .* x \(1, 2\)"),
    (lambda: leaf([1, 2]).sum(1), ValueError, r"sum: dim 1 is not an axis of x \(2,\)"),
    (lambda: leaf([1, 2])[2], IndexError, "index 2"),
    (lambda: cat([]), ValueError, "cat: expected at least one tensor"),
    (lambda: cat(leaf([1, 2])), TypeError, r"cat: tensors must be a list of Tensors, not Tensor\("),
    (lambda: cat([leaf([1]), 2]), TypeError, "cat: .* a list of Tensors, but there is a int"),
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
    (lambda: bool(leaf([1.0, 2.0])), ValueError, "neither true nor false; use .any"),
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


def test_every_public_name_of_tensor_is_documented():
    missing = [name for name in dir(Tensor) if not name.startswith("_")
               and name not in Tensor.__slots__ and not getattr(Tensor, name).__doc__]
    assert not missing
