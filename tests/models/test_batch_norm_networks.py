"""A table with batch normalisation through everything that is made of a table."""
import numpy as np
import pytest
from safetensors.numpy import save_file

from minitensor import Generator, Tensor, checkpoint, nn, no_grad
from models.networks.build import FAMILY, Design, build
from models.networks.layers import (AdaptiveAvgPool, BatchNorm, Conv, Flatten, Linear, MaxPool,
                                    Residual)
from models.networks.tables import state_shapes, walk
from models.networks.torch_twin import torch_twin
from models.training.checkpoints import load_network
from models.weights import onnx as onnx_writer
from models_cli import assert_resumes_to_the_same_bits, complaint, models

SIZE = 12


def conv(channels, kernel, stride=1):
    return Conv(channels, kernel, stride, kernel // 2, activation=None, bias=False)


NORMED = {                                                                  # output at 12 px
    "conv1": conv(8, 3),                                                    # 8 x 12 x 12
    "bn1": BatchNorm(),                                                     # 8 x 12 x 12
    "pool1": MaxPool(2, 2),                                                 # 8 x 6 x 6
    "layer1": Residual({"conv1": conv(16, 3, 2), "bn1": BatchNorm(),
                        "conv2": conv(16, 3), "bn2": BatchNorm(activation=None)},
                       {"0": conv(16, 1, 2),
                        "1": BatchNorm(1e-3, activation=None)}),            # 16 x 3 x 3
    "average": AdaptiveAvgPool(1),                                          # 16 x 1 x 1
    "flatten": Flatten(),                                                   # 16
    "fc": Linear(10, activation=None),                                      # 10 logits
}


@pytest.fixture(autouse=True)
def family(monkeypatch):
    monkeypatch.setitem(FAMILY, "normed", Design(NORMED, SIZE))


@pytest.fixture
def network():
    """With statistics that are not what they begin with."""
    made = build("normed", generator=Generator(0))
    for count in (7, 8):
        made(images(count))
    return made.eval()


def images(count):
    drawn = np.random.default_rng(count).standard_normal((count, 3, SIZE, SIZE))
    return Tensor(drawn.astype(np.float32))


def train(out, *more):
    return models("train", "--network", "normed", "--data", "builtin", "--pictures", 40,
                  "--workers", 0, "--batch-size", 10, "--epochs", 2, "--out", out, *more)


def file_of(network, path, **changes):
    arrays = {name: np.asarray(a, order="C") for name, a in network.state_dict().items()}
    arrays = {name: array for name, array in {**arrays, **changes}.items() if array is not None}
    save_file(arrays, path)
    return str(path)


def test_the_table_knows_parameters_and_buffers_under_pytorchs_names(network):
    own = {name: array.shape for name, array in network.state_dict().items()}
    assert state_shapes(network.table, SIZE) == own
    norms = [place.name for place in walk(network.table, network.input_shape)
             if isinstance(place.layer, BatchNorm)]
    assert len(norms) == 4
    for norm in norms:
        assert {name.rpartition(".")[2] for name in own if name.startswith(f"{norm}.")} == {
            "weight", "bias", "running_mean", "running_var", "num_batches_tracked"}


def test_batch_norm_starts_as_in_pytorch():
    state = build("normed", generator=Generator(0), init="paper").state_dict()
    for name, value in (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1),
                        ("num_batches_tracked", 0)):
        assert (state[f"layer1.bn1.{name}"] == value).all(), name


def test_the_summary_lists_batch_norm(network):
    rows = [line for line in repr(network).splitlines() if line.startswith("bn1 ")]
    assert rows == [row for row in rows if "BatchNorm2d(8, eps=1e-05, activation='relu')" in row]
    assert rows[0].split()[-1] == "16"


def test_pytorchs_twin_of_a_table_with_batch_norm(torch, network):
    twin = torch_twin(network.table, network.input_shape)
    ours, x = network.train(), images(6)
    for theirs, own in zip(twin.parameters(), ours.parameters(), strict=True):
        theirs.data = torch.tensor(np.ascontiguousarray(own.data))
    np.testing.assert_allclose(twin(torch.tensor(x.data)).detach().numpy(), ours(x).data,
                               rtol=1e-4, atol=1e-5)


