"""Checkpoints as people save them give the same weights as a plain state dict; built byte by byte,
and by PyTorch where it is installed."""
import argparse
import collections
import datetime
import enum
import pathlib
import pickle
import random

import numpy as np
import pytest

import weights_files as whole
from minitensor import Generator
from models.networks.build import build
from models.weights import WeightsError, load
from models.weights.layouts import TORCHVISION_NAMES
from models_cli import Said, complaint, models

WRAPPERS = ("model_state_dict", "state_dict", "model", "net", "network", "ema", "model_ema",
            "state_dict_ema", "weights", "params", "anything")
PREFIXES = ("_orig_mod.", "module.", "module._orig_mod.", "module.module.", "model.", "backbone.",
            "net.", "encoder.", "model.backbone.")


class Colour(enum.Enum):
    RED = 1


class Custom:
    def __init__(self):
        self.number = 1


@pytest.fixture(scope="module")
def ours():
    return {name: np.ascontiguousarray(array) for name, array in
            build("torchvision", 5, width=1 / 64, generator=Generator(0)).state_dict().items()}


@pytest.fixture(scope="module")
def theirs(ours):
    return {TORCHVISION_NAMES[name]: array for name, array in ours.items()}


def assert_read(path, ours, said=(), tolerance=0.0):
    """That path gives the weights, and tells the user exactly these words."""
    told = Said()
    arrays, metadata = load(str(path), told)
    assert metadata["network"] == "torchvision" and arrays.keys() == ours.keys()
    assert all(np.abs(arrays[name] - ours[name]).max() <= tolerance * np.abs(ours[name]).max()
               for name in ours)
    assert told.lines == [f"warning: {path}: {words}" for words in said]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pth"


# ---- without PyTorch ---------------------------------------------------------------------------

@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("write", [whole.torch_zip, whole.torch_legacy, whole.safetensors,
                                   whole.npz, lambda state: whole.npz(state, True),
                                   lambda state: pickle.dumps({"model": state}, 4)],
                         ids=["zip", "legacy", "safetensors", "npz", "compressed", "pickle"])
def test_prefixes_in_every_container(write, prefix, ours, theirs, path):
    path.write_bytes(write({prefix + name: array for name, array in theirs.items()}))
    assert_read(path, ours)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("protocol", range(2, 6))
def test_wrappers_and_what_stands_beside_the_weights(wrapper, protocol, ours, theirs, path):
    path.write_bytes(pickle.dumps({
        "epoch": 3, "best": np.float64(0.5), wrapper: theirs, "args": argparse.Namespace(lr=0.1),
        "path": pathlib.Path("/runs"), "history": collections.defaultdict(list, loss=[0.5] * 99),
        "when": datetime.datetime(2024, 5, 6), "colour": Colour.RED, "custom": Custom(),
        "rng": [random.getstate(), np.random.get_state(), np.random.default_rng(0)],
        "numpy": [np.arange(5), np.array([None]), np.dtype("f4"), np.array(["text"])],
        "others": [{1, 2}, frozenset([1]), 2j, 2**90, b"1", bytearray(b"2"), range(3), len, Custom,
                   collections.Counter("abc"), collections.deque([1])],
        "keys": {(1, 2): 3, None: 4, 1.5: 5}}, protocol))
    assert_read(path, ours)


def test_wrappers_nested_once(ours, theirs, path):
    path.write_bytes(pickle.dumps({"checkpoint": {"model": theirs, "epoch": 1}}, 2))
    assert_read(path, ours)
    path.write_bytes(pickle.dumps([theirs, {"state": {0: {"exp_avg": np.zeros(3)}}}], 2))
    assert_read(path, ours)


