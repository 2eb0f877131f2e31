"""`use_kernels`: the sets there are, and a learner's own file with a part of the contract."""
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import minitensor as mt
from data import BuiltinPictures
from minitensor import Generator, Tensor, gradcheck, optim, use_kernels, use_precision
from minitensor.kernels import KERNELS, SETS, cpu, kernel_set, kernels_for, reference
from models import build

CONVOLUTION = '''
import numpy as np
from minitensor.kernels.reference import finish

calls = 0

def conv2d(x, w, epilogue, stride, padding, dilation, groups):
    global calls
    calls += 1
    (SH, SW), (PH, PW), (DH, DW), (F, C, KH, KW) = stride, padding, dilation, w.shape
    x = np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)))
    x = np.lib.stride_tricks.sliding_window_view(x, (DH * (KH - 1) + 1, DW * (KW - 1) + 1), (2, 3))
    x = x[:, :, ::SH, ::SW, ::DH, ::DW]                         # (N, G·C, OH, OW, KH, KW)
    parts = [np.einsum("ncyxij,fcij->nfyx", x[:, g * C:(g + 1) * C], w_part, optimize=True)
             for g, w_part in enumerate(np.split(w, groups))]
    return finish(np.concatenate(parts, axis=1), epilogue)
'''


@pytest.fixture
def own_file(tmp_path):
    path = tmp_path / "my_kernels.py"
    path.write_text(CONVOLUTION)
    return path


def test_a_file_with_one_kernel_passes_gradcheck(own_file):
    rng = np.random.default_rng(0)
    x, w, b = (Tensor(rng.standard_normal(shape), requires_grad=True)
               for shape in ((2, 4, 7, 6), (6, 2, 3, 2), (6,)))
    with use_kernels(own_file):
        gradcheck(lambda x, w, b: mt.conv2d(x, w, b, (2, 1), 1, (1, 2), 2, activation="tanh"),
                  (x, w, b))


def test_a_file_with_a_wrong_kernel_fails_gradcheck(own_file):
    own_file.write_text(CONVOLUTION.replace("return finish(", "return 1.01 * finish("))
    rng = np.random.default_rng(0)
    x, w = (Tensor(rng.standard_normal(shape), requires_grad=True)
            for shape in ((1, 2, 5, 5), (3, 2, 3, 3)))
    with use_kernels(own_file), pytest.raises(AssertionError):
        gradcheck(mt.conv2d, (x, w))


