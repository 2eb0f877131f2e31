"""Transforms against plain definitions."""
import numpy as np
import pytest
from PIL import Image

from data import (CenterCrop, Compose, Normalize, PCANoise, RandomCrop, RandomHorizontalFlip,
                  Resize, Squash, SubtractMean, TenCrop, UnreadableImage)

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def image():
    return np.random.default_rng(1).integers(0, 256, (13, 17, 3), dtype=np.uint8)


@pytest.mark.parametrize("height, width, expected", [
    (20, 30, (10, 15)), (30, 20, (15, 10)), (5, 8, (10, 16)), (7, 7, (10, 10)), (7, 13, (10, 18)),
    (500, 333, (15, 10))])
def test_resize_sets_the_shorter_side(rng, height, width, expected):
    assert Resize(10)(np.zeros((height, width, 3), np.uint8), rng).shape == (*expected, 3)


def test_resize_leaves_a_picture_of_the_right_size_alone(image, rng):
    assert Resize(13)(image, rng) is image


def test_resize_averages_what_it_shrinks(rng):
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[::2] = 200
    inside = Resize(16)(stripes, rng)[2:-2, 2:-2]
    assert np.abs(inside.astype(int) - 100).max() <= 2


def test_resize_of_a_ramp_is_linear_interpolation(rng):
    column = np.arange(0, 160, 20, dtype=np.uint8)
    ramp = np.repeat(column[:, None, None], 8, axis=1).repeat(3, axis=2)
    doubled = Resize(16)(ramp, rng)[:, 3, 0]
    expected = np.interp((np.arange(16) + 0.5) / 2 - 0.5, np.arange(8), ramp[:, 0, 0])
    assert np.abs(doubled - expected).max() <= 0.51


def test_center_crop(image, rng):
    np.testing.assert_array_equal(CenterCrop(5)(image, rng), image[4:9, 6:11])


@pytest.mark.parametrize("height, width, size, top, left", [
    (13, 17, 10, 2, 4), (10, 15, 10, 0, 2), (11, 17, 10, 0, 4)])
def test_half_pixels_fall_where_torchvisions_fall(rng, height, width, size, top, left):
    image = np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)
    expected = image[top:top + size, left:left + size]
    np.testing.assert_array_equal(CenterCrop(size)(image, rng), expected)
    np.testing.assert_array_equal(TenCrop(size)(image, rng)[4], expected)


def test_squash_forgets_proportions(image, rng):
    assert Squash(9)(image, rng).shape == (9, 9, 3)
    np.testing.assert_array_equal(Squash(13)(image[:, :13], rng), image[:, :13])


def test_random_crop_reaches_every_place_and_nothing_else(image, rng):
    places = {image[top:top + 11, left:left + 11].tobytes()
              for top in range(3) for left in range(7)}
    assert {RandomCrop(11)(image, rng).tobytes() for _ in range(400)} == places


def test_random_crop_pads_with_black(image, rng):
    padded = np.zeros((17, 21, 3), np.uint8)
    padded[2:-2, 2:-2] = image
    places = {padded[top:top + 16, left:left + 16].tobytes()
              for top in range(2) for left in range(6)}
    assert {RandomCrop(16, padding=2)(image, rng).tobytes() for _ in range(300)} == places


def test_flip(image, rng):
    mirrored = np.array([[row[-1 - column] for column in range(17)] for row in image])
    np.testing.assert_array_equal(RandomHorizontalFlip(1)(image, rng), mirrored)
    np.testing.assert_array_equal(RandomHorizontalFlip(0)(image, rng), image)
    flipped = sum(np.array_equal(RandomHorizontalFlip()(image, rng), mirrored) for _ in range(1000))
    assert 430 < flipped < 570      # 4.4 standard deviations


