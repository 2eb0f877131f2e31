"""The backward walk: gradients add up, graphs are freed, what an op gives back is checked."""
import gc
import operator

import numpy as np
import pytest

import minitensor as mt
from minitensor import Op, Tensor, no_grad


def leaf(values, dtype=np.float64):
    return Tensor(np.array(values, dtype), requires_grad=True)


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


class Doubles(Op):
    """Its backward writes into dy."""

    def forward(self, x):
        return 2 * x

    def backward(self, dy):
        dy *= 2
        return dy


@pytest.mark.parametrize("join", [
    lambda a, b: a + b, lambda a, b: a - b, lambda a, b: mt.stack([a, b]),
    lambda a, b: mt.where(np.array([True, False]), a, b), lambda a, b: a.reshape(1, 2) + b])
@pytest.mark.parametrize("first", [True, False])
def test_an_op_that_writes_into_dy_cannot_spoil_other_branches(join, first):
    x, other, weight = leaf([1, 2]), leaf([3, 4]), np.array([2.0, 3.0])
    branches = (Doubles()(x), other * 1) if first else (other * 1, Doubles()(x))
    y = (join(*branches) * weight).sum()
    with pytest.raises(RuntimeError, match="backward: Doubles writes to dy or to what"):
        y.backward()
    seed = np.ones(2)
    with pytest.raises(RuntimeError, match="Doubles writes"):
        Doubles()(leaf([1, 2])).backward(seed)
    assert seed.tolist() == [1, 1]


class KeepsAll(Op):
    def __init__(self, kept):
        self.kept = kept

    def forward(self, x):
        return x * self.kept["pair"][0]

    def backward(self, dy):
        return dy * self.kept["pair"][0]


def test_arrays_that_an_op_keeps_in_lists_and_dicts_are_guarded():
    x, factor = leaf([1, 2]), np.array([3.0, 4.0])
    y = KeepsAll({"pair": [factor, 5]})(x)
    with pytest.raises(ValueError, match="read-only"):
        factor[0] = 9
    y.sum().backward()
    factor[0] = 9
    assert x.grad.tolist() == [3, 4]


def test_a_gradient_that_an_op_kept_is_copied():
    class Slope(Op):
        def forward(self, x):
            self.slope = np.broadcast_to(np.float64(3), x.shape)
            self.x = x
            return (x * x / 2).sum()

        def backward(self, dy):
            return self.x if self.x.shape == (2,) else self.slope
    for shape, expected in (((2,), 1), ((3,), 3)):
        x = leaf(np.ones(shape))
        Slope()(x).backward()
        x.grad *= 5
        assert (x.data == 1).all() and (x.grad == 5 * expected).all()


MASKED = np.ma.masked_array([1.0, 1.0], [True, False])


@pytest.mark.parametrize("grad", [
    np.ones((2, 1)), np.ones(1), np.ones(2, np.float32), [1.0, 1.0], 1.0,
    MASKED, np.ones((1, 2)).view(np.matrix), Tensor([1.0, 1.0])])
def test_a_gradient_is_not_added_to_one_of_another_shape_or_kind(grad):
    x = leaf([1, 2])
    x.grad = grad
    with pytest.raises(RuntimeError, match=r".grad is .* to which a gradient float64 \(2,\)"):
        (x * 2).sum().backward()


@pytest.mark.parametrize("value", [
    MASKED, np.ones((1, 2)).view(np.matrix)])
def test_backward_returns_plain_arrays_only(value):
    with pytest.raises(RuntimeError, match=f"Wrong returned {type(value).__name__} as the"):
        op_whose_backward_returns((value, value)).backward([1, 1])


@pytest.mark.parametrize("grad, error, message", [
    ("text", TypeError, "backward: cannot use a str"), (1j, TypeError, "cannot use a complex"),
    ([1.0, None], TypeError, "backward: cannot use a list"), (2**70, OverflowError, "71 bits"),
    (MASKED, TypeError, "masked"),
    (np.ones(3), ValueError, r"grad has shape \(3,\) but the tensor \(2,\)")])
def test_what_is_no_gradient_is_refused(grad, error, message):
    with pytest.raises(error, match=message):
        (leaf([1, 2]) * 2).backward(grad)


def test_an_op_cannot_give_integers_a_gradient():
    class Rounded(Op):
        def forward(self, x):
            return x.astype(np.int64)
    with pytest.raises(TypeError, match="only float32 and float64 can have a gradient, not int64"):
        Rounded()(leaf([1.5, 2]))
    assert Rounded()(Tensor([1.5, 2.0])).data.tolist() == [1, 2]


@pytest.mark.parametrize("operate", [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.mod, operator.pow,
    operator.matmul, mt.maximum, mt.minimum,
    lambda a, b: mt.where(np.eye(2, dtype=bool), a, b)])
@pytest.mark.parametrize("left", [True, False])
def test_the_gradient_of_a_constant_is_not_computed(operate, left):
    x, constant = leaf([[1.5, 2], [3, 4]]), Tensor(np.full((2, 2), 2.5))
    y = operate(x, constant) if left else operate(constant, x)
    gradients = y.creator.backward(np.ones((2, 2)))
    assert [gradient is None for gradient in gradients] == [not left, left]
