"""`features` and `similar`, and the ways in which classify is told its pictures."""
import io
import json
import os
import shutil

import numpy as np
import pytest

from minitensor import Tensor, no_grad
from models.evaluation.features import nearest
from models.inputs.picture_files import expanded, load
from models.inputs.preprocessing import evaluation_transform
from models.training.checkpoints import load_network
from models_cli import BUILTIN, complaint, make_folder, models, picture_size


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    make_folder(folder / "pictures", pictures=9)
    assert models(*BUILTIN, "--epochs", 1, "--out", folder / "run") == 0
    return folder / "run"


@pytest.fixture
def folder(run):
    return run.parent / "pictures"


def files_of(*paths):
    told = []
    found = expanded(map(str, paths), told.append)
    assert not told
    return found


def layer_by_layer(run, paths, layer):
    """One picture at a time, one layer after the other."""
    network, info = load_network(str(run / "best.safetensors"))
    rows = []
    for path in paths:
        x = Tensor(evaluation_transform(info["preprocessing"])(load(str(path)), None)[None])
        with no_grad():
            for name, module in network.named_children():
                x = module(x)
                if name == layer:
                    rows.append(x.numpy()[0])
                    break
    return np.stack(rows)


def test_features_are_the_layers_output(run, folder, tmp_path, capsys):
    assert models("features", run, folder, "--out", tmp_path / "f.npz") == 0
    with np.load(tmp_path / "f.npz") as file:
        names, values = file["names"].tolist(), file["features"]
    assert names == files_of(folder)
    assert values.shape == (18, 128)
    assert values.dtype == np.float32
    assert values.min() == 0                                        # after the ReLU
    np.testing.assert_allclose(values, layer_by_layer(run, names, "fc7"), rtol=1e-4, atol=1e-5)
    assert "fc7 of 18 pictures" in capsys.readouterr().out


def test_another_layer_as_npy_with_the_names_beside(run, folder, tmp_path):
    assert models("features", run, folder / "cat", "--layer", "conv5", "--out",
                  tmp_path / "f.npy") == 0
    names = (tmp_path / "f.txt").read_text().splitlines()
    np.testing.assert_allclose(np.load(tmp_path / "f.npy"), layer_by_layer(run, names, "conv5"),
                               rtol=1e-4, atol=1e-5)


def test_names_of_files_that_are_no_text_keep_their_bytes(run, folder, tmp_path):
    pictures_there = tmp_path / "猫"
    pictures_there.mkdir()
    name = os.fsencode(pictures_there) + b"/\xff.png"
    try:
        shutil.copy(folder / "cat" / "0.png", os.fsdecode(name))
    except OSError:
        pytest.skip("this file system takes only names that are text")
    assert models("features", run, pictures_there, "--out", tmp_path / "f.npy") == 0
    assert (tmp_path / "f.txt").read_bytes() == name + b"\n"


@pytest.mark.parametrize("more, status, words", [
    (["--layer", "fc9", "--out", "f.npz"], 2, "--layer fc9: the network has no such layer; its "
     "layers: conv1, pool1"),
    (["--out", "f.csv"], 2, "--out: must end in .npz or .npy, not 'f.csv'")])
