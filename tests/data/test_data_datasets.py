"""Image folders, CIFAR-10 in both official forms, and stratified splits."""
import os
import pickle
import struct

import numpy as np
import pytest
from PIL import Image

from data import (CIFAR10, DataLoader, ImageFolder, Normalize, UnreadableImage, at_most, of_classes,
                  split)

BATCHES = [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]


def save_picture(path, level=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), (level,) * 3).save(path)


def test_image_folder(tmp_path):
    names = ["b/1.png", "b/2.JPEG", "a/z.png", "a/deeper/y.png", "c c/ü.jpg"]
    for level, name in enumerate(names):
        save_picture(tmp_path / name, level * 50)
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    (tmp_path / "README").write_text("no folder")
    (tmp_path / ".cache").mkdir()
    folder = ImageFolder(tmp_path)
    assert folder.classes == ["a", "b", "c c"]
    assert folder.labels.dtype == np.int64 and folder.labels.tolist() == [0, 0, 1, 1, 2]
    names = ["a/deeper/y.png", "a/z.png", "b/1.png", "b/2.JPEG", "c c/ü.jpg"]
    assert [folder.name(i) for i in range(len(folder))] == [str(tmp_path / name) for name in names]
    picture, label = folder[1]
    assert picture.shape == (3, 4, 3) and picture.dtype == np.uint8
    assert (picture == 100).all() and label == 0


def test_image_folder_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="^/.*nowhere is not a folder"):
        ImageFolder(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="has no class folders"):
        ImageFolder(tmp_path)
    save_picture(tmp_path / "cat" / "1.png")
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "notes.txt").write_text("")
    with pytest.raises(ValueError, match="the class folder .*dog has no pictures"):
        ImageFolder(tmp_path)


def test_links_to_folders_are_followed_but_not_round_and_round(tmp_path):
    save_picture(tmp_path / "elsewhere" / "2.png")
    save_picture(tmp_path / "root" / "cat" / "1.png")
    links = {"more": tmp_path / "elsewhere", "back": tmp_path / "root" / "cat", "here": "."}
    for name, target in links.items():
        (tmp_path / "root" / "cat" / name).symlink_to(target)
    found = ImageFolder(tmp_path / "root").paths
    assert [os.path.relpath(path, tmp_path / "root") for path in found] == [
        "cat/1.png", "cat/more/2.png"]


def test_image_folder_names_the_file_it_cannot_read(tmp_path):
    save_picture(tmp_path / "cat" / "1.png")
    (tmp_path / "cat" / "2.jpg").write_text("text")
    with pytest.raises(UnreadableImage, match="2.jpg"):
        ImageFolder(tmp_path)[1]


# CIFAR-10, at 20 pictures a file instead of 10,000

@pytest.fixture
def small_files(monkeypatch):
    monkeypatch.setattr(CIFAR10, "images_per_file", 20)


def cifar_batches():
    """{name: (planes uint8 (20, 3072), labels)}"""
    rng = np.random.default_rng(0)
    return {name: (rng.integers(0, 256, (20, 3072), dtype=np.uint8),
                   rng.integers(0, 10, 20).tolist()) for name in BATCHES}


def write_binary(path, planes, labels):
    path.write_bytes(b"".join(bytes([label]) + row.tobytes() for row, label in zip(planes, labels)))


def python_2_pickle(planes, labels):
    """The bytes that Python 2's cPickle wrote into the official archive: its strings are bytes."""
    def text(value):
        if len(value) < 256:
            return b"U" + bytes([len(value)]) + value
        return b"T" + struct.pack("<i", len(value)) + value

    array = (b"cnumpy.core.multiarray\n_reconstruct\n" + b"cnumpy\nndarray\n" + b"K\x00\x85"
             + text(b"b") + b"\x87R"
             + b"(K\x01" + b"M" + struct.pack("<H", len(planes)) + b"M\x00\x0c\x86"
             + b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R"
             + b"(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
             + b"\x89" + text(planes.tobytes()) + b"tb")
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return (b"\x80\x02}(" + text(b"batch_label") + text(b"training batch 1 of 5")
            + text(b"labels") + numbers + text(b"data") + array
            + text(b"filenames") + b"](" + text(b"leptodactylus_pentadactylus_s_000004.png")
            + b"eu.")