def test_onnx_of_batch_norm_equals_onnxruntime(network, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    onnx_writer.write_onnx(tmp_path / "normed.onnx", network, {
        "network": network.name, "config": network.config, "classes": [], "preprocessing": {}})
    session = onnxruntime.InferenceSession(tmp_path / "normed.onnx",
                                           providers=["CPUExecutionProvider"])
    with no_grad():
        np.testing.assert_allclose(session.run(None, {"image": images(3).data})[0],
                                   network(images(3)).data, rtol=1e-4, atol=1e-5)


# ---- weights in files --------------------------------------------------------------------------

def test_weights_with_running_statistics_are_recognised(network, tmp_path):
    found, metadata = load_network(file_of(network, tmp_path / "theirs.safetensors"))
    assert found.name == "normed"
    for name, array in network.state_dict().items():
        np.testing.assert_array_equal(found.state_dict()[name], array)
    assert found.bn1.num_batches_tracked.dtype == np.int64


def test_weights_of_a_pth_file_with_running_statistics(torch, network, tmp_path):
    state = {name: torch.tensor(np.asarray(a, order="C"))
             for name, a in network.state_dict().items()}
    for legacy in (False, True):
        torch.save(state, tmp_path / "theirs.pth", _use_new_zipfile_serialization=not legacy)
        found, _ = load_network(str(tmp_path / "theirs.pth"))
        for name, array in network.state_dict().items():
            np.testing.assert_array_equal(found.state_dict()[name], array)


def test_weights_from_before_batches_were_counted(network, tmp_path):
    counters = {name: None for name in network.state_dict() if name.endswith("tracked")}
    found, _ = load_network(file_of(network, tmp_path / "old.safetensors", **counters))
    assert found.bn1.num_batches_tracked.item() == 0
    np.testing.assert_array_equal(found.bn1.running_var.data, network.bn1.running_var.data)


@pytest.mark.parametrize("name, array, message", [
    ("bn1.running_mean", None, "it holds no bn1.running_mean"),
    ("bn1.running_var", np.full(8, -1, np.float32), "one of its running variances is negative"),
    ("bn1.num_batches_tracked", np.array(0.5), "its counter of batches is 0.5"),
    ("bn1.running_mean", np.full(8, np.nan, np.float32), "infinite or not a number")])
def test_running_statistics_that_cannot_be(network, tmp_path, capsys, monkeypatch, name, array,
                                           message):
    for other in [other for other in FAMILY if other != "normed"]:
        monkeypatch.delitem(FAMILY, other)
    path = file_of(network, tmp_path / "theirs.safetensors", **{name: array})
    assert models("summary", path) == 1
    assert message in complaint(capsys)


# ---- training ----------------------------------------------------------------------------------

@pytest.mark.slow
def test_a_resumed_run_with_batch_norm_has_the_same_bits(tmp_path, monkeypatch):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert train(whole) == 0
    ours = assert_resumes_to_the_same_bits(train, whole, stopped, 6, monkeypatch)
    assert ours["bn1.num_batches_tracked"] == 8


def test_frozen_batch_norm_runs_on_its_statistics_and_keeps_their_bits(tmp_path):
    base, run = tmp_path / "base", tmp_path / "run"
    assert train(base) == 0
    assert train(run, "--weights", base, "--freeze", 4, "--no-flip") == 0   # conv1 to layer1.bn1
    before, after = (checkpoint.load(path)[0] for path in (base / "best.safetensors",
                                                           run / "latest.safetensors"))
    frozen = ("conv1.", "bn1.", "layer1.conv1.", "layer1.bn1.")
    same = {name for name in before if np.array_equal(before[name], after[name])}
    assert same == {name for name in before if name.startswith(frozen)}
    assert after["layer1.bn2.num_batches_tracked"] == before["layer1.bn2.num_batches_tracked"] + 8


def test_commands_know_batch_norm(tmp_path, capsys):
    run, out = tmp_path / "run", tmp_path / "features.npy"
    assert train(run) == 0
    assert models("evaluate", run, "--workers", 0) == 0
    assert models("convert", run, tmp_path / "copy.safetensors") == 0
    (before, _), (after, _) = (load_network(str(path))
                               for path in (run, tmp_path / "copy.safetensors"))
    with no_grad():
        np.testing.assert_array_equal(before(images(2)).data, after(images(2)).data)
    for layer, shape in (("layer1.bn1", (16, 3, 3)), ("conv1", (8, 12, 12))):
        assert models("features", run, run / "samples", "--layer", layer, "--out", out) == 0
        assert np.load(out).shape == (10, *shape)


def test_folded_the_network_gives_the_same_logits(network):
    with no_grad():
        folded = network(images(9)).data
        with nn.folding(False):
            np.testing.assert_allclose(folded, network(images(9)).data, rtol=1e-5, atol=1e-5)