def test_an_average_goes_before_the_model_and_it_is_said(ours, theirs, path):
    other = {name: array + 1 for name, array in theirs.items()}
    path.write_bytes(pickle.dumps({"model": other, "ema": theirs}, 2))
    assert_read(path, ours, ["the weights under ema are taken, not those under model"])
    path.write_bytes(pickle.dumps({"optimizer": {"exp_avg": other}, "best": other,
                                   "model": theirs}, 2))
    assert_read(path, ours, ["the weights under model are taken, not those under best"])


def test_another_network_in_a_dict_beside_the_weights_is_said(ours, theirs, path):
    other = {name: array + 1 for name, array in theirs.items()}
    path.write_bytes(pickle.dumps({**other, "ema": theirs}, 2))
    assert_read(path, ours, ["the weights under ema are taken, not those under no name"])
    path.write_bytes(pickle.dumps({**theirs, "momentum": other}, 2))
    assert_read(path, ours, ["the weights under no name are taken, not those under momentum"])


def test_what_is_beside_the_network_is_said(ours, theirs, path):
    state = {f"model.{name}": array for name, array in theirs.items()}
    state |= {"criterion.weight": np.ones(5, np.float32), "n_averaged": np.array(3)}
    path.write_bytes(whole.safetensors(state))
    assert_read(path, ours, ["not taken, as no part of the network: criterion.weight"])


