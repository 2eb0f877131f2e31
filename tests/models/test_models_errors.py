"""Mistakes of users and refusals of machines: each one sentence and an exit status, nothing broken
on disk."""
import contextlib
import os
import resource
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from minitensor import checkpoint
from minitensor.backend import gpu_available, gpu_problem
from models import errors
from models.commands.values import kernels, weights
from models.compute import computing
from models.training.checkpoints import load_parameters
from models.training.step import Training
from models_cli import BUILTIN, TINY, complaint, log, make_folder, models, start_models


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    run = tmp_path_factory.mktemp("trained") / "run"
    assert models(*BUILTIN, "--epochs", 1, "--out", run) == 0
    return run


@pytest.fixture
def run(trained, tmp_path):
    """A copy to break."""
    return shutil.copytree(trained, tmp_path / "run")


@pytest.mark.parametrize("arguments, words", [
    (["train", "--lrr", "1"], "--lrr"),
    (["trian"], "trian"),
    ([], "COMMAND"),
    (["train"], "--data is required"),
    (["train", "--data", ""], "--data: must be 'builtin' or a folder, not ''"),
    (["train", "--lr", "fast"], "--lr: must be a number at least 0, not 'fast'"),
    (["train", "--lr", "nan"], "not 'nan'"),
    (["train", "--resize", "10000000"], "--resize: must be a whole number in [1, 4096], not "
     "'10000000'"),
    (["summary", "--image-size", "10000000"], "--image-size: must be a whole number in [1, 4096], "
     "not '10000000'"),
    (["train", "--dropout", "1"], "--dropout: must be a number in [0, 1), not '1'"),
    (["train", "--width", "0"], "--width: must be a number above 0"),
    (["train", "--width", "1/0"], "--width: must be a number above 0"),
    (["train", "--data", "builtin", "--image-size", "66"],
     "alexnet: image_size must be at least 67, not 66"),
    (["train", "--batch-size", "2.5"],
     "--batch-size: must be a whole number at least 1, not '2.5'"),
    (["train", "--schedule", "linear"], "'linear'"),
    (["train", "--data", "builtin", "--departures", "sigma-0.03"],
     "--departures are from --init paper, not he"),
    (["train", "--departures", "sigma-3"], "'sigma-3'"),
    (["train", "--layer-weight-decay", "1"], "must be a layer and a number such as fc8=0.001, not "
     "'1'"),
    (["train", "--class-weights", "cat"], "--class-weights: must be balanced, or a class and a "
     "number such as cat=2, not 'cat'"),
    (["train", "--class-weights", "cat=0"], "--class-weights: must be a number at least 1e-06"),
    (["train", "--class-weights", "balanced", "cat=2"], "takes balanced alone, or classes and"),
    ([*BUILTIN, "--class-weights", "unicorn=2"],
     "--class-weights names 'unicorn', which is not one of the classes "),
    (["train", "--data", "builtin", "--color-jitter", "1", "1", "1", "0.6"],
     "--color-jitter takes four numbers at most"),
    (["train", "--random-resized-crop", "0"], "--random-resized-crop: must be a number in [0.01"),
    (["train", "--random-erasing", "1.5"], "--random-erasing: must be a number in [0, 1], not"),
    ([*BUILTIN, "--normalize", "mean-image", "--random-resized-crop", "0.1"],
     "--random-resized-crop moves pixels away from their places"),
    (["train", "--data", "builtin", "--kernels", "magic"], "no kernel set 'magic'"),
    (["train", "--data", "builtin", "--precision", "bf16"],
     "--precision bf16 needs the device cuda and its own kernels"),
    (["train", "--data", "builtin", "--precision", "fp8"], "'fp8'"),
    (["train", "--resume", "somewhere", "--out", "elsewhere"], "leave out --out"),
    (["classify", "somewhere"], "PICTURE"),
    (["train", "--data", "builtin", "--network", "resnet"], "'resnet'"),
    (["summary", "resnet"], "'resnet'"),
    (["summary", "torchvision", "--image-size", "62"],
     "torchvision: image_size must be at least 63, not 62"),
])
def test_usage(arguments, words, capsys):
    assert models(*arguments) == 2
    assert words in complaint(capsys)


