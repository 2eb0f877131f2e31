"""Checkpoints: what is saved comes back; a bad file or disk gives one clear sentence."""
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from minitensor import checkpoint
from minitensor.checkpoint import CheckpointError, load, save

safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")

ARRAYS = {"w": np.arange(6, dtype=np.float32).reshape(2, 3),
          "deep.name": np.arange(4.0).reshape(2, 2).T, "one": np.array(2.5),
          "none": np.zeros((0, 3)), "counts": np.array([1, -2])}
INFO = {"epoch": 3, "text": "µ", "nested": {"lr": [0.1, 0.2]}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "last.safetensors"


def test_what_is_saved_comes_back(path):
    save(path, ARRAYS, INFO)
    arrays, info = load(path)
    assert info == INFO and arrays.keys() == ARRAYS.keys()
    for name, array in arrays.items():
        saved = ARRAYS[name]
        assert array.dtype == saved.dtype and array.shape == saved.shape and array.flags.writeable
        np.testing.assert_array_equal(array, saved)
    assert os.listdir(path.parent) == [path.name]


def test_the_file_is_plain_safetensors(path):
    save(path, ARRAYS, INFO)
    np.testing.assert_array_equal(safetensors.load_file(path)["deep.name"], ARRAYS["deep.name"])


def test_the_file_has_ordinary_permissions(path, monkeypatch):
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask is that of all threads"))
    save(path, ARRAYS, INFO)
    (path.parent / "ordinary").touch()
    assert path.stat().st_mode == (path.parent / "ordinary").stat().st_mode


def truncate(path, size):
    with open(path, "rb+") as file:
        file.truncate(size)


@pytest.mark.parametrize("spoil", [
    lambda p: truncate(p, 0), lambda p: truncate(p, 5), lambda p: truncate(p, 100),
    lambda p: truncate(p, p.stat().st_size - 1), lambda p: p.write_text("not a checkpoint"),
    lambda p: p.write_bytes(os.urandom(4096))])
def test_a_truncated_or_foreign_file_is_refused(path, spoil):
    save(path, ARRAYS, INFO)
    spoil(path)
    with pytest.raises(CheckpointError, match=f"cannot read checkpoint {path}: "):
        load(path)


def test_safetensors_of_others_are_refused(path):
    safetensors.save_file({"w": np.zeros(2)}, path)
    message = "is a safetensors file, but not a checkpoint of minitensor"
    with pytest.raises(CheckpointError, match=message):
        load(path)


@pytest.mark.parametrize("info", ["{", "[" * 100])
def test_a_damaged_header_is_refused(path, info):
    metadata = {"format": checkpoint.FORMAT, "info": info}
    safetensors.save_file({"w": np.zeros(2)}, path, metadata=metadata)
    with pytest.raises(CheckpointError, match="cannot read checkpoint"):
        load(path)


def test_a_missing_file_is_named(path):
    for missing in (path, path.parent):
        with pytest.raises(CheckpointError, match=f"there is no checkpoint {missing}"):
            load(missing)


def test_a_missing_folder_is_named(path):
    missing = path.parent / "nowhere" / "a"
    message = f"cannot write checkpoint {missing}: No such file or directory"
    with pytest.raises(CheckpointError, match=message):
        save(missing, ARRAYS, INFO)


def test_info_that_json_cannot_hold_leaves_no_file(path):
    with pytest.raises(TypeError, match="not JSON serializable"):
        save(path, ARRAYS, {"array": np.zeros(2)})
    assert not os.listdir(path.parent)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(path, monkeypatch):
    def full(arrays, partial, metadata):
        Path(partial).write_bytes(b"half of it")
        raise OSError(28, os.strerror(28))

    save(path, ARRAYS, INFO)
    with monkeypatch.context() as patch:
        patch.setattr(safetensors, "save_file", full)
        message = "cannot write checkpoint .*: No space left on device"
        with pytest.raises(CheckpointError, match=message):
            save(path, {}, {})
    assert load(path)[1] == INFO and os.listdir(path.parent) == [path.name]


@contextmanager
def mounted(folder, options):
    """A small file system in memory, which only root may mount."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs to be root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk(tmp_path):
    with mounted(tmp_path / "disk", "size=64k") as disk:
        save(disk / "a", ARRAYS, INFO)
        message = "cannot write checkpoint .*No space left on device"
        with pytest.raises(CheckpointError, match=message):
            save(disk / "a", {"w": np.zeros(100_000)}, {})
        assert os.listdir(disk) == ["a"] and load(disk / "a")[1] == INFO


def test_a_read_only_disk(tmp_path):
    with mounted(tmp_path / "disk", "ro") as disk:
        message = "cannot write checkpoint .*: Read-only file system"
        with pytest.raises(CheckpointError, match=message):
            save(disk / "a", ARRAYS, INFO)


def test_a_read_only_folder(path):
    save(path, ARRAYS, INFO)
    path.parent.chmod(0o555)
    try:
        if os.access(path.parent, os.W_OK):
            pytest.skip("root may write anywhere")
        with pytest.raises(CheckpointError, match="cannot write checkpoint .*: Permission denied"):
            save(path, {}, {})
    finally:
        path.parent.chmod(0o755)
    assert load(path)[1] == INFO


def test_without_safetensors_there_is_one_line_of_help(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    monkeypatch.delitem(sys.modules, "safetensors")
    with pytest.raises(ImportError, match="pip install"):
        save(path, ARRAYS, INFO)
