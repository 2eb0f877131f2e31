"""The emulator tested: each planted bug is caught, and its correct twin passes."""
import numpy as np
import pytest

import emulator
from emulator import EmulatedModule, EmulationError
from minitensor.kernels import launcher

pytestmark = pytest.mark.skipif(bool(emulator.problem()), reason=str(emulator.problem()))

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
extern "C" __global__ void transpose(const REAL* __restrict__ x, REAL* __restrict__ y, int rows, int columns)
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
        value += __shfl_down_sync(0xffffffffu, value, step);
    if (threadIdx.x % 32 == 0)
        y[threadIdx.x / 32] = value;
}
"""
SPREAD = """
extern "C" __global__ void spread(const REAL* x, REAL* y, int n)            // the sum of the block, then the sum of the distances from it
{
    __shared__ REAL parts[4];
    REAL value = x[threadIdx.x], total = 0;
    for (int round = 0; round < 2; round++) {
        for (int step = 16; step > 0; step /= 2)
            value += __shfl_xor_sync(0xffffffffu, value, step);
        __syncthreads();                                                    // parts may still be read from the round before
        if (threadIdx.x % 32 == 0)
            parts[threadIdx.x / 32] = value;
        __syncthreads();
        total = parts[0] + parts[1] + parts[2] + parts[3];
        value = total - x[threadIdx.x];
    }
    y[threadIdx.x] = total;
}
"""
TILES = """// many tiles through one piece of dynamic shared memory: two barriers a round
#ifdef CUDA_EMULATOR
#define DYNAMIC_SHARED(type, name) type* name = (type*)emulator::dynamic_shared()
#else
#define DYNAMIC_SHARED(type, name) extern __shared__ type name[]
#endif
extern "C" __global__ void tiles(const REAL* x, REAL* y, int n)
{
    DYNAMIC_SHARED(REAL, tile);
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


def run(source, kernel, expected, *args, grid, threads, shared_bytes=0, times=4):
    """Launches that differ in the order of threads and in where buffers lie; each must give expected in its output, the second argument."""
    dtype = args[0].dtype
    function = EmulatedModule(source, (f"-DREAL={launcher.REAL[dtype.name]}",)).get_function(kernel)
    wrong = 0
    for _ in range(times):
        y = np.full(expected.shape, np.nan, dtype)
        function((grid, 1, 1), (threads, 1, 1), (args[0], y, *map(np.int32, args[1:])), shared_mem=shared_bytes)
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
    run(source, "spread", np.full(128, (total - x).sum(dtype=np.float64)), x, x.size, grid=1, threads=128, times=8)


def tiles(dtype, source=TILES, shared_bytes=None):
    x = np.random.default_rng(0).standard_normal(128).astype(dtype)
    weights = np.arange(32)[:, None] + np.tile(np.arange(32), 4)
    run(source, "tiles", weights @ x.astype(np.float64), x, x.size, grid=1, threads=32, shared_bytes=shared_bytes or 32 * x.itemsize)


@pytest.mark.parametrize("twin", [smooth, transpose, total, warp_total, spread, tiles])
def test_correct_kernels_pass(twin, dtype):
    twin(dtype)


# ---- planted bugs that change the result: the comparison that every kernel has to pass anyway finds them ------------------------------

WRONG_RESULT = {
    "missing barrier": (smooth, SMOOTH, "    __syncthreads();\n", ""),
    "missing barrier after reading": (tiles, TILES, "        __syncthreads();\n    }", "    }"),
    "missing barrier before reading": (tiles, TILES, "        __syncthreads();\n        for", "        for"),
    "missing barrier between two rounds": (spread, SPREAD, "        __syncthreads();                                                    //",
                                           "        //"),
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


# ---- planted bugs that are errors of their own ----------------------------------------------------------------------------------------

SOME = "    if (threadIdx.x < 32)\n        __syncthreads();\n"
ERRORS = {
    "reads one too far": (smooth, SMOOTH, "i < n ? x[i] : 0", "i <= n ? x[i] : 0", "smooth: reaches outside of x, .* from its start of"),
    "reads before the start": (smooth, SMOOTH, "i > 0 ? x[i - 1] : 0", "x[i - 1]", "smooth: reaches outside of x, -"),
    "writes one too far": (smooth, SMOOTH, "if (i < n)\n", "if (i <= n)\n", "smooth: (writes|reaches) outside of y"),
    "writes before the start": (transpose, TRANSPOSE, "y[i", "y[-1 + i", "transpose: (writes|reaches) outside of y, -"),
    "far away": (smooth, SMOOTH, "i < n ? x[i] : 0", "x[i * 100000000ll]", "smooth: .*outside of (every buffer|x)"),
    "past a shared array": (smooth, SMOOTH, "tile[66]", "tile[65]", "reaches past a shared or local array"),
    "barrier for some": (smooth, SMOOTH, "    __syncthreads();\n", SOME, "divergent barrier: waits for threads"),
    "two barriers for one": (smooth, SMOOTH, "    __syncthreads();\n", SOME + "    else\n        __syncthreads();\n",
                             "divergent barrier: waits while others wait elsewhere"),
    "early return": (total, TOTAL, "    REAL value = 0;\n", "    if (threadIdx.x == 100)\n        return;\n    REAL value = 0;\n",
                     "divergent barrier"),
    "shuffle for some": (warp_total, WARP_TOTAL, "        value += ", "        if (threadIdx.x != 5) value += ",
                         "divergent barrier: waits for a lane that has ended"),
    "shuffle beyond the mask": (warp_total, WARP_TOTAL, "0xffffffffu, value, step", "1u << threadIdx.x % 32, value, step",
                                "a lane that does not take part"),
    "divides by zero": (transpose, TRANSPOSE, "i / columns", "i / (columns - 7)", "divides an integer by zero"),
}


@pytest.mark.parametrize("bug", ERRORS)
def test_planted_bugs_are_errors(bug, dtype):
    twin, source, right, wrong, message = ERRORS[bug]
    with pytest.raises(EmulationError, match=message):
        twin(dtype, planted(source, right, wrong))
    twin(dtype)                                             # and the next launch is as good as ever


def test_too_little_dynamic_shared_memory(dtype):
    with pytest.raises(EmulationError, match="tiles: reaches past its dynamic shared memory"):
        tiles(dtype, shared_bytes=16 * np.dtype(dtype).itemsize)


def test_arrays_that_overlap_in_spite_of_restrict():
    x = np.zeros(100, np.float32)
    function = EmulatedModule(SMOOTH, ("-DREAL=float",)).get_function("smooth")
    with pytest.raises(EmulationError, match="smooth: x and y overlap in spite of __restrict__"):
        function((1, 1, 1), (64, 1, 1), (x[:60], x[40:], np.int32(60)))


def test_arrays_that_overlap_are_one_piece_of_memory():
    x = np.arange(10, dtype=np.float32)
    source = 'extern "C" __global__ void shift(const REAL* x, REAL* y) { y[threadIdx.x] = x[threadIdx.x]; }'
    EmulatedModule(source, ("-DREAL=float",)).get_function("shift")((1, 1, 1), (5, 1, 1), (x[:5], x[5:]))
    np.testing.assert_array_equal(x, [0, 1, 2, 3, 4] * 2)


@pytest.mark.parametrize("grid, threads", [((1, 1, 1), (1025, 1, 1)), ((1, 2**16, 1), (1, 1, 1)), ((0, 1, 1), (1, 1, 1))])
def test_impossible_launches(grid, threads):
    x = np.zeros(1, np.float32)
    with pytest.raises(EmulationError, match="no GPU runs"):
        EmulatedModule(TRANSPOSE, ("-DREAL=float",)).get_function("transpose")(grid, threads, (x, x, np.int32(1), np.int32(1)))


def test_a_kernel_that_does_not_compile():
    with pytest.raises(SyntaxError, match="nonsense"):
        EmulatedModule('extern "C" __global__ void broken() { nonsense(); }', ())


# ---- what a warp does together -----------------------------------------------------------------------------------------------------------

WARP = """
extern "C" __global__ void warp(const int* x, int* y)
{
    int i = threadIdx.x, v = x[i];
    y[i] = __shfl_sync(0xffffffffu, v, 3);
    y[32 + i] = __shfl_xor_sync(0xffffffffu, v, 5);
    y[64 + i] = __shfl_down_sync(0xffffffffu, v, 2, 8);
    y[96 + i] = __shfl_up_sync(0xffffffffu, v, 1);
    y[128 + i] = (int)__ballot_sync(0xffffffffu, v % 3 == 0);
    y[160 + i] = __any_sync(0xffffffffu, v == 7) + 2 * __all_sync(0xffffffffu, v >= 0);
    __syncwarp();
    y[192 + i] = __syncthreads_count(v < 10);
    y[224 + i] = i < 8 ? __shfl_xor_sync(0xffu, v, 1) : -1;
}
"""


def test_shuffles_and_votes():
    x, y, lane = np.arange(32, dtype=np.int32), np.empty((8, 32), np.int32), np.arange(32)
    EmulatedModule(WARP, ()).get_function("warp")((1, 1, 1), (32, 1, 1), (x, y))
    expected = [lane * 0 + 3, lane ^ 5, np.where(lane % 8 < 6, lane + 2, lane), np.maximum(lane - 1, 0),
                lane * 0 + sum(1 << i for i in range(0, 32, 3)), lane * 0 + 3, lane * 0 + 10, np.where(lane < 8, lane ^ 1, -1)]
    np.testing.assert_array_equal(y, np.array(expected, np.int64).astype(np.int32))


PRODUCT = """
extern "C" __global__ void product(const PART* a, const PART* b, float* c)          // a (16, K), b (8, K), c (16, 8), K numbers of 16 bytes
{
    __shared__ PART tile[24][K];
    for (int i = threadIdx.x; i < 24 * K; i += 32)
        (&tile[0][0])[i] = i < 16 * K ? a[i] : b[i - 16 * K];
    __syncwarp();
    int lane = threadIdx.x;
    unsigned fa[4], fb[2];
    float d[4] = {0, 0, 0, 0};
    emulator::ldmatrix(fa, (const char*)tile[lane % 16] + lane / 16 * 16, false, 4);
    emulator::ldmatrix(fb, (const char*)tile[16 + lane % 8] + lane / 8 % 2 * 16, false, 2);
    emulator::MMA(d, fa, fb, d);
    for (int i = 0; i < 4; i++)
        c[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = d[i];
}
"""


@pytest.mark.parametrize("instruction, K, part", [("mma_m16n8k16_bf16", 16, "unsigned short"), ("mma_m16n8k8_tf32", 8, "float")])
def test_tensor_core_products(instruction, K, part):
    """ldmatrix lays out tf32 numbers too, two halves of 16 bits at a time."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((rows, K)).astype(np.float32) for rows in (16, 8))
    kept = 0xffff0000 if K == 16 else 0xffffe000
    a, b = ((m.view(np.uint32) & kept).view(np.float32) for m in (a, b))
    passed = [(m.view(np.uint32) >> 16).astype(np.uint16) for m in (a, b)] if K == 16 else [a, b]
    c = np.empty((16, 8), np.float32)
    options = (f"-DMMA={instruction}", f"-DK={K}", f"-DPART={part}")
    EmulatedModule(PRODUCT, options).get_function("product")((1, 1, 1), (32, 1, 1), (*passed, c))
    np.testing.assert_allclose(c, a @ b.T, rtol=1e-5, atol=1e-6)


IN_PLAIN_CPP = """
extern "C" __global__ void both(const unsigned* a, const unsigned* b, float* c, float* d)           // words (32, 4), (32, 2); sums (32, 4)
{
    unsigned fa[4], fb[2];
    float plain[4], ptx[4];
    for (int i = 0; i < 4; i++)
        fa[i] = a[threadIdx.x * 4 + i], fb[i / 2] = b[threadIdx.x * 2 + i / 2], plain[i] = ptx[i] = i;
    multiply_warp(plain, fa, fb);
    emulator::MMA(ptx, fa, fb, ptx);
    for (int i = 0; i < 4; i++)
        c[threadIdx.x * 4 + i] = plain[i], d[threadIdx.x * 4 + i] = ptx[i];
}
"""


@pytest.mark.parametrize("precision, instruction", [("TF32", "mma_m16n8k8_tf32"), ("BF16", "mma_m16n8k16_bf16")])
def test_what_replaces_the_tensor_cores_lays_out_its_words_as_they_do(precision, instruction):
    """mma.cuh's product for what has none, against the layouts that NVIDIA's manual of PTX gives, written down separately."""
    a, b = (np.random.default_rng(i).standard_normal((32, n)).astype(np.float32).view(np.uint32) & 0xffffe000 for i, n in ((0, 4), (1, 2)))
    if precision == "BF16":
        a, b = (m & 0xffff0000 | np.roll(m, 1, axis=0) >> 16 for m in (a, b))
    c, d = np.empty((2, 32, 4), np.float32)
    source = "#define FULL 0\n#define TF32 1\n#define BF16 2\n" + launcher.source_of("mma.cuh") + IN_PLAIN_CPP
    EmulatedModule(source, (f"-DPRECISION={precision}", f"-DMMA={instruction}")).get_function("both")((1, 1, 1), (32, 1, 1), (a, b, c, d))
    np.testing.assert_allclose(c, d, rtol=1e-5, atol=1e-5)
    assert np.abs(c - np.arange(4)).min() > 0


COPY = """
extern "C" __global__ void copy(const float* x, float* y, int wait)
{
    __shared__ __align__(16) float tile[4 * 32];
    emulator::cp_async(&tile[4 * threadIdx.x], x + 4 * threadIdx.x, 16);
    emulator::cp_async_commit();
    if (wait)
        emulator::cp_async_wait(0);
    __syncthreads();
    for (int i = threadIdx.x; i < 128; i += 32)
        y[i] = tile[i];
}
"""


def test_an_asynchronous_copy_arrives_when_it_is_waited_for():
    x, y = np.arange(128, dtype=np.float32), np.empty(128, np.float32)
    copy = EmulatedModule(COPY, ()).get_function("copy")
    copy((1, 1, 1), (32, 1, 1), (x, y, np.int32(1)))
    np.testing.assert_array_equal(y, x)
    copy((1, 1, 1), (32, 1, 1), (x, y, np.int32(0)))
    assert np.isnan(y).all()


def test_a_misaligned_vector_is_an_error():
    x, y = np.zeros(65, np.float32), np.zeros(64, np.float32)
    source = 'extern "C" __global__ void four(const float4* x, float4* y) { y[threadIdx.x] = x[threadIdx.x]; }'
    four = EmulatedModule(source, ()).get_function("four")
    four((1, 1, 1), (16, 1, 1), (x[:64], y))
    with pytest.raises(EmulationError, match="no multiple of the type's size"):
        four((1, 1, 1), (16, 1, 1), (x[1:], y))


# ---- through the launcher ----------------------------------------------------------------------------------------------------------------

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
