"""ILSVRC-2012 as it is handed out: train/WNID/*.JPEG, and 50,000 files in one folder,
val/ILSVRC2012_val_00000001.JPEG ...

What the latter show stands in one of two files, in the folder itself, in val/ or in the unpacked
devkit (ILSVRC2012_devkit_t12/data):

ILSVRC2012_validation_ground_truth.txt
    Line k is for image k: a WordNet ID such as n01440764, or ILSVRC2012_ID, the devkit's number of
    the class, which the devkit's meta.mat beside it translates.
LOC_val_solution.csv
    Kaggle's: image, WordNet ID and boxes, in any order.
"""
from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence

import numpy as np

from .datasets import ImageFiles, class_folders
from .matlab import read_structs

KAGGLE = os.path.join("ILSVRC", "Data", "CLS-LOC")      # where Kaggle's archive has train/ and val/
TRUTH_FOLDERS = ("", "val", os.path.join("ILSVRC2012_devkit_t12", "data"), "data")
GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
KAGGLE_TRUTH = "LOC_val_solution.csv"
IMAGE = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG", re.IGNORECASE)
WNID = re.compile(r"n\d{8}")

WordNetIDs = dict[int, str]                             # by the image's number, from 1


def is_flat_validation(folder: str) -> bool:
    """Whether its images lie in one folder, and so need a text that says what they show."""
    return os.path.isdir(folder) and any(map(IMAGE.fullmatch, os.listdir(folder)))


class ILSVRCValidation(ImageFiles):
    """The validation images in ROOT/val, in the order of their names.

    The classes are the folders of ROOT/train, or without it all that occur, in the order of their
    WordNet IDs. The truth is looked for in `folders`. Raises FileNotFoundError where it is
    missing, ValueError, with the path, where it does not fit.
    """

    def __init__(self, root: str | os.PathLike[str], folders: Sequence[str | os.PathLike[str]],
                 max_pixels: int | None = None):
        root = os.fspath(root)
        truth = find_truth(folders)
        wnids = _read(truth)
        numbers = {name: int(found[1]) for name in sorted(os.listdir(os.path.join(root, "val")))
                   if (found := IMAGE.fullmatch(name))}
        train = os.path.join(root, "train")
        classes = class_folders(train) if os.path.isdir(train) else sorted(set(wnids.values()))
        place = {wnid: label for label, wnid in enumerate(classes)}
        for name, number in numbers.items():
            if number not in wnids:
                raise ValueError(f"{truth} does not say what {name} shows")
            if wnids[number] not in place:
                raise ValueError(f"{truth} says that {name} shows {wnids[number]}, "
                                 f"which is no folder of {train}")
        labels = np.array([place[wnids[number]] for number in numbers.values()], np.int64)
        paths = [os.path.join(root, "val", name) for name in numbers]
        super().__init__(root, paths, labels, classes, max_pixels)


def find_truth(folders: Sequence[str | os.PathLike[str]]) -> str:
    """The path of the file that says what the validation images show."""
    for folder in folders:
        for inside in TRUTH_FOLDERS:
            for name in (GROUND_TRUTH, KAGGLE_TRUTH):
                path = os.path.join(folder, inside, name)
                if os.path.isfile(path):
                    return path
    raise FileNotFoundError(
        f"{folders[0]} has neither {GROUND_TRUTH}, from ILSVRC's devkit, nor Kaggle's "
        f"{KAGGLE_TRUTH}, which say what the pictures in val/ show")


def _read(truth: str) -> WordNetIDs:
    try:
        return _read_csv(truth) if truth.endswith(".csv") else _read_lines(truth)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{truth} is damaged, or no text: {error}") from error


def _read_lines(path: str) -> WordNetIDs:
    with open(path, encoding="utf-8-sig") as file:          # of an editor that marks UTF-8, too
        lines = file.read().split()
    if all(map(WNID.fullmatch, lines)):
        return dict(enumerate(lines, 1))
    if not all(map(str.isdecimal, lines)):
        odd = next(line for line in lines if not line.isdecimal() and not WNID.fullmatch(line))
        raise ValueError(
            f"{path} must hold a WordNet ID or an ILSVRC2012_ID a line, not {odd!r}")
    wnids = _read_meta(path)
    unknown = [line for line in lines if int(line) not in wnids]
    if unknown:
        raise ValueError(f"{path} holds the ILSVRC2012_ID {unknown[0]}, "
                         "which meta.mat beside it does not explain")
    return {number: wnids[int(line)] for number, line in enumerate(lines, 1)}


def _read_meta(truth: str) -> dict[int, str]:
    """{ILSVRC2012_ID: WordNet ID} from the devkit's meta.mat beside the ground truth."""
    path = os.path.join(os.path.dirname(truth), "meta.mat")
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{truth} holds ILSVRC2012_IDs, which the devkit's meta.mat "
                                f"explains; copy it there, as {path}")
    synsets = read_structs(path, "synsets", ("ILSVRC2012_ID", "WNID"))
    return {int(synset["ILSVRC2012_ID"]): synset["WNID"] for synset in synsets}


def _read_csv(path: str) -> WordNetIDs:
    """From lines such as ILSVRC2012_val_00048981,n03995372 85 1 499 272"""
    wnids = {}
    with open(path, newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            image = IMAGE.fullmatch(f"{row.get('ImageId')}.JPEG")
            wnid = WNID.match(row.get("PredictionString") or "")
            if not image or not wnid:
                line = ",".join(map(str, row.values()))
                raise ValueError(
                    f"{path} has the line {line!r}, not a picture and its WordNet ID")
            wnids[int(image[1])] = wnid[0]
    return wnids
