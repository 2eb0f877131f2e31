"""The launcher: what it checks, casts, compiles and says, against a module that only notes what it
is given."""
from typing import NamedTuple

import numpy as np
import pytest

from minitensor.kernels.cuda import launcher

SCALE = """// variant: float32
// variant: float64
// variant: float32 -DCOUNT=int -DFAST
#include "common.cuh"
// y = factor x, a comment with extern "C" __global__ void not_a_kernel(int n)
extern "C" __global__ void __launch_bounds__(256)
scale(const REAL* __restrict__ x, REAL* __restrict__ y, float factor, index n) {
    y[first()] = x[first()];
}
extern "C" __global__ void count(unsigned char* seen, long long n, half_bits key) {}
struct Mixed { bool flag; double wide; index a, b; REAL real; };    // with gaps, as C++ aligns
struct Opaque { Mixed* pointer; };
extern "C" __global__ void taking(double* y, Mixed m) {}
extern "C" __global__ void hopeless(Opaque o) {}
"""
COMMON = """#pragma once
typedef int index;
using half_bits = unsigned short;
"""


class Noted:
    """Stands for CuPy's module: keeps the calls."""
    device = "cpu"

    def __init__(self):
        self.calls, self.compiled = [], []

    def compile_module(self, source, options):
        self.compiled.append((source, options))
        return self

    def get_function(self, name):
        return lambda blocks, threads, values: self.calls.append((name, blocks, threads, values))


@pytest.fixture
def noted(tmp_path, monkeypatch):
    (tmp_path / "scale.cu").write_text(SCALE)
    (tmp_path / "common.cuh").write_text(COMMON)
    module = Noted()
    monkeypatch.setattr(launcher, "FOLDER", tmp_path)
    monkeypatch.setattr(launcher, "compile_module", module.compile_module)
    forget_everything()
    yield module
    monkeypatch.undo()
    forget_everything()


def forget_everything():
    launcher.forget_modules()
    launcher.variants.cache_clear()
    launcher.source_of.cache_clear()


def arrays(*shape, dtype=np.float32):
    return np.zeros(shape, dtype), np.ones(shape, dtype)


def launch(*args, kernel="scale", dtype="float32", **options):
    size = {} if "grid" in options else {"items": 600}
    launcher.launch("scale.cu", kernel, args, dtype=dtype, **size, **options)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_are_cast_to_the_kernels_types(noted, dtype):
    x, y = arrays(600, dtype=dtype)
    launch(x, y, 2, 600, dtype=dtype)
    (name, blocks, threads, (passed_x, passed_y, factor, n)), = noted.calls
    assert (name, blocks, threads) == ("scale", (3, 1, 1), (256, 1, 1))
    assert passed_x is x and passed_y is y
    assert type(factor) is np.float32 and type(n) is np.int32


def test_every_kind_of_parameter(noted):
    launch(None, 2**40, 7, kernel="count", grid=(2, 3), threads=(8, 4))
    (_, blocks, threads, values), = noted.calls
    assert (blocks, threads) == ((2, 3, 1), (8, 4, 1))
    assert values == (0, 2**40, 7)
    assert [type(v) for v in values] == [np.uintp, np.int64, np.uint16]


class Mixed(NamedTuple):
    flag: bool
    wide: float
    a: int
    b: int
    real: float


def test_a_struct_is_one_value_laid_out_as_in_cpp(noted):
    """CuPy passes NumPy's arrays of size one by value."""
    launch(np.zeros(5), Mixed(True, 0.1, -2, 3, 0.5), kernel="taking")
    (_, _, _, (_, struct)), = noted.calls
    assert struct.shape == () and struct.item() == (True, 0.1, -2, 3, 0.5)
    assert struct.dtype.fields["real"] == (np.dtype(np.float32), 24) and struct.itemsize == 32


def test_a_variant_compiles_once_and_with_its_options(noted):
    for _ in range(3):
        launch(*arrays(600), 1, 600, options=("-DCOUNT=int", "-DFAST"))
    launch(*arrays(600), 1, 600)
    assert [options for _, options in noted.compiled] == [
        ("-std=c++17", "-DREAL=float", "-DCOUNT=int", "-DFAST"), ("-std=c++17", "-DREAL=float")]


