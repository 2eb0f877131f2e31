"""What `--device cuda` lacks, in one sentence. CuPy's answers are those of a stand-in (see
fake_cupy.py)."""
import sys

import pytest

import fake_cupy
from minitensor.backend import gpu_problem


@pytest.mark.parametrize("machine, problem", [
    ({}, None),
    ({"driver": 0}, "device 'cuda' needs an NVIDIA driver, and none is installed (CuPy is; "
                    "pip brings no driver)"),
    ({"driver": 12040}, "device 'cuda' needs a driver for CUDA 13, and this one is for CUDA 12; "
                        "update it, or install its CuPy with: pip install 'cupy-cuda12x[ctk]'"),
    ({"driver": 12040, "toolkit": 12090}, None),                # what that sentence advises
    ({"devices": 0}, "device 'cuda' needs an NVIDIA GPU, and this machine has none")])
def test_what_is_missing_is_one_sentence(monkeypatch, machine, problem):
    fake_cupy.install(monkeypatch, **machine)
    assert gpu_problem() == problem


def test_without_cupy_the_sentence_has_the_pip_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.delitem(sys.modules, "cupy")
    monkeypatch.setattr(sys, "path", [])
    assert gpu_problem() == ("device 'cuda' needs CuPy, which is not installed; "
                             "install it with: pip install 'cupy-cuda13x[ctk]'")


def test_a_compiler_that_is_missing_is_named(monkeypatch):
    fake_cupy.install(monkeypatch)

    def missing():
        raise RuntimeError('Failure finding "libnvrtc.so.13"\nNo such file')
    monkeypatch.setattr(sys.modules["cupy"].cuda.nvrtc, "getVersion", missing)
    assert gpu_problem() == ("device 'cuda' needs CUDA's run-time compiler, NVRTC "
                             "(Failure finding \"libnvrtc.so.13\"); "
                             "install it with: pip install 'cupy-cuda13x[ctk]'")
