"""The emulator tested: each planted bug is caught, and its correct twin passes."""
from typing import NamedTuple

import numpy as np
import pytest

import emulator
from emulator import EmulatedModule, EmulationError
from minitensor.kernels.cuda import launcher

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(emulator.problem()), reason=str(emulator.problem())),
]

SMOOTH = """// y[i] = x[i - 1] + x[i] + x[i + 1] inside a block, through shared memory
extern "C" __global__ void smooth(const REAL* __restrict__ x, REAL* __restrict__ y, int n)
{
    __shared__ REAL tile[66];
    int i = blockIdx.x * 64 + threadIdx.x;
    tile[threadIdx.x + 1] = i < n ? x[i] : 0;
    if (threadIdx.x == 0) {
        tile[0] = i > 0 ? x[i - 1] : 0;
        tile[65] = i + 64 < n ? x[i + 64] : 0;
    }
    __syncthreads();
    if (i < n)
        y[i] = tile[threadIdx.x] + tile[threadIdx.x + 1] + tile[threadIdx.x + 2];
}
"""
TRANSPOSE = """
extern "C" __global__ void transpose(const REAL* __restrict__ x, REAL* __restrict__ y, int rows,
                                     int columns)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < rows * columns)
        y[i % columns * rows + i / columns] = x[i];
}
"""
TOTAL = """
template <class T> __device__ T block_total(T value)
{
    __shared__ T parts[128];
    parts[threadIdx.x] = value;
    __syncthreads();
    for (int half = 64; half > 0; half /= 2) {
        if (threadIdx.x < half)
            parts[threadIdx.x] += parts[threadIdx.x + half];
        __syncthreads();
    }
    return parts[0];
}
extern "C" __global__ void total(const REAL* x, REAL* y, int n)
{
    REAL value = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x)
        value += x[i];
    value = block_total(value);
    if (threadIdx.x == 0)
        *y = value;
}
"""
WARP_TOTAL = """
extern "C" __global__ void warp_total(const REAL* x, REAL* y, int n)
{
    REAL value = threadIdx.x < n ? x[threadIdx.x] : 0;
    for (int step = 16; step > 0; step /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, step);
    if (threadIdx.x % 32 == 0)
        y[threadIdx.x / 32] = value;
}
"""
SPREAD = """// the sum of the block, then the sum of the distances from it
extern "C" __global__ void spread(const REAL* x, REAL* y, int n)
{
    __shared__ REAL parts[4];
    REAL value = x[threadIdx.x], total = 0;
    for (int round = 0; round < 2; round++) {
        for (int step = 16; step > 0; step /= 2)
            value += __shfl_xor_sync(0xffffffffu, value, step);
        __syncthreads();                // parts may still be read from the round before
        if (threadIdx.x % 32 == 0)
            parts[threadIdx.x / 32] = value;
        __syncthreads();
        total = parts[0] + parts[1] + parts[2] + parts[3];
        value = total - x[threadIdx.x];
    }
    y[threadIdx.x] = total;
}
"""
TILES = """// many tiles through one piece of shared memory: two barriers a round
extern "C" __global__ void tiles(const REAL* x, REAL* y, int n)
{
    __shared__ REAL tile[32];
    REAL value = 0;
    for (int start = 0; start < n; start += blockDim.x) {
        tile[threadIdx.x] = x[start + threadIdx.x];
        __syncthreads();
        for (int j = 0; j < blockDim.x; j++)
            value += tile[j] * (threadIdx.x + j);
        __syncthreads();
    }
    y[threadIdx.x] = value;
}
"""


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


def run(source, kernel, expected, *args, grid, threads, times=4):
    """Launches that differ in the order of threads and in where buffers lie; each must give
    expected in its output, the second argument."""
    dtype = args[0].dtype
    function = EmulatedModule(source, (f"-DREAL={launcher.REAL[dtype.name]}",)).get_function(kernel)
    wrong = 0
    for _ in range(times):
        y = np.full(expected.shape, np.nan, dtype)
        function((grid, 1, 1), (threads, 1, 1), (args[0], y, *map(np.int32, args[1:])))
        wrong += np.count_nonzero(~np.isclose(y, expected, rtol=1e-5))
    assert not wrong, f"wrong result: {wrong} of {times * y.size}"


def planted(source, right, wrong):
    assert source.count(right) == 1
    return source.replace(right, wrong)


