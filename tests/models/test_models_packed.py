"""Training on packed pictures."""
import json

import numpy as np
import pytest

from data import ImageFolder, PackedPictures
from data.__main__ import main as data_command
from data.batch_at_once import SquareBatchMaker
from models.inputs.sources import make_loader, open_data
from models.inputs.preprocessing import (colour_noise, evaluation_transform, preprocessing,
                                         train_transform)
from models.settings import Settings
from models_cli import TINY, complaint, log, make_folder, models


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures") / "pictures"
    make_folder(folder / "train", pictures=20), make_folder(folder / "test", pictures=7)
    return folder


@pytest.fixture(scope="module")
def packed(folder):
    out = folder.parent / "packed"
    assert data_command(["pack", str(folder), str(out), "--size", "76", "--workers", "1"]) == 0
    return out


@pytest.mark.parametrize("normalize", ["imagenet", "mean-image"])
def test_a_run_is_scored_and_resumed_as_on_any_other_folder(folder, packed, normalize, tmp_path,
                                                            capsys):
    run, half = tmp_path / "run", tmp_path / "half"
    train = ("train", "--data", packed, *TINY, "--normalize", normalize, "--lr", "0.001",
             "--warmup", 0, "--schedule", "constant",
             "--pca-noise", "0.1")
    assert models(*train, "--workers", 1, "--epochs", 2, "--out", run) == 0
    assert models(*train, "--epochs", 1, "--out", half) == 0
    assert models("train", "--resume", half, "--epochs", 2) == 0
    once, end = (lambda r: r["event"] == "test"), log(run)[-1]      # half was tested twice
    assert [r for r in log(half) if not once(r) or r["step"] == end["step"]] == log(run)
    assert [r["step"] for r in log(half) if once(r)] == [end["step"] // 2, end["step"]]
    assert json.loads((run / "config.json").read_text())["preprocessing"]["resize"] == 76
    loss = end["loss_sum"] / end["images"]
    for source in (packed, folder):    # the pictures it was packed from are scored alike
        for crops in ([], ["--ten-crop"]):
            capsys.readouterr()
            assert models("evaluate", run, "--data", source, *crops) == 0
            printed = capsys.readouterr().out.strip()
            assert crops or f" {loss:.4f}\n" in printed


def test_every_batch_is_made_at_once(packed):
    settings = Settings(data=str(packed), image_size=67, batch_size=8, workers=0, pca_noise=0.1,
                        normalize="mean-image")
    train, _, test = open_data(settings)
    p = preprocessing(settings, train)
    transforms = [(train, train_transform(settings, p, colour_noise(settings, train))),
                  (test, evaluation_transform(p)), (test, evaluation_transform(p, ten_crop=True))]
    for pictures, transform in transforms:
        assert type(make_loader(pictures, transform, settings,
                                shuffle=True)._maker) is SquareBatchMaker


def test_the_packed_mean_is_that_of_the_files(folder, packed):
    settings = Settings(data="x", image_size=67, normalize="mean-image", workers=0)
    ours, theirs = (preprocessing(settings, pictures)["mean_image"]
                    for pictures in (PackedPictures(packed), ImageFolder(folder / "train")))
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize("image_size, resize", [(67, 76), (76, 76), (99, 112)])
def test_crops_are_taken_from_the_packed_size_where_they_fit(packed, image_size, resize):
    assert preprocessing(Settings(data="x", image_size=image_size),
                         PackedPictures(packed))["resize"] == resize


def test_a_single_packed_folder_is_split(folder, tmp_path):
    assert data_command(["pack", str(folder / "train"), str(tmp_path / "out"), "--size", "76",
                         "--workers", "1"]) == 0
    train, validation, test = open_data(Settings(data=str(tmp_path / "out")))
    assert (len(train), len(validation), test) == (32, 8, None) and train.side == 76


def test_a_damaged_pack_is_told(tmp_path, capsys):
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "manifest.json").write_text("{}")
    assert models("train", "--data", tmp_path, *TINY) == 1
    assert "is no manifest of packed pictures" in complaint(capsys)
    (tmp_path / "val" / "manifest.json").rename(tmp_path / "val" / "packing.json")
    assert models("train", "--data", tmp_path, *TINY) == 1
    assert "is not packed to its end" in complaint(capsys)
