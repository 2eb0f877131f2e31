"""Augmentations: what they draw, and what they make of it, beside torchvision's formulas."""
import colorsys
import math
import pickle

import numpy as np
import pytest
from PIL import Image

from data import (BuiltinPictures, ColorJitter, Compose, DataLoader, Normalize, RandomErasing,
                  RandomResizedCrop)

BYTES = Normalize((0, 0, 0), (1 / 255,) * 3)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def image():
    return np.random.default_rng(1).integers(0, 256, (23, 31, 3), dtype=np.uint8)


# ---- RandomResizedCrop ---------------------------------------------------------------------------

@pytest.mark.parametrize("scale, ratio", [((0.08, 1.0), (3 / 4, 4 / 3)), ((0.3, 0.5), (0.9, 2))])
def test_random_resized_crop_draws_areas_and_ratios_within_their_ranges(rng, scale, ratio):
    step = RandomResizedCrop(8, scale, ratio)
    drawn = np.array([step.rectangle(200, 240, rng) for _ in range(4000)])
    top, left, height, width = drawn.T
    assert (top >= 0).all() and (left >= 0).all()
    assert (top + height <= 200).all() and (left + width <= 240).all()
    area = height * width / (200 * 240)
    assert (area >= scale[0] * 0.98).all() and (area <= scale[1] * 1.02).all()
    by = width / height
    assert (by >= ratio[0] * 0.98).all() and (by <= ratio[1] * 1.02).all()
    if scale[1] < 0.6:              # all fit at once, so the draws are uniform, the place too
        low, high = scale
        error = 5 / math.sqrt(12 * 4000)
        assert abs(area.mean() - (low + high) / 2) < error * (high - low)
        logs = np.log(by / ratio[0]) / math.log(ratio[1] / ratio[0])
        assert abs(logs.mean() - 0.5) < error
        assert abs((top / (200 - height + 1)).mean() - 0.5) < 2 * error
        assert abs((left / (240 - width + 1)).mean() - 0.5) < 2 * error


@pytest.mark.parametrize("height, width, expected", [
    (10, 100, (0, 43, 10, 13)),     # too wide: the widest that 4 / 3 allows
    (100, 12, (42, 0, 16, 12)),     # too high: the highest that 3 / 4 allows
    (1, 1, (0, 0, 1, 1))])
def test_a_rectangle_that_never_fits_is_the_largest_central_one(rng, height, width, expected):
    step = RandomResizedCrop(8, scale=(1, 1))
    drawn = {step.rectangle(height, width, rng) for _ in range(20)}
    assert drawn == {expected}


@pytest.mark.parametrize("name", ["bilinear", "nearest", "bicubic"])
def test_random_resized_crop_scales_its_rectangle(image, name):
    step = RandomResizedCrop(9, interpolation=name)
    top, left, height, width = step.rectangle(23, 31, np.random.default_rng(5))
    cut = Image.fromarray(image).crop((left, top, left + width, top + height))
    expected = np.asarray(cut.resize((9, 9), getattr(Image.Resampling, name.upper())))
    np.testing.assert_array_equal(step(image, np.random.default_rng(5)), expected)


def test_random_resized_crop_equals_torchvisions_given_its_rectangle(image):
    functional = pytest.importorskip("torchvision.transforms.functional")
    step = RandomResizedCrop(9)
    box = step.rectangle(23, 31, np.random.default_rng(5))
    expected = functional.resized_crop(Image.fromarray(image), *box, [9, 9])
    np.testing.assert_array_equal(step(image, np.random.default_rng(5)), np.asarray(expected))


# ---- ColorJitter ---------------------------------------------------------------------------------

def grey(pixel):
    """ITU-R 601-2, as Pillow rounds it."""
    return (19595 * int(pixel[0]) + 38470 * int(pixel[1]) + 7471 * int(pixel[2]) + 0x8000) >> 16


def blended(image, other, factor):
    return np.clip(other + factor * (image.astype(float) - other), 0, 255)


def adjusted(image, name, factor):
    """torchvision's definitions, in loops and in float64."""
    greys = np.array([[grey(pixel) for pixel in row] for row in image], float)
    if name == "hue":
        return np.array([[hue_turned(pixel, factor) for pixel in row] for row in image])
    others = {"brightness": 0.0, "contrast": math.floor(greys.mean() + 0.5),
              "saturation": greys[..., None]}
    return blended(image, others[name], factor)


