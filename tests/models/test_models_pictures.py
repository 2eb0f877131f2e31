"""Pictures as people have them: whole batches that cannot be read, and names that are no text."""
import json
import os

import numpy as np
import pytest

from minitensor import checkpoint
from models.training import loop
from models_cli import StopAfter, complaint, log, make_folder, models

SMALL = ("--image-size", "67", "--width", "1/32", "--workers", "0", "--epochs", "2", "--warmup",
         "0", "--lr", "0.00001", "--on-error", "skip")


def break_pictures(folder, *names):
    for name in names:
        (folder / name).write_text("not a picture")
    return folder


@pytest.fixture
def folder(tmp_path):
    """Two of twelve pictures to train on, and one of four to validate on, are broken."""
    make_folder(tmp_path / "of" / "train", pictures=6)
    make_folder(tmp_path / "of" / "val", pictures=2)
    return break_pictures(tmp_path / "of", "train/cat/0.png", "train/dog/5.png", "val/dog/1.png")


def train(folder, run, *more):
    return models("train", "--data", folder, "--batch-size", 1, *SMALL, "--out", run, *more)


def steps(run):
    return [record["step"] for record in log(run) if record["event"] == "step"]


@pytest.mark.parametrize("more", [(), ("--workers", 2), ("--normalize", "mean-image"),
                                  ("--pca-noise", "0.1")])
def test_batches_without_a_readable_picture_are_passed_over(folder, tmp_path, capsys, more):
    run = tmp_path / "run"
    assert train(folder, run, *more) == 0
    assert steps(run) == list(range(1, 21))             # ten of twelve pictures, twice
    lines = capsys.readouterr().err.splitlines()
    assert [line.count("skipped") for line in lines] == [1] * 4, lines
    assert lines[-1] == "warning: 3 pictures skipped"
    assert models("evaluate", run) == 0
    out = capsys.readouterr().out
    assert "on 3 validation pictures of" in out and ", 1 skipped; " in out


@pytest.mark.parametrize("stop", [1, 4, 9, 10])
def test_a_run_stopped_among_unreadable_batches_goes_on_to_the_same_bits(
        folder, tmp_path, monkeypatch, stop):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert train(folder, whole) == 0
    monkeypatch.setattr(loop, "Interruption", lambda: StopAfter(stop))
    assert train(folder, stopped) == 130
    monkeypatch.undo()
    assert models("train", "--resume", stopped) == 0
    assert log(stopped) == log(whole)
    for name, array in checkpoint.load(whole / "latest.safetensors")[0].items():
        np.testing.assert_array_equal(checkpoint.load(stopped / "latest.safetensors")[0][name],
                                      array, name)


def test_features_of_batches_without_a_readable_picture(folder, tmp_path, capsys):
    assert train(folder, tmp_path / "base") == 0
    more = ("--weights", tmp_path / "base", "--freeze", "features", "--no-flip",
            "--no-random-crop")
    found = {}
    for name, cache in (("cached", ()), ("plain", ("--no-cache-features",))):
        run = tmp_path / name
        assert models("train", "--data", folder, "--batch-size", 1, "--epochs", 2, "--warmup", 0,
                      "--on-error", "skip", "--workers", 0, "--out", run, *more, *cache) == 0
        assert "warning: 3 pictures skipped" in capsys.readouterr().err
        found[name] = [record["loss"] for record in log(run) if record["event"] == "step"]
    assert len(found["plain"]) == 20
    assert found["cached"] == pytest.approx(found["plain"], rel=1e-4)


@pytest.mark.parametrize("part", ["train", "val"])
@pytest.mark.parametrize("more", [(), ("--normalize", "mean-image"), ("--pca-noise", "0.1")])
def test_pictures_of_which_none_can_be_read(folder, tmp_path, capsys, part, more):
    break_pictures(folder, *(path.relative_to(folder) for path in (folder / part).rglob("*.png")))
    assert train(folder, tmp_path / "run", "--batch-size", 2, *more) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "cannot be read as a picture: no picture format that Pillow knows" in last


# ---- names ------------------------------------------------------------------------------------

NAMES = {
    "no UTF-8": os.fsdecode(b"caf\xe9 \xff"), "a line break": "two\nlines\r\n",
    "quotes and commas": "\"a\", 'b'; c\\d", "right to left": "חתול \u202eתומ",
    "emoji": "🐈\u200d⬛ 猫",
    "markup": "<script>alert(1)</script>".replace("/", "∕") + " $x^2$ {0} %s &amp;",
    "control": "\x1b[31mred\x07\x1b[0m", "long": "long" * 59, "a dash": "-rf", "a space": " cat ",
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_of_classes_and_files_that_are_no_text(tmp_path, capsys, kind):
    name = NAMES[kind]
    folder = make_folder(tmp_path / "of", classes=(name, "dog"), pictures=10)
    odd = folder / name / f"{name[:240]}.png"
    (folder / name / "1.png").rename(odd)
    run = tmp_path / "run"
    assert models("train", "--data", folder, *SMALL, "--out", run) == 0
    assert checkpoint.load(run / "latest.safetensors")[1]["classes"] == sorted([name, "dog"])
    assert models("train", "--resume", run, "--epochs", 3) == 0
    assert models("evaluate", run) == 0
    for file in ("confusion.csv", "classes.csv"):
        (run / "evaluation" / file).read_text(encoding="utf-8")
    assert models("classify", run, folder, "--figure", tmp_path / "c.png") == 0
    assert models("similar", run, odd, folder, "--figure", tmp_path / "s.png") == 0
    for out in ("f.npz", "f.npy"):
        assert models("features", run, folder, "--out", tmp_path / out) == 0
    assert str(odd) in np.load(tmp_path / "f.npz")["names"].tolist()
    assert len((tmp_path / "f.txt").read_bytes().splitlines()) == 20
    assert models("convert", run, tmp_path / "t.safetensors") == 0
    assert models("summary", "alexnet") == 0
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err and "\x1b" not in captured.out + captured.err
    assert models("classify", run, odd, "--json") == 0
    line, = capsys.readouterr().out.splitlines()
    assert json.loads(line)["picture"] == str(odd)


def test_an_unreadable_picture_whose_name_is_no_text_is_told_in_one_line(tmp_path, capsys):
    folder = make_folder(tmp_path / "of", pictures=10)
    path = folder / "cat" / (NAMES["a line break"] + NAMES["no UTF-8"] + ".png")
    path.write_text("not a picture")
    assert models("train", "--data", folder, *SMALL, "--on-error", "stop", "--out",
                  tmp_path / "run") == 1
    assert "lines\\r\\ncaf\\udce9" in complaint(capsys)