@pytest.mark.skipif(gpu_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("command", ["train --data builtin", "evaluate nowhere",
                                     "classify nowhere nothing.jpg"])
def test_no_gpu(command, capsys):
    assert models(*command.split(), "--device", "cuda") == 1
    assert complaint(capsys) == f"python -m models {command.split()[0]}: {gpu_problem()}"


def test_missing_extras_are_named_with_the_pip_command(monkeypatch, capsys):
    monkeypatch.setattr(errors.importlib.util, "find_spec", lambda name: None
                        if name in ("tqdm", "PIL") else name)
    assert models(*BUILTIN) == 1
    assert complaint(capsys).endswith("this command needs pillow and tqdm; install with: pip "
                                      "install pillow tqdm")


# ---- pictures ----------------------------------------------------------------------------------

def train_on(folder, out, *more):
    return models("train", "--data", folder, *TINY, "--epochs", 1, "--out", out, *more)


def test_a_weight_decay_for_no_layer(tmp_path, capsys):
    assert models(*BUILTIN, "--layer-weight-decay", "fc9=1", "--out", tmp_path / "run") == 2
    assert "the network has no layer 'fc9'; its layers: conv1, " in complaint(capsys)
    assert not (tmp_path / "run").exists()


def test_a_folder_in_a_folder_is_told(tmp_path, capsys):
    """As archives are unpacked."""
    make_folder(tmp_path / "of" / "photos" / "train")
    assert train_on(tmp_path / "of", tmp_path / "run") == 1
    assert complaint(capsys).endswith(f"of holds one class, 'photos'; at least two are needed; is "
                                      f"{tmp_path / 'of' / 'photos'} meant?")


def test_no_data_folder(tmp_path, capsys):
    assert train_on(tmp_path / "none", tmp_path / "run") == 1
    assert f"{tmp_path / 'none'} is not a folder" in complaint(capsys)
    assert not (tmp_path / "run").exists()


def test_an_empty_class_folder(tmp_path, capsys):
    folder = make_folder(tmp_path / "pictures")
    (folder / "horse").mkdir()
    assert train_on(folder, tmp_path / "run") == 1
    assert str(folder / "horse") in complaint(capsys)
    assert not (tmp_path / "run").exists()


def test_one_class(tmp_path, capsys):
    assert train_on(make_folder(tmp_path / "pictures", classes=["cat"]), tmp_path / "run") == 1
    assert "one class, 'cat'" in complaint(capsys)


def test_training_and_test_pictures_of_different_classes(tmp_path, capsys):
    make_folder(tmp_path / "pictures/train"), make_folder(tmp_path / "pictures/test",
                                                          classes=("cat", "cow"))
    assert train_on(tmp_path / "pictures", tmp_path / "run") == 1
    assert "different classes (cow, dog" in complaint(capsys)


def test_training_pictures_without_test_pictures(tmp_path, capsys):
    make_folder(tmp_path / "pictures/train")
    assert train_on(tmp_path / "pictures", tmp_path / "run") == 1
    assert "neither test/ nor val/" in complaint(capsys)


@pytest.fixture
def folder_with_text(tmp_path):
    folder = make_folder(tmp_path / "pictures", pictures=10)
    (folder / "cat" / "notes.jpg").write_text("not a picture")
    return folder


def test_an_unreadable_picture_stops(folder_with_text, tmp_path, capsys):
    assert train_on(folder_with_text, tmp_path / "run") == 1
    notes = folder_with_text / "cat" / "notes.jpg"
    assert f"{notes} cannot be read as a picture" in complaint(capsys)


def test_an_unreadable_picture_is_skipped_on_request(folder_with_text, tmp_path, capsys):
    assert train_on(folder_with_text, tmp_path / "run", "--on-error", "skip") == 0
    told, counted = capsys.readouterr().err.splitlines()
    assert f"skipped {folder_with_text / 'cat' / 'notes.jpg'}" in told
    assert counted == "warning: 1 picture skipped"


# ---- disks -------------------------------------------------------------------------------------

def test_a_run_folder_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert models(*BUILTIN, "--out", tmp_path / "file" / "run") == 1
    assert "Not a directory" in complaint(capsys)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(tmp_path, capsys):
    tmp_path.chmod(0o555)
    assert models(*BUILTIN, "--out", tmp_path) == 1
    assert "Permission denied" in complaint(capsys)


@pytest.mark.parametrize("locked, command", [
    ("", ["train", "--resume"]), ("", ["evaluate"]), ("", [*BUILTIN, "--out"]), ("", ["summary"]),
    ("latest.safetensors", ["train", "--resume"]), ("log.jsonl", ["train", "--resume"]),
    ("best.safetensors", ["evaluate"])])
def test_a_run_that_may_not_be_read(locked, command, run, capsys):
    (run / locked).chmod(0)
    try:
        if os.access(run / locked, os.R_OK):
            pytest.skip("root may read anything")
        assert models(*command, run) == 1
        assert "Permission denied" in complaint(capsys)
    finally:
        (run / locked).chmod(0o755)


def test_a_refusal_of_the_system_that_nobody_foresaw_is_one_sentence(run, monkeypatch, capsys):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))
    monkeypatch.setattr(Path, "is_file", refuse)
    assert models("train", "--resume", run) == 1
    assert complaint(capsys).endswith("latest.safetensors: Permission denied")