def write_python_2(path, planes, labels):
    path.write_bytes(python_2_pickle(planes, labels))


def write_python_3(path, planes, labels):
    path.write_bytes(pickle.dumps({"data": planes, "labels": labels}, protocol=4))


FORMS = [(write_binary, ".bin", ""), (write_binary, ".bin", "cifar-10-batches-bin"),
         (write_python_2, "", ""),
         (write_python_2, "", "cifar-10-batches-py"), (write_python_3, "", "")]


@pytest.mark.parametrize("write, suffix, folder", FORMS)
def test_cifar10(tmp_path, small_files, write, suffix, folder):
    batches = cifar_batches()
    (tmp_path / folder).mkdir(exist_ok=True)
    for name, (planes, labels) in batches.items():
        write(tmp_path / folder / (name + suffix), planes, labels)
    for train, names in ((True, BATCHES[:5]), (False, BATCHES[5:])):
        dataset = CIFAR10(tmp_path, train)
        assert len(dataset) == 20 * len(names) and dataset.classes[3] == "cat"
        assert dataset.labels.dtype == np.int64
        assert dataset.labels.tolist() == sum((batches[name][1] for name in names), [])
        picture, label = dataset[7]
        planes, labels = batches[names[0]]
        assert label == labels[7] and picture.dtype == np.uint8 and picture.shape == (32, 32, 3)
        for channel, row, column in [(0, 0, 0), (1, 0, 31), (2, 31, 5)]:
            assert picture[row, column, channel] == planes[7, 1024 * channel + 32 * row + column]


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_cifar10_runs_nothing_of_a_pickle(tmp_path, small_files):
    malicious = {"data": Malicious(str(tmp_path / "executed")), "labels": []}
    (tmp_path / "test_batch").write_bytes(pickle.dumps(malicious))
    message = r"test_batch is no CIFAR-10 batch: its pickle asks for '(posix|nt)\.mkdir'"
    with pytest.raises(ValueError, match=message):
        CIFAR10(tmp_path, train=False)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["builtins\neval", "os\nsystem", "numpy\nload",
                                  "numpy.core.multiarray\nfromstring",
                                  "numpy\nndarray.tofile"])
def test_cifar10_allows_four_names_only(tmp_path, small_files, name):
    (tmp_path / "test_batch").write_bytes(b"\x80\x02c" + name.encode() + b"\n.")
    with pytest.raises(ValueError, match="which CIFAR-10 batches do not need"):
        CIFAR10(tmp_path, train=False)


def broken_files():
    planes, labels = cifar_batches()["test_batch"]
    whole = b"".join(bytes([label]) + row.tobytes() for row, label in zip(planes, labels))
    return {
        "cut": ("test_batch.bin", whole[:-5], "no multiple of 3,073"),
        "short": ("test_batch.bin", whole[:-3073],
                  "holds 19 pictures and 19 labels, not 20 of each"),
        "empty": ("test_batch.bin", b"", "holds 0 pictures"),
        "foreign": ("test_batch.bin", b"\xff" * len(whole), "holds the label 255, outside 0..9"),
        "cut pickle": ("test_batch", python_2_pickle(planes, labels)[:-100],
                       "is no CIFAR-10 batch"),
        "text": ("test_batch", b"hello", "is no CIFAR-10 batch"),
        "list": ("test_batch", pickle.dumps([1, 2]), "is no CIFAR-10 batch"),
        "float": ("test_batch", pickle.dumps({"data": planes / 2, "labels": labels}, 4),
                  "its data are not uint8"),
        "few labels": ("test_batch", pickle.dumps({"data": planes, "labels": labels[:3]}, 4),
                       "holds 20 pictures and 3 labels"),
        "no labels": ("test_batch", pickle.dumps({"data": planes}, 4), "is no CIFAR-10 batch"),
    }


