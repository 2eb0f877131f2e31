"""ILSVRC-2012 as it is handed out: a flat validation folder and texts that say what it shows."""
import json
import re

import numpy as np
import pytest
from PIL import Image

import data
from data import ILSVRCValidation, PackedPictures
from data.__main__ import main as data_command
from data.matlab import read_structs

WNIDS = ("n02119789", "n02100735", "n01440764")     # of ILSVRC2012_ID 1, 2, 3: not in sorted order
SHOWN = (2, 0, 2, 1)                                                # places in WNIDS
CLASSES = sorted(WNIDS)
LABELS = [CLASSES.index(WNIDS[i]) for i in SHOWN]
TRUTH = "ILSVRC2012_validation_ground_truth.txt"


@pytest.fixture
def root(tmp_path):
    """Pictures 1 to 4, whose colour is their number, and an unlabelled test folder, as ILSVRC's."""
    for wnid in WNIDS:
        (tmp_path / "train" / wnid).mkdir(parents=True)
        Image.new("RGB", (9, 8)).save(tmp_path / "train" / wnid / f"{wnid}_1.JPEG")
    for folder in ("val", "test"):
        (tmp_path / folder).mkdir()
        for number in range(1, 5):
            picture = Image.new("RGB", (8, 9), (20 * number,) * 3)
            picture.save(tmp_path / folder / f"ILSVRC2012_{folder}_{number:08}.JPEG")
    return tmp_path


def write_meta(path, **more):
    """The devkit's description of the classes, by another program: ID and WNID among others."""
    savemat = pytest.importorskip("scipy.io").savemat
    names = ("ILSVRC2012_ID", "WNID", "words", "children", "num_train_images")
    fields = [(name, "O") for name in names]
    synsets = np.zeros((4, 1), fields)
    for i, wnid in enumerate((*WNIDS, "n00001740")):
        children = np.array([[4.0, 5.0]]) if i == 3 else np.zeros((1, 0))
        synsets[i, 0] = np.uint16(i + 1), wnid, "kit fox, Vulpes macrotis", children, 1300.0
    savemat(path, {"other": np.eye(2), "synsets": synsets}, **more)


def check(pictures, classes=CLASSES):
    assert pictures.classes == classes
    assert [classes[label] for label in pictures.labels] == [WNIDS[i] for i in SHOWN]
    assert [round(float(pictures[i][0].mean())) for i in range(4)] == [20, 40, 60, 80]


@pytest.mark.parametrize("place", ["", "val", "ILSVRC2012_devkit_t12/data"])
def test_wordnet_ids_line_by_line(root, place):
    (root / place).mkdir(parents=True, exist_ok=True)
    (root / place / TRUTH).write_text("".join(f"{WNIDS[i]}\n" for i in SHOWN))
    splits = data.find_splits(root)
    check(splits["val"]())
    assert splits["train"]().classes == CLASSES


@pytest.mark.parametrize("compressed", [False, True])
def test_the_devkits_numbers(root, compressed):
    write_meta(root / "meta.mat", do_compression=compressed)
    (root / TRUTH).write_text("".join(f"{i + 1}\n" for i in SHOWN))
    check(data.find_splits(root)["val"]())


def test_kaggles_table_in_kaggles_folders(root, tmp_path):
    inside = tmp_path / "kaggle" / "ILSVRC" / "Data" / "CLS-LOC"
    inside.mkdir(parents=True)
    for folder in ("train", "val", "test"):
        (root / folder).rename(inside / folder)
    lines = [f"ILSVRC2012_val_{n:08},{WNIDS[SHOWN[n - 1]]} 85 1 499 272 {WNIDS[0]} 1 2 3 4 \n"
             for n in (3, 1, 4, 2)]
    table = "ImageId,PredictionString\n" + "".join(lines)
    (tmp_path / "kaggle" / "LOC_val_solution.csv").write_text(table)
    splits = data.find_splits(tmp_path / "kaggle")
    check(splits["val"]())
    assert len(splits["train"]()) == 3


