"""What a training adds to the plain loss and to crops: class weights, label smoothing,
augmentations."""
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from data import ColorJitter, PCANoise, RandomErasing, RandomResizedCrop
from minitensor import Tensor
from models.errors import SettingError
from models.inputs.preprocessing import COLOURS, train_transform
from models.settings import Settings
from models.training.class_weights import class_weights
from models.training.feature_cache import is_possible
from models.training.step import Training
from models_cli import TINY, log, make_folder, models

P = {"resize": 70, "crop": 67, **COLOURS}
SMALL = Settings(data="builtin", image_size=67, width=1 / 32, dropout=0.0, warmup=0)
AUGMENTED = ("--random-resized-crop", "0.3", "--color-jitter", "0.4", "0.4", "0.4", "0.1",
             "--random-erasing", "0.5")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for part, cats, dogs in (("train", 21, 7), ("val", 5, 5)):
        make_folder(folder / part, ("cat",), cats), make_folder(folder / part, ("dog",), dogs)
    return folder


# ---- the loss ------------------------------------------------------------------------------------

@pytest.mark.parametrize("weights", [None, [3.0, 0.5]])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_a_step_learns_by_class_weights_and_label_smoothing(weights, smoothing):
    training = Training(replace(SMALL, label_smoothing=smoothing), ["cat", "dog"], P)
    training.metadata["class_weights"] = weights
    images = np.random.default_rng(0).standard_normal((5, 3, 67, 67), np.float32)
    labels, total, divisor = np.array([0, 1, 1, 0, 1]), 0.0, 0.0
    w = weights or [1.0, 1.0]
    for row, label in zip(training.network(Tensor(images)).data.astype(float), labels):
        losses = [w[k] * (math.log(sum(map(math.exp, row))) - row[k]) for k in range(2)]
        total += (1 - smoothing) * losses[label] + smoothing * sum(losses) / 2
        divisor += w[label]
    assert training.step(images, labels)[0] == pytest.approx(total / divisor, rel=1e-5)


def test_balanced_class_weights_make_each_class_count_alike():
    labels = np.array([0] * 6 + [2] * 3)
    weights = class_weights("balanced", ["a", "b", "c"], labels)
    assert weights == [0.5, 0.0, 1.0] and weights[0] * 6 == weights[2] * 3
    assert class_weights({"c": 2.5}, ["a", "b", "c"], labels) == [1.0, 1.0, 2.5]


@pytest.mark.slow
def test_class_weights_and_augmentations_are_remembered_and_resumed(folder, tmp_path):
    train = ("train", "--data", folder, *TINY, "--class-weights", "balanced", *AUGMENTED,
             "--label-smoothing", "0.1", "--schedule", "constant", "--warmup", 0)
    whole, half = tmp_path / "whole", tmp_path / "half"
    assert models(*train, "--epochs", 2, "--out", whole) == 0
    config = json.loads((whole / "config.json").read_text())
    assert config["class_weights"] == [28 / (2 * 21), 28 / (2 * 7)]
    assert config["settings"]["class_weights"] == "balanced"
    assert config["settings"]["color_jitter"] == [0.4, 0.4, 0.4, 0.1]
    assert models(*train, "--epochs", 1, "--out", half) == 0
    assert models("train", "--resume", half, "--epochs", 2, "--class-weights", "balanced") == 0
    assert log(half) == log(whole)
    plain = tmp_path / "plain"
    assert models("train", "--data", folder, *TINY, "--epochs", 1, "--out", plain,
                  "--class-weights", "dog=3") == 0
    config = json.loads((plain / "config.json").read_text())
    assert config["class_weights"] == [1.0, 3.0]
    assert config["settings"]["class_weights"] == {"dog": 3.0}


# ---- augmentations -------------------------------------------------------------------------------

def test_the_options_of_augmentations_become_steps_in_their_order():
    settings = replace(SMALL, random_resized_crop=0.3, color_jitter=[0.4, 0.2], random_erasing=0.5,
                       pca_noise=0.1)
    noise = {"eigenvalues": [1, 1, 1], "components": np.eye(3).tolist()}
    crop, colours, jitter, _, _, erasing = train_transform(settings, P, noise).steps
    assert repr(crop) == repr(RandomResizedCrop(67, (0.3, 1)))
    assert repr(jitter) == repr(ColorJitter(0.4, 0.2)) and isinstance(colours, PCANoise)
    assert repr(erasing) == repr(RandomErasing(0.5))


def test_without_their_options_there_are_no_augmentations():
    kinds = [type(step).__name__ for step in train_transform(SMALL, P, {}).steps]
    assert kinds == ["Resize", "CenterCrop", "RandomCrop", "RandomHorizontalFlip", "Normalize"]


def test_padded_crops_reach_over_every_side_of_the_picture():
    still = replace(SMALL, flip=False, crop_padding=4)
    p = {"resize": 8, "crop": 8, "mean": [0.0] * 3, "std": [1 / 255] * 3}
    steps = train_transform(still, p, {})
    picture = np.random.default_rng(0).integers(1, 256, (8, 8, 3), np.uint8)
    padded = np.zeros((16, 16, 3), np.float32)
    padded[4:12, 4:12] = picture
    expected = {padded[top:top + 8, left:left + 8].tobytes()
                for top in range(9) for left in range(9)}
    rng = np.random.default_rng(1)
    found = {np.rint(steps(picture, rng)).transpose(1, 2, 0).tobytes() for _ in range(1500)}
    assert found == expected


@pytest.mark.parametrize("settings, words", [
    ({"crop_padding": 4, "random_crop": False}, "crop_padding 4 is for random crops"),
    ({"crop_padding": 4, "random_resized_crop": 0.5}, "crop_padding 4 is for random crops"),
    ({"crop_padding": 67}, "crop_padding must be less than the 67 pixels of a crop, not 67")])
def test_padding_that_nothing_crops_is_refused(settings, words):
    with pytest.raises(SettingError, match=words):
        train_transform(replace(SMALL, **settings), P, {})


@pytest.mark.parametrize("option", [{"random_resized_crop": 0.3}, {"color_jitter": [0.1]},
                                    {"random_erasing": 0.5},
                                    {"crop_padding": 4, "random_crop": True}])
def test_features_are_not_cached_where_augmentations_change_the_pictures(option):
    still = replace(SMALL, freeze="features", flip=False, random_crop=False)
    assert is_possible(Training(still, ["cat", "dog"], P))
    assert not is_possible(Training(replace(still, **option), ["cat", "dog"], P))
