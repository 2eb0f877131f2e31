"""Tables with branches: two toy networks through everything that is made of a table.

One has only the layers of the house; the other also a module with a buffer and one that shares a
parameter between two convolutions, whose layers are defined here.
"""
from dataclasses import dataclass

import numpy as np
import pytest
from safetensors.numpy import save_file

from minitensor import Generator, Tensor, checkpoint, nn, no_grad
from models.networks.build import FAMILY, Design, build, table_of
from models.networks.layers import (AdaptiveAvgPool, Concat, Conv, Dropout, Flatten, Layer, Linear,
                                    MaxPool, Residual)
from models.networks.tables import parameter_shapes, shapes, walk
from models.networks.transfer import freeze, layers_with_parameters, split
from models.settings import Settings
from models.training.checkpoints import load_network
from models.training.step import Training
from models.weights import onnx as onnx_writer
from models.networks.torch_twin import torch_twin
from models_cli import assert_resumes_to_the_same_bits, complaint, log, models

SIZE = 12
BLOCKS = {                                                                  # output at 12 px
    "conv1": Conv(8, 3, padding=1),                                         # 8 x 12 x 12
    "block1": Residual({"conv1": Conv(8, 3, padding=1),
                        "conv2": Conv(8, 3, padding=1, activation=None)}),  # 8 x 12 x 12
    "block2": Residual({"conv1": Conv(16, 3, stride=2, padding=1),
                        "conv2": Conv(16, 3, padding=1, groups=2, activation=None)},
                       shortcut={"conv": Conv(16, 1, stride=2, activation=None)}),  # 16 x 6 x 6
    "mixed": Concat(a={"conv": Conv(4, 1)},
                    b={"reduce": Conv(4, 1), "conv": Conv(8, 3, padding=1)},
                    c={"block": Residual({"conv": Conv(16, 1)}, activation="tanh"),
                       "project": Conv(4, 1)}),                             # 16 x 6 x 6
}
HEAD = {"average": AdaptiveAvgPool(1), "flatten": Flatten(), "drop": Dropout(),
        "fc": Linear(10, activation=None)}
LAYERS = ["conv1", "block1.conv1", "block1.conv2", "block2.conv1",
          "block2.conv2", "block2.shortcut.conv", "mixed.a.conv", "mixed.b.reduce",
          "mixed.b.conv", "mixed.c.block.conv", "mixed.c.project"]     # with parameters


class RunningMean(nn.Module):
    """x less the running mean of each channel, times a scale."""

    def __init__(self, channels):
        self.scale = nn.Parameter(np.ones((channels, 1, 1), np.float32), kind="scale")
        self.mean = nn.Buffer(np.zeros((channels, 1, 1), np.float32))
        self.batches = nn.Buffer(np.zeros((), np.int64))

    def forward(self, x):
        if self.training:
            self.mean.data = 0.5 * self.mean.data + 0.5 * x.data.mean(axis=(0, 2, 3))[:, None, None]
            self.batches.data = self.batches.data + 1
        return (x - Tensor(self.mean.data)) * self.scale


class Tied(nn.Module):
    """Two convolutions one after the other that share their weight."""

    def __init__(self, channels, generator):
        self.first = nn.Conv2d(channels, channels, 1, generator=generator)
        self.second = nn.Conv2d(channels, channels, 1, generator=generator)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(x))


@dataclass(frozen=True)
class Mean(Layer):
    def parameters(self, shape):
        return {"scale": (shape[0], 1, 1)}

    def module(self, shape, generator):
        return RunningMean(shape[0])


@dataclass(frozen=True)
class Twice(Layer):
    def parameters(self, shape):
        return {"first.weight": (shape[0], shape[0], 1, 1), "first.bias": shape[:1],
                "second.bias": shape[:1]}

    def macs(self, shape):
        return 2 * shape[0] * int(np.prod(shape))

    def module(self, shape, generator):
        return Tied(shape[0], generator)


