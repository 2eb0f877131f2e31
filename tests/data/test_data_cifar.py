"""CIFAR-10 pickled again, CIFAR-100 in both label sets, and both in their archives."""
import io
import os
import pickle
import tarfile

import numpy as np
import pytest

from data import CIFAR10, CIFAR100, find_splits
from models_cli import TINY, models

RNG = np.random.default_rng(0)
COUNT = 20
PLANES = RNG.integers(0, 256, (COUNT, 3072), np.uint8)
IMAGES = PLANES.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
TEN = RNG.integers(0, 10, COUNT)
FINE, COARSE = np.arange(COUNT) * 5 % 100, np.arange(COUNT) % 20
NAMES = {"fine_label_names": [f"fine {i:02}" for i in range(100)],
         "coarse_label_names": [f"coarse {i:02}" for i in range(20)]}


@pytest.fixture
def small_files(monkeypatch):
    monkeypatch.setattr(CIFAR10, "images_per_file", COUNT)


def check_ten(folder, batch, protocol):
    (folder / "test_batch").write_bytes(pickle.dumps(batch, protocol))
    dataset = CIFAR10(folder, train=False)
    np.testing.assert_array_equal(dataset.images, IMAGES)
    np.testing.assert_array_equal(dataset.labels, TEN)


LABELS = {"list": TEN.tolist(), "tuple": tuple(TEN.tolist()), "uint8": TEN.astype(np.uint8),
          "int64": TEN, "big-endian": TEN.astype(">i4"), "column": TEN[:, None].astype(np.int32),
          "numpy's numbers": list(TEN), "uint8 numbers": list(TEN.astype(np.uint8))}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("key", [str, str.encode])
def test_cifar10_pickled_again_by_any_protocol(tmp_path, small_files, protocol, labels, key):
    check_ten(tmp_path, {key("data"): PLANES, key("labels"): LABELS[labels],
                         key("batch_label"): b"testing batch 1 of 1",
                         key("filenames"): [b"a.png"] * COUNT}, protocol)


DATA = {"Fortran order": np.asfortranarray(PLANES), "int64": PLANES.astype(np.int64),
        "big-endian": PLANES.astype(">u2"), "four axes": PLANES.reshape(-1, 3, 32, 32),
        "channels last": np.ascontiguousarray(IMAGES), "a view": IMAGES}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("data", DATA)
def test_cifar10_data_in_other_orders_and_types(tmp_path, small_files, protocol, data):
    check_ten(tmp_path, {"data": DATA[data], "labels": TEN}, protocol)


@pytest.mark.parametrize("data", [
    PLANES.astype(np.float32), PLANES.astype(int) - 1, PLANES.astype(int) + 1, PLANES[:, :-1],
    [[1, 2]], np.array([None])])
def test_cifar10_data_of_no_bytes_are_refused(tmp_path, small_files, data):
    (tmp_path / "test_batch").write_bytes(pickle.dumps({"data": data, "labels": TEN}))
    with pytest.raises(ValueError, match="test_batch is no CIFAR-10 batch: its data are not uint8"):
        CIFAR10(tmp_path, train=False)


# ---- CIFAR-100 ---------------------------------------------------------------------------------

def hundred_python(protocol=2):
    batch = {b"data": PLANES, b"fine_labels": FINE.tolist(), b"coarse_labels": COARSE.tolist(),
             b"filenames": [b"x.png"] * COUNT}
    contents = {"train": batch, "test": batch, "meta": NAMES}
    return {name: pickle.dumps(content, protocol) for name, content in contents.items()}


def hundred_binary():
    records = np.hstack([COARSE[:, None], FINE[:, None], PLANES]).astype(np.uint8).tobytes()
    texts = {f"{key}.txt": "".join(f"{name}\n" for name in names).replace(" ", "_").encode()
             for key, names in NAMES.items()}
    return {"train.bin": records, "test.bin": records, **texts}


def ten_python():
    batch = pickle.dumps({"data": PLANES, "labels": TEN.tolist()}, 2)
    return dict.fromkeys(["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4",
                          "data_batch_5", "test_batch"], batch)


