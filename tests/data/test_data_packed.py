"""Batches made at once are those that are made picture by picture."""
import json
import threading

import numpy as np
import pytest

import data
from data import (CIFAR10, CenterCrop, Compose, DataLoader, Normalize, PackedPictures, PCANoise,
                  RandomCrop, RandomHorizontalFlip, Resize, Subset, SubtractMean, TenCrop)
from data.batch_at_once import SquareBatchMaker, steps_at_once
from data.batches import BatchMaker
from data.colours import add_colour
from data.packing import pack

NORMALIZE = Normalize((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
SIDE, SIZE = 20, 13
MEAN = np.random.default_rng(7).uniform(0, 255, (SIDE, SIDE, 3))


class Noise:
    """Pictures of noise, 20 x 22 pixels."""

    classes = ("a", "b", "c")
    labels = np.arange(30) % 3

    def __len__(self):
        return 30

    def __getitem__(self, index):
        image = np.random.default_rng(index).integers(0, 256, (SIDE, SIDE + 2, 3), np.uint8)
        return image, int(self.labels[index])

    def name(self, index):
        return f"noise {index}"


@pytest.fixture(scope="module", params=[7, 100], ids=["in shards of 7", "in one shard"])
def packed(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed")
    pack(Noise(), folder / "train", SIDE, shard_images=request.param)
    return PackedPictures(folder)


@pytest.fixture(params=["packed", "subset"])
def pictures(request, packed):
    if request.param == "packed":
        return packed
    return Subset(packed, np.random.default_rng(1).permutation(30)[:19])


def chances(seed, epoch, number):
    return np.random.default_rng((seed, epoch, 1 + number))


def order(pictures, seed, epoch):
    return np.random.default_rng((seed, epoch, 0)).permutation(len(pictures))


@pytest.mark.parametrize("mean", [False, True], ids=["", "mean image"])
@pytest.mark.parametrize("noise, padding", [(None, 0), (PCANoise(sigma=2), 0), (None, 3)],
                         ids=["", "colours", "padding"])
def test_training_batches_are_the_same_steps_one_by_one(pictures, noise, padding, mean):
    before = [*([noise] if noise else []), *([SubtractMean(MEAN)] if mean else [])]
    steps = [Resize(SIDE), CenterCrop(SIDE), *before, RandomCrop(SIZE, padding),
             RandomHorizontalFlip(0.4), NORMALIZE]
    loader = DataLoader(pictures, 8, Compose(steps), shuffle=True, seed=5)
    batches = list(loader.epoch(2))
    assert len(batches) == -(-len(pictures) // 8) and type(loader._maker) is SquareBatchMaker
    for number, (images, labels) in enumerate(batches):
        indices = order(pictures, 5, 2)[8 * number:8 * number + 8]
        rng = chances(5, 2, number)
        alpha = rng.normal(0, 2, (len(indices), 3)) if noise else None
        top, left = rng.integers(0, SIDE + 2 * padding - SIZE + 1, (2, len(indices)))
        flipped = rng.random(len(indices)) < 0.4
        for k, index in enumerate(indices):
            picture, label = pictures[index]
            picture = add_colour(picture, noise.shift(alpha[k])) if noise else picture
            picture = picture - MEAN.astype(np.float32) if mean else picture
            picture = np.pad(picture, ((padding,) * 2, (padding,) * 2, (0, 0)))
            crop = picture[top[k]:top[k] + SIZE, left[k]:left[k] + SIZE]
            crop = crop[:, ::-1] if flipped[k] else crop
            np.testing.assert_array_equal(images[k], NORMALIZE(crop, None))
            assert labels[k] == label
        assert images.dtype == np.float32 and labels.dtype == np.int64
        assert images.shape == (len(indices), 3, SIZE, SIZE)
        assert images.transpose(0, 2, 3, 1).flags.c_contiguous         # channels last in memory


@pytest.mark.parametrize("steps", [
    [CenterCrop(SIZE)], [TenCrop(SIZE)], [SubtractMean(MEAN), TenCrop(SIZE)], [],
    [TenCrop(SIZE), RandomHorizontalFlip(1)]])
def test_evaluation_batches_are_those_of_any_other_dataset(pictures, steps):
    class Plain(Subset):                # without crops to take at once
        side = property(lambda self: None, lambda self, value: None)

    transform = Compose([Resize(SIDE), CenterCrop(SIDE), *steps, NORMALIZE])
    plain = Plain(pictures, np.arange(len(pictures)))
    ours, theirs = (DataLoader(dataset, 8, transform) for dataset in (pictures, plain))
    assert type(ours._maker) is SquareBatchMaker is not type(theirs._maker)
    for (images, labels), (expected, expected_labels) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(images, expected)
        np.testing.assert_array_equal(labels, expected_labels)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_and_resumption_change_nothing(packed, workers):
    transform = Compose([RandomCrop(SIZE), RandomHorizontalFlip(), NORMALIZE])
    alone = list(DataLoader(packed, 8, transform, shuffle=True).epoch(1))
    with DataLoader(packed, 8, transform, shuffle=True, num_workers=workers) as loader:
        for start in (0, 2):
            resumed = zip(loader.epoch(1, start), alone[start:], strict=True)
            for (images, labels), (expected, expected_labels) in resumed:
                np.testing.assert_array_equal(images, expected)
                np.testing.assert_array_equal(labels, expected_labels)


def test_two_epochs_at_once_do_not_mix(packed):
    transform = Compose([RandomCrop(SIZE), NORMALIZE])
    alone = [list(DataLoader(packed, 2, transform, shuffle=True).epoch(epoch)) for epoch in (0, 1)]
    with DataLoader(packed, 2, transform, shuffle=True, num_workers=2) as loader:
        for pair, expected in zip(zip(loader.epoch(0), loader.epoch(1)), zip(*alone), strict=True):
            for (images, labels), (expected_images, expected_labels) in zip(pair, expected):
                np.testing.assert_array_equal(images, expected_images)
                np.testing.assert_array_equal(labels, expected_labels)


def test_threads_end_with_the_loader(packed):
    before = threading.active_count()
    with DataLoader(packed, 2, Compose([CenterCrop(SIZE), NORMALIZE]), num_workers=2) as loader:
        next(iter(loader))              # an epoch left early
        assert len(list(loader)) == 15 and threading.active_count() > before
    assert threading.active_count() == before
    assert len(list(loader)) == 15      # closed, not finished
    loader.close()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_arrives_as_it_is(packed, workers):
    with DataLoader(packed, 2, Compose([CenterCrop(21), NORMALIZE]), num_workers=workers) as loader:
        message = r"picture 0 of .*: CenterCrop\(21\): the picture has only 20 x 20 pixels"
        with pytest.raises(ValueError, match=message):
            list(loader)


def test_epochs_batches_and_seeds_draw_anew(packed):
    transform = Compose([RandomCrop(5), NORMALIZE])
    images = [next(DataLoader(packed, 30, transform, seed=seed).epoch(epoch))[0]
              for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert not any(np.array_equal(images[i], images[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_every_crop_and_both_directions_occur(packed):
    transform = Compose([RandomCrop(SIDE - 2), RandomHorizontalFlip(), NORMALIZE])
    loader = DataLoader(Subset(packed, np.zeros(2000, int)), 500, transform)
    picture = packed[0][0]
    places = [picture[top:top + SIDE - 2, left:left + SIDE - 2]
              for top in range(3) for left in range(3)]
    expected = {NORMALIZE(crop[:, ::step], None).tobytes() for crop in places for step in (1, -1)}
    assert {image.tobytes() for images, _ in loader for image in images} == expected
    assert len(expected) == 18


@pytest.mark.parametrize("steps, at_once", [
    ([CenterCrop(9), NORMALIZE], True),
    ([NORMALIZE], True),
    ([CenterCrop(SIDE), NORMALIZE], True),
    ([Resize(SIDE), PCANoise(), RandomCrop(9), NORMALIZE], True),
    ([Resize(SIDE + 1), CenterCrop(9), NORMALIZE], False),
    ([RandomHorizontalFlip(), CenterCrop(9), NORMALIZE], False),
    ([CenterCrop(9), RandomCrop(9), NORMALIZE], False),
    ([RandomCrop(9, padding=1), NORMALIZE], True),
    ([RandomCrop(SIDE, padding=1), NORMALIZE], True),
    ([RandomCrop(SIDE + 3, padding=1), NORMALIZE], False),
    ([PCANoise(), RandomCrop(9, padding=1), NORMALIZE], False),
    ([RandomCrop(SIDE + 1), NORMALIZE], False),
    ([SubtractMean(MEAN[1:, 1:]), RandomCrop(9), NORMALIZE], False),
    ([CenterCrop(9), lambda image, rng: image, NORMALIZE], False),
    ([CenterCrop(9)], False),
])
def test_which_transforms_are_made_at_once(steps, at_once):
    assert (steps_at_once(Compose(steps), SIDE) is not None) == at_once
    assert steps_at_once(Compose(steps), None) is None


def test_other_datasets_are_not_made_at_once():
    for pictures in (Noise(), Subset(Noise(), [1, 2])):
        assert type(DataLoader(pictures, 2, NORMALIZE)._maker) is BatchMaker


def test_cifar10_is_made_at_once():
    pictures = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    cifar = CIFAR10.__new__(CIFAR10)
    cifar.images, cifar.labels = pictures, np.arange(5)
    images, _ = next(iter(DataLoader(cifar, 5, Compose([CenterCrop(24), NORMALIZE]))))
    expected = [NORMALIZE(picture[4:28, 4:28], None) for picture in pictures]
    np.testing.assert_array_equal(images, expected)


# ---- opening -------------------------------------------------------------------------------------

@pytest.fixture
def folder(tmp_path):
    pack(Noise(), tmp_path / "train", SIDE)
    return tmp_path


def truncated(folder):
    path = folder / "shard-00000.npy"
    path.write_bytes(path.read_bytes()[:-1])


def rewritten(file, content):
    return lambda folder: (folder / file).write_bytes(content)


def saved(file, array):
    return lambda folder: np.save(folder / file, array, allow_pickle=True)


def changed(**entries):
    def change(folder):
        path = folder / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))
    return change


@pytest.mark.parametrize("damage, words", [
    (truncated, "shard-00000.npy is truncated, or no array"),
    (rewritten("shard-00000.npy", b""), "shard-00000.npy is truncated, or no array"),
    (saved("shard-00000.npy", np.zeros((30, SIDE, SIDE, 3))), "holds float64"),
    (saved("labels.npy", np.zeros(29, np.int64)), r"holds int64 \(29,\), not int64 \(30,\)"),
    (saved("labels.npy", np.full(30, 2)), "does not hold the labels that the manifest counts"),
    (saved("labels.npy", np.full(30, -1)), "does not hold the labels that the manifest counts"),
    (saved("labels.npy", np.array([{}] * 30)), "labels.npy is truncated, or no array"),
    (rewritten("manifest.json", b"{"), "manifest.json is no manifest of packed pictures"),
    (rewritten("manifest.json", b"[]"), "manifest.json is no manifest of packed pictures"),
    (rewritten("manifest.json", b'{"format": "other", "version": 1}'),
     "describes 'other', version 1"),
    (rewritten("manifest.json", b'{"format": "minitensor packed pictures", "version": 1}'),
     "has no 'classes'"),
    (rewritten("manifest.json", b"[" * 10**5), "manifest.json is no manifest of packed pictures"),
    (changed(shards=None), "its 'shards' is not as `python -m data pack` writes it"),
    (changed(shards=[{"file": "shard-00000.npy"}]), "its 'shards' is not as"),
    (changed(side=2.5), "its 'side' is not as"), (changed(pictures=True), "its 'pictures' is not"),
    (changed(classes=[1, 2, 3]), "its 'classes' is not as"),
    (changed(sha256={"../../dev/zero": ""}), "its '../../dev/zero' is not as"),
])
def test_damage_is_told(folder, damage, words):
    damage(folder / "train")
    with pytest.raises(ValueError, match=words):
        PackedPictures(folder)


def test_no_packed_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no packed pictures"):
        PackedPictures(tmp_path)


def test_find_splits_prefers_packed_pictures(folder):
    (folder / "val").mkdir()
    splits = data.find_splits(folder)
    assert list(splits) == ["train"] and isinstance(splits["train"](), PackedPictures)


def test_indices_out_of_range(packed):
    for index in (30, -31):
        with pytest.raises(IndexError):
            packed[index]
    np.testing.assert_array_equal(packed[-1][0], packed[29][0])