def test_a_folder_that_holds_a_run(trained, capsys):
    assert models(*BUILTIN, "--out", trained) == 1
    assert f"{trained} already holds a run; resume it, or " in complaint(capsys)


@contextlib.contextmanager
def room_for(size):
    """Larger files fail, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("more", [["x.safetensors"], ["x.safetensors", "--torchvision"],
                                  ["x.onnx"]])
def test_a_full_disk_while_weights_are_converted(more, trained, tmp_path, monkeypatch, capsys):
    if "x.onnx" in more:
        pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    with room_for(1000):
        assert models("convert", trained, *more) == 1
    assert "cannot write" in complaint(capsys) and not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_last_checkpoint(run, capsys):
    before = (run / "latest.safetensors").read_bytes()
    with room_for(len(before) // 2):
        assert models("train", "--resume", run, "--epochs", 2) == 1
    assert "cannot write" in complaint(capsys)
    assert (run / "latest.safetensors").read_bytes() == before
    assert not [path for path in run.iterdir() if path.name.startswith(".")]


# ---- divergence --------------------------------------------------------------------------------

def test_a_loss_of_nan_keeps_the_last_good_checkpoint(run, monkeypatch, capsys):
    before = (run / "latest.safetensors").read_bytes()
    step = Training.step

    def poisoned(self, images, labels):
        return step(self, images * np.float32(np.nan if self.counters.step == 7 else 1), labels)
    monkeypatch.setattr(Training, "step", poisoned)
    assert models("train", "--resume", run, "--epochs", 2) == 1
    line = complaint(capsys)
    assert "the loss became nan in epoch 2, step 8; try a lower learning rate" in line
    assert "still holds step 5" in line
    assert (run / "latest.safetensors").read_bytes() == before


def test_a_learning_rate_that_is_far_too_high(tmp_path, capsys):
    assert models(*BUILTIN, "--lr", "1e20", "--warmup", 0, "--epochs", 2, "--out",
                  tmp_path / "run") == 1
    line = complaint(capsys)
    assert "epoch 1, step 2" in line and "no checkpoint was written yet" in line
    assert [(r["event"], r["step"]) for r in log(tmp_path / "run")] == [("step", 1),
                                                                        ("diverged", 2)]
    assert not (tmp_path / "run" / "latest.safetensors").exists()


def test_a_learning_rate_whose_first_step_shows_in_the_evaluation(tmp_path, capsys):
    assert models(*BUILTIN, "--lr", "1e20", "--warmup", 0, "--batch-size", 100, "--epochs", 2,
                  "--out", tmp_path / "run") == 1
    said = complaint(capsys)
    assert "the validation loss became nan in epoch 1, step 1; try a lower learning rate" in said


# ---- checkpoints -------------------------------------------------------------------------------

@pytest.mark.parametrize("command", [["evaluate"], ["summary"], ["train", "--resume"]],
                         ids=lambda c: c[0])
@pytest.mark.parametrize("breakage, words", [
    ("truncated", "cannot read checkpoint"), ("foreign", ""), ("unexplained", "not one that"),
    ("other network", "a network called ResNet"), ("other shapes", "fc8"), ("missing", "")])
def test_a_checkpoint_that_is_none_of_ours(command, breakage, words, run, capsys):
    path = run / "latest.safetensors"
    (run / "best.safetensors").unlink()
    arrays, info = checkpoint.load(path)
    if breakage == "truncated":
        path.write_bytes(path.read_bytes()[:-1000])
    elif breakage == "foreign":
        save_file({"weight": np.zeros(3, np.float32)}, path)
    elif breakage == "unexplained":
        checkpoint.save(path, arrays, {"made by": "hand"})
    elif breakage == "other network":
        checkpoint.save(path, arrays, {**info, "network": "ResNet"})
    elif breakage == "other shapes":
        checkpoint.save(path, {**arrays, "fc8.bias": np.zeros(3, np.float32)}, info)
    else:
        path.unlink()
    assert models(*command, run) == 1
    line = complaint(capsys)
    assert str(run) in line and words in line


def test_a_resumed_run_keeps_its_settings(run, capsys):
    assert models("train", "--resume", run, "--momentum", "0.5") == 2
    assert "--momentum cannot change in a resumed run" in complaint(capsys)


def test_a_run_whose_pictures_have_moved_is_resumed(tmp_path, capsys):
    folder = make_folder(tmp_path / "here", classes=("cat", "dog"), pictures=10)
    other = make_folder(tmp_path / "other", classes=("cat", "cow"), pictures=10)
    run = tmp_path / "run"
    assert models("train", "--data", folder, *TINY, "--epochs", 1, "--out", run) == 0
    folder.rename(tmp_path / "there")
    assert models("train", "--resume", run, "--epochs", 2) == 1
    assert models("train", "--resume", run, "--epochs", 2, "--data", tmp_path / "there") == 0
    assert [r["epoch"] for r in log(run) if r["event"] == "epoch"] == [1, 2]
    capsys.readouterr()
    assert models("train", "--resume", run, "--epochs", 3, "--data", other) == 1
    assert "no longer has the 2 classes" in complaint(capsys)


MINE = """from minitensor.kernels import reference