def laid_out(tmp_path, files, inside):
    """As a folder, a folder in it, or an archive with it -> what to give as --data"""
    if not inside.endswith(".gz"):
        (tmp_path / "of" / inside).mkdir(parents=True)
        for name, content in files.items():
            (tmp_path / "of" / inside / name).write_bytes(content)
        return tmp_path / "of"
    with tarfile.open(tmp_path / inside, "w:gz") as archive:
        for name, content in {"._train": b"", "._test_batch": b"", **files}.items():
            member = tarfile.TarInfo(f"{inside.removesuffix('.tar.gz')}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return tmp_path / inside


@pytest.mark.parametrize("labels, expected", [("fine", FINE), ("coarse", COARSE)])
@pytest.mark.parametrize("make, inside", [
    (hundred_python, ""), (hundred_python, "cifar-100-python"),
    (hundred_python, "cifar-100-python.tar.gz"), (hundred_binary, ""),
    (hundred_binary, "cifar-100-binary"), (hundred_binary, "cifar-100-binary.tar.gz")])
def test_cifar100_in_both_label_sets(tmp_path, make, inside, labels, expected):
    root = laid_out(tmp_path, make(), inside)
    splits = find_splits(root, labels=labels)
    for split in ("train", "test"):
        dataset = splits[split]()
        np.testing.assert_array_equal(dataset.images, IMAGES)
        np.testing.assert_array_equal(dataset.labels, expected)
        names = [name.replace("_", " ") for name in dataset.classes]
        assert names == NAMES[f"{labels}_label_names"]


@pytest.mark.parametrize("protocol", range(6))
def test_cifar100_pickled_again(tmp_path, protocol):
    root = laid_out(tmp_path, hundred_python(protocol), "")
    np.testing.assert_array_equal(CIFAR100(root).labels, FINE)


def test_cifar100_without_names_calls_its_classes_by_number(tmp_path):
    files = hundred_python()
    del files["meta"]
    assert CIFAR100(laid_out(tmp_path, files, ""), labels="coarse").classes[19] == "19"


def test_cifar100_refuses_what_it_is_not(tmp_path):
    root = laid_out(tmp_path, hundred_binary(), "")
    with pytest.raises(ValueError, match="""must be "fine" or "coarse", not 'course'"""):
        CIFAR100(root, labels="course")
    for content, message in ((b"", "holds 0 pictures"), (b"\xff" * 3074, "the label 255, outside"),
                             (b"abc", "no multiple of 3,074")):
        (root / "test.bin").write_bytes(content)
        with pytest.raises(ValueError, match=f"test.bin.*{message}"):
            CIFAR100(root, train=False)


# ---- archives ----------------------------------------------------------------------------------

def test_cifar10_in_its_archive(tmp_path, small_files):
    root = laid_out(tmp_path, ten_python(), "cifar-10-python.tar.gz")
    splits = find_splits(root)
    assert len(splits["train"]()) == 5 * COUNT
    np.testing.assert_array_equal(splits["test"]().images, IMAGES)
    assert os.listdir(tmp_path) == ["cifar-10-python.tar.gz"]           # nothing is unpacked


def test_cifar_in_a_folder_with_its_archive(tmp_path, small_files):
    """As torchvision's download leaves it, or a browser's."""
    laid_out(tmp_path, ten_python(), "cifar-10-python.tar.gz")
    assert len(find_splits(tmp_path)["train"]()) == 5 * COUNT
    (tmp_path / "100").mkdir()
    laid_out(tmp_path / "100", hundred_binary(), "cifar-100-binary.tar.gz")
    np.testing.assert_array_equal(find_splits(tmp_path / "100")["test"]().labels, FINE)


def test_damaged_and_foreign_archives(tmp_path, small_files):
    files = ten_python()
    root = laid_out(tmp_path, files, "a.tar.gz")
    whole = root.read_bytes()
    for share in (0.3, 0.6, 0.9):
        root.write_bytes(whole[:int(share * len(whole))])
        with pytest.raises(ValueError, match="a.tar.gz is a(n| damaged) archive"):
            find_splits(root)["train"]()
    del files["data_batch_3"]
    with pytest.raises(FileNotFoundError, match="b.tar.gz: data_batch_3 is missing"):
        find_splits(laid_out(tmp_path, files, "b.tar.gz"))["train"]()
    with pytest.raises(ValueError, match="c.tar.gz is an archive of neither CIFAR-10 nor"):
        find_splits(laid_out(tmp_path, {"cat.jpg": b""}, "c.tar.gz"))


def test_training_on_cifar100s_coarse_labels(tmp_path, capsys):
    pytest.importorskip("matplotlib")           # a run draws its curves
    root = laid_out(tmp_path, hundred_python(), "cifar-100-python.tar.gz")
    run = tmp_path / "run"
    assert models("train", "--data", root, "--labels", "coarse", *TINY, "--epochs", 1, "--out",
                  run) == 0
    assert "20 classes" in capsys.readouterr().out
    assert models("evaluate", run) == 0
