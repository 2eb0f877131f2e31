"""Damaged files of every container: one sentence or the weights, nothing executed, no memory beyond
the file's own size."""
import contextlib
import json
import os
import pickle
import resource

import numpy as np
import pytest

import weights_files as whole
from minitensor import Generator, checkpoint
from minitensor.checkpoint import CheckpointError
from models.errors import UserError
from models.networks.build import build
from models.training.checkpoints import load_parameters, metadata_of
from models.weights import WeightsError, header, load
from models.weights.layouts import torchvision_arrays
from test_weights_caffe import caffe_layers, caffemodel, numpy_2_pickle, toronto

ROOM = 100 * 2**20    # bytes that reading these files, of less than 50 kB, may take
FEW, MANY = 200, 5000                   # variants of each container
EXTREMES = [0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**62, 2**63, 2**64 - 1]
PICTURES = {"resize": 80, "crop": 67, "mean": [0.5] * 3, "std": [0.25] * 3}
CONTAINERS = ("zip", "legacy", "safetensors", "header", "checkpoint", "index", "shard", "npz",
              "npz compressed", "npy", "npy2", "pickle", "caffemodel", "V1")
WITH_SUMS = {"zip", "npz", "npz compressed", "index"}       # which find every change of a number
needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/statm"),
                                reason="the size of a process is read from /proc")


class Touch:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


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


@pytest.fixture
def network():
    return build("alexnet", 3, 67, 1 / 128, generator=Generator(0))


def written(container, network, folder):
    """(the path to read, the path of what is to be damaged), both whole."""
    state = {name: np.ascontiguousarray(array) for name, array in network.state_dict().items()}
    path = folder / f"weights.{container.replace(' ', '')}"
    evil = whole.dumped("evil") + whole.dumped(Touch(folder / "marker"))
    layers = {name: (w[:3], b[:3]) if name == "fc8" else (w, b)
              for name, (w, b) in caffe_layers(1 / 64).items()}
    if container in ("index", "shard"):
        names = list(state)
        parts = [{name: state[name] for name in part} for part in (names[:5], names[5:])]
        index = whole.sharded(folder, parts, whole.safetensors, ".safetensors")
        return index, index if container == "index" else folder / "model-00001-of-00002.safetensors"
    if container == "checkpoint":
        checkpoint.save(path, state, metadata_of(network, list("abc"), PICTURES))
    elif container in ("npy", "npy2"):
        np.save(folder / "saved.npy", np.array(toronto(layers), object))
        path.write_bytes((folder / "saved.npy").read_bytes() if container == "npy"
                         else numpy_2_pickle(toronto(layers)))
    else:
        about = {header.KEY: json.dumps(metadata_of(network, list("abc"), PICTURES))}
        path.write_bytes({
            "zip": lambda: whole.torch_zip(state, evil),
            "legacy": lambda: whole.torch_legacy(state, evil),
            "safetensors": lambda: whole.safetensors(state),
            "header": lambda: whole.safetensors(torchvision_arrays(network), about),
            "npz": lambda: whole.npz(state), "npz compressed": lambda: whole.npz(state, True),
            "pickle": lambda: pickle.dumps({"model": state, "evil": Touch(folder / "marker")}, 2),
            "caffemodel": lambda: caffemodel(layers), "V1": lambda: caffemodel(layers, old=True),
        }[container]())
    return path, path


def damaged(data, rng):
    """Bytes flipped, the end cut off, a length replaced by an extreme one, a piece repeated, left
    out or moved; mostly where the structure is."""
    data, size = bytearray(data), len(data)
    place = int(rng.choice([rng.integers(min(2500, size)),
                            size - 1 - rng.integers(min(3000, size)), rng.integers(size)]))
    how = rng.integers(6)
    if how == 0:
        for _ in range(rng.integers(1, 4)):
            data[min(size - 1, place + int(rng.integers(20)))] ^= 1 << int(rng.integers(8))
    elif how == 1:
        del data[place:]
    elif how == 2:
        width = int(rng.choice([1, 2, 4, 8]))
        number = int(EXTREMES[rng.integers(len(EXTREMES))]) % 256**width
        data[place:place + width] = number.to_bytes(width, "little")
    elif how == 3:
        end = place + int(rng.integers(1, 200))
        data[place:place] = data[place:end]
    elif how == 4:
        del data[place:place + int(rng.integers(1, 40))]
    else:
        other, length = int(rng.integers(size)), int(rng.integers(1, 9))
        data[place:place + length] = data[other:other + length]
    return bytes(data)


