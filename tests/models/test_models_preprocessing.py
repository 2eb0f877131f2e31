"""What pictures become before a network sees them: the mean picture, and that a checkpoint
remembers it."""
import json

import numpy as np
import pytest
from PIL import Image

from data import ImageFolder
from minitensor import checkpoint
from models.inputs.preprocessing import evaluation_transform, preprocessing
from models.settings import Settings
from models_cli import complaint, log, make_folder, models, TINY


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    make_folder(folder / "train", pictures=20), make_folder(folder / "val", pictures=7)
    return folder


def by_hand(path, side):
    """The central square of a picture 40 x 50 whose shorter side is scaled to `side`."""
    with Image.open(path) as picture:
        scaled = np.asarray(picture.resize((round(50 * side / 40), side),
                                           Image.Resampling.BILINEAR), float)
    left = round((scaled.shape[1] - side) / 2)
    return scaled[:, left:left + side]


@pytest.mark.parametrize("workers", [0, 1])
def test_the_mean_is_that_of_the_training_pictures(folder, workers):
    pictures = ImageFolder(folder / "train")
    settings = Settings(data="a folder", image_size=67, normalize="mean-image", workers=workers,
                        batch_size=7)
    p = preprocessing(settings, pictures)
    expected = np.mean([by_hand(path, 76) for path in pictures.paths], axis=0)
    assert p["mean_image"].shape == (76, 76, 3) and p["mean_image"].dtype == np.float32
    np.testing.assert_allclose(p["mean_image"], expected, atol=1e-3)
    seen = evaluation_transform(p)(pictures[0][0], None)
    np.testing.assert_allclose(seen, (by_hand(pictures.paths[0], 76)
                                      - expected)[4:71, 4:71].transpose(2, 0, 1), atol=1e-3)

    p = preprocessing(Settings(data="a folder", image_size=67, normalize="mean-pixel", workers=0),
                      pictures)
    np.testing.assert_allclose(np.multiply(p["mean"], 255), expected.mean(axis=(0, 1)), atol=1e-3)
    seen = evaluation_transform(p)(pictures[0][0], None)
    expected = (by_hand(pictures.paths[0], 76)
                - expected.mean(axis=(0, 1)))[4:71, 4:71].transpose(2, 0, 1)
    np.testing.assert_allclose(seen, expected, atol=1e-3)


@pytest.mark.parametrize("normalize", ["mean-image", "mean-pixel"])
def test_a_checkpoint_remembers_the_mean(folder, normalize, tmp_path, capsys):
    run = tmp_path / "run"
    train = ("train", "--data", folder, *TINY, "--normalize", normalize, "--lr", "0.001",
             "--warmup", 0, "--schedule", "constant")
    assert models(*train, "--epochs", 2, "--out", run) == 0
    last = [r for r in log(run) if r["event"] == "epoch"][-1]
    capsys.readouterr()
    assert models("evaluate", run / "latest.safetensors") == 0
    assert next(line for line in capsys.readouterr().out.splitlines()
                if "centre crop" in line).endswith(f" {last['validation_loss']:.4f}")
    assert models("classify", run, folder / "val" / "cat" / "0.png") == 0
    assert json.loads((run / "config.json").read_text())["preprocessing"]["resize"] == 76
    arrays, _ = checkpoint.load(run / "best.safetensors")
    assert ("preprocessing.mean_image" in arrays) == (normalize == "mean-image")

    half = tmp_path / "half"
    assert models(*train, "--epochs", 1, "--out", half) == 0
    assert models("train", "--resume", half, "--epochs", 2) == 0
    assert log(half) == log(run)


def test_a_crop_larger_than_the_picture(folder, tmp_path, capsys):
    assert models("train", "--data", folder, *TINY, "--resize", 66, "--out", tmp_path / "run") == 2
    assert complaint(capsys).endswith("--resize must be at least the image size 67, not 66")