@pytest.mark.parametrize("case", broken_files())
def test_cifar10_broken_files(tmp_path, small_files, case):
    name, content, message = broken_files()[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"^/.*{name} .*{message}"):
        CIFAR10(tmp_path, train=False)


def test_cifar10_missing_files(tmp_path, small_files):
    with pytest.raises(FileNotFoundError, match="holds neither data_batch_1.bin nor data_batch_1"):
        CIFAR10(tmp_path)
    write_binary(tmp_path / "data_batch_1.bin", *cifar_batches()["data_batch_1"])
    with pytest.raises(FileNotFoundError, match="data_batch_2.bin is missing"):
        CIFAR10(tmp_path)


def test_split_holds_out_the_same_part_of_every_class(tmp_path):
    for name, count in (("cat", 10), ("dog", 20)):
        for i in range(count):
            save_picture(tmp_path / name / f"{i:02d}.png", i)
    folder = ImageFolder(tmp_path)
    rest, held_out = split(folder, 0.2, seed=1)
    assert np.bincount(held_out.labels).tolist() == [2, 4]
    assert np.bincount(rest.labels).tolist() == [8, 16]
    names = [[part.name(i) for i in range(len(part))] for part in (rest, held_out)]
    assert sorted(names[0] + names[1]) == folder.paths
    assert rest.classes == held_out.classes == folder.classes
    for part in (rest, held_out):
        picture, label = part[3]
        assert label == part.labels[3]
        assert f"{picture[0, 0, 0]:02d}" == os.path.basename(part.name(3))[:2]
    again, other = split(folder, 0.2, seed=1)[1], split(folder, 0.2, seed=2)[1]
    assert again.indices.tolist() == held_out.indices.tolist() != other.indices.tolist()


@pytest.mark.parametrize("fraction, message", [
    (0, "between 0 and 1, not 0"), (1.0, "between 0 and 1"), (0.01, "leaves one part empty")])
def test_split_errors(tmp_path, fraction, message):
    save_picture(tmp_path / "cat" / "1.png")
    with pytest.raises(ValueError, match=message):
        split(ImageFolder(tmp_path), fraction)


# ---- a part of the classes, and of each class's pictures -----------------------------------------

@pytest.fixture
def three_classes(tmp_path):
    """Folders a, b and c with 4, 6 and 8 pictures, each of a level of its own."""
    for start, (name, count) in zip((0, 50, 100), (("a", 4), ("b", 6), ("c", 8))):
        for i in range(count):
            save_picture(tmp_path / name / f"{i}.png", start + i)
    return ImageFolder(tmp_path)


def test_chosen_classes_are_numbered_anew_in_the_order_given(three_classes):
    part = of_classes(three_classes, [2, 0])
    assert list(part.classes) == ["c", "a"] and np.bincount(part.labels).tolist() == [8, 4]
    seen = {(int(picture[0, 0, 0]), label) for picture, label in map(part.__getitem__, range(12))}
    assert seen == {(100 + i, 0) for i in range(8)} | {(i, 1) for i in range(4)}
    images, labels = next(iter(DataLoader(part, 12, Normalize([0] * 3, [1 / 255] * 3))))
    assert ((images[:, 0, 0, 0] >= 100) == (labels == 0)).all() and (labels == part.labels).all()


def test_at_most_so_many_pictures_of_a_class_are_some_of_those_of_a_larger_number(three_classes):
    few, more = at_most(three_classes, 3), at_most(three_classes, 5)
    assert np.bincount(few.labels).tolist() == [3, 3, 3]
    assert np.bincount(more.labels).tolist() == [4, 5, 5]
    assert set(few.indices) < set(more.indices)
    assert at_most(three_classes, 3, seed=1).indices.tolist() != few.indices.tolist()
    assert few[4][1] == few.labels[4] and list(few.classes) == ["a", "b", "c"]
