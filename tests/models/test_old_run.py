"""A run of an earlier version, whose checkpoint had velocities only, goes on as it would have.

old_run/ is what this command left at commit 9432e16:

    python -m models train --data builtin --workers 0 --network cifar10-18pct --width 1/8 \\
        --pictures 40 --epochs 2 --seed 3 --warmup 6 --batch-size 10 --init he --lr 0.05 \\
        --schedule plateau --patience 0 --cuts 3
"""
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from minitensor import checkpoint
from models.training.checkpoints import load_network
from models.training.start import stopped
from models.training.step import Training
from models_cli import log, models

OLD = Path(__file__).parent / "old_run"
# Epochs 3 and 4 of `--resume --epochs 4` there: the losses in training and in validation.
LOSSES = [(2.280554234981537, 2.2762665271759035), (2.272928535938263, 2.2814417123794555)]


@pytest.fixture
def run(tmp_path):
    return shutil.copytree(OLD, tmp_path / "run")


def test_it_is_loaded_whole(run):
    old, arrays = stopped(str(run)), load_file(run / "latest.safetensors")
    config = json.loads((run / "config.json").read_text())
    assert old.settings.validation == "test"            # what chose the best epoch then
    assert old.settings.seed == 3 and old.settings.optimizer == "sgd" and old.settings.cuts == 3
    assert {name: config["settings"][name] for name in ("lr", "warmup", "schedule")} == {
        "lr": old.settings.lr, "warmup": old.settings.warmup, "schedule": old.settings.schedule}
    training = Training(old.settings, old.metadata["classes"], old.metadata["preprocessing"])
    training.load_state(old.arrays, old.metadata)
    for name, parameter in training.network.named_parameters():
        assert np.array_equal(parameter.data, arrays[name]), name
    for name, velocity in zip(training.names, training.optimizer.state["velocity"], strict=True):
        assert velocity.any() and np.array_equal(velocity, arrays[f"velocity.{name}"]), name
    assert (training.counters.epoch, training.counters.step, training.counters.best_top1) == (
        2, 8, 0.2)
    assert old.settings.lr_in_velocity                      # all it had was the paper's update
    assert all(group["lr_in_velocity"] for group in training.optimizer.groups)
    assert training.lr == pytest.approx(0.005) and training.optimizer.lr_factor == 1
    assert (training.schedule.best, training.schedule.reductions) == (0.8, 1)


def test_it_goes_on_as_it_would_have(run):
    assert models("train", "--resume", run, "--epochs", 4, "--workers", 0) == 0
    epochs = [record for record in log(run) if record["event"] == "epoch"]
    assert [(e["train_loss"], e["validation_loss"]) for e in epochs[2:]] == [
        pytest.approx(losses, rel=1e-4) for losses in LOSSES]
    assert [e["step"] for e in epochs] == [4, 8, 12, 16]
    arrays, _ = checkpoint.load(run / "latest.safetensors")
    assert not [name for name in arrays if name.startswith("velocity.")]


def test_it_is_of_use_without_going_on(run, capsys):
    network, metadata = load_network(str(run / "latest.safetensors"))
    arrays = load_file(run / "latest.safetensors")
    assert network.state_dict().keys() == {name for name in arrays if "velocity" not in name}
    assert models("evaluate", run / "latest.safetensors", "--workers", 0) == 0
    last = [record for record in log(run) if record["event"] == "epoch"][-1]
    assert f"{last['test_loss']:.4f}" in capsys.readouterr().out