@needs_proc
@pytest.mark.parametrize("variants", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
@pytest.mark.parametrize("container", CONTAINERS)
def test_damaged_files_are_refused_in_one_sentence(container, variants, network, tmp_path, capsys):
    path, part = written(container, network, tmp_path)
    data, rng = part.read_bytes(), np.random.default_rng(CONTAINERS.index(container))
    expected = load_parameters(str(path))[0]
    refused = same = 0
    with little_memory():
        for _ in range(variants):
            part.write_bytes(damaged(data, rng))
            try:
                arrays = load_parameters(str(path))[0]
            except (WeightsError, CheckpointError, UserError) as error:
                refused += 1
                assert str(path) in str(error) and len(str(error)) < 700, error
                assert "\n" not in str(error) and "Traceback" not in str(error), error
                continue
            assert arrays.keys() == expected.keys()
            is_same = all((arrays[name] == expected[name]).all() for name in expected)
            same += is_same
            assert is_same or container not in WITH_SUMS
    assert not (tmp_path / "marker").exists()
    with capsys.disabled():
        print(f"\n{container}: {variants} damaged, {refused} refused, {same} the same weights, "
              f"{variants - refused - same} other numbers")
    assert refused > variants / 5, "most damage is noticed"


@needs_proc
@pytest.mark.parametrize("programs", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_pickles_of_random_opcodes(programs, tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "weights.pth"
    marker = tmp_path / "marker"
    pieces = [b"(", b")", b"]", b"}", b"t", b"R", b"b", b"s", b"u", b"e", b"a", b"l", b"d", b"0",
              b"1", b"2", b"N", b"K\x01", b"q\x00", b"q\x01", b"h\x00", b"h\x01", b"\x85", b"\x86",
              b"\x81", b"\x92", b"o", b"Q", b"\x8f", b"\x90", b"\x91", b"\x93", b"\x94", b"I01\n",
              b"S'a'\n", b"Vx\n", b"cos\nsystem\n", b"ccollections\nOrderedDict\n",
              b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch._utils\n_rebuild_parameter\n",
              b"ctorch._tensor\n_rebuild_from_type_v2\n", b"cnumpy\ndtype\n", b"cnumpy\nndarray\n",
              b"cnumpy.core.multiarray\n_reconstruct\n", b"c_codecs\nencode\n",
              b"ctorch\nFloatStorage\n", whole.dumped(f"touch {marker}"),
              whole.dumped("conv1.weight"), whole.dumped("storage"),
              whole.dumped(("storage", 1, "0", "cpu", 2)),
              whole.tensor("0", "FloatStorage", 2, 0, (2,), (1,)), b"\x95\xff\0\0\0\0\0\0\0"]
    with little_memory():
        for _ in range(programs):
            program = b"".join(pieces[i] for i in rng.integers(len(pieces), size=rng.integers(40)))
            path.write_bytes(whole.as_zip(b"\x80\x02" + program + b".",
                                          [("archive/data/0", b"12345678")]))
            with pytest.raises(WeightsError) as refused:
                load(str(path))
            assert len(str(refused.value)) < 700
    assert not marker.exists()


@needs_proc
@pytest.mark.parametrize("text", [
    b"[" * 10**6, b'{"a":' * 10**5, b'{"a": ' + b"9" * 10**5 + b"}", b"{" + b'"a":[],' * 10**5,
    b'{"__metadata__": {"minitensor": "' + b"[" * 10**5 + b'"}}',
    b'{"__metadata__": {"minitensor": 1}}', b'{"a": {"dtype": "F32", "shape": [-1], '
    b'"data_offsets": [0, 4]}}', b'{"weight_map": {"a": "../b"}}', b'{"weight_map": {"a": []}}',
    b'{"weight_map": {"a": "weights.index.json"}}', b"null", b"\xff"])
def test_bombs_of_json(text, tmp_path):
    (tmp_path / "weights").write_bytes(len(text).to_bytes(8, "little") + text)
    (tmp_path / "weights.index.json").write_bytes(text)
    for name in ("weights", "weights.index.json"):
        with little_memory(), pytest.raises(WeightsError) as refused:
            load(str(tmp_path / name))
        assert len(str(refused.value)) < 700


@pytest.mark.parametrize("info, kind", [("[" * 10**5, "F32"), ("{}", "BF16"), ("{", "F32")])
def test_a_checkpoint_whose_header_is_odd(info, kind, tmp_path):
    header = json.dumps({"__metadata__": {"format": checkpoint.FORMAT, "info": info},
                         "a": {"dtype": kind, "shape": [2 if kind == "BF16" else 1],
                               "data_offsets": [0, 4]}}).encode()
    path = tmp_path / "odd.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"1234")
    with pytest.raises(CheckpointError, match="cannot read checkpoint"):
        checkpoint.load(path)