@pytest.mark.parametrize("seed", range(5))
def test_pca_noise_is_the_papers_formula(image, seed):
    noise = PCANoise(sigma=0.5, eigenvalues=(0.3, 0.2, 0.1))
    alpha = np.random.default_rng(seed).normal(0, 0.5, 3)
    terms = [[float(noise.components[channel, i]) * alpha[i] * (0.3, 0.2, 0.1)[i]
              for i in range(3)] for channel in range(3)]
    shift = [255 * sum(term) for term in terms]
    expected = np.clip(image + np.array(shift), 0, 255)
    assert np.abs(noise(image, np.random.default_rng(seed)) - expected).max() <= 0.51


def test_pca_noise_of_nothing_changes_nothing(image, rng):
    np.testing.assert_array_equal(PCANoise(sigma=0)(image, rng), image)


class Pictures(list):
    def __getitem__(self, index):
        return super().__getitem__(index), 0


def test_pca_noise_fit_finds_the_covariance(rng):
    pictures = Pictures(rng.integers(0, 256, (size, 9, 3), dtype=np.uint8) // [1, 2, 4]
                        for size in (3, 8, 5))
    colours = np.concatenate([list.__getitem__(pictures, i).reshape(-1, 3) for i in range(3)]) / 255
    noise = PCANoise.fit(pictures)
    covariance = noise.components @ np.diag(noise.eigenvalues) @ noise.components.T
    np.testing.assert_allclose(covariance, np.cov(colours.T, bias=True), atol=1e-7)


def test_normalize(image, rng):
    pixels = Normalize(MEAN, STD)(image, rng)
    expected = [[[(image[row, column, c] / 255 - MEAN[c]) / STD[c] for column in range(17)]
                 for row in range(13)] for c in range(3)]
    np.testing.assert_allclose(pixels, expected, atol=2e-6)
    assert pixels.dtype == np.float32 and pixels.shape == (3, 13, 17)
    assert pixels.transpose(1, 2, 0).flags.c_contiguous        # channels last in memory


def test_a_mean_picture_is_subtracted_before_crop_and_flip(image, rng):
    mean = rng.uniform(0, 255, image.shape)
    bytes_kept = Normalize((0, 0, 0), (1 / 255,) * 3)
    steps = Compose([SubtractMean(mean), RandomCrop(8), RandomHorizontalFlip(1), bytes_kept])
    pixels = steps(image, np.random.default_rng(5))
    top, left = np.random.default_rng(5).integers(0, (6, 10))
    expected = (image - mean)[top:top + 8, left:left + 8][:, ::-1].transpose(2, 0, 1)
    np.testing.assert_allclose(pixels, expected, atol=1e-4)
    assert pixels.dtype == np.float32
    crops = Compose([SubtractMean(mean), TenCrop(8), bytes_kept])(image, rng)
    for crop, (top, left) in zip(crops, ((0, 0), (0, 9), (5, 0), (5, 9), (2, 4))):
        expected = (image - mean)[top:top + 8, left:left + 8].transpose(2, 0, 1)
        np.testing.assert_allclose(crop, expected, atol=1e-4)


def test_the_mean_pixel_is_subtracted_from_bytes(image, rng):
    pixels = Normalize(np.array([120, 110.5, 90]) / 255, (1 / 255,) * 3)(image, rng)
    np.testing.assert_allclose(pixels, (image - [120, 110.5, 90]).transpose(2, 0, 1), atol=1e-4)


def test_ten_crops_and_their_normalisation(image, rng):
    crops = TenCrop(8)(image, rng)
    expected = [image[:8, :8], image[:8, 9:], image[5:, :8], image[5:, 9:], image[2:10, 4:12]]
    np.testing.assert_array_equal(crops, expected + [crop[:, ::-1] for crop in expected])
    pixels = Compose([TenCrop(8), Normalize(MEAN, STD)])(image, rng)
    assert pixels.shape == (10, 3, 8, 8)
    for crop, alone in zip(pixels, crops):
        np.testing.assert_array_equal(crop, Normalize(MEAN, STD)(alone, rng))


