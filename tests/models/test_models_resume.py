"""Runs that go on: after their pictures moved or changed, after their loss diverged; and what a run
keeps in memory for that."""
import os
import shutil

import numpy as np
import pytest
import safetensors

from minitensor import Generator, checkpoint
from minitensor.nn.module import watching
from models.networks.build import build
from models.training import loop
from models.training.step import Training
from models_cli import BUILTIN, TINY, StopAfter, complaint, log, make_folder, models


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("pictures") / "of", pictures=20)


def train(data, out, *more):
    return models("train", "--data", data, *TINY, "--epochs", 2, "--warmup", 0, "--out", out,
                  "--batch-size", 4, *more)


# ---- other pictures ----------------------------------------------------------------------------

@pytest.fixture(scope="module")
def stopped(pictures, tmp_path_factory):
    """In the middle of its second epoch, of eight batches."""
    run = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "Interruption", lambda: StopAfter(8 + 2 + 3))
        assert train(pictures, run) == 130
    return run


@pytest.fixture
def run(stopped, tmp_path):
    return shutil.copytree(stopped, tmp_path / "run")


def go_on(run, data, *more):
    return models("train", "--resume", run, "--data", data, *more)


def test_a_run_whose_pictures_have_moved_goes_on_to_the_same_bits(pictures, run, tmp_path, capsys):
    assert go_on(run, shutil.copytree(pictures, tmp_path / "moved")) == 0
    assert capsys.readouterr().err == ""
    assert train(pictures, tmp_path / "whole") == 0
    assert log(run) == log(tmp_path / "whole")


@pytest.mark.parametrize("classes, words", [
    (["cat", "cow"], "it lacks dog and adds cow"), (["cat", "dog", "eel"], "it adds eel"),
    (["ant", "bee", "cow", "eel"], "it lacks cat, dog and adds ant, bee, cow, ...")])
def test_other_classes_are_refused_by_name(classes, words, run, tmp_path, capsys):
    before = (run / "log.jsonl").read_bytes()
    other = make_folder(tmp_path / "other", classes, pictures=20)
    assert go_on(run, other) == 1
    assert complaint(capsys).endswith(f"{other} no longer has the 2 classes that {run} was "
                                      f"trained on: {words}")
    assert (run / "log.jsonl").read_bytes() == before


@pytest.mark.parametrize("count, found", [(30, "48 training pictures, not 32; 12 validation"),
                                          (5, "8 training pictures, not 32; 2 validation")])
def test_another_number_of_pictures_is_told_and_an_epoch_goes_on_with_them(count, found, run,
                                                                           tmp_path, capsys):
    other = make_folder(tmp_path / "other", pictures=count)
    assert go_on(run, other) == 0
    said = complaint(capsys)
    assert f"{other} now has {found} pictures, not 8 as before" in said
    assert "of epoch 2 some pictures come twice or not at all" in said
    epochs = [r for r in log(run) if r["event"] == "epoch"]
    assert [r["epoch"] for r in epochs] == [1, 2]
    assert models("train", "--resume", run, "--epochs", 3) == 0     # these are known now
    assert capsys.readouterr().err == ""


# ---- a loss that is no number ------------------------------------------------------------------

def test_the_folder_of_a_run_that_diverged_at_once_can_be_given_again(tmp_path, capsys):
    run = tmp_path / "run"
    command = (*BUILTIN, "--warmup", 0, "--epochs", 1, "--out", run)
    assert models(*command, "--lr", "1e20") == 1
    assert f"no checkpoint was written yet, and {run} can be given again" in complaint(capsys)
    assert models(*command, "--lr", 0.001) == 0
    assert [r["event"] for r in log(run)] == ["step"] * 5 + ["epoch", "test"]
    assert models(*command) == 1
    assert "already holds a run" in complaint(capsys)


def test_a_killed_runs_folder_is_not_taken_for_a_diverged_one(tmp_path, capsys):
    (tmp_path / "log.jsonl").write_text('{"event": "step", "epoch": 1, "step": 1, "loss": 2}\n')
    assert models(*BUILTIN, "--out", tmp_path) == 1
    assert "already holds a run; it left no checkpoint, so delete it" in complaint(capsys)


