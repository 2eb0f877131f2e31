"""The fast convolution and products against the reference set in float64, for any shape, memory
order and number of threads."""
import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

from comparing import LAYOUTS, assert_norm_close, laid_out
from minitensor.kernels import ACTIVATIONS, Epilogue, cpu, reference
from minitensor.kernels.cpu import threads, tuning
from minitensor.kernels.cpu.conv import winograd_tiling
from minitensor.kernels.cpu.im2col_conv import Windows
from minitensor.kernels.cpu.winograd import convolve_tile
from minitensor.kernels.cpu.winograd_matrices import MOST_POINTS, Tiling, matrices

TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}
EVERYTHING = (True, True, True, True)
dtypes = st.sampled_from([np.float32, np.float64])


@pytest.fixture(autouse=True)
def same_threads_afterwards():
    n = threads.get_num_threads()
    yield
    threads.set_num_threads(n)


def check(actual, expected, dtype):
    assert actual.dtype == dtype
    assert_norm_close(actual, expected, TOLERANCE[dtype])


def exact(*arrays):
    return [None if a is None else a.astype(np.float64) for a in arrays]


def some_epilogue(rng, F, shape, dtype, terms):
    """(bias?, residual?, activation) -> an Epilogue, and the same in float64."""
    bias, residual, activation = terms
    b = rng.standard_normal(F).astype(dtype) if bias else None
    r = rng.standard_normal(shape).astype(dtype) if residual else None
    if residual and len(shape) == 4:
        r = laid_out(r, LAYOUTS[rng.integers(len(LAYOUTS))])
    return Epilogue(b, r, activation), Epilogue(*exact(b, r), activation)


