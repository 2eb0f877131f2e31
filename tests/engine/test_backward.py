"""The backward walk: gradients add up, graphs are freed, what an op gives back is checked."""
import gc

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


def test_no_grad_records_nothing():
    x = leaf([1, 2])
    with no_grad():
        y = x * 2
    assert not y.requires_grad and y.creator is None and (x * 2).requires_grad
    decorated = no_grad()(lambda: x * 2)
    assert not decorated().requires_grad and not decorated().requires_grad


def test_a_generator_under_no_grad_records_nothing_and_its_consumer_does():
    x = leaf([1, 2])

    @no_grad()
    def doubled():
        for _ in range(2):
            yield x * 2
        return "end"
    for y in doubled():
        assert not y.requires_grad and (x * 2).requires_grad


def test_blocks_of_no_grad_may_end_in_any_order():
    def paused():
        with no_grad():
            yield
    first, second = paused(), paused()
    next(first), next(second)
    assert not mt.is_grad_enabled()
    first.close()
    assert not mt.is_grad_enabled()
    second.close()
    assert mt.is_grad_enabled()


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
