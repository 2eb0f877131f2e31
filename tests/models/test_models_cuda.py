"""`--device cuda` from training to classifying, on the textbook kernels and a stand-in for CuPy
(see fake_cupy.py)."""
import pytest

import fake_cupy
from minitensor import checkpoint
from models_cli import BUILTIN, complaint, log, make_folder, models


@pytest.fixture
def gpu(monkeypatch):
    fake_cupy.install(monkeypatch)


CUDA = ("--device", "cuda", "--kernels", "reference")


def test_a_run_is_the_same_on_both_devices_and_can_change_between_them(gpu, tmp_path):
    for name, first, then in (("cpu", (), ()), ("cuda", CUDA, CUDA),
                              ("moved", CUDA, ("--device", "cpu"))):
        run = ("--out", tmp_path / name, "--kernels", "reference", "--epochs")
        assert models(*BUILTIN, *run, 1, *first) == 0
        assert models("train", "--resume", tmp_path / name, "--epochs", 2, *then) == 0
    expected, info = checkpoint.load(tmp_path / "cpu" / "latest.safetensors")
    for name in ("cuda", "moved"):
        assert log(tmp_path / name) == log(tmp_path / "cpu")
        arrays, its_info = checkpoint.load(tmp_path / name / "latest.safetensors")
        assert {n: a.tobytes() for n, a in arrays.items()} == {n: a.tobytes()
                                                               for n, a in expected.items()}
        assert its_info["generator_step"] == info["generator_step"]


def test_evaluate_and_classify(gpu, tmp_path, capsys):
    assert models(*BUILTIN, "--out", tmp_path / "run", "--epochs", 1) == 0
    pictures = make_folder(tmp_path / "pictures")
    outputs = []
    for machine in ((), CUDA):
        capsys.readouterr()
        assert models("evaluate", tmp_path / "run", "--ten-crop", *machine,
                      *(() if machine else ("--kernels", "reference"))) == 0
        assert models("classify", tmp_path / "run", pictures, *machine,
                      *(() if machine else ("--kernels", "reference"))) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] and "top-1" in outputs[0]


@pytest.mark.parametrize("machine, sentence", [
    ({"driver": 0}, "device 'cuda' needs an NVIDIA driver, and none is installed (CuPy is; pip "
     "brings no driver)"),
    ({"devices": 0}, "device 'cuda' needs an NVIDIA GPU, and this machine has none")])
def test_what_is_missing(monkeypatch, machine, sentence, capsys):
    fake_cupy.install(monkeypatch, **machine)
    assert models("train", "--data", "builtin", "--device", "cuda") == 1
    assert complaint(capsys) == f"python -m models train: {sentence}"


def test_the_textbook_kernels_have_no_precision(gpu, capsys):
    assert models("train", "--data", "builtin", *CUDA, "--precision", "tf32") == 2
    assert "--precision tf32 needs the device cuda and its own kernels" in complaint(capsys)


def test_out_of_memory_is_a_sentence_with_sizes(gpu, monkeypatch, capsys):
    """CuPy's OutOfMemoryError is a MemoryError."""
    import cupy

    def refuse(array, dtype=None):
        raise MemoryError("Out of memory allocating 400,000,000,512 bytes (allocated so far: 1,024 "
                          "bytes)")
    monkeypatch.setattr(cupy, "asarray", refuse)
    assert models(*BUILTIN, *CUDA) == 1
    assert ("not enough memory (Out of memory allocating 400,000,000,512 bytes "
            "(allocated so far: 1,024 bytes));") in complaint(capsys)
