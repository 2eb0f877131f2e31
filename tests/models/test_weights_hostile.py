"""Files that mean harm: one sentence, nothing executed, no memory beyond the file's own size."""
import pickle
import struct
import time
import zipfile

import numpy as np
import pytest

from minitensor import Generator
from models.networks.build import build
from models.weights import WeightsError, load
from models_cli import complaint, models
from test_weights_caffe import NO_SIZE, numpy_2_pickle
from test_weights_damaged import Touch, little_memory, needs_proc
from weights_files import as_zip, dumped, safetensors, tensor


def tensor_pickle(offset=0, shape=(2,), strides=(1,), count=2, kind="FloatStorage"):
    """{"features.0.weight": a tensor of these numbers}, as PyTorch pickles it."""
    return (b"\x80\x02}" + dumped("features.0.weight")
            + tensor("1", kind, count, offset, shape, strides) + b"s.")


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_in_a_pickle_is_executed(protocol, tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "weights"
    bad = pickle.dumps(Touch(marker), protocol)
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }".ljust(117) + b"\n"
    legacy = b"".join(pickle.dumps(value, 2)
                      for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    for content in (as_zip(bad), legacy + bad + pickle.dumps([], 2),
                    b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bad):
        path.write_bytes(content)
        with pytest.raises(WeightsError,
                           match="it holds (what (posix|nt).system makes|no dict)|asks for"):
            load(str(path))
    assert not marker.exists()


@needs_proc
@pytest.mark.parametrize("numbers, message", [
    (dict(offset=1), "reaches outside the 2 values"), (dict(shape=(3,)), "reaches outside"),
    (dict(strides=(2,)), "reaches outside"),
    (dict(shape=(2**40,), strides=(0,)), "reaches outside"),
    (dict(offset=-1), "not whole numbers from 0 up"),
    (dict(strides=(-1,)), "not whole numbers"), (dict(offset=2**70), "not whole numbers"),
    (dict(shape=(1,) * 9, strides=(1,) * 9), "9 dimensions"),
    (dict(count=2**60), "larger than the file"),
    (dict(kind="QInt8Storage"), "of the kind torch.QInt8Storage"),
    (dict(kind="load"), "of the kind torch.load")])
def test_a_tensors_numbers_are_checked(numbers, message, tmp_path):
    (tmp_path / "weights").write_bytes(as_zip(tensor_pickle(**numbers),
                                              [("archive/data/1", b"12345678")]))
    with little_memory(), pytest.raises(WeightsError, match=message):
        load(str(tmp_path / "weights"))


@needs_proc
def test_a_bomb_is_not_unpacked(tmp_path):
    bomb = as_zip(tensor_pickle(count=2**26, shape=(2**26,)), [("archive/data/0", b"\0" * 2**28)],
                  zipfile.ZIP_DEFLATED)
    (tmp_path / "weights").write_bytes(bomb)
    with little_memory(), pytest.raises(WeightsError, match="unpack to an impossible size"):
        load(str(tmp_path / "weights"))


@needs_proc
def test_many_objects_and_nested_ones_end_soon(tmp_path):
    # a tuple of 2^200 leaves
    doubling = b"\x80\x02)" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(200))
    began = time.process_time()
    for data, message in ((b"\x80\x02" + b"]" * 10**6 + b".", "longer than"),
                          (doubling + b".", "hold each other"),
                          (b"\x80\x02}" + doubling[2:] + b"Ns.", "no tensors"),
                          (b"\x80\x02" + b"(" * 5000 + b".", "malformed")):
        (tmp_path / "weights").write_bytes(as_zip(data))
        with little_memory(), pytest.raises(WeightsError, match=message):
            load(str(tmp_path / "weights"))
    assert time.process_time() - began < 60, "not for ever"


@needs_proc
def test_arrays_of_impossible_sizes(tmp_path):
    layers = {"conv1": [np.zeros((2, 2), np.float32)] * 2}
    whole = numpy_2_pickle(layers)
    for old, new in ((b"K\x02K\x02\x86", b"K\x02K\x03\x86"), (b"U\x02f4", b"U\x02O8"),
                     (b"<NNN" + NO_SIZE, b"?NNN" + NO_SIZE)):
        assert old in whole
        (tmp_path / "weights").write_bytes(whole.replace(old, new))
        with little_memory(), pytest.raises(WeightsError):
            load(str(tmp_path / "weights"))


def test_numbers_that_are_not_finite(tmp_path):
    state = build("alexnet", 3, 67, 1 / 128, generator=Generator(0)).state_dict()
    state["fc8.bias"][-1] = np.nan
    (tmp_path / "weights").write_bytes(safetensors(state))
    with pytest.raises(WeightsError, match="infinite or not a number"):
        load(str(tmp_path / "weights"))


def test_the_command_line_says_it_in_one_line(tmp_path, capsys):
    (tmp_path / "weights.pth").write_bytes(as_zip(pickle.dumps(Touch(tmp_path / "marker"))))
    assert models("summary", tmp_path / "weights.pth") == 1
    said = complaint(capsys)
    assert "weights.pth cannot be used as weights: it holds what posix.system makes" in said
    assert "save the model's state_dict()" in said