def hue_turned(pixel, turn):
    h, s, v = colorsys.rgb_to_hsv(*(int(c) / 255 for c in pixel))
    return [255 * c for c in colorsys.hsv_to_rgb((h + turn) % 1, s, v)]


@pytest.mark.parametrize("name, factor", [
    *((name, factor) for name in ("brightness", "contrast", "saturation")
      for factor in (0, 0.3, 1, 1.7)), ("hue", -0.5), ("hue", 0.1), ("hue", 0.37), ("hue", -0.2)])
def test_color_jitter_is_torchvisions_formula(image, rng, name, factor):
    step = ColorJitter(**{name: (factor, factor)})
    difference = np.abs(step(image, rng) - adjusted(image, name, factor))
    # Hues are bytes, as in torchvision: the hue and the turn are each cut by up to 1 / 256, in
    # which a colour changes by 6.
    assert difference.max() <= (14 if name == "hue" else 1.01) and difference.mean() < 2


@pytest.mark.parametrize("seed", range(4))
def test_color_jitter_equals_torchvisions_given_its_draws(image, seed):
    functional = pytest.importorskip("torchvision.transforms.functional")
    step, rng = ColorJitter(0.4, 0.4, 0.4, 0.1), np.random.default_rng(seed)
    expected = Image.fromarray(image)
    for name in rng.permutation([*step.ranges]):
        expected = getattr(functional, f"adjust_{name}")(expected, rng.uniform(*step.ranges[name]))
    np.testing.assert_array_equal(step(image, np.random.default_rng(seed)), np.asarray(expected))


def test_color_jitter_draws_its_factors_and_its_order(rng):
    white = np.full((1, 1, 3), 100, np.uint8)
    values = np.array([ColorJitter(brightness=0.5)(white, rng)[0, 0, 0] for _ in range(2000)])
    assert values.min() >= 49 and values.max() <= 150
    assert abs(values.mean() - 99.5) < 5 * 100 / math.sqrt(12 * 2000)
    two = np.array([[[10, 10, 10], [200, 200, 200]]], np.uint8)     # brightness 2 first, or last
    results = {ColorJitter((2, 2), (0.5, 0.5))(two, rng).tobytes() for _ in range(50)}
    assert len(results) == 2


def test_color_jitter_of_nothing_changes_nothing(image, rng):
    for step in (ColorJitter(), ColorJitter(0, (1, 1), 0, (0, 0))):
        np.testing.assert_array_equal(step(image, rng), image)
    assert ColorJitter(0.4, 2).ranges == {"brightness": (0.6, 1.4), "contrast": (0, 3),
                                          "saturation": (1, 1), "hue": (0, 0)}


# ---- RandomErasing -------------------------------------------------------------------------------

def test_random_erasing_erases_one_rectangle_with_probability_p(rng):
    pixels = np.ones((3, 40, 50), np.float32)
    step, erased = RandomErasing(p=0.3, scale=(0.1, 0.2), ratio=(0.5, 2), value=(7, 8, 9)), []
    for _ in range(2000):
        result = step(pixels, rng)
        changed = result[0] != 1
        if not changed.any():
            continue
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert changed.sum() == height * width
        assert (result[:, changed].T == (7, 8, 9)).all() and (result[:, ~changed] == 1).all()
        erased.append((height * width / 2000, height / width))
    assert abs(len(erased) - 600) < 5 * math.sqrt(2000 * 0.3 * 0.7)
    area, by = np.array(erased).T
    assert area.min() > 0.09 and area.max() < 0.21 and abs(area.mean() - 0.15) < 0.01
    assert by.min() > 0.45 and by.max() < 2.2 and abs(np.log(by).mean()) < 0.1


def test_random_erasing_with_noise_and_on_ten_crops(rng):
    pixels = np.zeros((10, 3, 40, 50), np.float32)
    result = RandomErasing(1, scale=(0.3, 0.3), value="random")(pixels, rng)
    changed = (result != 0).all((0, 1))
    noise = result[0][:, changed]
    assert abs(noise.mean()) < 0.1 and abs(noise.std() - 1) < 0.1 and result.dtype == np.float32
    assert (pixels == 0).all()