def test_validation_pictures_alone_and_not_all_of_them(root):
    (root / TRUTH).write_text("".join(f"{WNIDS[i]}\n" for i in SHOWN))
    (root / "val" / "ILSVRC2012_val_00000002.JPEG").unlink()
    (root / "train").rename(root / "elsewhere")
    pictures = ILSVRCValidation(root, [root])
    assert pictures.classes == CLASSES and pictures.labels.tolist() == LABELS[:1] + LABELS[2:]


def test_packed(root):
    (root / TRUTH).write_text("".join(f"{WNIDS[i]}\n" for i in SHOWN))
    out = root.parent / f"{root.name}-packed"
    assert data_command(["pack", str(root), str(out), "--size", "8", "--workers", "1"]) == 0
    val = PackedPictures(out, "val")
    check(val)
    names = json.loads((out / "val" / "names.json").read_text())
    assert names[0] == "val/ILSVRC2012_val_00000001.JPEG"
    assert PackedPictures(out, "train").classes == CLASSES


@pytest.mark.parametrize("name, text, words", [
    (TRUTH, "n02119789\n" * 3, "does not say what ILSVRC2012_val_00000004.JPEG shows"),
    (TRUTH, "n00000001\n" * 4,
     "says that ILSVRC2012_val_00000001.JPEG shows n00000001, which is no folder of"),
    (TRUTH, "1\n2\n3\nfox\n", "must hold a WordNet ID or an ILSVRC2012_ID a line, not 'fox'"),
    (TRUTH, "1\n2\n3\n1\n",
     "holds ILSVRC2012_IDs, which the devkit's meta.mat explains; copy it there, as"),
    ("LOC_val_solution.csv", "ImageId,PredictionString\nILSVRC2012_val_00000001,\n",
     "has the line 'ILSVRC2012_val_00000001,', not a"),
    ("notes.txt", "", "has neither ILSVRC2012_validation_ground_truth.txt, from ILSVRC's devkit, "
     "nor Kaggle's LOC_val_solution.csv"),
])
def test_what_does_not_fit_is_told(root, name, text, words):
    (root / name).write_text(text)
    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(words)):
        data.find_splits(root)["val"]()


@pytest.mark.parametrize("name, content", [
    (TRUTH, b"\xff\xfe\0\1"), ("LOC_val_solution.csv", b"\xff\xfe\0\1"),
    ("LOC_val_solution.csv", b"ImageId,PredictionString\n" + b"a" * 2**18)])
def test_a_truth_that_is_no_text_is_told_with_its_path(root, name, content):
    (root / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{re.escape(str(root / name))} is damaged, or no text"):
        data.find_splits(root)["val"]()


def test_a_truth_that_an_editor_marked_as_utf8(root):
    lines = "".join(f"ILSVRC2012_val_{number:08},{WNIDS[i]} 1 2 3 4\n"
                    for number, i in enumerate(SHOWN, 1))
    (root / "LOC_val_solution.csv").write_text(f"ImageId,PredictionString\n{lines}",
                                               encoding="utf-8-sig")
    check(data.find_splits(root)["val"]())


def test_a_number_that_meta_does_not_explain(root):
    write_meta(root / "meta.mat")
    (root / TRUTH).write_text("1\n2\n77\n1\n")
    message = "holds the ILSVRC2012_ID 77, which meta.mat beside it does not explain"
    with pytest.raises(ValueError, match=message):
        data.find_splits(root)["val"]()


def test_a_broken_meta_is_one_sentence(tmp_path):
    path = tmp_path / "meta.mat"
    write_meta(path)
    whole = path.read_bytes()
    second = read_structs(path, "synsets", ["words", "num_train_images"])[1]
    assert second == {"words": "kit fox, Vulpes macrotis", "num_train_images": 1300}
    rng = np.random.default_rng(0)
    broken = [b"", b"HDF", whole[:200], whole[:-8], whole[:128]]
    for _ in range(300):
        changed = bytearray(whole)
        changed[rng.integers(126, len(whole))] = rng.integers(256)
        broken.append(bytes(changed))
    for content in broken:
        path.write_bytes(content)
        try:
            read_structs(path, "synsets", ["WNID"])
        except ValueError as error:
            assert str(error).startswith(f"{path} cannot be read as the MATLAB file with 'synsets'")
    with pytest.raises(ValueError):
        path.write_bytes(whole[:200])
        read_structs(path, "synsets", ["WNID"])