def smooth(dtype, source=SMOOTH, n=200):
    x = np.random.default_rng(0).standard_normal(n).astype(dtype)
    padded = np.pad(x, 1)
    run(source, "smooth", padded[:-2] + padded[1:-1] + padded[2:], x, n, grid=4, threads=64)


def transpose(dtype, source=TRANSPOSE):
    x = np.random.default_rng(0).standard_normal((13, 7)).astype(dtype)
    run(source, "transpose", x.T, x, *x.shape, grid=3, threads=32)


def total(dtype, source=TOTAL):
    x = np.random.default_rng(0).standard_normal(1000).astype(dtype)
    run(source, "total", x.sum(dtype=np.float64)[None], x, x.size, grid=1, threads=128)


def warp_total(dtype, source=WARP_TOTAL, threads=64):
    x = np.random.default_rng(0).standard_normal(64).astype(dtype)
    run(source, "warp_total", x.reshape(2, 32).sum(1), x, x.size, grid=1, threads=threads)


def spread(dtype, source=SPREAD):
    x = np.random.default_rng(0).standard_normal(128).astype(dtype)
    total = x.sum(dtype=np.float64)
    expected = np.full(128, (total - x).sum(dtype=np.float64))
    run(source, "spread", expected, x, x.size, grid=1, threads=128, times=8)


def tiles(dtype, source=TILES):
    x = np.random.default_rng(0).standard_normal(128).astype(dtype)
    weights = np.arange(32)[:, None] + np.tile(np.arange(32), 4)
    run(source, "tiles", weights @ x.astype(np.float64), x, x.size, grid=1, threads=32)


@pytest.mark.parametrize("twin", [smooth, transpose, total, warp_total, spread, tiles])
def test_correct_kernels_pass(twin, dtype):
    twin(dtype)


# ---- planted bugs that change the result: the comparison that every kernel must pass finds them --

WRONG_RESULT = {
    "missing barrier": (smooth, SMOOTH, "    __syncthreads();\n", ""),
    "missing barrier after reading": (tiles, TILES, "        __syncthreads();\n    }", "    }"),
    "missing barrier before reading": (tiles, TILES, "        __syncthreads();\n        for",
                                       "        for"),
    "missing barrier between two rounds": (spread, SPREAD, "        __syncthreads();        ",
                                           "        "),
    "missing barrier in a template": (total, TOTAL, "    __syncthreads();\n    for", "    for"),
    "uninitialised shared memory": (smooth, SMOOTH, "tile[65] = i + 64 < n ? x[i + 64] : 0;", ""),
    "wrong stride": (transpose, TRANSPOSE, "% columns * rows", "% columns * columns"),
    "wrong stride of threads": (total, TOTAL, "i += blockDim.x", "i += 64"),
    "an output left out": (smooth, SMOOTH, "if (i < n)\n", "if (i < n - 1)\n"),
    "wrong lane": (warp_total, WARP_TOTAL, "step = 16", "step = 8"),
}


@pytest.mark.parametrize("bug", WRONG_RESULT)
def test_planted_bugs_change_the_result(bug, dtype):
    twin, source, right, wrong = WRONG_RESULT[bug]
    with pytest.raises(AssertionError, match="wrong result"):
        twin(dtype, planted(source, right, wrong))


# ---- planted bugs that are errors of their own ---------------------------------------------------

