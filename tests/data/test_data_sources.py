"""Folders as people arrange them: parts by other names, classes called like parts, archives."""
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from data import find_splits, image_files, split


def make(root, *paths):
    """Pictures at these paths, each of its own level."""
    for level, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3), (level,) * 3).save(root / path)
    return root


def found(root):
    """{part: classes}"""
    return {part: list(opened().classes) for part, opened in find_splits(root).items()}


@pytest.mark.parametrize("folders", [("train", "valid", "test"), ("training", "validation"),
                                     ("Train", "Test"), ("TRAIN", "Val"), ("train", "testing")])
def test_parts_by_other_names_are_no_classes(folders, tmp_path):
    make(tmp_path, *(f"{folder}/{name}/1.png" for folder in folders for name in ("cat", "dog")))
    meant = {"tr": "train", "va": "val", "te": "test"}
    assert found(tmp_path) == {meant[folder[:2].lower()]: ["cat", "dog"] for folder in folders}


@pytest.mark.parametrize("classes", [("bus", "car", "train"), ("Train", "bus"), ("crash", "test")])
def test_classes_called_like_parts(classes, tmp_path):
    make(tmp_path, *(f"{name}/{i}.png" for name in classes for i in range(3)))
    assert found(tmp_path) == {"all": sorted(classes)}


def test_two_folders_for_one_part_are_refused_by_name(tmp_path):
    make(tmp_path, "train/cat/1.png", "val/cat/1.png", "validation/cat/1.png")
    with pytest.raises(ValueError, match="holds both val and validation, .* its val part"):
        find_splits(tmp_path)


def test_flat_parts_are_not_taken_for_classes(tmp_path):
    make(tmp_path, "train/cat.1.png", "test/1.png")
    with pytest.raises(ValueError, match="train has no class folders"):
        found(tmp_path)


def test_what_stands_beside_the_parts_does_not_count(tmp_path):
    make(tmp_path, "train/cat/1.png", "test/cat/1.png", "docs/1.png", "train.png")
    assert found(tmp_path) == {"train": ["cat"], "test": ["cat"]}


def test_a_zip_is_to_be_unpacked(tmp_path):
    make(tmp_path / "of", "cat/1.png")
    archive = shutil.make_archive(str(tmp_path / "of"), "zip", tmp_path / "of")
    with pytest.raises(ValueError, match="of.zip is an archive of .*; unpack it"):
        find_splits(archive)


def test_links_that_lead_nowhere_are_no_classes(tmp_path):
    make(tmp_path, "cat/1.png", "dog/1.png")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "gone").symlink_to("nowhere")
    assert found(tmp_path) == {"all": ["cat", "dog"]}


def test_a_folder_that_may_not_be_read_is_an_error_and_not_left_out(tmp_path, monkeypatch):
    make(tmp_path, "cat/1.png", "cat/more/2.png")
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("more"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)
    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(PermissionError, match="more"):
        image_files(str(tmp_path))


def test_a_split_leaves_every_class_a_picture_to_learn_from(tmp_path):
    make(tmp_path, *(f"cat/{i}.png" for i in range(2)), *(f"dog/{i}.png" for i in range(20)),
         "eel/1.png")
    rest, held_out = split(find_splits(tmp_path)["all"](), 0.9)
    assert np.bincount(rest.labels).tolist() == [1, 2, 1]
    assert np.bincount(held_out.labels).tolist() == [1, 18]
