"""Packing: the shards hold what the transforms make, whatever happens on the way."""
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data import CenterCrop, ImageFolder, PackedPictures, Resize
from data.__main__ import main

ROOT = Path(__file__).parents[2]
BROKEN = ("cow/0.jpg", "dog/3.jpg")


def packing(*arguments):
    """Exit status of `python -m data ARGUMENTS`."""
    try:
        return main([str(a) for a in arguments])
    except SystemExit as stop:          # argparse's way
        return stop.code


def make_pictures(root, classes=("dog", "cow", "ant"), pictures=7, broken=()):
    """root/CLASS/NUMBER.jpg, of many sizes, one of them grey; those of broken are text."""
    rng = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for i in range(pictures):
            shape = tuple(rng.integers(20, 60, 2)) + (() if i == 2 else (3,))
            Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(root / name / f"{i}.jpg")
    for file in broken:
        (root / file).write_text("not a picture")
    return root


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def complaint(capsys):
    """The one line on standard error."""
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1 and "Traceback" not in captured.err, captured.err
    return lines[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_pictures(tmp_path_factory.mktemp("pictures") / "pictures", broken=BROKEN)


@pytest.fixture(scope="module")
def packed(folder, tmp_path_factory):
    """In shards of the pictures 0 ... 4, 5 ... 9 and so on, of which 7 and 17 are broken."""
    out = tmp_path_factory.mktemp("packed") / "packed"
    assert packing("pack", folder, out, "--size", 24, "--workers", 1, "--shard-pictures", 5) == 0
    return out


def test_pictures_labels_names_and_mean_are_those_of_the_folder(folder, packed):
    source, pictures = ImageFolder(folder), PackedPictures(packed, "all")
    readable = [i for i in range(len(source)) if not source.paths[i].endswith(BROKEN)]
    made = [CenterCrop(24)(Resize(24)(source[i][0], None), None) for i in readable]
    assert pictures.classes == ["ant", "cow", "dog"] and len(pictures) == 19 and pictures.side == 24
    np.testing.assert_array_equal([pictures[i][0] for i in range(19)], made)
    labels = source.labels[readable].tolist()
    assert [pictures[i][1] for i in range(19)] == labels == pictures.labels.tolist()
    names = [os.path.relpath(source.paths[i], folder) for i in readable]
    assert json.loads((packed / "all" / "names.json").read_text()) == names
    mean = np.mean(made, axis=0, dtype=np.float64)
    np.testing.assert_allclose(pictures.mean_image(), mean, rtol=1e-14)
    assert pictures.mean_image().dtype == np.float64


def test_the_shards_are_plain_arrays(packed):
    shards = [np.load(packed / "all" / f"shard-0000{k}.npy", mmap_mode="r") for k in range(5)]
    assert [shard.shape for shard in shards] == [(n, 24, 24, 3) for n in (5, 4, 5, 4, 1)]
    assert shards[0].dtype == np.uint8


def test_the_manifest(folder, packed):
    manifest = json.loads((packed / "all" / "manifest.json").read_text())
    assert manifest["pictures_per_class"] == [7, 6, 6] and manifest["unreadable"] == 2
    assert manifest["preprocessing"]["filter"] == "bilinear"
    sums = {shard["file"]: shard["sha256"] for shard in manifest["shards"]}
    files = contents(packed / "all")
    assert {**sums, **manifest["sha256"]} == {
        file: hashlib.sha256(data).hexdigest() for file, data in files.items()
        if file != "manifest.json"}
    mean = PackedPictures(packed, "all").mean_image()
    np.testing.assert_allclose(manifest["mean_colour"], mean.mean(axis=(0, 1)))


def test_unreadable_pictures_are_listed(folder, packed, tmp_path, capsys):
    lines = (packed / "all" / "unreadable.txt").read_text().splitlines()
    assert [line.split(": ")[0] for line in lines] == list(BROKEN)
    assert all("no picture format" in line for line in lines)
    assert packing("pack", folder, tmp_path / "again", "--size", 24, "--workers", 1) == 0
    assert "2 could not be read and were left out" in capsys.readouterr().out


def test_neither_workers_nor_shards_change_a_picture(folder, packed, tmp_path):
    assert packing("pack", folder, tmp_path / "3", "--size", 24, "--workers", 3,
                   "--shard-pictures", 5) == 0
    assert contents(tmp_path / "3") == contents(packed)
    assert packing("pack", folder, tmp_path / "one", "--size", 24, "--workers", 1) == 0
    one, many = PackedPictures(tmp_path / "one", "all"), PackedPictures(packed, "all")
    assert (len(one.shards), len(many.shards)) == (1, 5)
    np.testing.assert_array_equal(one.shards[0], np.concatenate(many.shards))


def test_train_and_test_folders_become_splits(tmp_path):
    make_pictures(tmp_path / "in" / "train"), make_pictures(tmp_path / "in" / "test", pictures=2)
    assert packing("pack", tmp_path / "in", tmp_path / "out", "--size", 16, "--workers", 1) == 0
    assert [len(PackedPictures(tmp_path / "out", split)) for split in ("train", "test")] == [21, 6]


def test_a_shard_of_unreadable_pictures_alone(tmp_path):
    make_pictures(tmp_path / "in", ("a", "b"), 2, broken=("b/0.jpg", "b/1.jpg"))
    assert packing("pack", tmp_path / "in", tmp_path / "out", "--size", 16, "--workers", 1,
                   "--shard-pictures", 2) == 0
    assert len(PackedPictures(tmp_path / "out", "all")) == 2
    assert not (tmp_path / "out" / "all" / "shard-00001.npy").exists()
    assert packing("verify", tmp_path / "out") == 0


# ---- kills ---------------------------------------------------------------------------------------

STOPS = """
import os, signal, sys
import data.packing
from data.__main__ import main
calls = 0
def counted(call):
    def counting(*arguments):
        global calls
        if calls == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
        calls += 1
        return call(*arguments)
    return counting
for name in ("replace", "fsync", "unlink"):
    setattr(data.packing.os, name, counted(getattr(os, name)))
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow
def test_a_packing_killed_at_any_write_goes_on_to_the_same_bytes(folder, packed, tmp_path):
    out, kills = tmp_path / "out", 0
    command = ["pack", folder, out, "--size", "24", "--workers", "1", "--shard-pictures", "5"]
    manifest = out / "all" / "manifest.json"
    # Counted from each new beginning.
    for stop in (0, 1, 3, 2, 7, 11, 8, 5, 16, 17, 18, 20, 21, 22):
        done = subprocess.run([sys.executable, "-c", STOPS, str(stop), *map(str, command)],
                              cwd=ROOT, capture_output=True, text=True)
        assert done.returncode in (-signal.SIGKILL, 0) and done.stderr == ""
        kills += done.returncode != 0
        assert not kills or not manifest.exists() or json.loads(manifest.read_text())
    assert kills >= 8
    assert packing(*command) == 0
    assert contents(out) == contents(packed)


def test_an_ended_packing_is_not_done_again(folder, packed):
    before = {path: path.stat().st_mtime_ns for path in (packed / "all").iterdir()}
    assert packing("pack", folder, packed, "--size", 24, "--shard-pictures", 5) == 0
    assert {path: path.stat().st_mtime_ns for path in (packed / "all").iterdir()} == before


# ---- mistakes and refusals -----------------------------------------------------------------------

@pytest.mark.parametrize("arguments, words", [
    (["--size", "25", "--shard-pictures", "5"], "holds another packing, of another side"),
    (["--size", "24"], "holds another packing, of another shard pictures"),
])
def test_another_packing_is_not_overwritten(arguments, words, folder, packed, capsys):
    before = contents(packed)
    assert packing("pack", folder, packed, *arguments) == 1
    assert words in complaint(capsys) and contents(packed) == before


def test_a_source_that_changed_is_noticed(folder, packed, tmp_path, capsys):
    make_pictures(tmp_path / "in", pictures=8)
    assert packing("pack", tmp_path / "in", packed, "--size", 24, "--shard-pictures", 5) == 1
    assert "of another source" in complaint(capsys)


@pytest.mark.parametrize("file", ["manifest.json", "packing.json"])
@pytest.mark.parametrize("content", ["{", "3"])
def test_a_damaged_manifest_or_plan(file, content, folder, tmp_path, capsys):
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / file).write_text(content)
    assert packing("pack", folder, tmp_path) == 1
    assert f"pack: {tmp_path / 'all' / file} is damaged (" in complaint(capsys)


def test_foreign_files_are_not_overwritten(folder, tmp_path, capsys):
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "labels.npy").write_text("mine")
    assert packing("pack", folder, tmp_path) == 1
    assert "is not empty, it holds labels.npy" in complaint(capsys)


@pytest.mark.parametrize("arguments, words", [
    (["pack", "nowhere", "out"], "nowhere is not a folder"),
    (["pack", "FOLDER", "FOLDER/out"], "whose pictures would then include it"),
    (["verify", "FOLDER"], "holds no packed pictures"),
])
def test_folders_that_do_not_fit(arguments, words, folder, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert packing(*[argument.replace("FOLDER", str(folder)) for argument in arguments]) == 1
    assert words in complaint(capsys)


@pytest.mark.parametrize("arguments, words", [
    (["pack", "a", "b", "--size", "10000000"], "--size: must be at most 4096, not '10000000'"),
    (["pack", "a", "b", "--size", "0"], "--size: must be a whole number at least 1, not '0'"),
    (["pack", "a"], "OUT"),
    (["unpack"], "unpack"),
])
def test_usage(arguments, words, capsys):
    assert packing(*arguments) == 2
    assert words in complaint(capsys)


def test_no_picture_can_be_read(tmp_path, capsys):
    make_pictures(tmp_path / "in", ("a",), 1, broken=["a/0.jpg"])
    assert packing("pack", tmp_path / "in", tmp_path / "out", "--workers", 1) == 1
    message = "none of the 1 pictures can be read; the first: a/0.jpg: no picture format"
    assert message in complaint(capsys)


def test_training_and_test_pictures_of_different_classes(tmp_path, capsys):
    make_pictures(tmp_path / "in" / "train", pictures=1)
    make_pictures(tmp_path / "in" / "val", ("cat",), 1)
    assert packing("pack", tmp_path / "in", tmp_path / "out") == 1
    assert "different classes" in complaint(capsys) and not (tmp_path / "out").exists()


def test_a_full_disk_is_told_and_recovered_from(folder, packed, tmp_path, capsys):
    command = ["pack", folder, tmp_path / "out", "--size", 24, "--workers", 1,
               "--shard-pictures", 5]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Larger files fail, as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        assert packing(*command) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "shard-00000.npy: File too large" in complaint(capsys)
    assert list(contents(tmp_path / "out")) == ["all/packing.json"]
    assert packing(*command) == 0 and contents(tmp_path / "out") == contents(packed)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(folder, tmp_path, capsys):
    tmp_path.chmod(0o555)
    assert packing("pack", folder, tmp_path / "out") == 1
    assert "Permission denied" in complaint(capsys)


# ---- verify --------------------------------------------------------------------------------------

def test_verify_names_what_is_damaged(folder, tmp_path, capsys):
    assert packing("pack", folder, tmp_path / "out", "--size", 24, "--workers", 1) == 0
    assert packing("verify", tmp_path / "out") == 0
    summary = "19 pictures of 3 classes, 24 x 24 pixels, in 1 shard: every checksum is right"
    assert summary in capsys.readouterr().out
    shard = tmp_path / "out" / "all" / "shard-00000.npy"
    data = bytearray(shard.read_bytes())
    data[5000] ^= 1
    shard.write_bytes(data)
    assert packing("verify", tmp_path / "out") == 1
    assert f"{shard} is missing, or not as it was written" in complaint(capsys)
