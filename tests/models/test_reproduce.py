"""`reproduce`: the statistics against an oracle, every experiment's settings, and that a stopped
experiment goes on where it was."""
import json
import statistics
from dataclasses import replace

import numpy as np
import pytest

from data import BuiltinPictures
from minitensor import checkpoint
from models.progress import Progress
from models.reproduce.experiment import Experiment
from models.reproduce.experiments import EXPERIMENTS
from models.reproduce.heirs import HEIRS
from models.reproduce.measures import AgainstPictures, Deepening, Gain, Speedup, smoothness
from models.reproduce.runner import reproduce
from models.reproduce.statistics import crossing, summarise
from models.settings import Settings
from models.training import loop
from models.training.step import Training
from models_cli import StopAfter, complaint, log, make_folder, models, picture_size

TINY = {"pictures": 40, "epochs": 2}
# As "transfer", of a small network and two trainings.
TWO = Experiment("", "", "", {"network": "cifar10-vgg", "width": 1 / 8, "image_size": 16,
                              "resize": 16, "validation": 0.0},
                 {"some": {"classes": [0, 1, 3]},
                  "others, 2": {"classes": [2, 4], "pictures_per_class": 2, "weights": "some",
                                "freeze": "features"}},
                 AgainstPictures(("others",), (2,)), {}, TINY)


@pytest.fixture
def tiny(monkeypatch):
    """The experiments' quick modes, made so small that they only show that everything runs."""
    for name, experiment in EXPERIMENTS.items():
        monkeypatch.setitem(EXPERIMENTS, name, replace(experiment, quick=TINY))


def quick(name, folder, *arguments):
    return models("reproduce", name, "--quick", "--workers", 0, "--out", folder, *arguments)


def measurements(name, folder):
    return json.loads((folder / f"{name}.json").read_text())


# ---- statistics --------------------------------------------------------------------------------

@pytest.mark.parametrize("values", [(18.0, 19.5), (3.0, 3.25, 2.5, 9.0), (1e6, 1e6 + 1, 1e6 + 2)])
def test_a_summary_is_the_mean_and_the_samples_deviation(values):
    summary = summarise(values)
    assert summary.mean == pytest.approx(statistics.mean(values)) and summary.number == len(values)
    assert summary.deviation == pytest.approx(statistics.stdev(values))


@pytest.mark.parametrize("values, text", [((18.31,), "18.3"), ((18, 19), "18.50 ± 0.71"),
                                          ((10, 30), "20 ± 14"),
                                          ((2.0, 2.0), "2.00 ± 0.00"),
                                          ((0.31, 0.33), "0.320 ± 0.014"),
                                          ((1000, 3000), "2000 ± 1414")])
def test_a_summary_shows_two_digits_of_its_deviation(values, text):
    assert str(summarise(values)) == text


@pytest.mark.parametrize("curve, epochs", [([50, 30, 20], 2.5), ([50, 25], 2), ([20, 10], 1),
                                           ([60, 40, 30], None), ([], None),
                                           ([60, 40, 24, 30], 2 + 15 / 16)])
def test_a_curve_reaches_its_target_between_epochs(curve, epochs):
    assert crossing(curve, 25) == epochs


def test_smoothness_is_the_correlation_of_neighbours():
    noise = np.random.default_rng(0).standard_normal((64, 3, 5, 5))
    checkers = np.indices((5, 5)).sum(axis=0) % 2 * 2.0 - 1
    assert abs(smoothness(noise)) < 0.05
    assert smoothness(checkers[None, None]) == pytest.approx(-1, abs=0.02)
    assert smoothness(np.stack([np.ones((3, 5, 5)), -np.ones((3, 5, 5))])) == pytest.approx(1)


# ---- measures, on logs written here ------------------------------------------------------------