def relu(x):
    return reference.relu(x)

"""


def test_kernels_of_ones_own(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "empty.py").write_text("")
    run = tmp_path / "run"
    assert models(*BUILTIN, "--epochs", 1, "--kernels", tmp_path / "mine.py", "--out", run) == 0
    assert models("evaluate", run, "--kernels", tmp_path / "mine.py", "--workers", 0) == 0
    capsys.readouterr()
    assert models("evaluate", run, "--kernels", tmp_path / "empty.py", "--workers", 0) == 2
    assert "defines no kernel" in complaint(capsys)
    assert models("evaluate", run, "--kernels", "cuda", "--workers", 0) == 2
    assert "the kernel set 'cuda' is not for device 'cpu', which has " in complaint(capsys)


def test_a_name_is_no_folder(run, tmp_path, monkeypatch):
    """Of a kernel set, whatever lies in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reference").mkdir()
    assert models("train", "--resume", "run", "--epochs", 1, "--kernels", "reference") == 0
    assert kernels("reference") == "reference" and kernels("my.py") == str(tmp_path / "my.py")
    (tmp_path / "torchvision").mkdir()
    assert weights("torchvision") == "torchvision" and weights("run") == str(run)
    monkeypatch.setattr("models.weights.fetch", lambda name, progress: f"{name}, fetched")
    with pytest.raises(errors.UserError, match="^torchvision, fetched cannot be used as weights"):
        load_parameters("torchvision")


def test_kernels_are_imported_once_and_told_in_a_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.imported", 0, raising=False)
    (tmp_path / "mine.py").write_text(MINE + "import sys\nsys.imported += 1\n")
    with computing("cpu", str(tmp_path / "mine.py")):
        assert sys.imported == 1
    assert models("train", "--data", "builtin", "--kernels", tmp_path / "none.py") == 2
    assert "--kernels: there is no kernel set" in complaint(capsys)


def test_resuming_what_is_no_run(tmp_path, capsys):
    assert models("train", "--resume", tmp_path) == 1
    assert "is not a run that can be resumed" in complaint(capsys)


def test_in_a_process_of_its_own(tmp_path):
    process = start_models("evaluate", tmp_path / "nothing")
    out, err = process.communicate()
    assert (process.returncode, out) == (1, "")
    assert err == f"python -m models evaluate: there is no checkpoint {tmp_path / 'nothing'}\n"