def test_a_folder_with_a_best_checkpoint_alone_is_not_written_into(stopped, pictures, tmp_path,
                                                                   capsys):
    """A run without validation would be tested, and used, by it."""
    shutil.copy(stopped / "best.safetensors", tmp_path)
    assert train(pictures, tmp_path, "--validation", 0) == 1
    assert "already holds a run; move its best.safetensors away, or" in complaint(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["best.safetensors"]


def test_a_folder_that_holds_a_run_is_refused_before_the_pictures_are_read(stopped, tmp_path,
                                                                           capsys):
    assert train(tmp_path / "nowhere", stopped) == 1
    assert "already holds a run" in complaint(capsys)


def test_a_run_that_diverges_as_it_is_stopped_says_what_is_saved(pictures, tmp_path, monkeypatch,
                                                                 capsys):
    """Its loss was finite, its last update was not."""
    monkeypatch.setattr(loop, "Interruption", lambda: StopAfter(0))
    step = Training.step

    def breaking(self, images, labels):
        result = step(self, images, labels)
        next(self.network.parameters()).data[:] = np.inf
        return result
    monkeypatch.setattr(Training, "step", breaking)
    assert train(pictures, tmp_path / "run") == 1
    assert f"no checkpoint was written yet, and {tmp_path / 'run'} can" in complaint(capsys)
    assert log(tmp_path / "run")[-1]["event"] == "diverged"


# ---- two at once, and damage -------------------------------------------------------------------

def test_two_processes_do_not_train_in_one_folder(pictures, run, tmp_path, capsys):
    fcntl = pytest.importorskip("fcntl", reason="Windows has no such locks")
    (tmp_path / "new").mkdir()
    before = (run / "log.jsonl").read_bytes()
    for folder, start in ((run, lambda: models("train", "--resume", run)),
                          (tmp_path / "new", lambda: train(pictures, tmp_path / "new"))):
        other = os.open(folder, os.O_RDONLY)
        fcntl.flock(other, fcntl.LOCK_EX)
        assert start() == 1
        assert f"another process is training in {folder}" in complaint(capsys)
        os.close(other)
    assert (run / "log.jsonl").read_bytes() == before and not list((tmp_path / "new").iterdir())
    assert models("train", "--resume", run) == 0 == train(pictures, tmp_path / "new")


@pytest.mark.parametrize("content", [b"\xff\xfe\0", b"[1]\n3\n", b'{"event": "epoch"}\n'])
def test_lines_of_the_log_that_are_no_records_are_passed_over(content, run, capsys):
    (run / "log.jsonl").write_bytes(content)
    assert models("train", "--resume", run) == 0
    assert log(run)[-1]["event"] == "epoch"


def test_a_plateau_schedule_is_refused_where_new_data_hold_nothing_out(pictures, tmp_path, capsys):
    run = tmp_path / "run"
    assert train(pictures, run, "--schedule", "plateau") == 0
    for part in ("train", "test"):
        make_folder(tmp_path / "few" / part, pictures=3)
    before = (run / "log.jsonl").read_bytes()
    capsys.readouterr()
    assert go_on(run, tmp_path / "few", "--epochs", 3) == 2
    assert "--schedule plateau watches the validation error" in complaint(capsys)
    assert (run / "log.jsonl").read_bytes() == before


def test_a_best_checkpoint_in_the_latests_place_is_told_by_what_it_lacks(run, capsys):
    shutil.copy(run / "best.safetensors", run / "latest.safetensors")
    assert models("train", "--resume", run) == 1
    assert complaint(capsys).endswith("latest.safetensors cannot be resumed: it has no "
                                      "'optimizer.velocity.conv1.weight'")


@pytest.mark.parametrize("progress", [{"epoch": 1.5}, {"step": "3"}, {"seconds": None}])
def test_a_progress_that_is_none_is_refused(progress, run, capsys):
    arrays, metadata = checkpoint.load(run / "latest.safetensors")
    metadata["progress"] |= progress
    checkpoint.save(run / "latest.safetensors", arrays, metadata)
    assert models("train", "--resume", run) == 1
    assert "cannot be resumed: " in complaint(capsys)


def test_the_way_on_can_be_pasted_into_a_shell(pictures, tmp_path, monkeypatch, capsys):
    run = tmp_path / "my run"
    monkeypatch.setattr(loop, "Interruption", lambda: StopAfter(2))
    assert train(pictures, run) == 130
    assert capsys.readouterr().err.endswith(f"--resume '{run}'\n")


# ---- diverged, with a checkpoint ---------------------------------------------------------------

def diverging(run, monkeypatch):
    """A run whose second epoch diverges, with spies on what is loaded meanwhile."""
    step, loaded = Training.step, []
    safe_open = safetensors.safe_open
    with monkeypatch.context() as patch:
        patch.setattr(Training, "step", lambda self, images, labels: step(
            self, images * np.float32(np.nan if self.counters.step >= 7 else 1), labels))
        patch.setattr(safetensors, "safe_open", lambda *given, **options: loaded.append(given)
                      or safe_open(*given, **options))
        assert models(*BUILTIN, "--epochs", 2, "--out", run) == 1
    return loaded


def test_a_run_that_diverged_goes_on_from_its_checkpoint_at_a_lower_rate(tmp_path, monkeypatch,
                                                                         capsys):
    run = tmp_path / "run"
    diverging(run, monkeypatch)
    assert (f"latest.safetensors still holds step 5, from which --resume {run} goes on, with --lr "
            "as low as you like" in complaint(capsys))
    assert log(run)[-1] == {"event": "diverged", "epoch": 2, "step": 8, "message": "the loss "
                            "became nan in epoch 2, step 8; try a lower learning rate"}
    assert models("train", "--resume", run, "--lr", 0.001) == 0
    steps = [r for r in log(run) if r["event"] == "step"]
    assert [r["step"] for r in steps] == list(range(1, 11))
    assert steps[5]["lr"] == pytest.approx(0.001 * 0.5 * 6 / 100)   # cosine, warm-up
    assert not [r for r in log(run) if r["event"] == "diverged"]


def test_reporting_a_diverged_run_reads_no_checkpoint(tmp_path, monkeypatch):
    assert diverging(tmp_path / "run", monkeypatch) == []


# ---- printing ----------------------------------------------------------------------------------

def test_the_repr_of_a_network_runs_nothing_and_changes_no_mode():
    network = build("alexnet", 10, 67, 1 / 32, generator=Generator(0))
    calls = []
    with watching(lambda module, y: calls.append(module) or y):
        said = repr(network)
    assert calls == [] and all(module.training for _, module in network.named_modules())
    assert "3 x 67 x 67" in said and "8 x 3 x 3" in said            # conv5's output: 8 of 256 / 32
    network.eval()
    repr(network)
    assert not any(module.training for _, module in network.named_modules())