def make_log(folder, train_errors, test_errors):
    folder.mkdir(parents=True)
    lines = [{"event": "epoch", "epoch": n, "step": n, "train_top1": 1 - train / 100,
              "validation_top1": 1 - test / 100}
             for n, (train, test) in enumerate(zip(train_errors, test_errors), 1)]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_a_gain_is_the_mean_of_the_differences_seed_by_seed(tmp_path):
    errors = {"without": [20, 24], "with": [19, 21]}
    runs = {variant: [make_log(tmp_path / f"{variant}{seed}", [error - 10], [error])
                      for seed, error in enumerate(pair)]
            for variant, pair in errors.items()}
    finding = Gain("without", "with").finding(runs)
    assert finding.numbers["gain"]["mean"] == pytest.approx(2)
    assert finding.numbers["gain"]["deviation"] == pytest.approx(2**0.5)
    assert finding.text == ("2.0 ± 1.4 points of test error less over 2 seeds "
                            "(without 22.0 ± 2.8 %, in training 12.0 ± 2.8 %; with 20.0 ± 1.4 %, "
                            "in training 10.0 ± 1.4 %)")
    loss = Gain("with", "without").finding(runs)
    assert loss.numbers["gain"]["mean"] == pytest.approx(-2)
    assert loss.text.startswith("2.0 ± 1.4 points of test error more over 2 seeds")


def test_how_much_sooner_is_the_mean_of_the_ratios_seed_by_seed(tmp_path):
    curves = {"ReLU": [[40, 20], [50, 25]], "tanh": [[50, 45, 35, 30, 20], [60, 25]]}
    runs = {variant: [make_log(tmp_path / f"{variant}{seed}", errors, errors)
                      for seed, errors in enumerate(pair)]
            for variant, pair in curves.items()}
    finding = Speedup("ReLU", "tanh", target=25).finding(runs)
    assert finding.numbers["epochs_to_target"] == {"ReLU": [1.75, 2], "tanh": [4.5, 2]}
    assert finding.numbers["factor"]["mean"] == pytest.approx((4.5 / 1.75 + 1) / 2)
    assert finding.text == ("1.8 ± 1.1 times sooner over 2 seeds "
                            "(ReLU after 1.88 ± 0.18 epochs, tanh after 3.2 ± 1.8)")


def test_what_was_not_reached_is_not_measured(tmp_path):
    runs = {"ReLU": [make_log(tmp_path / "a", [20], [20])],
            "tanh": [make_log(tmp_path / "b", [70, 60], [70, 60])]}
    finding = Speedup("ReLU", "tanh", target=25).finding(runs)
    assert finding.text == "not measured: tanh did not reach 25 % training error within 2 epochs"
    assert "factor" not in finding.numbers


def test_what_more_layers_add_is_the_mean_of_the_differences_seed_by_seed(tmp_path):
    errors = {"plain20": [10, 12], "plain56": [14, 20], "resnet20": [9, 9], "resnet56": [7, 8]}
    runs = {variant: [make_log(tmp_path / f"{variant}{seed}", [90, error], [90, error + 1])
                      for seed, error in enumerate(pair)] for variant, pair in errors.items()}
    measure = Deepening({"plain": ("plain20", "plain56"), "residual": ("resnet20", "resnet56")})
    finding = measure.finding(runs)
    assert finding.numbers["added"]["plain"]["mean"] == pytest.approx(6)
    assert finding.numbers["added"]["residual"]["mean"] == pytest.approx(-1.5)
    assert finding.text.startswith("points of training error that more layers add: "
                                   "plain +6.0 ± 2.8, residual -1.50 ± 0.71, over 2 seeds "
                                   "(plain20 11.0 ± 1.4 %, in the test 12.0 ± 1.4 %; ")
    measure.draw(tmp_path / "curves.png", runs, "title")
    assert picture_size(tmp_path / "curves.png") == (800, 450)


def test_accuracy_against_pictures_is_that_of_the_test_images_at_the_end(tmp_path):
    right = {"from scratch, 50": [120, 160], "from scratch, 100": [200, 200],
             "frozen, 50": [300, 300], "frozen, 100": [320, 340]}
    runs = {}
    for variant, pair in right.items():
        runs[variant] = [make_log(tmp_path / f"{variant}{seed}", [50], [50]) for seed in range(2)]
        for folder, count in zip(runs[variant], pair):
            with open(folder / "log.jsonl", "a") as file:
                file.write(json.dumps({"event": "test", "epoch": 1, "step": 1, "images": 400,
                                       "top1_count": count}) + "\n")
    finding = AgainstPictures(("from scratch", "frozen"), (50, 100)).finding(runs)
    assert finding.text == (
        "test accuracy with 50 pictures a class 35.0 ± 7.1 % from scratch, 75.00 ± 0.00 % frozen; "
        "with 100 pictures a class 50.00 ± 0.00 % from scratch, 82.5 ± 3.5 % frozen; over 2 seeds")
    assert finding.numbers["test_accuracy"]["frozen"][100]["mean"] == 82.5