def test_tensors_that_share_a_storage(ours, theirs, path):
    """As views of one storage: offsets and strides, the matrices' turned round."""
    flat = np.concatenate([array.T.ravel() if array.ndim == 2 else array.ravel()
                           for array in theirs.values()])
    parts, offset = [], 0
    for name, array in theirs.items():
        strides = tuple(n // 4 for n in (array.T.copy().T if array.ndim == 2 else array).strides)
        parts += [whole.dumped(name), whole.tensor("0", "FloatStorage", flat.size, offset,
                                                   array.shape, strides)]
        offset += array.size
    path.write_bytes(whole.as_zip(b"\x80\x02}(" + b"".join(parts) + b"u.",
                                  [("archive/data/0", flat.tobytes())]))
    assert_read(path, ours)


@pytest.mark.parametrize("kind, tolerance", [("<f2", 2**-11), ("<f8", 0), ("<u2", 2**-7)],
                         ids=["float16", "float64", "bfloat16"])
def test_other_floats_are_widened(kind, tolerance, ours, theirs, path):
    def narrow(array):
        if kind == "<u2":               # bfloat16: the upper half of a float32, cut off
            return (array.view(np.uint32) >> 16).astype(np.uint16)
        return array.astype(kind)
    state = {name: narrow(array) for name, array in theirs.items()}
    for content in (whole.torch_zip(state), whole.torch_legacy(state), whole.safetensors(state)):
        path.write_bytes(bfloat16(content))
        assert_read(path, ours, tolerance=tolerance)


def bfloat16(content):
    """safetensors has no way to write it from NumPy: the header's length grows with the name."""
    if b'"U16"' not in content:
        return content
    size = int.from_bytes(content[:8], "little")
    head = content[8:8 + size].replace(b'"U16"', b'"BF16"')
    return len(head).to_bytes(8, "little") + head + content[8 + size:]


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
def test_several_files_and_their_index(suffix, ours, theirs, tmp_path):
    names = list(theirs)
    parts = [{name: theirs[name] for name in part} for part in (names[:7], names[7:])]
    write = whole.safetensors if suffix == ".safetensors" else lambda part: whole.torch_zip(
        part, wrapped=False)
    index = whole.sharded(tmp_path, parts, write, suffix)
    assert_read(index, ours)
    (tmp_path / f"model-00002-of-00002{suffix}").write_bytes(write(parts[0]))
    with pytest.raises(WeightsError, match="model-00002-of-00002.* holds no "):
        load(str(index))


def test_a_state_dict_in_npy(ours, theirs, tmp_path):
    np.save(tmp_path / "weights.npy", np.array(theirs, object))
    assert_read(tmp_path / "weights.npy", ours)


def test_an_index_by_any_name_and_the_file_that_it_lacks(ours, theirs, tmp_path):
    index = whole.sharded(tmp_path, [theirs, {"extra": np.zeros(3, np.float32)}],
                          whole.safetensors, ".safetensors")
    copied = index.rename(tmp_path / "model (1).json")
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(WeightsError, match="model-00002-of-00002.safetensors, which it names, is "
                       "not beside it"):
        load(str(copied))
    assert_read(tmp_path / "model-00001-of-00002.safetensors", ours)


def test_wrappers_and_what_stands_beside_the_weights_in_npy(ours, theirs, tmp_path):
    path = tmp_path / "weights.npy"
    for saved in ({"model": theirs, "epoch": 3}, {**theirs, "best": np.float64(0.5)},
                  {"state_dict": {f"module.{name}": array for name, array in theirs.items()},
                   "args": argparse.Namespace(lr=1), "path": pathlib.Path("runs")}):
        np.save(path, saved)
        assert_read(path, ours)


def test_what_stands_beside_the_weights_in_npz(ours, theirs, path):
    path.write_bytes(whole.npz({**theirs, "epoch": 3, "classes": np.array(["cat", "dog"]),
                                "history": np.array([{"loss": 1}], object)}))
    assert_read(path, ours)
    path.write_bytes(whole.npz({"state": np.array(theirs, object)}))
    with pytest.raises(WeightsError, match=r"its state holds no numbers: write it with np.savez"):
        load(str(path))


@pytest.mark.parametrize("write", [lambda path, state: np.save(path, state),
                                   lambda path, state: path.write_bytes(pickle.dumps(state))],
                         ids=["npy", "pickle"])
def test_the_counters_of_batch_normalisation_in_pickled_arrays(write, tmp_path):
    state = build("resnet20", 5, generator=Generator(0)).state_dict()
    write(tmp_path / "weights.npy", dict(state))
    arrays, metadata = load(str(tmp_path / "weights.npy"))
    assert metadata["network"] == "resnet20" and arrays.keys() == state.keys()


@pytest.mark.parametrize("first, message", [
    (b"\x1f\x8b\x08", "compressed by gzip: unpack it"), (b"BZh9", "bzip2"), (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"), (b"\x89HDF\r\n", "HDF5"), (b"<!DOCTYPE html>", "a web page"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a pointer of Git LFS")])
def test_what_people_take_for_weights_is_told_by_its_name(first, message, path):
    path.write_bytes(first + b"0" * 500)
    with pytest.raises(WeightsError, match=message):
        load(str(path))


@pytest.mark.parametrize("change, message", [
    (lambda s: s | {"features.13.weight": np.zeros(3, np.float32)},
     r"has the parameters of torchvision; it also holds features.13.weight \(3,\), which no"),
    (lambda s: {k: v[:1] if k.startswith("classifier.6") else v for k, v in s.items()},
     r"its classifier.6.weight is \(1, 64\): one output"),
    (lambda s: {k: v for k, v in s.items() if not k.startswith("classifier.6")},
     "holds no classifier.6.weight and lacks 1 more of the network torchvision"),
    (lambda s: {k.replace("classifier.6", "head"): v for k, v in s.items()},
     r"holds no classifier.6.weight .* also holds head.bias \(5,\)"),
    (lambda s: {"lstm.weight": np.zeros((4, 3), np.float32)},
     r"holds lstm.weight \(4, 3\), but no .*conv1.weight or .*features.0.weight")],
    ids=["more layers", "one class", "no head", "another head", "another network"])
def test_a_refusal_says_what_was_found_and_what_was_looked_for(change, message, theirs, path):
    path.write_bytes(whole.safetensors(change(theirs)))
    with pytest.raises(WeightsError, match=message):
        load(str(path))


def test_shapes_of_several_networks_are_said(path):
    state = build("caffenet", 5, 67, 1 / 16, generator=Generator(0)).state_dict()
    path.write_bytes(whole.safetensors(state))
    told = Said()
    assert load(str(path), told)[1]["network"] == "alexnet-paper"
    assert "are those of alexnet-paper, caffe-alexnet, caffenet" in told.lines[0]


def test_a_width_that_rounds(path):
    state = build("alexnet", 5, 67, 0.03, generator=Generator(0)).state_dict()
    path.write_bytes(whole.safetensors(state))
    assert load(str(path))[0].keys() == state.keys()


def test_the_command_line_says_which_weights_were_taken(theirs, path, capsys):
    path.write_bytes(pickle.dumps({"model": theirs, "model_ema": theirs}, 2))
    assert models("summary", path) == 0
    assert "the weights under model_ema are taken, not those under model" in complaint(capsys)


# ---- with PyTorch ------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def module(torch, theirs):
    """AlexNet of PyTorch's layers with these weights."""
    nn = torch.nn

    def convolution(name, **options):
        out, into, kernel, _ = theirs[f"{name}.weight"].shape
        return nn.Conv2d(into, out, kernel, **options)

    def linear(name):
        return nn.Linear(*theirs[f"{name}.weight"].shape[::-1])
    network = nn.Module()
    network.features = nn.Sequential(collections.OrderedDict(
        (name.split(".")[1], convolution(name)) for name in dict.fromkeys(
            key.rpartition(".")[0] for key in theirs if key.startswith("features"))))
    network.classifier = nn.Sequential(collections.OrderedDict(
        (number, linear(f"classifier.{number}")) for number in "146"))
    network.load_state_dict({name: torch.tensor(array) for name, array in theirs.items()})
    return network


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("protocol", range(2, 6))
def test_what_pytorch_saves_beside_the_weights(protocol, legacy, torch, module, ours, path):
    optimizer = torch.optim.AdamW(module.parameters())
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=9)
    torch.save({"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict(),
                "model": module.state_dict(), "size": torch.Size([1]), "dtype": torch.bfloat16,
                "device": torch.device("cpu"), "rng": torch.get_rng_state(), "schedule": scheduler,
                "sparse": torch.eye(2).to_sparse(), "complex": torch.zeros(1, dtype=torch.cfloat),
                "float8": torch.zeros(2).to(torch.float8_e4m3fn)},
               path, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    assert_read(path, ours)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("how", ["averaged", "whole", "whole in a dict", "data parallel",
                                 "channels last", "attributes"])
def test_what_pytorch_saves_of_a_network(how, legacy, torch, module, ours, path):
    def tuned(value):
        if how == "channels last" and value.ndim == 4:
            return value.contiguous(memory_format=torch.channels_last)
        if how == "attributes":
            value = torch.nn.Parameter(value)
            value.note = "tuned"
        return value
    torch.save({"averaged": lambda: torch.optim.swa_utils.AveragedModel(module).state_dict(),
                "whole": lambda: module, "whole in a dict": lambda: {"model": module, "epoch": 1},
                "data parallel": lambda: torch.nn.DataParallel(module)}.get(
                    how, lambda: {k: tuned(v) for k, v in module.state_dict().items()})(),
               path, _use_new_zipfile_serialization=not legacy)
    assert_read(path, ours)


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("change, kind", [
    (lambda torch, w: torch.quantize_per_tensor(w, 0.1, 0, torch.qint8), "torch.QInt8Storage"),
    (lambda torch, w: w.to(torch.float8_e4m3fn), "torch.float8_e4m3fn"),
    (lambda torch, w: w.to_sparse(), "sparse"), (lambda torch, w: w.to("meta"), "meta")])
def test_tensors_that_are_no_plain_floats_are_refused_by_their_kind(change, kind, legacy, torch,
                                                                    module, path):
    torch.save({name: change(torch, weight) if weight.ndim > 1 else weight
                for name, weight in module.state_dict().items()}, path,
               _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match=f"its numbers are of the kind {kind}, not float32"):
        load(str(path))