def write_mean(graph, x, place, module):
    mean = graph.constant(f"{place.name}.mean", module.mean.data)
    scale = graph.constant(f"{place.name}.scale", module.scale.data)
    less = graph.node("Sub", [x, mean], f"{place.name}.less")
    return graph.node("Mul", [less, scale], place.name)


def write_twice(graph, x, place, module):
    weight = graph.constant(f"{place.name}.weight", module.first.weight.data)
    for name, conv in module.named_children():
        bias = graph.constant(f"{place.name}.{name}.bias", conv.bias.data)
        x = graph.node("Conv", [x, weight, bias], f"{place.name}.{name}")
    return x


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    monkeypatch.setitem(FAMILY, "blocks", Design({**BLOCKS, **HEAD}, SIZE))
    monkeypatch.setitem(FAMILY, "mean", Design(
        {**BLOCKS, "mean": Mean(), "inside": Residual({"mean": Mean(), "tied": Twice()}), **HEAD},
        SIZE))
    monkeypatch.setitem(onnx_writer.WRITERS, RunningMean, write_mean)
    monkeypatch.setitem(onnx_writer.WRITERS, Tied, write_twice)


@pytest.fixture(params=["blocks", "mean"])
def network(request):
    """With statistics that are not what they begin with."""
    made = build(request.param, generator=Generator(0))
    made(images(made, 8))
    return made.eval()


def images(network, count):
    drawn = np.random.default_rng(count).standard_normal((count, *network.input_shape))
    return Tensor(drawn.astype(np.float32))


def train(name, out, *more):
    return models("train", "--network", name, "--data", "builtin", "--pictures", 40, "--workers", 0,
                  "--batch-size", 10, "--epochs", 2, "--warmup", 3, "--out", out, *more)


# ---- what the table tells ----------------------------------------------------------------------

def test_the_table_knows_the_shapes_of_everything_inside(network):
    expected = shapes(network.table, SIZE)
    with no_grad(), nn.observe(network, expected) as seen:
        network(images(network, 1))
    assert {name: y.shape[1:] for name, y in seen.outputs.items()} == expected
    assert expected["mixed.c.block"] == (16, 6, 6) and expected["mixed"] == (16, 6, 6)


def test_the_table_knows_the_parameters_and_multiplications(network):
    parameters = {name: p.shape for name, p in network.named_parameters()}
    assert parameter_shapes(network.table, SIZE) == parameters
    modules = dict(network.named_modules())
    for place in walk(network.table, network.input_shape):
        if isinstance(modules[place.name], (nn.Conv2d, nn.Linear)):
            assert place.layer.macs(place.input) == modules[place.name].macs((1, *place.output))


def test_printing_runs_nothing(network, monkeypatch):
    monkeypatch.setattr(nn.Module, "__call__", lambda *_: pytest.fail("a forward pass"))
    network.train()
    network.mixed.eval()
    lines = repr(network).splitlines()
    assert network.training and not network.mixed.training
    rows = {line.split()[0]: line for line in lines[3:-2]}
    assert rows.keys() == shapes(network.table, SIZE).keys()
    assert rows["block2.shortcut.conv"].split()[-2:] == ["144", "4,608"]
    assert rows["mixed"].split() == ["mixed", "Concat", "16", "x", "6", "x", "6"]
    assert lines[-1].split()[1] == f"{network.num_parameters():,}"


def test_printing_a_chain_is_the_engines_summary():
    chain = build("caffenet", 10, 67, 1 / 16, generator=Generator(0))
    assert repr(chain) == nn.summary(chain, chain.input_shape, "caffenet")


def test_changes_reach_into_branches():
    table = table_of("blocks", width=2, ablations=["one-tower", "tanh"])
    convs = [place.layer for place in walk(table, (3, SIZE, SIZE)) if isinstance(place.layer, Conv)]
    assert len(convs) == len(LAYERS)
    assert {conv.groups for conv in convs} == {1}
    assert {conv.activation for conv in convs} == {"tanh", None}
    assert table["block1"].activation == "tanh", "that of the sum, too"
    assert table["block2"].body["conv2"].channels == table["block2"].shortcut["conv"].channels == 32
    assert BLOCKS["block2"].body["conv2"].groups == 2, "the family's own table stays as it is"


