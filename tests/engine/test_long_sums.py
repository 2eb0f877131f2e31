"""Whatever is summed is right to 1e-6 in float32, along whatever axis, however many there are."""
import numpy as np
import pytest

import minitensor as mt
from comparing import LAYOUTS, laid_out
from minitensor import Tensor

LONG = 200_000


def tenths(*shape):
    """Ones and tenths: numbers that all round the same way when they are added one by one."""
    return np.full(shape, 1.1, np.float32)


def uneven(*shape):
    return np.random.default_rng(0).uniform(0.5, 1.5, shape).astype(np.float32)


def assert_summed(actual, expected):
    """expected: computed in float64."""
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def gradient_of(op, *arrays, of, dy):
    tensors = [Tensor(a, requires_grad=i == of) for i, a in enumerate(arrays)]
    op(*tensors).backward(dy)
    return tensors[of].grad


def test_means_of_20_million_rows_and_of_9_million_pixels():
    assert (Tensor(np.ones((20_000_000, 2), np.float32)).mean(0).data == 1).all()
    x = Tensor(tenths(1, 1, 3000, 3000))
    assert_summed(mt.adaptive_avg_pool2d(x, 1).data, np.full((1, 1, 1, 1), np.float64(tenths(1))))
    assert_summed(mt.avg_pool2d(x, 3000).data, np.full((1, 1, 1, 1), np.float64(tenths(1))))


@pytest.mark.parametrize("make", [tenths, uneven])
@pytest.mark.parametrize("shape, dim", [
    ((LONG, 2), 0), ((2, LONG), 1), ((LONG, 2), None), ((500, 3, 400), (0, 2)), ((3, LONG, 1), 1),
    ((1000, 2, 200), 0)])
def test_sums_and_means(make, shape, dim):
    x = make(*shape)
    for array in (x, np.asfortranarray(x), x[::-1]):
        assert_summed(Tensor(array).sum(dim).data, array.sum(dim, dtype=np.float64))
        assert_summed(Tensor(array).mean(dim).data, array.mean(dim, dtype=np.float64))


def test_sums_of_integers_stay_exact():
    x = np.full((3, 5), 2**60, np.int64)
    x[0, 0] += 1
    assert Tensor(x).sum().item() == 15 * 2**60 + 1 - 2**64
    assert Tensor(np.full(300, 255, np.uint8)).sum().item() == 300 * 255


@pytest.mark.parametrize("op", [
    lambda x, b: x + b, lambda x, b: x - b, lambda x, b: x * b, lambda x, b: x / b])
def test_gradients_of_what_was_broadcast(op):
    x, b, dy = uneven(LONG, 2), tenths(2), tenths(LONG, 2)
    actual = gradient_of(op, x, b, of=1, dy=dy)
    expected = gradient_of(op, x.astype(float), b.astype(float), of=1, dy=dy.astype(float))
    assert_summed(actual, expected)


def test_the_gradient_of_what_an_index_picks_often():
    x, index = tenths(3), np.zeros(LONG, int)
    expected = [LONG * float(x[0]), 0, 0]
    assert_summed(gradient_of(lambda x: x[index], x, of=0, dy=tenths(LONG)), expected)


@pytest.mark.parametrize("activation", [None, "relu"])
def test_bias_gradients(kernels, activation):
    x, w, b, dy = np.ones((LONG, 1), np.float32), tenths(3, 1), tenths(3), tenths(LONG, 3)
    expected = np.full(3, LONG * float(dy[0, 0]))
    linear = gradient_of(lambda x, w, b: mt.linear(x, w, b, activation=activation), x, w, b, of=2,
                         dy=dy)
    assert_summed(linear, expected)
    x, w, dy = x.reshape(2, 1, 250, -1), w.reshape(3, 1, 1, 1), tenths(2, 3, 250, LONG // 500)
    conv = gradient_of(lambda x, w, b: mt.conv2d(x, w, b, activation=activation), x, w, b, of=2,
                       dy=dy)
    assert_summed(conv, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_average_pools_of_large_windows(kernels, layout):
    x = laid_out(uneven(1, 2, 400, 500), layout)
    assert_summed(mt.adaptive_avg_pool2d(Tensor(x), 1).data,
                  x.mean((2, 3), keepdims=True, dtype=np.float64))
    assert_summed(mt.adaptive_avg_pool2d(Tensor(x), (2, 1)).data,
                  x.reshape(1, 2, 2, -1).mean(3, dtype=np.float64)[..., None])
    assert_summed(mt.avg_pool2d(Tensor(x), (400, 250)).data,
                  x.reshape(1, 2, 400, 2, 250).mean((2, 4), dtype=np.float64)[:, :, None])


@pytest.mark.parametrize("dim", [0, 1])
def test_softmax_and_its_gradients(kernels, dim):
    x, dy = 0.1 * uneven(LONG, 2), tenths(LONG, 2)
    x, dy = (x.T, dy.T) if dim else (x, dy)
    e = np.exp(x.astype(np.float64))
    y = e / e.sum(dim, keepdims=True)
    assert_summed(mt.softmax(Tensor(x), dim).data, y)
    assert_summed(mt.log_softmax(Tensor(x), dim).data, np.log(y))
    dx = gradient_of(lambda x: mt.log_softmax(x, dim), x, of=0, dy=dy)  # a difference of ones
    expected = dy - y * dy.sum(dim, keepdims=True, dtype=np.float64)
    np.testing.assert_allclose(dx, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_of_many_classes_and_of_many_rows(kernels, smoothing):
    for shape in ((2, LONG), (LONG // 20, 2)):
        logits = np.asfortranarray(uneven(*shape))
        log_p = logits - np.log(np.exp(logits.astype(np.float64)).sum(1, keepdims=True))
        expected = -(1 - smoothing) * log_p[:, 1].mean() - smoothing * log_p.mean()
        loss = mt.cross_entropy(Tensor(logits), np.ones(len(logits), int),
                                label_smoothing=smoothing)
        assert_summed(loss.data, expected)


@pytest.mark.parametrize("pool", [mt.max_pool2d, mt.avg_pool2d])
def test_gradients_of_pools_whose_windows_overlap_often(kernels, pool):
    def gradient(dtype):
        x = Tensor(uneven(1, 1, 50, 50).astype(dtype), requires_grad=True)
        y = pool(x, 25, 1)
        y.backward(tenths(*y.shape).astype(dtype))
        return x.grad
    np.testing.assert_allclose(gradient(np.float32), gradient(np.float64), rtol=2e-6)


def test_local_response_norm_over_many_channels(kernels):
    x = tenths(1, 512, 2, 3)
    y, expected = [mt.local_response_norm(Tensor(x.astype(dtype)), 255, alpha=1.0).data
                   for dtype in (np.float32, np.float64)]
    np.testing.assert_allclose(y, expected, rtol=2e-6)


@pytest.mark.parametrize("values", [np.ones(100_000), np.arange(1000) * 60, np.full(5000, 60_000)])
@pytest.mark.parametrize("reduce", ["mean", "std"])
def test_means_and_deviations_of_half_numbers_do_not_overflow(torch, values, reduce):
    values = values.astype(np.float16)
    actual = getattr(mt.Tensor(values), reduce)()
    expected = getattr(torch.tensor(values), reduce)()
    assert actual.dtype == np.float16 and float(actual) == float(expected)