def test_mistakes(more, status, words, run, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert models("features", run, folder, *more) == status
    assert words in complaint(capsys) and not list(tmp_path.iterdir())


def test_nothing_readable(run, tmp_path, capsys):
    (tmp_path / "broken.jpg").write_text("text")
    assert models("features", run, tmp_path, "--out", tmp_path / "f.npz") == 1
    assert "none of the pictures can be read" in capsys.readouterr().err
    assert not (tmp_path / "f.npz").exists()


# ---- similar -----------------------------------------------------------------------------------

def test_nearest_are_those_of_a_full_sort():
    rng = np.random.default_rng(0)
    wanted, all_features = rng.standard_normal((3, 5)), rng.standard_normal((40, 5))
    paths = [f"nowhere/{i:02}.png" for i in range(40)]
    batches = ((paths[i:i + 7], all_features[i:i + 7]) for i in range(0, 40, 7))
    found = nearest([paths[4], "a", "b"], np.concatenate([all_features[4:5], wanted[1:]]), batches,
                    6)
    for query, name, neighbours in zip([all_features[4], *wanted[1:]], [paths[4], "a", "b"], found):
        distances = [(np.linalg.norm(row - query), path) for row, path in zip(all_features, paths)
                     if path != name]
        assert [path for _, path in neighbours] == [path for _, path in sorted(distances)[:6]]
        assert [d for d, _ in neighbours] == pytest.approx([d for d, _ in sorted(distances)[:6]])


def test_similar_finds_a_copy_first_and_draws_rows(run, folder, tmp_path, capsys):
    copies = tmp_path / "copies"
    shutil.copytree(folder, copies)
    queries = folder / "cat" / "3.png", folder / "dog" / "5.png"
    assert models("similar", run, *queries, copies, "-k", 4, "--figure",
                  tmp_path / "similar.png") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(queries[0]) and lines[5] == str(queries[1])
    assert lines[1].split() == ["0.000", str(copies / "cat" / "3.png")]
    assert lines[6].split()[1] == str(copies / "dog" / "5.png")
    distances = [float(line.split()[0]) for line in lines[1:5]]
    assert distances == sorted(distances) and distances[1] > 0
    width, height = picture_size(tmp_path / "similar.png")
    assert width > height


def test_a_query_from_the_folder_is_not_its_own_neighbour(run, folder, capsys):
    query = folder / "cat" / "3.png"
    assert models("similar", run, query, folder, "-k", 100) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 18 and not any(line.endswith(str(query)) for line in lines[1:])


# ---- pictures on the command line --------------------------------------------------------------

def test_one_unmatched_pattern_among_good_pictures(run, folder, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    good, gone = folder / "cat" / "0.png", tmp_path / "gone.png"
    missing = [tmp_path / "*.jpg", gone, tmp_path / "empty"]
    told = [f"nothing matches {missing[0]}", f"the folder {missing[2]} holds no pictures",
            f"{gone} cannot be read as a picture: no such file or directory"]
    assert models("classify", run, missing[0], good, *missing[1:], "--json") == 1
    captured = capsys.readouterr()
    assert [json.loads(line)["picture"] for line in captured.out.splitlines()] == [str(good)]
    assert captured.err.splitlines() == told
    out = tmp_path / "f.npz"
    assert models("features", run, *missing, good, "--out", out) == 1
    assert np.load(out)["names"].tolist() == [str(good)]
    assert capsys.readouterr().err.splitlines() == told
    assert models("similar", run, *missing, good, folder) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{good}\n") and captured.err.splitlines() == told
    assert models("similar", run, good, missing[2]) == 1


def test_patterns_name_pictures_and_folders(folder):
    assert [name[-9:]
            for name in files_of(folder / "c*" / "[12].png", folder / "d*")] == [
        "cat/1.png", "cat/2.png", *(f"dog/{i}.png" for i in range(9))]


def test_a_pattern_without_a_match(run, tmp_path, capsys):
    assert models("classify", run, tmp_path / "*.jpg") == 1
    assert f"nothing matches {tmp_path / '*.jpg'}" in complaint(capsys)


class StandardInput:
    def __init__(self, content):
        self.buffer = io.BytesIO(content)


def test_standard_input_holds_a_picture(run, folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "striped disc").mkdir()
    # a class's name, which is not where the picture comes from
    monkeypatch.chdir(tmp_path / "striped disc")
    monkeypatch.setattr("sys.stdin", StandardInput((folder / "cat" / "0.png").read_bytes()))
    assert models("classify", run, "-", "--json") == 0
    from_input = json.loads(capsys.readouterr().out)
    assert from_input["correct"] is None
    assert models("classify", run, folder / "cat" / "0.png", "--json") == 0
    from_file = json.loads(capsys.readouterr().out)
    assert from_input["picture"] == "-"
    assert from_input["best"] == from_file["best"]
    assert len(from_file["best"]) == 5


def test_standard_input_without_a_picture(run, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", StandardInput(b""))
    assert models("classify", run, "-") == 1
    assert complaint(capsys) == ("standard input cannot be read as a picture: "
                                 "no picture format that Pillow knows")


def test_standard_input_is_drawn_too(run, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", StandardInput((folder / "cat" / "0.png").read_bytes()))
    assert models("similar", run, "-", folder, "--figure", tmp_path / "similar.png") == 0
    assert (tmp_path / "similar.png").exists()


@pytest.mark.parametrize("order", ["classify RUN --json CAT DOG", "classify --json RUN CAT DOG",
                                   "classify RUN CAT --json DOG"])
def test_options_stand_anywhere(order, run, folder, capsys):
    words = {"RUN": run, "CAT": folder / "cat" / "0.png", "DOG": folder / "dog" / "0.png"}
    assert models(*(words.get(word, word) for word in order.split())) == 0
    assert [json.loads(line)["picture"] for line in capsys.readouterr().out.splitlines()] == [
        str(words["CAT"]), str(words["DOG"])]


def test_json_is_an_object_a_line(run, folder, tmp_path, capsys):
    assert models("classify", run, folder, "--json", "--figure", tmp_path / "f.png") == 0
    guesses = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [guess["picture"] for guess in guesses] == files_of(folder)
    assert all(guess["correct"] is None and 0 <= guess["best"][0]["probability"] <= 1
               for guess in guesses)
