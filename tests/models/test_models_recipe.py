"""`--recipe paper`: that it is the 2012 paper's, point by point, and that it trains."""
import numpy as np
import pytest

from data import (CenterCrop, Normalize, PCANoise, RandomCrop, RandomHorizontalFlip, Resize,
                  SubtractMean)
from minitensor import checkpoint, optim
from models.networks.initial import PAPER_ONES
from models.networks.initial import DEPARTURES
from models.inputs.preprocessing import colour_noise, train_transform
from models.commands.train import new_settings
from models.training.step import Training
from models_cli import log, make_folder, models


def paper(**given):
    return new_settings({"data": "a folder", **given}, "paper")


@pytest.mark.slow
def test_the_papers_settings():
    training = Training(paper(), [str(i) for i in range(1000)], {})
    assert training.network.num_parameters() == 60_965_224
    assert training.network.input_shape == (3, 227, 227)
    norm = training.network.norm1
    assert (norm.size, norm.alpha, norm.beta, norm.k) == (5, 1e-4, 0.75, 2)
    weights, biases = training.optimizer.groups
    assert (weights["lr"], weights["momentum"], weights["weight_decay"]) == (0.01, 0.9, 0.0005)
    assert (biases["lr"], biases["momentum"], biases["weight_decay"]) == (0.02, 0.9, 0)
    assert weights["lr_in_velocity"] and biases["lr_in_velocity"]
    settings = training.settings
    assert training.optimizer.lr_factor == 1
    assert (settings.epochs, settings.batch_size, settings.dropout) == (90, 128, 0.5)
    schedule = training.schedule
    assert isinstance(schedule, optim.ReduceLROnPlateau) and (schedule.reduction,
                                                              schedule.max_reductions) == (0.1, 3)


@pytest.mark.parametrize("departures", [[], ["biases-0.1"], ["sigma-0.03"], list(DEPARTURES)])
def test_the_papers_initial_values_and_the_departures_from_them(departures):
    network = Training(paper(departures=departures, width=1 / 4, image_size=99), ["a", "b"],
                       {}).network
    for name, layer in network.named_children():
        if hasattr(layer, "bias"):
            one = np.float32(0.1 if "biases-0.1" in departures else 1)
            assert (layer.bias.data == np.float32(name in PAPER_ONES) * one).all()
            is_wide = "sigma-0.03" in departures and name in ("conv3", "conv4", "conv5")
            sigma = 0.03 if is_wide else 0.01
            assert layer.weight.data.std() == pytest.approx(sigma, rel=0.1)


def test_the_papers_pictures():
    p = {"resize": 256, "crop": 227, "mean": [0] * 3, "std": [1 / 255] * 3,
         "mean_image": np.zeros((256, 256, 3))}
    pictures = [(np.random.default_rng(i).integers(0, 256, (300, 280, 3), np.uint8), 0)
                for i in range(3)]
    steps = train_transform(paper(), p, colour_noise(paper(), pictures)).steps
    fitted = PCANoise.fit(pictures)
    assert (steps[2].eigenvalues == fitted.eigenvalues).all() and (steps[2].components
                                                                   == fitted.components).all()
    assert [type(step) for step in steps] == [Resize, CenterCrop, PCANoise, SubtractMean,
                                              RandomCrop, RandomHorizontalFlip, Normalize]
    assert (steps[0].shorter_side, steps[1].size, steps[2].sigma, steps[4].size,
            steps[5].p) == (256, 256, 0.1, 227, 0.5)


def test_the_recipe_runs_small(tmp_path, monkeypatch):
    run = tmp_path / "run"
    folder = make_folder(tmp_path / "pictures", pictures=20)
    assert models("train", "--recipe", "paper", "--data", folder, "--width", "1/16",
                  "--image-size", 67, "--epochs", 2, "--batch-size", 8,
                  "--workers", 0, "--out", run) == 0
    arrays, info = checkpoint.load(run / "latest.safetensors")
    assert arrays["preprocessing.mean_image"].shape == (76, 76, 3)
    assert info["settings"]["departures"] == list(DEPARTURES)
    assert all(group["lr_in_velocity"] for group in info["optimizer"]["groups"])
    assert models("evaluate", run, "--ten-crop") == 0
    monkeypatch.setattr(PCANoise, "fit", lambda *arguments: pytest.fail("the checkpoint knows the "
                                                                        "colours"))
    assert models("train", "--resume", run, "--epochs", 3) == 0
    assert checkpoint.load(run / "latest.safetensors")[1]["colours"] == info["colours"]
    assert len([r for r in log(run) if r["event"] == "epoch"]) == 3