def check_conv(seed, dtype, N, C, F, size, kernel, stride, padding, dilation, groups,
               terms=(True, False, "relu"), needs=EVERYTHING):
    """Forward and the gradients of both sets, the reference one in float64."""
    rng = np.random.default_rng(seed)

    def somewhere(a):
        return laid_out(a, LAYOUTS[rng.integers(len(LAYOUTS))])
    x = rng.standard_normal((N, C, *size)).astype(dtype)
    w = rng.standard_normal((F, C // groups, *kernel))
    w = (w / w[0].size**0.5).astype(dtype)                  # so that y is about as large as x
    hyper = (stride, padding, dilation, groups)
    out = reference.conv2d(*exact(x, w), Epilogue(), *hyper).shape
    epilogue, exact_epilogue = some_epilogue(rng, F, out, dtype, terms)
    y = cpu.conv2d(somewhere(x), somewhere(w), epilogue, *hyper)
    check(y, reference.conv2d(*exact(x, w), exact_epilogue, *hyper), dtype)

    dy, activation = rng.standard_normal(y.shape).astype(dtype), epilogue.activation
    y = y if activation else None
    gradients = cpu.conv2d_backward(somewhere(dy), somewhere(x), somewhere(w), y, *hyper,
                                    activation, needs)
    expected = reference.conv2d_backward(*exact(dy, x, w, y), *hyper, activation, needs)
    for actual, wanted in zip(gradients, expected, strict=True):
        assert (actual is None) == (wanted is None)
        if wanted is not None:
            check(actual, wanted, dtype)


def pairs(low, high):
    return st.tuples(st.integers(low, high), st.integers(low, high))


epilogues = st.tuples(st.booleans(), st.booleans(), st.sampled_from(ACTIVATIONS))
some_needs = st.tuples(st.just(True), st.just(True), st.just(True), st.booleans())


@settings(max_examples=120)
@given(st.data(), st.integers(0, 2**32), dtypes, epilogues, some_needs)
def test_conv2d_equals_the_reference(data, seed, dtype, terms, needs):
    limits = (1, 5), (1, 3), (0, 3), (1, 2)
    kernel, stride, padding, dilation = (data.draw(pairs(*limit)) for limit in limits)
    size = tuple(d * (k - 1) + 1 + data.draw(st.integers(0, 12)) for d, k in zip(dilation, kernel))
    groups, N = data.draw(st.integers(1, 3)), data.draw(st.integers(0, 3))
    C, F = groups * data.draw(st.integers(1, 5)), groups * data.draw(st.integers(1, 5))
    check_conv(seed, dtype, N, C, F, size, kernel, stride, padding, dilation, groups, terms, needs)


@settings(max_examples=20)
@given(st.data(), st.integers(0, 2**32), dtypes, epilogues, some_needs)
def test_winograd_equals_the_reference(data, seed, dtype, terms, needs):
    r, groups = data.draw(st.integers(3, 5)), data.draw(st.integers(1, 2))
    padding = data.draw(pairs(0, 3))
    size = tuple(data.draw(st.integers(15, 31)) for _ in range(2))
    C, F = groups * data.draw(st.integers(60, 80)), groups * data.draw(st.integers(60, 80))
    out = tuple(side + 2 * p - r + 1 for side, p in zip(size, padding))
    assume(winograd_tiling(4, C, F, Windows((r, r), (1, 1), (1, 1)), groups, out))
    check_conv(seed, dtype, 4, C, F, size, (r, r), (1, 1), padding, (1, 1), groups, terms, needs)


ALEXNET = {                                 # C, F, size, kernel, stride, padding, groups, Winograd
    "conv1": (3, 96, (67, 67), 11, 4, 0, 1, False),
    "conv2": (96, 256, (27, 27), 5, 1, 2, 1, True),
    "conv2 of the paper": (96, 256, (27, 27), 5, 1, 2, 2, True),
    "conv3": (256, 384, (13, 13), 3, 1, 1, 1, True),
}


def sizes(layer):
    """C, F, size, and what conv2d calls kernel, stride, padding, dilation and groups."""
    C, F, size, k, s, p, groups, _ = ALEXNET[layer]
    return C, F, size, (k, k), (s, s), (p, p), (1, 1), groups


@pytest.mark.parametrize("layer", ALEXNET)
def test_the_layers_of_alexnet(layer):
    C, F, size, kernel, stride, padding, dilation, groups = sizes(layer)
    out = tuple((i + 2 * p - k) // s + 1 for i, k, s, p in zip(size, kernel, stride, padding))
    tiling = winograd_tiling(12, C, F, Windows(kernel, stride, dilation), groups, out)
    assert bool(tiling) == ALEXNET[layer][-1]
    check_conv(0, np.float32, 12, *sizes(layer))


@pytest.mark.parametrize("layer", ALEXNET)
def test_one_image(layer):
    check_conv(0, np.float32, 1, *sizes(layer))


@pytest.mark.parametrize("layer", ["conv1", "conv3"])
def test_the_residual_of_a_layer(layer):
    check_conv(0, np.float32, 3, *sizes(layer), (True, True, "relu"))
    check_conv(0, np.float32, 3, *sizes(layer), (False, True, "tanh"))


@pytest.mark.parametrize("layer", ["conv1", "conv3"])
def test_no_gradient_passes_a_closed_relu_not_even_an_infinite_one(layer):
    C, F, size, kernel, *hyper = sizes(layer)
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape, dtype=np.float32)
               for shape in ((12, C, *size), (F, C, *kernel), (F,)))
    y = cpu.conv2d(x, w, Epilogue(b, None, "relu"), *hyper)
    dy = rng.standard_normal(y.shape, dtype=np.float32)
    for needs in (EVERYTHING, (True, True, True, False)):
        dys = [np.where(y > 0, dy, np.float32(behind)) for behind in (0, "inf")]
        both = [cpu.conv2d_backward(dy, x, w, y, *hyper, "relu", needs) for dy in dys]
        for expected, actual in zip(*both):
            np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("stride", (1, 2))
@pytest.mark.parametrize("C, F, side, kernel, padding", [(4, 4, 20, 3, 30), (64, 64, 15, 5, 25)])
def test_rows_that_lie_in_the_padding_alone(monkeypatch, C, F, side, kernel, padding, stride):
    monkeypatch.setattr(tuning, "COLUMNS_BYTES", 1)         # row by row
    monkeypatch.setattr(tuning, "TRANSFORM_BYTES", 1)
    check_conv(0, np.float32, 2, C, F, (side, side), (kernel, kernel), (stride, stride),
               (padding, padding), (1, 1), 1)


def test_the_weight_gradient_keeps_the_memory_order_of_the_weights():
    x, dy = np.ones((2, 3, 8, 8)), np.ones((2, 4, 6, 6))
    for w in (np.ones((4, 3, 3, 3)), np.ones((4, 3, 3, 3)).transpose(0, 3, 1, 2)):
        _, dw, _, _ = cpu.conv2d_backward(dy, x, w, None, (1, 1), (0, 0), (1, 1), 1, None,
                                          (False, True, False, False))
        assert dw.strides == w.strides


def test_only_what_is_needed_is_returned():
    x, w, dy = np.ones((1, 2, 5, 5)), np.ones((3, 2, 3, 3)), np.ones((1, 3, 3, 3))
    for needs in np.ndindex(2, 2, 2, 2):
        gradients = [cpu.conv2d_backward(dy, x, w, y, (1, 1), (0, 0), (1, 1), 1, activation, needs)
                     for y, activation in ((None, None), (dy, "relu"), (dy, "tanh"))]
        gradients.append(cpu.linear_backward(dy[0, :, 0], dy[0, 0], np.ones((3, 3)), None, None,
                                             needs))
        for result in gradients:
            assert [g is not None for g in result] == [bool(n) for n in needs]


# ---- Winograd ------------------------------------------------------------------------------------

@pytest.mark.parametrize("n", range(4, MOST_POINTS + 1))
@pytest.mark.parametrize("r", (2, 3, 5))
def test_a_tile_of_winograd_is_a_direct_convolution(n, r):
    if r >= n:
        pytest.skip("a tile of no output")
    rng = np.random.default_rng(n)
    x, w, m = rng.standard_normal((n, n)), rng.standard_normal((r, r)), n - r + 1
    direct = [[(x[i: i + r, j: j + r] * w).sum() for j in range(m)] for i in range(m)]
    np.testing.assert_allclose(convolve_tile(x, w), direct, atol=1e-12)


def test_the_numbers_of_f_2_3_are_those_in_the_docstring():
    B_T, G, A_T = matrices(Tiling(2, 3))
    assert B_T.tolist() == [[-1, 0, 1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]]
    assert G.tolist() == [[-1, 0, 0], [.5, .5, .5], [.5, -.5, .5], [0, 0, 1]]
    assert A_T.tolist() == [[1, 1, 1, 0], [0, 1, -1, 1]]


@pytest.mark.parametrize("r", (3, 5))
def test_the_fast_path_is_convolve_tile_on_every_tile(r):
    """One channel of an image, tile after tile; a batch so large that Winograd pays."""
    rng = np.random.default_rng(r)
    x, w = rng.standard_normal((8, 64, 20, 20)), rng.standard_normal((64, 64, r, r))
    x[:, 1:] = w[:, 1:] = 0
    out = 20 - r + 1
    tiling = winograd_tiling(8, 64, 64, Windows((r, r), (1, 1), (1, 1)), 1, (out, out))
    y = cpu.conv2d(x, w, Epilogue(), (1, 1), (0, 0), (1, 1), 1)
    m, n = tiling.m, tiling.n
    for i in range(0, out - m + 1, m):
        for j in range(0, out - m + 1, m):
            tile = convolve_tile(x[3, 0, i: i + n, j: j + n], w[5, 0])
            np.testing.assert_allclose(y[3, 5, i: i + m, j: j + m], tile, atol=1e-12)


# ---- products ------------------------------------------------------------------------------------

@settings(max_examples=40)
@given(st.integers(0, 2**32), dtypes, st.integers(0, 5), st.integers(1, 700), st.integers(1, 1100),
       epilogues)
def test_linear_equals_the_reference(seed, dtype, N, C, F, terms):
    rng = np.random.default_rng(seed)
    x, w, dy = (rng.standard_normal(shape).astype(dtype) for shape in ((2 * N, C), (F, C), (N, F)))
    x, w = x[::2], w / dtype(C**0.5)
    epilogue, exact_epilogue = some_epilogue(rng, F, (N, F), dtype, terms)
    y = cpu.linear(x, w, epilogue)
    check(y, reference.linear(*exact(x, w), exact_epilogue), dtype)
    activation = epilogue.activation
    y = y if activation else None
    expected = reference.linear_backward(*exact(dy, x, w, y), activation, EVERYTHING)
    for actual, wanted in zip(cpu.linear_backward(dy, x, w, y, activation, EVERYTHING), expected):
        check(actual, wanted, dtype)


leading_axes = st.sampled_from([
    ((), ()), ((3,), (3,)), ((2, 4), (4,)), ((4, 1), (1, 5)), ((5,), ()),
    ((), (2,)), ((0,), (0,)), ((1, 1), (1,)), ((1,), ()), ((2, 3), ()),
])


@settings(max_examples=80)
@given(st.data(), leading_axes, dtypes, st.sampled_from(LAYOUTS[2:]),
       st.sampled_from([1, 50, 2**25]))
def test_matmul_equals_numpys(data, leading, dtype, layout, task_products):
    I, K, J = (data.draw(st.integers(0, 12)) for _ in "IKJ")
    rng = np.random.default_rng(I)
    a = laid_out(rng.standard_normal((*leading[0], I, K)).astype(dtype), layout)
    b = laid_out(rng.standard_normal((*leading[1], J, K)).astype(dtype), layout).swapaxes(-1, -2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "MATMUL_TASK_PRODUCTS", task_products)
        check(cpu.matmul(a, b), np.matmul(*exact(a, b)), dtype)


@pytest.mark.parametrize("layer", ALEXNET)
def test_results_do_not_depend_on_the_number_of_threads(layer):
    C, F, size, kernel, *hyper = sizes(layer)
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape, dtype=np.float32)
               for shape in ((9, C, *size), (F, C // hyper[-1], *kernel), (F,)))
    flat = rng.standard_normal((9, 1500), dtype=np.float32)
    square = rng.standard_normal((1500, 1500), dtype=np.float32)
    batch = rng.standard_normal((12, 150, 150), dtype=np.float32)

    def run(n):
        threads.set_num_threads(n)
        y = cpu.conv2d(x, w, Epilogue(b, None, "relu"), *hyper)
        z = cpu.linear(flat, square, Epilogue(square[0], flat, "tanh"))
        return (y, *cpu.conv2d_backward(y, x, w, y, *hyper, "relu", (True, True, True, False)),
                z, *cpu.linear_backward(flat, flat, square, z, "tanh", EVERYTHING),
                cpu.matmul(square, square), cpu.matmul(flat, square), cpu.matmul(batch, batch))

    alone = run(1)
    for n in (2, 3):
        for one, many in zip(alone, run(n)):
            np.testing.assert_array_equal(one, many)