def test_the_training_pipeline_equals_its_steps_by_hand(image):
    pipeline = Compose([Resize(16), RandomCrop(12), RandomHorizontalFlip(1), PCANoise(),
                        Normalize(MEAN, STD)])
    rng = np.random.default_rng(3)
    resized = np.asarray(Image.fromarray(image).resize((20, 16), Image.Resampling.BILINEAR))
    top, left = rng.integers(0, (5, 9))
    rng.random()
    byhand = PCANoise()(resized[top:top + 12, left:left + 12][:, ::-1], rng) / 255
    byhand = ((byhand - MEAN) / STD).transpose(2, 0, 1)
    np.testing.assert_allclose(pipeline(image, np.random.default_rng(3)), byhand, atol=2e-6)


def test_no_step_changes_its_input(image, rng):
    before = image.copy()
    image.flags.writeable = False
    for step in (Resize(8), CenterCrop(8), RandomCrop(8, 1), RandomHorizontalFlip(1), PCANoise(1),
                 TenCrop(8), SubtractMean(np.ones(image.shape)), Normalize(MEAN, STD)):
        step(image, rng)
        np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("make, message", [
    (lambda: Resize(0), "Resize: shorter_side must be at least 1, not 0"),
    (lambda: CenterCrop(2.5), "CenterCrop: size must be a whole number, not 2.5"),
    (lambda: RandomCrop(4, padding=-1), "RandomCrop: padding must be at least 0, not -1"),
    (lambda: RandomHorizontalFlip(1.5), r"RandomHorizontalFlip: p must lie within 0..1, not 1.5"),
    (lambda: PCANoise(-1), "PCANoise: sigma must not be negative, it is -1"),
    (lambda: PCANoise(eigenvalues=(1, 2)), "PCANoise: eigenvalues must be three finite numbers"),
    (lambda: PCANoise(components=np.ones(3)), "PCANoise: components must be 3 x 3"),
    (lambda: SubtractMean(np.zeros((4, 4))),
     r"SubtractMean: mean must be a picture \(H, W, 3\) of finite numbers, not \(4, 4\)"),
    (lambda: Normalize(0.5, STD), "Normalize: mean must be three finite numbers"),
    (lambda: Normalize(MEAN, (1, 0, 1)), "Normalize: std must be positive"),
    (lambda: Compose([Resize(2), 3]), "Compose: steps must be transforms, not 3"),
])
def test_bad_arguments(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


@pytest.mark.parametrize("step", [CenterCrop(14), RandomCrop(14), TenCrop(14)])
def test_a_picture_too_small_to_crop(step, image, rng):
    message = r"14.*the picture has only 13 x 17 pixels; put a Resize before"
    with pytest.raises(ValueError, match=message):
        step(image, rng)


def test_a_mean_of_another_size(image, rng):
    message = (r"SubtractMean\(12 x 17\): the picture is 13 x 17; "
               "put a Resize and a CenterCrop before")
    with pytest.raises(ValueError, match=message):
        SubtractMean(np.zeros((12, 17, 3)))(image, rng)


def test_repr_can_be_read_as_the_recipe():
    steps = Compose([Resize(256), RandomCrop(227, padding=1), RandomHorizontalFlip(0.5)])
    assert repr(steps) == ("Compose([Resize(256), RandomCrop(227, padding=1), "
                           "RandomHorizontalFlip(p=0.5)])")
    assert "0.485" in repr(Normalize(MEAN, STD))


def test_colours_are_fitted_to_what_can_be_read():
    class Pictures:
        def __init__(self, readable):
            self.readable = readable

        def __len__(self):
            return 3

        def __getitem__(self, index):
            if index not in self.readable:
                raise UnreadableImage(f"{index}.jpg", "broken")
            return np.random.default_rng(index).integers(0, 256, (4, 5, 3)).astype(np.uint8), 0

    with pytest.raises(UnreadableImage):
        PCANoise.fit(Pictures({0, 2}))
    assert PCANoise.fit(Pictures({0}), on_error="skip").eigenvalues.shape == (3,)
    with pytest.raises(UnreadableImage):
        PCANoise.fit(Pictures(set()), on_error="skip")