def test_headers_are_written_into_the_source_and_lines_keep_their_numbers(noted):
    source = launcher.source_of("scale.cu").splitlines()
    assert source[0] == '#line 1 "scale.cu"'
    assert source[4:8] == ['#line 1 "common.cuh"', "", *COMMON.splitlines()[1:]]
    assert source[8] == '#line 5 "scale.cu"' and source[9] == SCALE.splitlines()[4]


def test_no_work_is_no_launch(noted):
    launcher.launch("scale.cu", "scale", (*arrays(0), 1, 0), dtype="float32", items=0)
    launch(*arrays(0), 1, 0, grid=(4, 0))
    assert not noted.calls


@pytest.mark.parametrize("args, options, error, message", [
    ((*arrays(4), 1), {}, TypeError,
     r"scale \(scale.cu\): takes 4 arguments \(x, y, factor, n\), not 3"),
    ((*arrays(4), 1, 2**31), {}, OverflowError, r"scale \(scale.cu\): .*2147483648"),
    ((*arrays(4, dtype=np.float64), 1, 4), {}, TypeError, r"x \(4,\) must be float32, not float64"),
    ((arrays(4)[0], 3, 1, 4), {}, TypeError, "y must be an array or None, not 3"),
    ((*arrays(4), arrays(4)[0], 4), {}, TypeError,
     r"factor must be a number, not an array \(4,\)"),
    ((*arrays(4, 4), 1, 4), {"dtype": "float64"}, TypeError,
     r"x \(4, 4\) must be float64, not float32"),
    ((arrays(4)[0][::2], arrays(2)[0], 1, 4), {}, ValueError,
     r"x \(2,\) with strides \(8,\) must be in C order"),
    ((np.zeros(5), 3), {"kernel": "taking"}, TypeError,
     "m must be a NamedTuple of flag, wide, a, b, real, not 3"),
    ((np.zeros(5), Mixed(True, 0.1, 2**31, 3, 0.5)), {"kernel": "taking"}, OverflowError,
     r"taking \(scale.cu\): .*2147483648"),
    ((1,), {"kernel": "hopeless"}, ValueError, "parameter 'o' has the unknown type 'Opaque'"),
    ((*arrays(4), 1, 4), {"kernel": "scales"}, ValueError,
     "no kernel 'scales'; there are scale, count, taking, hopeless"),
    ((*arrays(4), 1, 4), {"options": ("-DSLOW",)}, ValueError,
     "scale.cu states no variant: float32 -DSLOW"),
])
def test_what_does_not_fit_is_refused(noted, args, options, error, message):
    with pytest.raises(error, match=message):
        launch(*args, **options)
    assert not noted.calls


def test_arrays_that_an_int_cannot_index_are_refused(noted, monkeypatch):
    assert launcher.MOST_NUMBERS < 2**31
    monkeypatch.setattr(launcher, "MOST_NUMBERS", 599)
    message = r"x \(600,\) has 600 numbers, and a kernel takes 599: use smaller batches"
    with pytest.raises(ValueError, match=message):
        launch(*arrays(600), 1, 600)
    assert not noted.calls


def test_arrays_of_another_device_are_refused(noted, monkeypatch):
    monkeypatch.setattr(Noted, "device", "cuda")
    with pytest.raises(ValueError, match=r"x \(600,\) lives on device 'cpu', not 'cuda'"):
        launch(*arrays(600), 1, 600)


def test_a_failed_launch_names_the_kernel_and_the_shapes(noted, monkeypatch):
    def fail(*_, **__):
        raise MemoryError("too many resources requested")
    monkeypatch.setattr(Noted, "get_function", lambda *_: fail)
    message = (r"CUDA kernel scale \(scale.cu\) failed on \(3, 1, 1\) blocks of 256 threads, "
               r"arguments x \(600,\) float32, y \(600,\) float32, factor 1, n 600: too many")
    with pytest.raises(RuntimeError, match=message):
        launch(*arrays(600), 1, 600)


def test_a_failed_compilation_names_the_file(noted, monkeypatch):
    def fail(source, options):
        raise SyntaxError("expected a ';'")
    monkeypatch.setattr(launcher, "compile_module", fail)
    message = r"scale.cu does not compile for float32 with options \(\): expected a ';'"
    with pytest.raises(RuntimeError, match=message):
        launch(*arrays(600), 1, 600)
