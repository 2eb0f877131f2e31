"""`evaluate`, `classify` and `summary`: a trained network in use."""
import re

import numpy as np
import pytest

from data import BuiltinPictures
from models.inputs.sources import open_test_data
from models.evaluation.scores import Scores, best_classes
from models.settings import Settings
from models_cli import (BUILTIN, TINY, complaint, log, make_folder, models, picture_size, read_csv,
                        start_models)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Trained on folders, well enough that accuracy means something."""
    folder = tmp_path_factory.mktemp("use")
    make_folder(folder / "pictures" / "train",
                pictures=20), make_folder(folder / "pictures" / "val", pictures=7)
    assert models("train", "--data", folder / "pictures", *TINY, "--width", "1/16", "--epochs", 6,
                  "--lr", "0.003", "--warmup", 0,
                  "--dropout", 0, "--out", folder / "run") == 0
    return folder / "run"


def percent(line):
    """But for what stands in brackets."""
    return [float(number) for number in re.findall(r"([\d.]+)%", re.sub(r"\(.*?\)", "", line))]


# ---- evaluate ----------------------------------------------------------------------------------

@pytest.mark.parametrize("name, which", [("latest.safetensors", -1), ("", None)])
def test_evaluate_reproduces_trainings_figures(name, which, run, capsys):
    epochs = [r for r in log(run) if r["event"] == "epoch"]
    expected = epochs[-1] if which else max(epochs, key=lambda r: r["validation_top1"])
    assert models("evaluate", run / name) == 0
    out = capsys.readouterr().out
    centre = next(line for line in out.splitlines() if line.startswith("centre crop"))
    assert percent(centre) == [round(100 * (1 - expected["validation_top1"]), 2),
                               round(100 * expected["validation_top1"], 2)]
    assert centre.endswith(f" {expected['validation_loss']:.4f}")
    assert "on 14 validation pictures" in out


def test_evaluate_on_other_data_and_ten_crops(run, tmp_path, capsys):
    assert models("evaluate", run, "--data", make_folder(tmp_path / "other", pictures=5),
                  "--ten-crop") == 0
    out = capsys.readouterr().out
    assert "10 pictures" in out and [line.split("  ")[0] for line in out.splitlines()
                                     if "crop" in line] == [
        "centre crop", "mean of ten crops", "mean of ten crops, class by class"]
    assert all(percent(line)[1] >= 90 for line in out.splitlines()
               if re.match("centre crop|mean of ten crops +", line))


def test_evaluate_writes_a_report_beside_the_checkpoint_or_where_told(run, tmp_path, capsys):
    assert models("evaluate", run) == 0
    assert models("evaluate", run, "--out", tmp_path / "new" / "report") == 0
    for folder in (run / "evaluation", tmp_path / "new" / "report"):
        assert sorted(path.name
                      for path in folder.iterdir()) == ["classes.csv", "confusion.csv",
                                                        "confusion.png"]
        assert picture_size(folder / "confusion.png") == (500, 400)
    assert "top-5" not in capsys.readouterr().out    # there are two classes


def test_a_report_that_cannot_be_written(run, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert models("evaluate", run, "--out", tmp_path / "file" / "folder") == 1
    assert complaint(capsys).startswith("python -m models evaluate: cannot write "
                                        f"{tmp_path / 'file' / 'folder'}: ")


def test_evaluate_where_a_class_has_no_pictures(run, tmp_path, capsys):
    assert models("evaluate", run, "--data", make_folder(tmp_path / "other", classes=("dog",)),
                  "--out", tmp_path / "report") == 0
    assert "6 pictures" in capsys.readouterr().out
    rows = read_csv(tmp_path / "report" / "confusion.csv")
    assert rows[0][1:] == ["cat", "dog"] and rows[1] == ["cat", "0",
                                                         "0"] and sum(map(int, rows[2][1:])) == 6
    assert read_csv(tmp_path / "report" / "classes.csv")[1][:4] == ["cat", "0", "nan", "nan"]


def test_evaluate_on_other_classes_is_refused(run, tmp_path, capsys):
    assert models("evaluate", run, "--data",
                  make_folder(tmp_path / "other", classes=("cow", "dog"))) == 1
    assert "has the classes cow, dog (2), but" in complaint(capsys)


def test_scores_count_ties_once_and_nan_never():
    uniform = np.full((10, 10), np.log(0.1), np.float32)
    scores = Scores().plus(uniform, np.arange(10))
    assert (scores.top1, scores.top5) == (0.1, 0.5) and scores.loss == pytest.approx(np.log(10))
    assert best_classes(np.array([[np.nan, 1, 2]])).tolist() == [[2, 1, 0]]


# ---- classify ----------------------------------------------------------------------------------

def test_classify_prints_bars_and_the_folders_class(run, capsys):
    picture = run.parent / "pictures" / "val" / "dog" / "3.png"
    assert models("classify", run, picture) == 0
    title, first, second = capsys.readouterr().out.splitlines()
    assert title == f"{picture} (dog)"
    assert re.match(r" \* dog +\d+\.\d% █+$", first) and second.startswith("   cat")
    assert sum(percent(first + second)) == pytest.approx(100, abs=0.1)


def test_of_two_classes_of_one_name_one_is_correct(tmp_path, capsys):
    """ImageNet has two classes called crane: the bird and the machine."""
    bird, machine = "n02012849", "n03126707"
    folder = make_folder(tmp_path / "pictures", classes=(bird, machine), pictures=10)
    assert models("train", "--data", folder, *TINY, "--epochs", 1, "--out", tmp_path / "run") == 0
    capsys.readouterr()
    assert models("classify", tmp_path / "run", folder / bird / "0.png") == 0
    title, *best = capsys.readouterr().out.splitlines()
    assert title.endswith("(crane)")
    assert sorted(line[:8] for line in best) == ["   crane", " * crane"]


def test_classify_takes_folders_and_draws_a_figure(run, tmp_path, capsys):
    assert models("classify", run, run.parent / "pictures" / "val", "--figure",
                  tmp_path / "figure.png") == 0
    titles = [line for line in capsys.readouterr().out.splitlines() if line.startswith("/")
              and "pictures/" in line]
    assert len(titles) == 14
    assert picture_size(tmp_path / "figure.png")[0] > 1000


def test_classify_names_what_it_cannot_read_and_goes_on(run, tmp_path, capsys):
    (tmp_path / "broken.jpg").write_text("text")
    good = run.parent / "pictures" / "val" / "cat" / "0.png"
    assert models("classify", run, tmp_path / "broken.jpg", tmp_path / "absent.png", good) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith(str(good))
    assert [line.split(" cannot")[0]
            for line in captured.err.splitlines()] == [str(tmp_path / "broken.jpg"),
                                                       str(tmp_path / "absent.png")]


def test_classify_an_empty_folder(run, tmp_path, capsys):
    assert models("classify", run, tmp_path) == 1
    assert "holds no pictures" in complaint(capsys)


def test_a_figure_that_cannot_be_written(run, tmp_path, capsys):
    assert models("classify", run, run.parent / "pictures" / "val" / "cat" / "0.png", "--figure",
                  tmp_path / "none" / "f.png") == 2
    assert ("argument --figure: must be a file in a folder that can be written to"
            in complaint(capsys))
    assert models("classify", run, run.parent / "pictures" / "val" / "cat" / "0.png", "--figure",
                  tmp_path / "f.jpg") == 2
    assert "argument --figure: must end in .png, not" in complaint(capsys)


def test_ten_classes_show_five(tmp_path, capsys):
    make = tmp_path / "run"
    assert models(*BUILTIN, "--epochs", 1, "--out", make) == 0
    picture = make_folder(tmp_path / "pictures") / "cat" / "0.png"
    capsys.readouterr()
    assert models("classify", make, picture) == 0
    title, *bars = capsys.readouterr().out.splitlines()
    assert title == str(picture) and len(bars) == 5             # no class is called cat here


# ---- summary, help -----------------------------------------------------------------------------

def test_summary_of_the_seed_network(capsys):
    assert models("summary", "alexnet") == 0
    assert "62,378,344" in capsys.readouterr().out


def test_summary_of_a_checkpoint(run, capsys):
    assert models("summary", run) == 0
    assert "input 3 x 67 x 67" in capsys.readouterr().out
    assert models("summary", run, "--width", "1/2") == 2
    assert "leave out --width" in complaint(capsys)


@pytest.mark.parametrize("command", ["train", "evaluate", "classify", "features", "similar",
                                     "summary"])
def test_help_shows_examples(command, capsys):
    assert models(command, "--help") == 0
    assert f"python -m models {command}" in capsys.readouterr().out.split("examples:")[1]


def test_help_in_a_process_of_its_own():
    process = start_models("--help")
    out, err = process.communicate()
    assert process.returncode == 0 and err == "" and "classify" in out


def test_builtin_pictures_are_evaluated_even_for_a_network_trained_on_a_folder():
    pictures, _ = open_test_data("builtin", Settings(data="/a/folder", pictures=40, image_size=67))
    assert isinstance(pictures, BuiltinPictures) and len(pictures) == 10