# ---- experiments -------------------------------------------------------------------------------

@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("mode", ["full", "quick"])
def test_every_training_can_begin(name, mode):
    for run in EXPERIMENTS[name].runs("builtin", mode == "quick", seeds=1):
        Training(Settings(**run.settings), [str(n) for n in range(10)], preprocessing={})


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) if name in HEIRS
                                  else name for name in EXPERIMENTS])
def test_a_quick_mode_leaves_a_plot_and_measurements(name, tiny, tmp_path, capsys):
    assert quick(name, tmp_path, "--seeds", 1) == 0
    out = capsys.readouterr().out
    assert f"published {EXPERIMENTS[name].published}, here " in out
    assert "no test of the claim" in out
    assert picture_size(tmp_path / f"{name}.png")[0] == 800
    record = measurements(name, tmp_path)
    assert record["experiment"] == name and len(record["runs"]) == len(EXPERIMENTS[name].variants)
    assert all(len(run["epochs"]) == 2 for run in record["runs"])


def test_a_stopped_experiment_goes_on_to_the_same_measurements(tiny, tmp_path, monkeypatch, capsys):
    assert quick("lrn", tmp_path / "whole", "--seeds", 1) == 0
    stop = StopAfter(checks=5)    # a training of two epochs checks four times
    with monkeypatch.context() as patch:
        patch.setattr(loop, "Interruption", lambda: stop)
        assert quick("lrn", tmp_path / "stopped", "--seeds", 1) == 130
    assert "goes on with the whole experiment" in capsys.readouterr().err
    assert quick("lrn", tmp_path / "stopped", "--seeds", 1) == 0
    for run in measurements("lrn", tmp_path / "whole")["runs"]:
        assert log(tmp_path / "whole" / run["folder"]) == log(tmp_path / "stopped" / run["folder"])


@pytest.fixture
def two(monkeypatch):
    monkeypatch.setitem(EXPERIMENTS, "transfer", TWO)


def test_transfer_begins_with_the_weights_of_the_other_classes_of_the_same_seed(two, tmp_path,
                                                                                capsys):
    assert quick("transfer", tmp_path, "--seeds", 2) == 0
    for seed in (0, 1):
        (before, _), (after, info) = (
            checkpoint.load(tmp_path / f"{name}-seed{seed}" / "latest.safetensors")
            for name in ("some", "others-2"))
        assert info["classes"] == [BuiltinPictures.classes[place] for place in (2, 4)]
        assert info["images"] == {"training": 4, "validation": 0, "test": 2}
        kept = [name for name in before if name.startswith("conv")]
        assert all((before[name] == after[name]).all() for name in kept) and len(kept) == 12
        assert after["fc4.weight"].shape == (2, 64) != before["fc4.weight"].shape
    assert "with 2 pictures a class" in measurements("transfer", tmp_path)["here"]


@pytest.mark.parametrize("checks", [2, 4])      # in the first one's test, in the second training
def test_a_stopped_transfer_goes_on_to_the_same_measurements(two, tmp_path, monkeypatch, checks):
    assert quick("transfer", tmp_path / "whole", "--seeds", 1) == 0
    stop = StopAfter(checks=checks)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "Interruption", lambda: stop)
        assert quick("transfer", tmp_path / "stopped", "--seeds", 1) == 130
    assert quick("transfer", tmp_path / "stopped", "--seeds", 1) == 0
    found, expected = (measurements("transfer", tmp_path / name) for name in ("stopped", "whole"))
    assert found["measured"] == expected["measured"]
    for run in expected["runs"]:
        assert log(tmp_path / "whole" / run["folder"]) == log(tmp_path / "stopped" / run["folder"])


@pytest.mark.parametrize("parts, classes, words", [
    (("train", "test"), 9, "has 9 classes; at least 10 are needed"),
    (("",), 10, "has pictures to train on but none to test on")])
