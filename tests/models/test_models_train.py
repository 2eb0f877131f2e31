"""`python -m models train`: what it leaves behind, and that stopping and going on changes nothing.
"""
import json
import math
import shlex
import signal
import tracemalloc
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from data import CIFAR10, BuiltinPictures, load_image
from minitensor import checkpoint
from models.commands.train import new_settings
from models.networks.build import build
from models.evaluation import plots
from models.training import loop, start, step, view
from models.inputs.sources import SEEDS
from models.training.parameter_groups import parameter_groups
from models.inputs.preprocessing import evaluation_transform, preprocessing, train_transform
from models.training.run_folder import RunFolder
from models.settings import RECIPES, Settings
from models.training.step import Training
from models_cli import (BUILTIN, TINY, StopAfter, complaint, log, make_folder, models,
                        picture_size, start_models)


THREE_EPOCHS = (*BUILTIN, "--epochs", 3, "--warmup", 8)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """Three epochs of five steps, without a stop."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert models(*THREE_EPOCHS, "--out", run) == 0
    return run


def test_a_run_leaves_log_checkpoints_and_plots(whole_run):
    records = log(whole_run)
    assert [r["step"] for r in records if r["event"] == "step"] == list(range(1, 16))
    assert [r["epoch"] for r in records if r["event"] == "epoch"] == [1, 2, 3]
    assert picture_size(whole_run / "curves.png") == (1000, 400)
    # conv1 has 3 filters of 11 x 11 here
    assert picture_size(whole_run / "filters.png") == (3 * 12 * 6, 12 * 6)
    assert json.loads((whole_run / "config.json").read_text())["settings"]["epochs"] == 3
    assert sorted(path.name for path in whole_run.iterdir()) == [
        "best.safetensors", "config.json", "curves.png", "filters.png", "latest.safetensors",
        "log.jsonl", "samples"]


class Blind:
    """A view that shows nothing and answers nothing."""

    def __init__(self, *arguments):
        pass

    def __getattr__(self, name):
        return lambda *arguments: None

    def __enter__(self):
        pass

    def __exit__(self, *exception):
        pass


def test_what_the_user_sees_changes_nothing(tmp_path, monkeypatch):
    """Nor whether a loss is stuck, nor when training ends."""
    monkeypatch.setattr(loop, "STUCK_STEPS", 7)
    train = (*BUILTIN, "--lr", 1e-6, "--dropout", 0, "--init", "paper", "--epochs", 4,
             "--warmup", 0, "--target-error", 0.99)
    assert models(*train, "--out", tmp_path / "seen") == 0
    monkeypatch.setattr(start, "TrainingProgress", Blind)
    assert models(*train, "--out", tmp_path / "unseen") == 0
    assert log(tmp_path / "unseen") == log(tmp_path / "seen")
    (seen, told), (unseen, blind) = (checkpoint.load(tmp_path / run / "latest.safetensors")
                                     for run in ("seen", "unseen"))
    assert told["progress"].pop("seconds") and blind["progress"].pop("seconds")
    assert told == blind
    assert all((seen[name] == unseen[name]).all() for name in seen | unseen)


def test_a_long_run_keeps_no_record_of_its_steps_in_memory(tmp_path):
    folder = RunFolder(tmp_path)
    tracemalloc.start()
    for number in range(1, 501):
        folder.record("step", epoch=1 + number // 100, step=number, loss=1 / number)
        if number % 100 == 0:
            folder.record("epoch", epoch=number // 100, step=number, train_top1=number / 500)
    again = RunFolder(tmp_path)
    again.rewind(450, 3)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept < 500 * 60                  # a step's record as a dict takes 477 bytes
    for read, epochs in ((folder, 5), (again, 3)):
        assert [epoch["epoch"] for epoch in read.epochs] == list(range(1, epochs + 1))
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 450 + 3
    assert RunFolder(tmp_path).read().error_curve("train_top1") == pytest.approx([80, 60, 40])


def test_runs_that_begin_in_the_same_second_have_folders_of_their_own(tmp_path, monkeypatch):
    class Now(datetime):
        @classmethod
        def now(cls):
            return cls(2026, 1, 2, 3, 4, 5)
    monkeypatch.setattr("models.training.run_folder.datetime", Now)
    monkeypatch.chdir(tmp_path)
    assert [str(RunFolder.create(None, {}).path)
            for _ in range(3)] == [f"runs/2026-01-02-030405{number}" for number in ("", "-2", "-3")]


def test_built_in_test_pictures_lie_ready_to_be_classified(tmp_path, capsys):
    run = tmp_path / "a run"
    assert models(*BUILTIN, "--epochs", 1, "--out", run) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    command = shlex.split(last.partition("python -m models ")[2])
    assert command == ["classify", str(run), str(run / "samples")]
    assert models(*command, "--json") == 0
    guesses = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(guesses) == 20 and all(guess["correct"] == Path(guess["picture"]).parent.name
                                      for guess in guesses)
    test = BuiltinPictures(25, 67, SEEDS["test"])
    assert np.array_equal(load_image(run / "samples" / test.classes[3] / "2.png"), test[13][0])


def test_the_epochs_training_figures_are_the_means_of_its_steps(whole_run):
    records = log(whole_run)
    losses = [r["loss"] for r in records if r["event"] == "step" and r["epoch"] == 2]
    summary = next(r for r in records if r["event"] == "epoch" and r["epoch"] == 2)
    assert summary["train_loss"] == pytest.approx(np.mean(losses), rel=1e-6)


def test_biases_learn_twice_as_fast_and_do_not_decay(whole_run):
    _, info = checkpoint.load(whole_run / "latest.safetensors")
    weights, biases = info["optimizer"]["groups"]
    assert not weights["lr_in_velocity"] and not biases["lr_in_velocity"]       # PyTorch's update
    assert biases["lr"] == 2 * weights["lr"]
    assert (weights["weight_decay"], biases["weight_decay"]) == (5e-4, 0)


def test_single_layers_have_a_weight_decay_of_their_own(tmp_path):
    run = tmp_path / "run"
    assert models(*BUILTIN, "--epochs", 1, "--weight-decay", 0.004, "--layer-weight-decay",
                  "fc7=0.5", "fc8=1", "--out", run) == 0
    settings = Settings(**checkpoint.load(run / "latest.safetensors")[1]["settings"])
    network = Training(settings, ["a", "b"], {}).network
    parameters = dict(network.named_parameters())
    names, groups = parameter_groups(network, settings)
    assert sorted(names) == sorted(parameters)
    assert [parameters[name] for name in names] == [p for group in groups for p in group["params"]]
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    for name, parameter in parameters.items():
        assert decay[id(parameter)] == (0 if name.endswith("bias")
                                        else {"fc7": 0.5, "fc8": 1}.get(name.split(".")[0], 0.004))


def test_the_learning_rate_warms_up(whole_run):
    lrs = [r["lr"] for r in log(whole_run) if r["event"] == "step"]
    cosine = [0.01] * 5 + [0.0075] * 5 + [0.0025] * 5
    assert lrs == pytest.approx([lr * min(1, step / 8) for step, lr in enumerate(cosine, 1)])


@pytest.mark.parametrize("checks", [2, 5, 8, 22],
                         ids=["within the first epoch", "in the evaluation after it",
                              "within the second epoch", "in the test at the end"])
def test_a_stopped_and_resumed_run_is_bit_identical(checks, whole_run, tmp_path, monkeypatch,
                                                    capsys):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(loop, "Interruption", lambda: StopAfter(checks))
        assert models(*THREE_EPOCHS, "--out", run) == 130
    assert f"--resume {run}" in capsys.readouterr().err
    assert len(log(run)) < len(log(whole_run))
    assert models("train", "--resume", run) == 0
    assert log(run) == log(whole_run)
    for name in ("latest.safetensors", "best.safetensors"):
        ours, theirs = (checkpoint.load(folder / name)[0] for folder in (run, whole_run))
        assert ours.keys() == theirs.keys() and all(np.array_equal(ours[key], theirs[key])
                                                    for key in ours)


def test_a_killed_run_forgets_what_came_after_its_checkpoint(whole_run, tmp_path, monkeypatch):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(loop, "Interruption", lambda: StopAfter(8))
        assert models(*THREE_EPOCHS, "--out", run) == 130
    with open(run / "log.jsonl", "a") as file:
        file.write('{"event": "step", "epoch": 2, "step": 99, "loss": 0}\n{"event": "st')
    assert models("train", "--resume", run) == 0
    assert log(run) == log(whole_run)


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(number, status, tmp_path):
    run = tmp_path / "run"
    process = start_models(*BUILTIN, "--epochs", 10_000, "--out", run)
    for line in process.stdout:                 # one per epoch
        if line.startswith("epoch 1"):
            process.send_signal(number)
            break
    _, err = process.communicate()
    assert process.returncode == status and "Traceback" not in err
    assert err.splitlines()[-1].endswith(f"python -m models train --resume {run}")
    steps = [r["step"] for r in log(run) if r["event"] == "step"]
    assert checkpoint.load(run / "latest.safetensors")[1]["progress"]["step"] == steps[-1]


def test_a_longer_run_goes_on_from_a_finished_one(whole_run, tmp_path):
    run = tmp_path / "run"
    assert models(*BUILTIN, "--epochs", 1, "--schedule", "constant", "--out", run) == 0
    assert models("train", "--resume", run, "--epochs", 2) == 0
    assert [r["epoch"] for r in log(run) if r["event"] == "epoch"] == [1, 2]


def test_a_finished_run_says_that_it_is(whole_run, capsys):
    before = log(whole_run)
    for epochs in ((), ("--epochs", 3)):
        assert models("train", "--resume", whole_run, *epochs) == 0
        said = ("nothing is left to do: this run has trained for 3 epochs; "
                f"--resume {whole_run} --epochs N goes on, with N above 3\n")
        assert said in capsys.readouterr().out
    assert models("train", "--resume", whole_run, "--epochs", 2) == 2
    assert complaint(capsys) == (f"python -m models train: --epochs 2 cannot be: {whole_run} has "
                                 "trained for 3 already; "
                                 "give a number above 3")
    assert log(whole_run) == before


def test_a_run_that_reached_its_target_says_so(tmp_path, capsys):
    run = tmp_path / "run"
    assert models(*BUILTIN, "--epochs", 5, "--target-error", 1, "--out", run) == 0
    assert "nothing is left" not in capsys.readouterr().out
    assert models("train", "--resume", run) == 0
    assert ("nothing is left to do: in epoch 1 the training error reached the --target-error of 1\n"
            in capsys.readouterr().out)


def test_a_top_5_error_is_shown_of_more_than_five_classes(tmp_path, monkeypatch, capsys):
    figures = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: figures.append(figure)
                        or path.touch())
    assert models(*BUILTIN, "--epochs", 1, "--out", tmp_path / "many") == 0
    assert "top-5" in capsys.readouterr().out
    assert models("train", "--data", make_folder(tmp_path / "two"), *TINY, "--epochs", 1, "--out",
                  tmp_path / "few") == 0
    assert "top-5" not in capsys.readouterr().out
    of_many, of_few = ([line.get_label() for line in figure.axes[1].lines] for figure in figures)
    assert of_many == [*of_few, "validation, top-5"] and len(of_few) == 2


def test_a_folder_of_pictures_is_learned(tmp_path):
    folder = make_folder(tmp_path / "pictures", pictures=20)
    run = tmp_path / "run"
    assert models("train", "--data", folder, *TINY, "--width", "1/16", "--epochs", 8, "--lr",
                  "0.003", "--warmup", 0, "--dropout", 0,
                  "--pca-noise", "0.1", "--out", run) == 0
    assert max(r["validation_top1"] for r in log(run) if r["event"] == "epoch") >= 0.9


def test_cifar10s_official_files_are_recognised(tmp_path, monkeypatch):
    monkeypatch.setattr(CIFAR10, "images_per_file", 10)
    records = np.random.default_rng(0).integers(0, 256, (10, 3073), np.uint8)
    records[:, 0] = np.arange(10)
    for name in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5",
                 "test_batch"):
        records.tofile(tmp_path / f"{name}.bin")
    run = tmp_path / "run"
    assert models("train", "--data", tmp_path, *TINY, "--epochs", 1, "--out", run) == 0
    assert checkpoint.load(run / "latest.safetensors")[1]["classes"][0] == "airplane"
    assert models("evaluate", run, "--data", tmp_path) == 0


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_are_settings(name):
    assert new_settings({"data": "builtin", "epochs": 3}, name).epochs == 3


@pytest.mark.parametrize("given, recipe, lr", [
    ({}, None, 0.01), ({"optimizer": "sgd"}, None, 0.01), ({"optimizer": "adam"}, None, 0.001),
    ({"optimizer": "adamw", "lr": 0.5}, None, 0.5), ({"weights": "some.pth"}, None, 0.001),
    ({"optimizer": "adam"}, "demo", RECIPES["demo"]["lr"])])
def test_the_usual_learning_rate(given, recipe, lr):
    assert new_settings({"data": "builtin", **given}, recipe).lr == lr


def test_workers_change_nothing(whole_run, tmp_path):
    run = tmp_path / "run"
    assert models(*THREE_EPOCHS, "--workers", 1, "--out", run) == 0
    assert log(run) == log(whole_run)


# A hundred steps an epoch, each of a few milliseconds.
SHORT = ("train", "--data", "builtin", "--network", "cifar10-18pct", "--width", "1/4", "--workers",
         0, "--pictures", 100, "--batch-size", 1)


def steps_of_warnings(run):
    return [r["step"] for r in log(run) if r["event"] == "warning"]


@pytest.mark.parametrize("warmup, step", [(0, 300), (25, 400)])
def test_a_loss_of_guessing_that_stays_after_the_warm_up_earns_one_warning(warmup, step, tmp_path,
                                                                           capsys):
    run = tmp_path / "run"
    assert models(*SHORT, "--lr", 0, "--init", "paper", "--warmup", warmup, "--epochs", 5,
                  "--out", run) == 0
    assert steps_of_warnings(run) == [step]
    said = capsys.readouterr().err
    assert said.count(f"near {math.log(10):.4f}, that of guessing among 10 classes") == 1
    assert "try --departures biases-0.1 sigma-0.03" in said


@pytest.mark.slow
def test_a_dead_network_earns_the_warning(tmp_path, monkeypatch, capsys):
    """Whose ReLUs are all off: only the last biases learn, how frequent the classes are."""
    def dead(*arguments, **options):
        network = build(*arguments, **options)
        network.conv3.weight.data[...] = 0
        network.conv3.bias.data[...] = -1
        return network
    monkeypatch.setattr(step, "build", dead)
    make_folder(tmp_path / "data" / "train", ["cat"], 25)
    make_folder(tmp_path / "data" / "train", ["dog"], 75)
    make_folder(tmp_path / "data" / "val", pictures=1)
    assert models("train", "--data", tmp_path / "data", *SHORT[3:], "--batch-size", 2, "--init",
                  "he", "--lr", 0.001, "--warmup", 30, "--epochs", 12, "--schedule", "constant",
                  "--out", tmp_path / "run") == 0
    assert len(steps_of_warnings(tmp_path / "run")) == 1
    entropy = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    assert f"near {entropy:.4f}, that of guessing among 2 classes" in capsys.readouterr().err


@pytest.mark.slow
def test_a_healthy_run_earns_no_warning_when_its_warm_up_ends(tmp_path):
    run = tmp_path / "run"
    assert models(*SHORT, "--pictures", 400, "--batch-size", 4, "--init", "he", "--width", "1/2",
                  "--lr", 0.02, "--no-flip", "--warmup", 100, "--epochs", 6, "--out", run) == 0
    losses = [r["train_loss"] for r in log(run) if r["event"] == "epoch"]
    assert losses[1] > math.log(10) > 2.1 > losses[-1]      # near guessing for two epochs
    assert not steps_of_warnings(run)


@pytest.mark.parametrize("settings, words, not_words", [
    (dict(init="he"), "another --lr than 0.01", "--init"),
    (dict(init="cuda-convnet"), "another --lr than 0.01", "--init"),
    (dict(init="paper", departures=["sigma-0.03"]), "--departures biases-0.1 sigma-0.03", "--lr"),
    (dict(init="paper", departures=["biases-0.1", "sigma-0.03"]), "or --init he", "--departures")])
def test_the_advice_names_what_is_not_in_use_already(settings, words, not_words):
    assert words in view.advice(Settings(**settings))
    assert not_words not in view.advice(Settings(**settings))


@pytest.mark.parametrize("name, lrs", [
    ("constant", [1, 1, 1, 1, 1, 1]), ("step", [1, 1, .1, .1, .01, .01]),
    ("multistep", [1, 1, 1, .1, .1, .01]),
    ("plateau", [1, 1, 1, .1, .1, .01]), ("cosine", [1, .933, .75, .5, .25, .067])])
def test_schedules(name, lrs):
    training = Training(Settings(schedule=name, epochs=6, lr=1.0, patience=1, warmup=0,
                                 image_size=67, width=1 / 32), ["a", "b"], {})
    seen = []
    for _ in range(6):
        seen.append(training.lr)
        training.end_epoch(error=0.5)
    assert seen == pytest.approx(lrs, abs=1e-3)


def test_without_crop_and_flip_training_sees_what_evaluation_sees():
    settings = Settings(data="/a/folder", image_size=67, random_crop=False, flip=False)
    p = preprocessing(settings, None)
    picture = np.random.default_rng(0).integers(0, 256, (90, 100, 3), np.uint8)
    seen = [train_transform(settings, p, {})(picture, np.random.default_rng(seed))
            for seed in (1, 2)]
    assert all(np.array_equal(image, evaluation_transform(p)(picture, None)) for image in seen)
