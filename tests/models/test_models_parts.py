"""Training, validation and test images of a run: which they are, what chooses its best epoch, that
the test images are looked at once, and what is said of all that."""
import json
import re

import numpy as np
import pytest

from data import CIFAR10
from data.datasets import ImageFiles
from minitensor import checkpoint
from models.errors import UserError
from models.evaluation.scores import interval
from models.inputs.preprocessing import evaluation_transform
from models.inputs.sources import open_data
from models.settings import Settings
from models_cli import BUILTIN, TINY, complaint, log, make_folder, models


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("parts")


@pytest.fixture(scope="module")
def folder(root):
    """folder(train=20, test=6): a folder of those parts, each with so many pictures a class."""
    def make(**parts):
        path = root / "-".join(f"{part}{count}" for part, count in parts.items())
        for part, count in parts.items():
            if not (path / part).exists():
                make_folder(path / part, pictures=count)
        return path
    return make


def run_on(data, out, *more):
    return models("train", "--data", data, *TINY, "--epochs", 3, "--warmup", 0, "--lr", 0.003,
                  "--out", out, *more)


def names(images):
    """By class."""
    return [{images.name(i) for i in np.flatnonzero(images.labels == label)} for label in (0, 1)]


# ---- which images are what ---------------------------------------------------------------------

def test_a_training_on_a_part_of_the_classes_and_few_pictures_of_each():
    settings = Settings(data="builtin", pictures=80, image_size=16, validation=0.0,
                        classes=[7, 2], pictures_per_class=3)
    whole, some = open_data(Settings(data="builtin", pictures=80, image_size=16)), \
        open_data(settings)
    assert some.validation is None
    for images, each in ((some.training, 3), (some.test, 2)):
        assert list(images.classes) == [whole.test.classes[7], whole.test.classes[2]]
        assert np.bincount(images.labels).tolist() == [each, each]
    by_class = [[whole.test[i][0].tobytes() for i in range(20) if whole.test[i][1] == place]
                for place in (7, 2)]
    assert [[some.test[i][0].tobytes() for i in range(4) if some.test[i][1] == label]
            for label in (0, 1)] == by_class


def test_a_part_of_classes_that_the_data_has_not_is_refused(folder):
    settings = Settings(data=str(folder(train=20, test=6)), classes=[0, 3])
    with pytest.raises(UserError, match="has 2 classes; at least 4 are needed"):
        open_data(settings)


@pytest.mark.parametrize("parts, validation, expected", [
    (dict(train=20, test=6), "auto", [18, 2, 6]),       # a class
    (dict(train=20, test=6), 0.25, [15, 5, 6]),
    (dict(train=20, test=6), 0.0, [20, 0, 6]),
    (dict(train=20, test=6), "test", [20, 6, 0]),
    (dict(train=20, val=7), "auto", [20, 7, 0]),
    (dict(train=20, val=7), 0.1, [18, 2, 7]),
    (dict(train=20, val=7), 0.0, [20, 0, 7]),
    (dict(train=20, val=7), "test", [20, 7, 0]),
    (dict(train=20, val=7, test=6), "auto", [20, 7, 6]),
    (dict(train=20, val=7, test=6), 0.1, [18, 2, 6]),
    (dict(train=20, val=7, test=6), "test", [20, 6, 0]),
    (dict(train=3, test=6), "auto", [3, 0, 6])])        # too few to hold any out
def test_the_test_part_never_chooses(parts, validation, expected, folder):
    path = folder(**parts)
    opened = open_data(Settings(data=str(path), validation=validation))
    found = [[set(), set()] if images is None else names(images) for images in opened]
    assert [[len(of_class) for of_class in images] for images in found] == [[n, n]
                                                                            for n in expected]
    everything = [name for images in found for of_class in images for name in of_class]
    assert len(set(everything)) == len(everything)
    if validation != "test" and expected[2]:
        last = path / ("test" if "test" in parts else "val")
        assert all(name.startswith(str(last)) for of_class in found[2] for name in of_class)
        assert not any(name.startswith(str(last)) for images in found[:2] for of_class in images
                       for name in of_class)