def test_transfer_refuses_data_of_too_few_classes_or_without_a_test(tmp_path, capsys, parts,
                                                                    classes, words):
    for part in parts:
        make_folder(tmp_path / "data" / part, "abcdefghij"[:classes], pictures=2)
    assert models("reproduce", "transfer", "--data", tmp_path / "data", "--workers", 0, "--out",
                  tmp_path / "out") == 1
    assert words in complaint(capsys) and not (tmp_path / "out").exists()


def test_what_is_finished_is_not_trained_again(tiny, tmp_path, monkeypatch, capsys):
    assert quick("cifar10-18pct", tmp_path) == 0
    first = measurements("cifar10-18pct", tmp_path)
    monkeypatch.setattr("models.training.start.resume", lambda *given: pytest.fail("trained again"))
    assert quick("cifar10-18pct", tmp_path) == 0
    assert "already trained" in capsys.readouterr().out
    assert measurements("cifar10-18pct", tmp_path) == first


def test_a_finished_experiment_goes_on_for_more_epochs(tiny, tmp_path):
    assert quick("cifar10-18pct", tmp_path) == 0
    assert quick("cifar10-18pct", tmp_path, "--epochs", 3) == 0
    (run,) = measurements("cifar10-18pct", tmp_path)["runs"]
    assert len(run["epochs"]) == 3 and run["settings"]["epochs"] == 3


def test_a_training_killed_before_its_first_checkpoint_begins_again(tiny, tmp_path):
    make_log(tmp_path / "cifar10-18pct-seed0", [50], [50])
    assert quick("cifar10-18pct", tmp_path) == 0
    assert len(measurements("cifar10-18pct", tmp_path)["runs"][0]["epochs"]) == 2


def test_training_stops_at_the_target_error(tiny, tmp_path, monkeypatch):
    experiment = EXPERIMENTS["cifar10-18pct"]
    monkeypatch.setitem(EXPERIMENTS, "cifar10-18pct",
                        replace(experiment, settings={**experiment.settings, "target_error": 1.0}))
    for _ in range(2):    # the second time it is finished
        assert quick("cifar10-18pct", tmp_path) == 0
        assert [r["epoch"] for r in log(tmp_path / "cifar10-18pct-seed0")
                if r["event"] == "epoch"] == [1]


def test_a_folder_with_other_settings_is_refused(tiny, tmp_path, monkeypatch, capsys):
    assert quick("cifar10-18pct", tmp_path) == 0
    monkeypatch.setitem(EXPERIMENTS, "cifar10-18pct",
                        replace(EXPERIMENTS["cifar10-18pct"], quick={**TINY, "lr": 0.5}))
    capsys.readouterr()
    assert quick("cifar10-18pct", tmp_path) == 2
    assert "--lr cannot change in a resumed run" in complaint(capsys)


def test_filters_can_be_drawn_from_the_training_of_cifar10_18pct(tiny, tmp_path, capsys):
    assert quick("cifar10-18pct", tmp_path) == 0
    assert quick("filters", tmp_path) == 0
    assert "already trained" in capsys.readouterr().out
    arrays, _ = checkpoint.load(tmp_path / "cifar10-18pct-seed0" / "latest.safetensors")
    weights = arrays["conv1.weight"]
    assert measurements("filters",
                        tmp_path)["measured"]["after"]["mean"] == pytest.approx(smoothness(weights))


@pytest.mark.parametrize("arguments, words", [
    (["lrn"], "--data is required"),
    (["lrn", "--quick", "--data", "pictures"], "leave out --data"),
    (["lrn", "--data", "/none"], "/none"),
    (["lnr", "--quick"], "lnr"),
    (["lrn", "--quick", "--seeds", "0"], "--seeds: must be a whole number at least 1"),
])
def test_mistakes_are_told_in_a_sentence(arguments, words, tmp_path, capsys):
    assert models("reproduce", *arguments, *(["--out", tmp_path / "out"] if len(arguments) > 1
                                             else [])) != 0
    assert words in capsys.readouterr().err


def test_reproduce_as_a_function_leaves_its_arguments_alone(tiny, tmp_path, capsys):
    given = {"data": "builtin", "workers": 0}
    assert reproduce("filters", True, given, Progress(), 1, str(tmp_path)) == 0
    assert given == {"data": "builtin", "workers": 0} and capsys.readouterr() == ("", "")
