"""The built-in pictures: the same everywhere, balanced, and beyond a linear classifier."""
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data import BuiltinPictures
from data.drawn import draw_image

ROOT = Path(__file__).parents[2]


def test_is_a_dataset_of_ten_balanced_classes():
    pictures = BuiltinPictures(30, 40)
    assert len(pictures) == 30 and len(set(pictures.classes)) == 10
    assert pictures.labels.dtype == np.int64 and np.bincount(pictures.labels).tolist() == [3] * 10
    for index in range(30):
        picture, label = pictures[index]
        assert picture.shape == (40, 40, 3) and picture.dtype == np.uint8
        assert label == pictures.labels[index]
    assert pictures.name(7) == "built-in picture 7 (seed 0)"


def digest(pictures):
    return sha256(b"".join(pictures[i][0].tobytes() for i in range(len(pictures)))).hexdigest()


def test_another_process_draws_the_same():
    code = "from test_data_drawn import *; print(digest(BuiltinPictures(20, 64, seed=5)))"
    path = f"{ROOT}:{Path(__file__).parent}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={"PYTHONPATH": path, "PYTHONHASHSEED": "1"})
    assert done.stdout.strip() == digest(BuiltinPictures(20, 64, seed=5))


def test_a_picture_depends_on_seed_and_index_alone():
    pictures = BuiltinPictures(40, 32)
    forwards = [pictures[i][0] for i in range(40)]
    for index in reversed(range(40)):
        np.testing.assert_array_equal(BuiltinPictures(index + 1, 32)[index][0], forwards[index])
    assert len({picture.tobytes() for picture in forwards}) == 40
    assert digest(BuiltinPictures(5, 32, seed=1)) != digest(BuiltinPictures(5, 32, seed=2))


def test_size_only_scales():
    for index in range(10):
        small, large = (BuiltinPictures(10, size)[index][0] for size in (64, 192))
        reduced = np.asarray(Image.fromarray(large).reduce(3)).astype(float)
        assert np.abs(reduced - small).mean() < 4


def test_textures_differ_within_the_shape_alone():
    """From one generator a striped and a dotted square differ within the shape.

    Where neither differs from a disc, there is ground, the same in all.
    """
    stripes, dots, disc = (draw_image(label, 64, np.random.default_rng(3)) for label in (2, 3, 0))
    textured = (stripes != dots).any(axis=2)
    outside = np.ones((64, 64), bool)
    rows, columns = np.nonzero(textured)
    outside[rows.min():rows.max() + 1, columns.min():columns.max() + 1] = False
    assert 0.05 < textured.mean() < 0.6
    assert outside.mean() > 0.2 and (stripes == disc).all(axis=2)[outside].mean() > 0.8


@pytest.mark.parametrize("arguments, message", [
    ((0, 32), "count must be at least 1, not 0"),
    ((10, 7), "size must be at least 8, not 7"),
    ((10, 32, -1), "seed must be at least 0, not -1"),
    ((10, 2.5), "size must be a whole number"),
])
def test_bad_arguments(arguments, message):
    with pytest.raises((ValueError, TypeError), match=f"BuiltinPictures: {message}"):
        BuiltinPictures(*arguments)


@pytest.mark.parametrize("index", [-1, 3])
def test_index_outside(index):
    with pytest.raises(IndexError, match=rf"index {index} is outside 0\.\.2"):
        BuiltinPictures(3, 32)[index]


def pixels_and_targets(count, seed):
    pictures = BuiltinPictures(count, 32, seed)
    pixels = np.stack([pictures[i][0].ravel() for i in range(count)]) / 255.0
    return pixels, np.eye(10)[pictures.labels]


def test_a_linear_classifier_on_pixels_stays_under_60_percent():
    """Ridge regression on one-hot targets, at the best of five strengths.

    The best as judged on the very images it is tested on.
    """
    pixels, targets = pixels_and_targets(2000, seed=0)
    held_out, truth = pixels_and_targets(500, seed=1)
    mean = pixels.mean(axis=0)
    gram, cross = (pixels - mean) @ (pixels - mean).T, (held_out - mean) @ (pixels - mean).T

    def accuracy(strength):
        solution = np.linalg.solve(gram + strength * np.eye(len(gram)), targets)
        return np.mean((cross @ solution).argmax(axis=1) == truth.argmax(axis=1))

    accuracies = [accuracy(strength) for strength in (1, 10, 100, 1_000, 10_000)]
    assert 0.08 < max(accuracies) < 0.6
