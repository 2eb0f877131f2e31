"""Fine-tuning: what a network takes over from another, what stays frozen, and that frozen means to
the last bit."""
import shutil

import numpy as np
import pytest

from data import DataLoader
from minitensor import Generator, checkpoint, nn
from models import AlexNet
from models.networks.transfer import freeze as frozen_by, split
from models.settings import Settings
from models.training import feature_cache, loop
from models.training.step import Training
from models_cli import BUILTIN, StopAfter, TINY, complaint, log, make_folder, models

LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A network of ten classes to begin with."""
    run = tmp_path_factory.mktemp("base") / "run"
    assert models(*BUILTIN, "--width", "1/16", "--epochs", 1, "--out", run) == 0
    return run


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("pictures") / "of", classes=("cat", "cow", "dog"),
                       pictures=10)


def fine_tune(base, pictures, out, *more):
    return models("train", "--weights", base, "--data", pictures, "--workers", 0, "--batch-size",
                  8, "--epochs", 2, "--warmup", 0,
                  "--out", out, *more)


def parameters(run):
    """Those of the latest checkpoint, which, unlike the best, has learned in every epoch."""
    return checkpoint.load(run / "latest.safetensors")[0]


def losses(run):
    """Of every step, and of the validation images after every epoch."""
    return [record["loss" if record["event"] == "step" else "validation_loss"]
            for record in log(run)]


def network(freeze):
    made = AlexNet(3, 67, 1 / 32, generator=Generator(0))
    frozen_by(made, freeze)
    return made


@pytest.mark.parametrize("freeze, frozen", [("none", 0), ("2", 2), ("features", 5), ("7", 7)])
def test_frozen_parameters_stay_to_the_last_bit(freeze, frozen, base, pictures, tmp_path):
    run = tmp_path / "run"
    assert fine_tune(base, pictures, run, "--freeze", freeze) == 0
    before, after = checkpoint.load(base / "best.safetensors")[0], parameters(run)
    assert after["fc8.weight"].shape[0] == 3
    for number, layer in enumerate(LAYERS[:-1]):
        for name in (f"{layer}.weight", f"{layer}.bias"):
            assert np.array_equal(before[name], after[name]) == (number < frozen), name
    assert ("optimizer.velocity.conv1.weight" in after) == (frozen == 0)


def test_a_stopped_fine_tuning_goes_on_as_if_it_had_not_stopped(base, pictures, tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    more = ("--freeze", "features", "--schedule", "constant")
    assert fine_tune(base, pictures, whole, *more) == 0
    assert fine_tune(base, pictures, stopped, *more, "--epochs", 1) == 0
    assert models("train", "--resume", stopped, "--epochs", 2) == 0
    assert log(stopped) == log(whole)
    ours, theirs = parameters(stopped), parameters(whole)
    assert ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name])
                                                for name in ours)


def test_preprocessing_and_size_are_those_of_the_weights(base, pictures, tmp_path):
    run = tmp_path / "run"
    assert fine_tune(base, pictures, run) == 0
    before, after = (checkpoint.load(folder / "latest.safetensors")[1] for folder in (base, run))
    assert after["preprocessing"] == before["preprocessing"]
    assert after["preprocessing"]["resize"] == 67
    assert after["config"] == {**before["config"],
                               "num_classes": 3} and after["classes"] == ["cat", "cow", "dog"]
    assert after["settings"]["weights"] == str(base)


def test_the_new_layer_learns_faster():
    training = Training(Settings(weights="x", lr=0.001, image_size=67, width=1 / 32,
                                 freeze="features"), ["a", "b"], {})
    rates = {id(parameter): group["lr"] for group in training.optimizer.groups
             for parameter in group["params"]}
    by_name = {name: rates.get(id(parameter))
               for name, parameter in training.network.named_parameters()}
    assert by_name["conv5.weight"] is None and by_name["conv5.bias"] is None
    assert [by_name[f"fc7.{kind}"] for kind in ("weight", "bias")] == pytest.approx([0.001, 0.002])
    assert [by_name[f"fc8.{kind}"] for kind in ("weight", "bias")] == pytest.approx([0.01, 0.02])
    assert {id(p) for p in training.network.parameters() if p.requires_grad} == rates.keys()


@pytest.mark.parametrize("freeze, active", [("none", ["drop6", "drop7"]),
                                            ("features", ["drop6", "drop7"]), ("6", ["drop7"]),
                                            ("7", [])])
def test_dropout_is_off_in_the_frozen_part_and_evaluation_leaves_it_so(freeze, active):
    frozen = network(freeze)
    for _ in range(2):
        assert [name for name, m in frozen.named_modules() if isinstance(m, nn.Dropout)
                and m.training] == active
        with frozen.evaluating():
            assert not any(m.training for _, m in frozen.named_modules())


@pytest.mark.parametrize("freeze, cut", [("none", 0), ("1", 2), ("features", 9), ("6", 11),
                                         ("7", 13)])
def test_the_frozen_part_ends_before_what_learns_or_drops(freeze, cut):
    before, after = split(network(freeze))
    assert (len(list(before)), len(list(after))) == (cut, 14 - cut)


def test_no_gradient_is_computed_for_what_is_frozen():
    training = Training(Settings(image_size=67, width=1 / 32, freeze="features", warmup=0),
                        ["a", "b"], {})
    seen = []
    training.optimizer.step = lambda: seen.extend(p.grad is not None
                                                  for p in training.network.parameters())
    training.step(np.random.default_rng(0).standard_normal((2, 3, 67, 67), np.float32),
                  np.array([0, 1]))
    assert seen == [False] * 10 + [True] * 6


@pytest.mark.parametrize("more, status, words", [
    (["--freeze", "8"], 2, "--freeze 8 leaves nothing to learn"),
    (["--freeze", "some"], 2, "--freeze: must be none, features or a number of layers, not 'some'"),
    (["--normalize", "mean-image"], 2, "--normalize does not go with --weights"),
    (["--width", "1/2"], 2, "--width 0.5 does not fit --weights, whose network has 0.0625"),
])
def test_mistakes(more, status, words, base, pictures, tmp_path, capsys):
    assert fine_tune(base, pictures, tmp_path / "run", *more) == status
    assert words in complaint(capsys) and not (tmp_path / "run").exists()


def test_weights_that_are_not_there(pictures, tmp_path, capsys):
    assert fine_tune(tmp_path / "nothing", pictures, tmp_path / "run") == 1
    assert f"there is no checkpoint {tmp_path / 'nothing'}" in complaint(capsys)


def test_a_multiplier_without_weights(pictures, tmp_path, capsys):
    assert models("train", "--data", pictures, *TINY, "--new-lr-multiplier", 3, "--out",
                  tmp_path / "run") == 2
    assert "--new-lr-multiplier needs --weights" in complaint(capsys)


# ---- features of frozen layers, computed once --------------------------------------------------

NO_CHANCE = ("--no-flip", "--no-random-crop", "--schedule", "constant")


@pytest.mark.parametrize("freeze", ["1", "features", "7"])
def test_cached_features_give_the_same_losses(freeze, base, pictures, tmp_path, capsys):
    plain, cached = tmp_path / "plain", tmp_path / "cached"
    assert fine_tune(base, pictures, plain, *NO_CHANCE, "--freeze", freeze,
                     "--no-cache-features") == 0
    assert "frozen layers" not in capsys.readouterr().out
    assert fine_tune(base, pictures, cached, *NO_CHANCE, "--freeze", freeze) == 0
    file = cached / "features" / "train-"
    assert f"of 24 pictures, once, into {file}" in capsys.readouterr().out
    assert losses(cached) == pytest.approx(losses(plain), rel=1e-4)
    assert not (cached / "features").exists()


def test_the_frozen_layers_run_once_per_picture(base, pictures, tmp_path, monkeypatch):
    seen = []
    forward = nn.Conv2d.forward
    monkeypatch.setattr(nn.Conv2d, "forward", lambda self,
                        x: (seen.append(len(x.data)), forward(self, x))[1])
    assert fine_tune(base, pictures, tmp_path / "run", *NO_CHANCE, "--freeze", "features",
                     "--epochs", 3) == 0
    assert sum(seen) == 5 * 30    # five convolutions, 24 pictures to train on and 6 to validate on


@pytest.mark.parametrize("more", [["--flip"], ["--pca-noise", "0.1"], ["--freeze", "none"]],
                         ids=lambda more: more[0])
def test_nothing_is_cached_where_pictures_or_layers_change(more, base, pictures, tmp_path, capsys):
    assert fine_tune(base, pictures, tmp_path / "run", *NO_CHANCE, "--freeze", "features", *more,
                     "--epochs", 1) == 0
    assert "frozen layers" not in capsys.readouterr().out


def test_a_stopped_run_finds_its_features_again(base, pictures, tmp_path, monkeypatch):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    more = (*NO_CHANCE, "--freeze", "features")
    assert fine_tune(base, pictures, whole, *more) == 0
    with monkeypatch.context() as patch:
        patch.setattr(loop, "Interruption", lambda: StopAfter(4))
        assert fine_tune(base, pictures, stopped, *more) == 130
    monkeypatch.setattr(feature_cache.FeatureCache, "_write", None)
    assert models("train", "--resume", stopped) == 0
    assert log(stopped) == log(whole) and not (stopped / "features").exists()


def test_features_are_those_of_the_data_that_a_resumed_run_has(base, pictures, tmp_path,
                                                               monkeypatch):
    other = make_folder(tmp_path / "other", ("cat", "cow", "dog"), pictures=10, size=90)
    plain, cached = tmp_path / "plain", tmp_path / "cached"
    for run, more in ((plain, ["--no-cache-features"]), (cached, [])):
        with monkeypatch.context() as patch:
            patch.setattr(loop, "Interruption", lambda: StopAfter(2))
            assert fine_tune(base, pictures, run, *NO_CHANCE, "--freeze", "features", "--lr",
                             "0.0001", *more) == 130
        assert models("train", "--resume", run, "--data", other) == 0
    assert losses(cached) == pytest.approx(losses(plain), rel=1e-4)


def test_features_are_not_those_of_pictures_that_have_moved_between_classes(base, pictures,
                                                                            tmp_path, monkeypatch):
    """In the same folder as many pictures as before, so that nothing else tells them apart."""
    data = shutil.copytree(pictures, tmp_path / "of")
    runs = {tmp_path / "plain": ["--no-cache-features"], tmp_path / "cached": []}
    for run, more in runs.items():
        with monkeypatch.context() as patch:
            patch.setattr(loop, "Interruption", lambda: StopAfter(2))
            assert fine_tune(base, data, run, *NO_CHANCE, "--freeze", "features", "--lr",
                             "0.0001", *more) == 130
    (data / "cat" / "0.png").rename(data / "dog" / "moved.png")
    for run in runs:
        assert models("train", "--resume", run) == 0
    plain, cached = map(losses, runs)
    assert cached == pytest.approx(plain, rel=1e-4)


def test_loaders_are_closed_where_features_fail(base, pictures, tmp_path, monkeypatch):
    closed = []
    monkeypatch.setattr(DataLoader, "close", lambda self: closed.append(len(self.dataset)))
    monkeypatch.setattr(feature_cache.shutil, "disk_usage",
                        lambda folder: type("Usage", (), {"free": 1000}))
    assert fine_tune(base, pictures, tmp_path / "run", *NO_CHANCE, "--freeze", "features") == 1
    assert {6, 24} <= set(closed)


def test_unreadable_pictures_have_no_features(base, tmp_path, capsys):
    folder = make_folder(tmp_path / "pictures", pictures=10)
    (folder / "cat" / "notes.jpg").write_text("not a picture")
    plain, cached = tmp_path / "plain", tmp_path / "cached"
    more = (*NO_CHANCE, "--freeze", "features", "--lr", "0.0001", "--on-error", "skip")
    assert fine_tune(base, folder, plain, *more, "--no-cache-features") == 0
    assert fine_tune(base, folder, cached, *more) == 0
    assert losses(cached) == pytest.approx(losses(plain), rel=1e-4)
    captured = capsys.readouterr()
    assert captured.err.count("warning: skipped ") == 2 and "skipped" not in captured.out


def test_a_disk_too_small_for_the_features(base, pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(feature_cache.shutil, "disk_usage",
                        lambda folder: type("Usage", (), {"free": 1000}))
    assert fine_tune(base, pictures, tmp_path / "run", *NO_CHANCE, "--freeze", "features") == 1
    assert "turn cache_features off to do without them" in complaint(capsys)
    assert not list((tmp_path / "run" / "features").iterdir())