def first_steps(kernels, steps=3):
    """Losses of the first steps of the demo's network on the demo's images, half as wide."""
    images, labels = zip(*(BuiltinPictures(80, 227)[i] for i in range(0, 80, 10)))
    x = np.stack(images).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
    with use_kernels(kernels):
        network = build("alexnet", 10, width=0.5, dropout=0.0, generator=Generator(0))
        optimizer = optim.SGD(network.parameters(), lr=0.004, momentum=0.9)
        losses = []
        for _ in range(steps):
            loss = mt.cross_entropy(network(Tensor(x)), labels)
            losses.append(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return losses


@pytest.mark.slow
def test_the_demos_first_steps_are_those_of_the_textbook(own_file):
    own = kernel_set(own_file)
    assert first_steps(SimpleNamespace(conv2d=own.conv2d)) == pytest.approx(
        first_steps("reference"), rel=1e-5)
    assert own.conv2d.__globals__["calls"] == 3 * 5, "five convolutions, three steps"


def test_what_a_set_lacks_is_the_textbooks(own_file):
    own = kernel_set(own_file)
    assert own.conv2d is not reference.conv2d
    assert all(getattr(own, kernel) is getattr(reference, kernel)
               for kernel in KERNELS if kernel != "conv2d")
    assert (own.devices, own.precisions) == (("cpu", "cuda"), ("fp32",))


def test_a_set_says_where_it_runs(own_file):
    own_file.write_text(CONVOLUTION + '\nDEVICES = ("cuda",)\nPRECISIONS = ("fp32", "bf16")\n')
    x, w = Tensor(np.zeros((1, 1, 3, 3), np.float32)), Tensor(np.zeros((1, 1, 2, 2), np.float32))
    with use_kernels(own_file), pytest.raises(ValueError, match="runs on cuda, .* on 'cpu'"):
        mt.conv2d(x, w)
    own_file.write_text(CONVOLUTION)
    with use_kernels(own_file), use_precision("bf16"), pytest.raises(ValueError, match="'bf16'"):
        mt.conv2d(x, w)


def test_the_fastest_set_of_a_device_is_used_unless_another_is_chosen():
    x = np.zeros(1)
    assert SETS == {"cpu": ("reference", "cpu"), "cuda": ("reference", "cuda")}
    assert kernels_for(x).name == "cpu"
    with use_kernels("reference"):
        assert kernels_for(x).name == "reference"
        with use_kernels("cpu"):
            assert kernels_for(x).name == "cpu"
        assert kernels_for(x).name == "reference"
    assert kernels_for(x).name == "cpu"


@pytest.mark.parametrize("kernels, message", [
    ("gpu",
     "there is no kernel set 'gpu'; name one of reference, cpu, cuda, a module, or the path"),
    ("missing.py", "no kernel set 'missing.py'"),
    (SimpleNamespace(__name__="empty", convolve=None), "empty defines no kernel"),
    (SimpleNamespace(linear=lambda x, w, b: x),
     r"linear takes \(x, w, b\), not \(x, w, epilogue\)"),
    (SimpleNamespace(max_pool=lambda x: x), "defines max_pool, .* did you mean max_pool2d?"),
])
def test_what_is_no_set_is_refused(kernels, message):
    with pytest.raises(ValueError, match=message), use_kernels(kernels):
        pass


def test_the_products_of_tensors_are_kernels_of_the_set():
    def matmul(a, b):
        return 2 * (a @ b)
    a, b = np.eye(2), np.ones((2, 2))
    with use_kernels(SimpleNamespace(matmul=matmul)):
        np.testing.assert_array_equal((Tensor(a) @ Tensor(b)).data, 2 * b)


# ---- what is in a file ---------------------------------------------------------------------------

RELU = "def relu(x):\n    return x * (x > 0)\n"


def test_a_file_with_a_dataclass_and_a_helper_beside_it(tmp_path):
    (tmp_path / "beside_my_kernels.py").write_text(RELU.replace("relu", "helped"))
    path = tmp_path / "with_helper.py"
    path.write_text("from __future__ import annotations\nfrom dataclasses import dataclass\n"
                    "from beside_my_kernels import helped\n\n@dataclass\nclass Block:\n"
                    "    size: int = 3\n\ndef relu(x):\n    return Block().size * helped(x)\n")
    before = list(sys.path)
    with use_kernels(path):
        assert mt.relu(Tensor([-1.0, 2.0])).data.tolist() == [0, 6]
    assert sys.path == before


def test_imported_names_are_no_kernels_unless_all_says_so(tmp_path):
    path = tmp_path / "imports.py"
    path.write_text("from math import tanh\nfrom minitensor.kernels.cpu import sigmoid\n" + RELU)
    own = kernel_set(path)
    assert (own.tanh, own.sigmoid) == (reference.tanh, reference.sigmoid)
    path.write_text(path.read_text() + '__all__ = ["sigmoid"]     # and not relu\n')
    own = kernel_set(path)
    assert (own.sigmoid, own.relu) == (cpu.sigmoid, reference.relu)


@pytest.mark.parametrize("text, message", [
    (RELU + "def relu(x:\n", r"my_kernels.py, line 3: SyntaxError: '\(' was never closed"),
    ("\nimport no_such_module\n", "my_kernels.py, line 2: ModuleNotFoundError: No module named"),
    ("x = 1\n\ny = x / 0\n", "my_kernels.py, line 3: ZeroDivisionError: division by zero"),
    (RELU + "def conv2d(x):\n    return x\n",
     r"my_kernels.py: conv2d takes \(x\), not \(x, w, epilogue, stride, padding, dilation, groups"),
    ("def conv2d_backwards(x):\n    return x\n",
     "my_kernels.py defines conv2d_backwards, which is no kernel; did you mean conv2d_backward?"),
    ("from math import tanh\n", "my_kernels.py defines no kernel"),
])
def test_what_is_wrong_with_a_file_is_named(own_file, text, message):
    own_file.write_text(text)
    with pytest.raises(ValueError, match=message):
        kernel_set(own_file)


def test_a_chosen_set_is_a_set():
    cuda = kernel_set("cuda")
    assert kernel_set(cuda) is cuda and cuda.devices == ("cuda",) and cuda.name == "cuda"


def test_a_kernel_that_returns_another_shape_is_named():
    x, w = Tensor(np.ones((2, 3, 5, 5))), Tensor(np.ones((4, 3, 3, 3)))
    own = SimpleNamespace(conv2d=lambda *args: reference.conv2d(*args)[:, :, 1:],
                          linear=lambda x, w, epilogue: 2 * x)
    with use_kernels(own):
        with pytest.raises(ValueError, match=r"conv2d: the kernel of the set 'custom' returned "
                           r"\(2, 4, 2, 3\), but the output is \(2, 4, 3, 3\)"):
            mt.conv2d(x, w)
        with pytest.raises(ValueError, match=r"linear: .* returned \(2, 3\), .* is \(2, 4\)"):
            mt.linear(Tensor(np.ones((1, 2, 3))), Tensor(np.ones((4, 3))))