SOME = "    if (threadIdx.x < 32)\n        __syncthreads();\n"
ERRORS = {
    "reads one too far": (
        smooth, SMOOTH, "i < n ? x[i] : 0", "i <= n ? x[i] : 0",
        "smooth: reaches outside of x, .* from its start of"),
    "reads before the start": (
        smooth, SMOOTH, "i > 0 ? x[i - 1] : 0", "x[i - 1]", "smooth: reaches outside of x, -"),
    "writes one too far": (
        smooth, SMOOTH, "if (i < n)\n", "if (i <= n)\n", "smooth: (writes|reaches) outside of y"),
    "writes before the start": (
        transpose, TRANSPOSE, "y[i", "y[-1 + i", "transpose: (writes|reaches) outside of y, -"),
    "far away": (
        smooth, SMOOTH, "i < n ? x[i] : 0", "x[i * 100000000ll]",
        "smooth: .*outside of (every buffer|x)"),
    "past a shared array": (
        smooth, SMOOTH, "tile[66]", "tile[65]", "reaches past a shared or local array"),
    "barrier for some": (
        smooth, SMOOTH, "    __syncthreads();\n", SOME, "divergent barrier: waits for threads"),
    "two barriers for one": (
        smooth, SMOOTH, "    __syncthreads();\n", SOME + "    else\n        __syncthreads();\n",
        "divergent barrier: waits while others wait elsewhere"),
    "early return": (
        total, TOTAL, "    REAL value = 0;\n",
        "    if (threadIdx.x == 100)\n        return;\n    REAL value = 0;\n",
        "divergent barrier"),
    "shuffle for some": (
        warp_total, WARP_TOTAL, "        value += ", "        if (threadIdx.x != 5) value += ",
        "divergent barrier: waits for a lane that has ended"),
    "shuffle beyond the mask": (
        warp_total, WARP_TOTAL, "0xffffffffu, value, step", "1u << threadIdx.x % 32, value, step",
        "a lane that does not take part"),
    "divides by zero": (
        transpose, TRANSPOSE, "i / columns", "i / (columns - 7)", "divides an integer by zero"),
}


@pytest.mark.parametrize("bug", ERRORS)
def test_planted_bugs_are_errors(bug, dtype):
    twin, source, right, wrong, message = ERRORS[bug]
    with pytest.raises(EmulationError, match=message):
        twin(dtype, planted(source, right, wrong))
    twin(dtype)                                             # and the next launch is as good as ever


def test_arrays_that_overlap_in_spite_of_restrict():
    x = np.zeros(100, np.float32)
    function = EmulatedModule(SMOOTH, ("-DREAL=float",)).get_function("smooth")
    with pytest.raises(EmulationError, match="smooth: x and y overlap in spite of __restrict__"):
        function((1, 1, 1), (64, 1, 1), (x[:60], x[40:], np.int32(60)))


def test_arrays_that_overlap_are_one_piece_of_memory():
    x = np.arange(10, dtype=np.float32)
    source = """extern "C" __global__ void shift(const REAL* x, REAL* y)
    {
        y[threadIdx.x] = x[threadIdx.x];
    }"""
    shift = EmulatedModule(source, ("-DREAL=float",)).get_function("shift")
    shift((1, 1, 1), (5, 1, 1), (x[:5], x[5:]))
    np.testing.assert_array_equal(x, [0, 1, 2, 3, 4] * 2)


@pytest.mark.parametrize("grid, threads", [
    ((1, 1, 1), (1025, 1, 1)), ((1, 2**16, 1), (1, 1, 1)), ((0, 1, 1), (1, 1, 1))])
def test_impossible_launches(grid, threads):
    x = np.zeros(1, np.float32)
    function = EmulatedModule(TRANSPOSE, ("-DREAL=float",)).get_function("transpose")
    with pytest.raises(EmulationError, match="no GPU runs"):
        function(grid, threads, (x, x, np.int32(1), np.int32(1)))


def test_a_kernel_that_does_not_compile():
    with pytest.raises(SyntaxError, match="nonsense"):
        EmulatedModule('extern "C" __global__ void broken() { nonsense(); }', ())


# ---- what a warp does together -------------------------------------------------------------------

def test_shuffles():
    x, y, lane = np.arange(32, dtype=np.int32), np.empty((2, 32), np.int32), np.arange(32)
    source = """extern "C" __global__ void shuffles(const int* x, int* y)
    {
        int i = threadIdx.x;
        y[i] = __shfl_xor_sync(0xffffffffu, x[i], 5);
        __syncwarp();
        y[32 + i] = i < 8 ? __shfl_xor_sync(0xffu, x[i], 1) : -1;
    }"""
    EmulatedModule(source, ()).get_function("shuffles")((1, 1, 1), (32, 1, 1), (x, y))
    np.testing.assert_array_equal(y, [lane ^ 5, np.where(lane < 8, lane ^ 1, -1)])


PRODUCT = """// words a (32, 4), b (32, 2); sums c (32, 4)
extern "C" __global__ void product(const unsigned* a, const unsigned* b, float* c)
{
    unsigned from_a[4], from_b[2];
    float sums[4];
    for (int i = 0; i < 4; i++)
        from_a[i] = a[threadIdx.x * 4 + i], from_b[i / 2] = b[threadIdx.x * 2 + i / 2], sums[i] = i;
    multiply_warp(sums, from_a, from_b);
    for (int i = 0; i < 4; i++)
        c[threadIdx.x * 4 + i] = sums[i];
}
"""