@pytest.mark.parametrize("validation, expected", [("auto", [24, 6, 0]), (0.1, [27, 3, 0]),
                                                  (0.0, [30, 0, 0]), ("test", [24, 6, 0])])
def test_one_folder_has_no_test_part(validation, expected, folder):
    path = folder(train=30)
    found = open_data(Settings(data=str(path / "train"), validation=validation))
    assert [len(images or ()) for images in found] == [2 * n for n in expected]


def test_what_is_held_out_is_the_same_for_every_seed_of_a_run(folder):
    first, second = (open_data(Settings(data=str(folder(train=20, test=6)), seed=seed))
                     for seed in (0, 1))
    assert names(first.validation) == names(second.validation)


def test_cifar10s_test_batch_is_a_test_part(tmp_path, monkeypatch):
    monkeypatch.setattr(CIFAR10, "images_per_file", 20)
    records = np.random.default_rng(0).integers(0, 256, (20, 3073), np.uint8)
    records[:, 0] = np.arange(20) % 10
    for name in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5",
                 "test_batch"):
        records.tofile(tmp_path / f"{name}.bin")
    opened = open_data(Settings(data=str(tmp_path)))
    assert [len(images) for images in opened] == [90, 10, 20]
    assert opened.test.name(3) == "picture 3 of CIFAR-10's test set"
    assert "training set" in opened.validation.name(3)
    assert np.bincount(opened.validation.labels).tolist() == [1] * 10


def test_unlabelled_test_pictures_beside_val_are_left_alone(folder, tmp_path):
    make_folder(tmp_path / "train", pictures=4), make_folder(tmp_path / "val", pictures=2)
    make_folder(tmp_path / "else", ["test"])
    (tmp_path / "else" / "test").rename(tmp_path / "test")      # pictures, no class folders
    assert open_data(Settings(data=str(tmp_path))).test is None


def test_a_share_that_holds_nothing_out_is_told(folder):
    with pytest.raises(UserError, match="a fraction of 0.01 of each class leaves one part empty"):
        open_data(Settings(data=str(folder(train=20, test=6)), validation=0.01))


# ---- a run -------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def tested(folder, root):
    """A run on train/, val/ and test/; how many epochs the log held at each look at a picture."""
    looks = {"train": [], "val": [], "test": []}
    path, run = folder(train=20, val=7, test=6), root / "tested"
    read = ImageFiles.__getitem__

    def spy(self, index):
        written = (run / "log.jsonl").read_text() if (run / "log.jsonl").exists() else ""
        looks[self.root.rpartition("/")[2]].append(written.count('"event": "epoch"'))
        return read(self, index)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageFiles, "__getitem__", spy)
        assert run_on(path, run) == 0
    return run, looks


def test_the_test_part_is_read_once_at_the_end(tested):
    run, looks = tested
    assert looks == {"train": [0] * 40 + [1] * 40 + [2] * 40, "test": [3] * 12,
                     "val": [0] * 14 + [1] * 14 + [2] * 14}


def test_the_epoch_that_validation_chose_is_scored(tested, capsys):
    run, _ = tested
    epochs = [r for r in log(run) if r["event"] == "epoch"]
    (score,) = [r for r in log(run) if r["event"] == "test"]
    assert score["epoch"] == 1 + int(np.argmax([r["validation_top1"] for r in epochs]))
    assert models("evaluate", run) == 0             # reads the same part, by default
    said = capsys.readouterr().out
    assert f"(epoch {score['epoch']}) on 12 test pictures of" in said
    assert f" {score['loss_sum'] / 12:.4f}\n" in said and score["images"] == 12


def test_the_end_of_a_run_says_what_was_tested_and_what_chose(folder, tmp_path, capsys):
    run = tmp_path / "run"
    assert run_on(folder(train=20, test=6), run) == 0
    said = capsys.readouterr().out
    assert "36 pictures to train on, 4 to validate on, 12 to test on" in said
    assert re.search(r"\nbest validation accuracy [\d.]+% \([\d.]+% to [\d.]+%\), in epoch \d, "
                     r"which was chosen on these pictures\ntest accuracy [\d.]+% \([\d.]+% to "
                     r"[\d.]+%\), of epoch \d on 12 pictures that chose nothing\n", said)
    assert run_on(folder(train=20, val=7), tmp_path / "other") == 0
    said = capsys.readouterr().out
    assert "chosen on these pictures" in said and "test accuracy" not in said
    assert models("evaluate", tmp_path / "other") == 0
    assert ", chosen on these pictures) on 14 validation pictures of" in capsys.readouterr().out