def test_a_network_without_a_convolution_is_built(monkeypatch):
    table = {"flatten": Flatten(), "fc": Linear(4, activation=None)}
    monkeypatch.setitem(FAMILY, "flat", Design(table, SIZE))
    network = build("flat", width=2, generator=Generator(0))
    assert network.num_parameters() == 4 * 3 * SIZE**2 + 4


def test_a_linear_layer_wants_a_flat_input(monkeypatch):
    monkeypatch.setitem(FAMILY, "wrong", Design({"fc": Linear(4)}, SIZE))
    with pytest.raises(ValueError, match="Linear: its input is an image .*put a Flatten before"):
        build("wrong", generator=Generator(0))


def test_equal_tables_are_equal():
    assert BLOCKS["mixed"] == Concat(**BLOCKS["mixed"].branches()) != Concat(a={})
    with pytest.raises(ValueError, match="Concat: expected at least one branch"):
        Concat()


@pytest.mark.parametrize("layer, message", [
    (Residual({"conv": Conv(9, 1)}), r"Residual: the body gives \(9, .* but the shortcut \(8, "),
    (Concat(a={"conv": Conv(4, 1)}, b={"pool": MaxPool(2, 2)}), "Concat: the branches give .* "
     "which differ in more than their channels")])
def test_branches_that_do_not_fit_together(layer, message, monkeypatch):
    table = {"conv1": Conv(8, 1), "wrong": layer, **HEAD}
    monkeypatch.setitem(FAMILY, "wrong", Design(table, SIZE))
    with pytest.raises(ValueError, match=message):
        build("wrong", generator=Generator(0))


