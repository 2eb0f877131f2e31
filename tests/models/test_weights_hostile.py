"""Files that are damaged or mean harm: one sentence, nothing executed, no memory beyond the file's
own size."""
import contextlib
import io
import os
import pickle
import resource
import struct
import time
import zipfile

import numpy as np
import pytest

from minitensor import Generator
from models.networks.build import build
from models.weights import WeightsError, load
from models.weights.layouts import TORCHVISION_NAMES
from models_cli import complaint, models
from test_weights_caffe import NO_SIZE, caffe_layers, caffemodel, numpy_2_pickle, toronto

ROOM = 100 * 2**20    # bytes that reading one of these files, of less than 500 kB, may take
VARIANTS = int(os.environ.get("MINITENSOR_FUZZ", 700))          # of each container
EXTREMES = [0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**62, 2**63, 2**64 - 1]


@contextlib.contextmanager
def little_memory():
    """The process may grow by ROOM."""
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + ROOM, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.fixture(scope="module")
def files(torch, tmp_path_factory):
    """{container: bytes} of small files that are whole."""
    from safetensors.torch import save_file
    folder = tmp_path_factory.mktemp("whole")
    network = build("torchvision", 3, width=1 / 64, generator=Generator(0))
    state = {TORCHVISION_NAMES[name]: torch.tensor(np.ascontiguousarray(array))
             for name, array in network.state_dict().items()}
    torch.save(state, folder / "zip")
    torch.save(state, folder / "legacy", _use_new_zipfile_serialization=False)
    save_file(state, folder / "safetensors")
    layers = {name: (w[:, :] if name != "fc8" else w[:3], b if name != "fc8" else b[:3])
              for name, (w, b) in caffe_layers(1 / 16).items()}
    np.save(folder / "npy", np.array(toronto(layers), object))
    (folder / "npy").write_bytes((folder / "npy.npy").read_bytes())
    (folder / "npy2").write_bytes(numpy_2_pickle(toronto(layers)))
    (folder / "caffemodel").write_bytes(caffemodel(layers))
    (folder / "V1").write_bytes(caffemodel(layers, old=True))
    return {name: (folder / name).read_bytes()
            for name in ("zip", "legacy", "safetensors", "npy", "npy2", "caffemodel", "V1")}


CONTAINERS = ("zip", "legacy", "safetensors", "npy", "npy2", "caffemodel", "V1")


def damaged(whole, rng):
    """Bytes flipped, the end cut off, a length replaced by an extreme one, a piece repeated or left
    out; mostly where the structure is."""
    data, size = bytearray(whole), len(whole)
    place = int(rng.choice([rng.integers(min(2500, size)),
                            size - 1 - rng.integers(min(3000, size)), rng.integers(size)]))
    how = rng.integers(5)
    if how == 0:
        for _ in range(rng.integers(1, 4)):
            data[min(size - 1, place + int(rng.integers(20)))] = rng.integers(256)
    elif how == 1:
        del data[place:]
    elif how == 2:
        width = int(rng.choice([1, 2, 4, 8]))
        number = int(EXTREMES[rng.integers(len(EXTREMES))]) % 256**width
        data[place:place + width] = number.to_bytes(width, "little")
    elif how == 3:
        end = place + int(rng.integers(1, 200))
        data[place:place] = data[place:end]
    else:
        del data[place:place + int(rng.integers(1, 40))]
    return bytes(data)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"),
                    reason="the size of a process is read from /proc")
@pytest.mark.parametrize("container", CONTAINERS)
def test_damaged_files_are_refused_in_one_sentence(container, files, tmp_path):
    rng, path = np.random.default_rng(CONTAINERS.index(container)), tmp_path / "weights"
    path.write_bytes(files[container])
    load(str(path))                     # the undamaged file is fine
    refused = 0
    for _ in range(VARIANTS):
        path.write_bytes(damaged(files[container], rng))
        with little_memory():
            try:
                load(str(path))
            except WeightsError as error:
                refused += 1
                assert str(error).startswith(f"{path} cannot be used as weights: ")
                assert len(str(error)) < 600
    assert refused > VARIANTS / 4, "most damage is noticed"


# ---- malice ------------------------------------------------------------------------------------

class Touch:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def as_zip(data, extra=(), compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in (("archive/data.pkl", data), *extra):
            archive.writestr(name, content)
    return stream.getvalue()


def tensor_pickle(offset=0, shape=(2,), strides=(1,), count=2, kind="FloatStorage"):
    """{"features.0.weight": a tensor of these numbers}, as PyTorch pickles it."""
    def dumped(value):
        return pickle.dumps(value, 2)[2:-1]
    return (b"\x80\x02}X\x11\x00\x00\x00features.0.weightctorch._utils\n_rebuild_tensor_v2\n"
            b"((X\x07\x00\x00\x00storagectorch\n" + kind.encode()
            + b"\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" + dumped(count) + b"tQ"
            + dumped(offset) + dumped(shape) + dumped(strides) + b"\x89}tRs.")


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
        with pytest.raises(WeightsError, match="it holds (what (posix|nt).system makes|no dict)|asks for"):
            load(str(path))
    assert not marker.exists()


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
                                              [("archive/data/0", b"12345678")]))
    with little_memory(), pytest.raises(WeightsError, match=message):
        load(str(tmp_path / "weights"))


def test_a_bomb_is_not_unpacked(tmp_path):
    bomb = as_zip(tensor_pickle(count=2**26, shape=(2**26,)), [("archive/data/0", b"\0" * 2**28)],
                  zipfile.ZIP_DEFLATED)
    (tmp_path / "weights").write_bytes(bomb)
    with little_memory(), pytest.raises(WeightsError, match="unpack to an impossible size"):
        load(str(tmp_path / "weights"))


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


def test_arrays_of_impossible_sizes(tmp_path):
    layers = {"conv1": [np.zeros((2, 2), np.float32)] * 2}
    whole = numpy_2_pickle(layers)
    for old, new in ((b"K\x02K\x02\x86", b"K\x02K\x03\x86"), (b"U\x02f4", b"U\x02O8"),
                     (b"<NNN" + NO_SIZE, b"?NNN" + NO_SIZE)):
        assert old in whole
        (tmp_path / "weights").write_bytes(whole.replace(old, new))
        with little_memory(), pytest.raises(WeightsError):
            load(str(tmp_path / "weights"))


def test_numbers_that_are_not_finite(files, tmp_path):
    data = files["safetensors"]
    (tmp_path / "weights").write_bytes(data[:-4] + np.float32("nan").tobytes())
    with pytest.raises(WeightsError, match="infinite or not a number"):
        load(str(tmp_path / "weights"))


def test_the_command_line_says_it_in_one_line(tmp_path, capsys):
    (tmp_path / "weights.pth").write_bytes(as_zip(pickle.dumps(Touch(tmp_path / "marker"))))
    assert models("summary", tmp_path / "weights.pth") == 1
    said = complaint(capsys)
    assert "weights.pth cannot be used as weights: it holds what posix.system makes" in said
    assert "save the model's state_dict()" in said