@pytest.mark.parametrize("precision, K", [("TF32", 8), ("BF16", 16)])
def test_what_replaces_the_tensor_cores_takes_its_words_as_they_do(precision, K):
    """mma.cuh's product for what has none, against the layouts that NVIDIA's manual of PTX gives
    for mma.m16n8k8 and m16n8k16."""
    rng, kept_bits = np.random.default_rng(0), 0xffffe000 if K == 8 else 0xffff0000
    numbers = (rng.standard_normal((rows, K)).astype(np.float32) for rows in (16, 8))
    bits = [matrix.view(np.uint32) & kept_bits for matrix in numbers]
    a, b = (m if K == 8 else m[:, ::2] >> 16 | m[:, 1::2] for m in bits)    # words (16, 8), (8, 8)
    lane, i, j = np.arange(32)[:, None], np.arange(4), np.arange(2)
    group, member = lane // 4, lane % 4
    c = np.empty((32, 4), np.float32)
    arrays = a[group + i % 2 * 8, member + i // 2 * 4], b[group, member + j * 4], c
    defines = "#define FULL 0\n#define TF32 1\n#define BF16 2\n"
    module = EmulatedModule(f"{defines}{launcher.source_of('mma.cuh')}\n{PRODUCT}",
                            ("-DREAL=float", f"-DPRECISION={precision}"))
    module.get_function("product")((1, 1, 1), (32, 1, 1), arrays)
    product = bits[0].view(np.float32) @ bits[1].view(np.float32).T                     # (16, 8)
    expected = i + product[group + i // 2 * 8, 2 * member + i % 2]
    np.testing.assert_allclose(c, expected, rtol=1e-5, atol=1e-5)


def test_a_misaligned_vector_is_an_error():
    x, y = np.zeros(65, np.float32), np.zeros(64, np.float32)
    source = """struct __align__(16) Four { float v[4]; };
    extern "C" __global__ void four(const Four* x, Four* y) { y[threadIdx.x] = x[threadIdx.x]; }"""
    four = EmulatedModule(source, ()).get_function("four")
    four((1, 1, 1), (16, 1, 1), (x[:64], y))
    with pytest.raises(EmulationError, match="no multiple of the type's size"):
        four((1, 1, 1), (16, 1, 1), (x[1:], y))


# ---- through the launcher ------------------------------------------------------------------------

def test_the_launcher_runs_a_file_on_numpy_arrays(tmp_path, monkeypatch):
    (tmp_path / "transpose.cu").write_text("// variant: float32\n" + TRANSPOSE)
    monkeypatch.setattr(launcher, "FOLDER", tmp_path)
    x = np.arange(15, dtype=np.float32).reshape(3, 5)
    with emulator.plugged_in():
        y = np.empty((5, 3), np.float32)
        assert np.isnan(y).all()
        launcher.launch("transpose.cu", "transpose", (x, y, 3, 5), dtype="float32", items=15)
    np.testing.assert_array_equal(y, x.T)
    launcher.variants.cache_clear(), launcher.source_of.cache_clear()


STRUCT = """// variant: float32
// variant: float64
struct Mixed { bool flag; double wide; int a, b; REAL real; };
extern "C" __global__ void taking(double* y, Mixed m)
{
    y[0] = m.flag, y[1] = m.wide, y[2] = m.a, y[3] = m.b, y[4] = m.real;
}
"""


class Mixed(NamedTuple):
    flag: bool
    wide: float
    a: int
    b: int
    real: float


def test_a_struct_arrives_as_it_was_sent(tmp_path, monkeypatch, dtype):
    """The launcher lays it out as a C++ compiler does."""
    (tmp_path / "struct.cu").write_text(STRUCT)
    monkeypatch.setattr(launcher, "FOLDER", tmp_path)
    y = np.zeros(5)
    with emulator.plugged_in():
        launcher.launch("struct.cu", "taking", (y, Mixed(True, 0.1, -2, 3, 0.5)), dtype=dtype,
                        grid=1, threads=1)
    np.testing.assert_array_equal(y, [1, 0.1, -2, 3, 0.5])
    launcher.variants.cache_clear(), launcher.source_of.cache_clear()