def test_pools_whose_stride_is_longer_than_their_window(torch, tmp_path, monkeypatch):
    """PyTorch's rule: the last window must begin on the image."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    for size in range(1, 9):
        for kernel, stride in ((1, 2), (1, 3), (2, 3), (3, 2), (2, 5)):
            pool = MaxPool(kernel, stride, ceil=True)
            theirs = torch.nn.MaxPool2d(kernel, stride, ceil_mode=True)
            if 0 in pool.output((1, size, size)):
                with pytest.raises(RuntimeError, match="Output size is too small"):
                    theirs(torch.zeros(1, 1, size, size))
                continue
            y = theirs(torch.zeros(1, 1, size, size))
            assert pool.output((1, size, size)) == tuple(y.shape[1:]), (size, kernel, stride)
    table = {"pool": MaxPool(1, 2, ceil=True), "conv": Conv(4, 1), "flatten": Flatten(),
             "fc": Linear(2, activation=None)}
    monkeypatch.setitem(FAMILY, "strides", Design(table, 6))
    made = build("strides", generator=Generator(0)).eval()
    export(made, tmp_path / "strides.onnx")
    x = images(made, 2)
    session = onnxruntime.InferenceSession(tmp_path / "strides.onnx",
                                           providers=["CPUExecutionProvider"])
    with no_grad():
        np.testing.assert_allclose(session.run(None, {"image": x.data})[0], made(x).data,
                                   rtol=1e-5, atol=1e-6)


# ---- other programs ----------------------------------------------------------------------------

def export(network, path):
    onnx_writer.write_onnx(path, network, {"network": network.name, "config": network.config,
                                           "classes": [], "preprocessing": {}})


def test_onnx(network, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    export(network, tmp_path / "toy.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "toy.onnx",
                                           providers=["CPUExecutionProvider"])
    x = images(network, 3)
    with no_grad():
        expected = network(x).data
    np.testing.assert_allclose(session.run(None, {"image": x.data})[0], expected, rtol=1e-4,
                               atol=1e-5 * np.abs(expected).max())


def test_what_has_no_onnx_is_refused(tmp_path, monkeypatch):
    monkeypatch.delitem(onnx_writer.WRITERS, RunningMean)
    with pytest.raises(ValueError, match="mean is a RunningMean, for which there is no ONNX here"):
        export(build("mean", generator=Generator(0)), tmp_path / "toy.onnx")


def test_pytorchs_twin(torch):
    network = build("blocks", generator=Generator(0)).eval()
    twin = torch_twin(network.table, network.input_shape).eval()
    for theirs, ours in zip(twin.parameters(), network.parameters(), strict=True):
        theirs.data = torch.tensor(np.ascontiguousarray(ours.data))
    x = images(network, 2)
    with no_grad(), torch.no_grad():
        np.testing.assert_allclose(twin(torch.tensor(x.data)).numpy(), network(x).data,
                                   rtol=1e-4, atol=1e-5)


def test_weights_are_recognised(tmp_path):
    network = build("blocks", 7, SIZE, 0.5, generator=Generator(3))
    save_file({name: np.ascontiguousarray(a) for name, a in network.state_dict().items()},
              tmp_path / "theirs.safetensors")
    found, metadata = load_network(str(tmp_path / "theirs.safetensors"))
    assert (found.name, metadata["config"]["width"]) == ("blocks", 0.5)
    assert all(np.array_equal(found.state_dict()[name], array)
               for name, array in network.state_dict().items())


# ---- training ----------------------------------------------------------------------------------

@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("name", ["blocks", "mean"])
def test_a_stopped_and_resumed_run_is_bit_identical(name, optimizer, tmp_path, monkeypatch):
    def trained(run):
        return train(name, run, "--optimizer", optimizer, "--lr", 0.003)

    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert trained(whole) == 0
    ours = assert_resumes_to_the_same_bits(trained, whole, stopped, 6, monkeypatch)
    kinds = {array.split(".")[1] for array in ours if array.startswith("optimizer.")}
    assert kinds == ({"velocity"} if optimizer == "sgd" else {"exp_avg", "exp_avg_sq"})


def test_buffers_and_shared_parameters_are_saved_once(tmp_path):
    assert train("mean", tmp_path / "run") == 0
    arrays, _ = checkpoint.load(tmp_path / "run" / "latest.safetensors")
    assert arrays["mean.batches"] == arrays["inside.mean.batches"] == 8
    assert arrays["mean.mean"].any() and arrays["inside.mean.mean"].any()
    assert "inside.tied.first.weight" in arrays
    assert not [name for name in arrays if name.endswith("second.weight")]
    assert not [name for name in arrays if name.startswith("optimizer.") and "batches" in name]
    best, _ = checkpoint.load(tmp_path / "run" / "best.safetensors")
    assert best.keys() == {name for name in arrays if not name.startswith("optimizer.")}
    network, _ = load_network(str(tmp_path / "run"))
    assert np.array_equal(network.state_dict()["mean.mean"], best["mean.mean"])


def test_scales_and_biases_do_not_decay():
    training = Training(Settings(network="mean", image_size=SIZE, init="he"), ["a", "b"], {})
    decay = {id(p): group["weight_decay"] for group in training.optimizer.groups
             for p in group["params"]}
    rate = {id(p): group["lr"] for group in training.optimizer.groups for p in group["params"]}
    for name, parameter in training.network.named_parameters():
        assert bool(decay[id(parameter)]) == (parameter.kind == "weight"), name
        assert rate[id(parameter)] == (0.02 if parameter.kind == "bias" else 0.01), name


def test_evaluate_and_convert_know_branches(tmp_path, capsys):
    run = tmp_path / "run"
    assert train("mean", run) == 0
    assert models("evaluate", run, "--workers", 0) == 0
    assert models("convert", run, tmp_path / "copy.safetensors") == 0
    assert models("summary", tmp_path / "copy.safetensors") == 0
    assert "inside.tied" in capsys.readouterr().out
    (before, _), (after, _) = (load_network(str(path))
                               for path in (run, tmp_path / "copy.safetensors"))
    x = images(before, 2)
    with no_grad():
        np.testing.assert_array_equal(before(x).data, after(x).data)


# ---- freezing, features ------------------------------------------------------------------------

@pytest.mark.parametrize("count, prefix", [(0, 0), (1, 1), (2, 1), (3, 2), (6, 3), (11, 6)])
def test_layers_are_counted_through_branches(count, prefix):
    network = build("blocks", generator=Generator(0))
    assert list(layers_with_parameters(network)) == [*LAYERS, "fc"]
    freeze(network, str(count))
    frozen = {name.rpartition(".")[0] for name, p in network.named_parameters()
              if not p.requires_grad}
    assert frozen == set(LAYERS[:count])
    assert [name for name, _ in split(network)[0].named_children()] == list(network.table)[:prefix]
    if count == 11:
        freeze(network, "features")
        assert all(p.requires_grad == name.startswith("fc")
                   for name, p in network.named_parameters())


def test_what_is_frozen_stays_statistics_included(tmp_path):
    base, run = tmp_path / "base", tmp_path / "run"
    assert train("mean", base) == 0
    frozen = len(LAYERS) + 2            # up to the mean in the last block
    assert train("mean", run, "--weights", base, "--freeze", frozen, "--no-flip") == 0
    before, after = (checkpoint.load(path)[0] for path in (base / "best.safetensors",
                                                           run / "latest.safetensors"))
    same = {name for name in before if np.array_equal(before[name], after[name])}
    learned = {name for name in before if name.startswith(("inside.tied.", "fc."))}
    assert same == before.keys() - learned


def test_cached_features_of_frozen_blocks(tmp_path):
    base, plain, cached = tmp_path / "base", tmp_path / "plain", tmp_path / "cached"
    assert train("blocks", base) == 0
    more = ("--weights", base, "--freeze", "features", "--no-flip", "--no-random-crop")
    assert train("blocks", plain, *more, "--no-cache-features") == 0
    assert train("blocks", cached, *more) == 0
    losses = ([record["loss"] for record in log(run) if record["event"] == "step"]
              for run in (plain, cached))
    assert next(losses) == pytest.approx(next(losses), rel=1e-4)


@pytest.mark.parametrize("layer, shape", [("block1", (8, 12, 12)), ("mixed.b.reduce", (4, 6, 6)),
                                          ("mixed.c.block", (16, 6, 6))])
def test_features_of_layers_inside_branches(layer, shape, tmp_path, capsys):
    run, out = tmp_path / "run", tmp_path / "features.npy"
    assert train("blocks", run) == 0
    assert models("features", run, run / "samples", "--layer", layer, "--out", out) == 0
    values = np.load(out)
    assert values.shape == (10, *shape) and values.any()
    capsys.readouterr()
    assert models("features", run, run / "samples", "--layer", "mixed.d", "--out", out) == 2
    assert "no such layer; its layers: conv1, block1.conv1" in complaint(capsys)


# ---- without a convolution ---------------------------------------------------------------------

def test_a_network_of_linear_layers_is_trained_and_recognised(monkeypatch, tmp_path, capsys):
    dense = {"flatten": Flatten(), "hidden": Linear(24), "drop": Dropout(),
             "fc": Linear(10, activation=None)}
    monkeypatch.setitem(FAMILY, "dense", Design(dense, SIZE))
    assert train("dense", tmp_path / "run", "--width", 0.5) == 0
    assert not (tmp_path / "run" / "filters.png").exists()
    trained, _ = load_network(str(tmp_path / "run"))
    save_file(trained.state_dict(), tmp_path / "state.safetensors")
    again, metadata = load_network(str(tmp_path / "state.safetensors"))
    assert (again.name, metadata["config"]["width"]) == ("dense", 0.5)
    save_file({"weight": np.zeros(3, np.float32)}, tmp_path / "unknown.safetensors")
    capsys.readouterr()
    assert models("summary", tmp_path / "unknown.safetensors") == 1
    assert "cannot be used as weights" in complaint(capsys)