def test_random_erasing_leaves_alone_what_no_rectangle_fits(rng):
    pixels = np.ones((3, 4, 4), np.float32)
    assert RandomErasing(1, scale=(1, 1), ratio=(1, 1))(pixels, rng) is pixels
    assert RandomErasing(0)(pixels, rng) is pixels


# ---- all of them ---------------------------------------------------------------------------------

STEPS = [RandomResizedCrop(6), ColorJitter(0.4, 0.4, 0.4, 0.1), BYTES, RandomErasing(0.7)]


def test_augmented_batches_depend_on_seed_epoch_and_index_and_not_on_the_workers():
    def batches(workers, epoch):
        with DataLoader(BuiltinPictures(20, 16, 0), 4, Compose(STEPS), shuffle=True, seed=3,
                        num_workers=workers) as loader:
            return np.concatenate([images for images, _ in loader.epoch(epoch)])
    first = batches(0, 0)
    np.testing.assert_array_equal(batches(2, 0), first)
    assert first.shape == (20, 3, 6, 6) and not np.array_equal(batches(0, 1), first)


def test_no_augmentation_changes_its_input(image, rng):
    pixels = BYTES(image, rng).copy()
    image.flags.writeable = pixels.flags.writeable = False
    for step in STEPS[:2]:
        assert step(image, rng).dtype == np.uint8
    RandomErasing(1)(pixels, rng)


@pytest.mark.parametrize("step", STEPS[:2] + STEPS[3:])
def test_augmentations_can_be_pickled_and_their_repr_evaluated(step):
    names = {type(s).__name__: type(s) for s in STEPS}
    assert repr(pickle.loads(pickle.dumps(step))) == repr(step) == repr(eval(repr(step), names))


@pytest.mark.parametrize("make, message", [
    (lambda: RandomResizedCrop(0), "RandomResizedCrop: size must be at least 1, not 0"),
    (lambda: RandomResizedCrop(8, (0.5, 0.1)),
     r"scale must be a range \(low, high\) within 0..1, not \(0.5, 0.1\)"),
    (lambda: RandomResizedCrop(8, 0.5), "RandomResizedCrop: scale must be a range .* not 0.5"),
    (lambda: RandomResizedCrop(8, ratio=(0, 1)),
     r"RandomResizedCrop: ratio must be a range \(low, high\) within 0.01..100, not \(0, 1\)"),
    (lambda: RandomResizedCrop(8, interpolation="cubic"),
     "interpolation must be one of nearest, .*bicubic.*, not 'cubic'"),
    (lambda: ColorJitter(-0.1), "ColorJitter: brightness must not be negative, it is -0.1"),
    (lambda: ColorJitter(contrast=math.nan), "ColorJitter: contrast must not be negative"),
    (lambda: ColorJitter(saturation=(0.5, math.inf)),
     r"ColorJitter: saturation must be a range \(low, high\) of at least 0, not \(0.5, inf\)"),
    (lambda: ColorJitter(hue=0.6), "ColorJitter: hue must be a range .* within -0.5..0.5"),
    (lambda: ColorJitter("much"), "ColorJitter: brightness must be a range"),
    (lambda: RandomErasing(1.5), "RandomErasing: p must lie within 0..1, not 1.5"),
    (lambda: RandomErasing(scale=(0, 2)), "RandomErasing: scale must be a range"),
    (lambda: RandomErasing(value="noise"), "value must be a number, .* not 'noise'"),
    (lambda: RandomErasing(value=(1, 2)), r"value must be a number, .* not \(1, 2\)"),
    (lambda: RandomErasing(value=None), "value must be a number, .* not None"),
])
def test_bad_arguments_of_augmentations(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_an_augmentation_in_the_wrong_place_says_where_it_belongs(image, rng):
    for step in STEPS[:2]:
        with pytest.raises(ValueError, match="float32; put it before SubtractMean and Normalize"):
            step(image.astype(np.float32), rng)
    with pytest.raises(ValueError, match=r"Normalize gives, not uint8 .*; put it behind"):
        RandomErasing()(image, rng)
