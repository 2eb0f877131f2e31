"""Errors in all and by class, the confusion matrix, ten crops: against counting by hand."""
import re

import numpy as np
import pytest
from PIL import Image

from data import CenterCrop, Compose, DataLoader, ImageFolder, Normalize, Resize, TenCrop
from minitensor import Generator, Tensor
from models.networks.build import build
from models.inputs.preprocessing import evaluation_transform
from models.evaluation.confusion import Tally, by_class, totals, write_report
from models.evaluation.scores import crop_log_probabilities, log_probabilities
from models_cli import make_folder, picture_size, read_csv

CLASSES = ["ant", "bee, wild", "cat", "dog", "eel", "fox", "gnu"]


@pytest.fixture
def predictions():
    """log_p (60, 7), labels (60,) of all classes but the last."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 6, 60)
    scores = rng.standard_normal((60, 7)) + 1.5 * np.eye(7)[labels]
    return np.log(np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)), labels


def test_a_tally_counts_as_by_hand(predictions):
    tally = Tally(CLASSES)
    for part in np.array_split(np.arange(60), 4):
        tally.add(predictions[0][part], predictions[1][part])
    confusion, top5, total = np.zeros((7, 7), int), [0] * 7, [0] * 7
    for row, label in zip(*predictions):
        ranking = sorted(range(7), key=lambda k: -row[k])
        confusion[label, ranking[0]] += 1
        top5[label] += label in ranking[:5]
        total[label] += 1
    np.testing.assert_array_equal(tally.confusion, confusion)
    for label in range(6):
        assert tally.errors()[0][label] == pytest.approx(1 - confusion[label, label] / total[label])
        assert tally.errors()[1][label] == pytest.approx(1 - top5[label] / total[label])
        wrong = {other: confusion[label, other] for other in range(7) if other != label}
        name, count = tally.most_taken_for(label)
        assert count == max(wrong.values()) and (not count or wrong[CLASSES.index(name)] == count)
    assert np.isnan([errors[6] for errors in tally.errors()]).all()
    assert tally.scores.top1 == pytest.approx(np.trace(confusion) / 60)
    assert tally.scores.top5 == pytest.approx(sum(top5) / 60)


def test_the_report_in_words(predictions):
    tally = Tally(CLASSES)
    tally.add(*predictions)
    header, line = totals({"centre crop": tally}).splitlines()
    assert header.split("  ")[-1] == "loss"
    assert f"{1 - tally.scores.top1:.2%}" in line
    assert f"{1 - tally.scores.top5:.2%}" in line
    table = by_class(tally).splitlines()
    assert [row.split("  ")[0] for row in table[1:]] == CLASSES[:6]    # the last has no pictures


def test_of_many_classes_the_worst_are_printed():
    names = [f"class {i}" for i in range(100)]
    tally = Tally(names)
    labels = np.repeat(np.arange(100), 2)
    # the first 30 classes are all wrong
    guessed = np.where(np.arange(200) < 60, (labels + 1) % 100, labels)
    tally.add(np.log(np.eye(100)[guessed] + 1e-3), labels)
    lines = by_class(tally).splitlines()
    assert len(lines) == 22 and lines[-1] == "... the 20 classes with the highest error of 100"
    assert re.split(" {2,}", lines[1]) == ["class 0", "2", "100.00% (34.24% to 100.00%)",
                                           "0.00% (0.00% to 65.76%)", "class 1 (2)"]


@pytest.mark.parametrize("count", [2, 7, 60])
def test_the_reports_files(count, predictions, tmp_path):
    tally = Tally((CLASSES + [f"class {i}" for i in range(60)])[:count])
    labels = predictions[1] % count
    tally.add(np.pad(predictions[0], ((0, 0), (0, max(0, count - 7))),
                     constant_values=-20)[:, :count], labels)
    write_report(tmp_path, tally, "title with $ and _ and 猫, which the font has not")
    rows = read_csv(tmp_path / "confusion.csv")
    assert rows[0][1:] == tally.classes == [row[0] for row in rows[1:]]
    np.testing.assert_array_equal(np.array([row[1:] for row in rows[1:]], int), tally.confusion)
    rows = read_csv(tmp_path / "classes.csv")
    assert [int(row[1]) for row in rows[1:]] == np.bincount(labels, minlength=count).tolist()
    assert picture_size(tmp_path / "confusion.png") == (400 + 50 * min(count, 30),
                                                        300 + 50 * min(count, 30))
    assert len(list(tmp_path.iterdir())) == 3


def test_ten_crops_are_the_mean_of_ten_softmaxes(tmp_path):
    pictures = ImageFolder(make_folder(tmp_path, pictures=3, size=90))
    network = build("alexnet-paper", 3, 67, 1 / 16, generator=Generator(0)).eval()
    p = {"resize": 80, "crop": 67, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.25]}
    images, _ = next(iter(DataLoader(pictures, 6, evaluation_transform(p, ten_crop=True))))
    ours = np.exp(log_probabilities(network, images))
    for i in range(6):
        whole = Image.open(pictures.paths[i])
        whole = whole.resize((int(whole.width * 80 / whole.height), 80), Image.Resampling.BILINEAR)
        left = (whole.width - 80) // 2
        square, total = whole.crop((left, 0, left + 80, 80)), 0
        for flipped in (False, True):
            for x, y in ((0, 0), (13, 0), (0, 13), (13, 13), (6, 6)):
                crop = square.crop((x, y, x + 67, y + 67))
                crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flipped else crop
                x_ = (np.asarray(crop) / 255 - p["mean"]) / p["std"]
                crop = Tensor(x_.transpose(2, 0, 1)[None].astype(np.float32))
                logits = network(crop).data[0].astype(float)
                total += np.exp(logits) / np.exp(logits).sum()
        np.testing.assert_allclose(ours[i], total / 10, atol=1e-5)


def test_the_centre_is_one_of_the_ten_crops(tmp_path):
    pictures = ImageFolder(make_folder(tmp_path, pictures=3))
    network = build("alexnet", 3, 67, 1 / 16, generator=Generator(0)).eval()
    steps = [Resize(76), CenterCrop(76)], Normalize((0.5,) * 3, (0.2,) * 3)
    centre, ten = (next(iter(DataLoader(pictures, 6, Compose([*steps[0], crop, steps[1]]))))[0]
                   for crop in (CenterCrop(67), TenCrop(67)))
    np.testing.assert_array_equal(centre, ten[:, 4])
    np.testing.assert_allclose(crop_log_probabilities(network, ten)[:, 4],
                               log_probabilities(network, centre), atol=1e-5)