def test_without_validation_the_last_epoch_is_the_result(folder, tmp_path, capsys):
    run = tmp_path / "run"
    assert run_on(folder(train=20, test=6), run, "--validation", 0) == 0
    assert not (run / "best.safetensors").exists() and (run / "curves.png").exists()
    *epochs, score = [r for r in log(run) if r["event"] in ("epoch", "test")]
    assert not [key for r in epochs for key in r if key.startswith("validation")]
    assert score["epoch"] == 3 and score["images"] == 12
    capsys.readouterr()
    assert models("evaluate", run) == 0
    assert f"{run}/latest.safetensors (epoch 3) on 12 test pictures" in capsys.readouterr().out
    assert run_on(folder(train=20, test=6), tmp_path / "other", "--validation", 0, "--schedule",
                  "plateau") == 2
    assert "--schedule plateau watches the validation error" in complaint(capsys)
    assert not (tmp_path / "other").exists()


def test_a_run_that_goes_on_is_tested_again_and_a_finished_one_is_not(folder, tmp_path, capsys):
    run = tmp_path / "run"
    assert run_on(folder(train=20, test=6), run) == 0
    for epochs, readings in ((3, 1), (4, 2)):
        assert models("train", "--resume", run, "--epochs", epochs) == 0
        assert "test accuracy" in capsys.readouterr().out
        assert len([r for r in log(run) if r["event"] == "test"]) == readings
    assert models("train", "--resume", run, "--validation", 0.3) == 2
    assert "--validation cannot change" in complaint(capsys)


@pytest.mark.parametrize("value", ["1", "-0.1", "nan", "half"])
def test_a_share_for_validation_is_less_than_all(value, capsys):
    assert models(*BUILTIN, "--validation", value) == 2
    assert f"--validation: must be a number in [0, 1), not '{value}'" in complaint(capsys)


def test_the_mean_image_is_of_the_training_part_alone(folder, tmp_path):
    path, run = folder(train=20, test=6), tmp_path / "run"
    assert run_on(path, run, "--normalize", "mean-image", "--epochs", 1) == 0
    mean = checkpoint.load(run / "latest.safetensors")[0]["preprocessing.mean_image"]
    images = open_data(Settings(data=str(path))).training
    look = evaluation_transform({"resize": 76, "crop": 76, "mean": [0.0] * 3,
                                 "std": [1 / 255] * 3})
    expected = np.mean([look(images[i][0], None).transpose(1, 2, 0) for i in range(36)], axis=0,
                       dtype=float)
    np.testing.assert_allclose(mean, expected, atol=1e-3)


def test_experiments_train_on_all_and_choose_nothing(tmp_path):
    assert models("reproduce", "cifar10-18pct", "--quick", "--workers", 0, "--epochs", 1, "--out",
                  tmp_path, "--seeds", 1) == 0
    config = json.loads((tmp_path / "cifar10-18pct-seed0" / "config.json").read_text())
    assert config["settings"]["validation"] == "test"
    assert config["images"] == {"training": 1000, "validation": 250, "test": 0}


# ---- intervals ---------------------------------------------------------------------------------

@pytest.mark.parametrize("right, images", [(0, 10), (10, 10), (5, 10), (493, 500), (8158, 10000),
                                           (1, 1)])
def test_an_interval_holds_the_shares_that_a_sample_of_their_own_could_show(right, images):
    """Wilson's: the shares p with |right / images - p| <= z sqrt(p (1 - p) / images)."""
    shares = np.linspace(0, 1, 1_000_001)
    z = 1.959964
    held = shares[abs(right / images - shares) <= z * np.sqrt(shares * (1 - shares) / images)
                  + 1e-12]
    assert interval(right / images, images) == pytest.approx((held[0], held[-1]), abs=2e-6)


def test_published_intervals():
    assert interval(0, 10) == pytest.approx((0, 0.2775), abs=5e-5)
    assert interval(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=5e-5)
