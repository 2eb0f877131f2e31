"""`convert`: what other programs compute from what we write, and what we read back."""
import json

import numpy as np
import pytest

from minitensor import Generator, Tensor, checkpoint, nn, no_grad
from models.networks.build import FAMILY, Design, build
from models.networks.layers import Conv, Flatten, Linear
from models.training.checkpoints import load_network, metadata_of
from models.weights import onnx as onnx_writer
from models.weights.layouts import TORCHVISION_NAMES
from models_cli import complaint, models
from test_family import CHAINS

PICTURES = {"resize": 80, "crop": 67, "mean": [0.5] * 3, "std": [0.25] * 3}
# name, image size, ablations: every layer there is, pools that hang over the edge, averages of
# unequal windows
NETWORKS = [(name, None, []) for name in CHAINS] + [("torchvision", 139, ["tanh"]),
                                                    ("caffenet", 91, ["no-overlap"]),
                                                    ("cifar10-18pct", 27, ["tanh"])]


def made(path, name, size=None, ablations=()):
    """A checkpoint of a narrow network with random weights and biases."""
    network = build(name, 5, size, 1 / 8, ablations=ablations, generator=Generator(0),
                    init="he").eval()
    rng = np.random.default_rng(0)
    for parameter in network.parameters():
        if len(parameter.shape) == 1:
            parameter.data[...] = rng.standard_normal(parameter.shape)
    checkpoint.save(path, network.state_dict(), metadata_of(network, list("abcde"), PICTURES))
    return network


def pictures(network, count=3):
    return 20 * np.random.default_rng(0).standard_normal((count,
                                                          *network.input_shape)).astype(np.float32)


def assert_close(actual, expected):
    assert np.abs(actual - expected).max() <= 1e-5 * np.abs(expected).max()


def logits(network, x):
    with no_grad():
        return network(Tensor(x)).data


def evaluator(model):
    """ONNX's own, with its LRN replaced: up to onnx 1.23 that goes through as many channels as the
    batch has pictures."""
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun

    class LRN(OpRun):
        def _run(self, x, alpha, beta, bias, size):
            sums = np.zeros_like(x)
            for c in range(x.shape[1]):
                sums[:, c] = (x[:, max(0, c - (size - 1) // 2):c + size // 2 + 1]**2).sum(axis=1)
            return (x / (bias + alpha / size * sums)**beta,)
    return ReferenceEvaluator(model, new_ops=[LRN])


@pytest.mark.parametrize("name, size, ablations", NETWORKS)
def test_onnx(name, size, ablations, tmp_path):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    onnxruntime = pytest.importorskip("onnxruntime",
                                      reason="onnxruntime, the oracle of this test, is not "
                                      "installed")
    network = made(tmp_path / "ours.safetensors", name, size, ablations)
    assert models("convert", tmp_path / "ours.safetensors", tmp_path / "theirs.onnx") == 0
    x = pictures(network)
    expected = logits(network, x)
    session = onnxruntime.InferenceSession(tmp_path / "theirs.onnx",
                                           providers=["CPUExecutionProvider"])
    assert_close(session.run(["logits"], {"image": x})[0], expected)
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == list("abcde")
    model = onnx.load(tmp_path / "theirs.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert_close(evaluator(model).run(["logits"], {"image": x[:1]})[0], expected[:1])


@pytest.mark.parametrize("name", ["alexnet", "alexnet-paper", "torchvision"])
def test_torchvisions_names(name, tmp_path):
    from safetensors.numpy import load_file
    network = made(tmp_path / "ours.safetensors", name)
    assert models("convert", tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors",
                  "--torchvision") == 0
    arrays = load_file(tmp_path / "theirs.safetensors")
    assert arrays.keys() == set(TORCHVISION_NAMES.values())
    for ours, theirs in TORCHVISION_NAMES.items():
        np.testing.assert_array_equal(arrays[theirs], network.state_dict()[ours])


@pytest.mark.parametrize("plain", [False, True], ids=["checkpoint", "torchvision's names"])
@pytest.mark.parametrize("name, size, ablations", NETWORKS + [
    ("torchvision", 96, ["no-overlap"]), ("alexnet-paper", 91, ["tanh", "no-lrn"])])
def test_a_converted_network_is_read_back_as_it_was(plain, name, size, ablations, tmp_path, capsys):
    if plain and name.startswith("cifar10-"):
        return                                          # it has no names there
    network = made(tmp_path / "ours.safetensors", name, size, ablations)
    flag = ["--torchvision"] if plain else []
    assert models("convert", tmp_path / "ours.safetensors", tmp_path / "new.safetensors",
                  *flag) == 0
    differs = plain and (name, ablations) != ("torchvision", [])
    warned = "which torchvision's own network of these names computes otherwise"
    assert (warned in capsys.readouterr().err) == differs
    back, info = load_network(str(tmp_path / "new.safetensors"))
    x = pictures(network)
    np.testing.assert_array_equal(logits(back, x), logits(network, x))
    assert (back.name, back.config) == (network.name, network.config)
    assert (info["classes"], info["preprocessing"]) == (list("abcde"), PICTURES)


def test_torchvisions_names_load_strictly_in_pytorch(torch, tmp_path):
    from safetensors.torch import load_file
    made(tmp_path / "ours.safetensors", "torchvision")
    models("convert", tmp_path / "ours.safetensors", tmp_path / "new.safetensors", "--torchvision")
    state = load_file(tmp_path / "new.safetensors")
    assert state.keys() == set(TORCHVISION_NAMES.values())


def test_a_mean_image_is_not_lost_in_silence(tmp_path, capsys):
    network = build("torchvision", 5, width=1 / 16, generator=Generator(0))
    about = metadata_of(network, list("abcde"), {**PICTURES, "crop": 70})
    checkpoint.save(tmp_path / "ours.safetensors",
                    {**network.state_dict(),
                     "preprocessing.mean_image": np.ones((80, 80, 3), np.float32)}, about)
    assert models("convert", tmp_path / "ours.safetensors", tmp_path / "new.safetensors",
                  "--torchvision") == 1
    assert "subtracts a mean image" in complaint(capsys)
    assert not (tmp_path / "new.safetensors").exists()
    pytest.importorskip("onnx", reason="onnx is not installed")
    assert models("convert", tmp_path / "ours.safetensors", tmp_path / "new.onnx") == 0
    assert "does not hold the mean image" in complaint(capsys)


@pytest.mark.parametrize("change", [
    {"network": "resnet1"}, {"classes": ["a"]}, {"classes": [1, 2, 3, 4, 5]}, {"preprocessing": {}},
    {"config": {"width": 1e9}}, {"config": {"image_size": 227.0}}, {"config": {"ablations": [[]]}},
    {"config": None}])
def test_a_header_that_does_not_fit_is_refused(change, tmp_path, capsys):
    network = made(tmp_path / "ours.safetensors", "torchvision")
    about = metadata_of(network, list("abcde"), PICTURES)
    if change.get("config"):
        change = {"config": {**network.config, **change["config"]}}
    checkpoint.save(tmp_path / "odd.safetensors", network.state_dict(), {**about, **change})
    assert models("summary", tmp_path / "odd.safetensors") == 1
    assert "odd.safetensors is no checkpoint of ours: " in complaint(capsys)


def test_published_weights_become_a_checkpoint(torch, tmp_path):
    network = made(tmp_path / "ours.safetensors", "torchvision")
    torch.save({TORCHVISION_NAMES[name]: torch.tensor(np.ascontiguousarray(array))
                for name, array in network.state_dict().items()},
               tmp_path / "theirs.pth")
    assert models("convert", tmp_path / "theirs.pth", tmp_path / "back.safetensors") == 0
    back, info = load_network(str(tmp_path / "back.safetensors"))
    x = pictures(network)
    np.testing.assert_array_equal(logits(back, x), logits(network, x))
    assert info["preprocessing"]["resize"] == 256
    assert checkpoint.is_checkpoint(tmp_path / "back.safetensors")


@pytest.mark.parametrize("arguments, message", [
    (("out.txt",), "must end in .safetensors or .onnx"),
    (("out.onnx", "--torchvision"), "must end in .safetensors"),
    (("out.safetensors", "--torchvision"), "no names there fit")])
def test_what_cannot_be_written(arguments, message, tmp_path, capsys):
    made(tmp_path / "ours.safetensors", "cifar10-18pct")
    target, *rest = arguments
    assert models("convert", tmp_path / "ours.safetensors", tmp_path / target, *rest) > 0
    assert message in complaint(capsys) and not (tmp_path / target).exists()


def test_what_a_run_or_the_reading_needs_is_not_overwritten(tmp_path, capsys):
    ours, best = tmp_path / "ours.safetensors", tmp_path / "run" / "best.safetensors"
    best.parent.mkdir()
    for path in (ours, best):
        made(path, "cifar10-18pct")
    for source, target in ((ours, ours), (best.parent, best), (ours, best)):
        before = target.read_bytes()
        assert models("convert", source, target) == 2
        assert f"OUT must be a new file, not {target}" in complaint(capsys)
        assert target.read_bytes() == before
    assert models("convert", best.parent, ours) == 0


def test_layers_called_as_the_graphs_own(monkeypatch, tmp_path):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    monkeypatch.setitem(FAMILY, "odd", Design({
        "image": Conv(4, 3), "flatten": Flatten(), "logits": Linear(5, activation=None)}, 8))
    network = made(tmp_path / "ours.safetensors", "odd", 8)
    assert models("convert", tmp_path / "ours.safetensors", tmp_path / "theirs.onnx") == 0
    x = pictures(network)
    model = onnx.load(tmp_path / "theirs.onnx")
    assert_close(evaluator(model).run(["logits"], {"image": x})[0], logits(network, x))


@pytest.mark.parametrize("refused", ["by us", "by ONNX"])
def test_what_onnx_cannot_say_is_told_in_a_sentence(refused, monkeypatch, tmp_path, capsys):
    pytest.importorskip("onnx", reason="onnx is not installed")

    def refuse(graph, x, place, module):
        if refused == "by us":
            raise ValueError("conv1 has no ONNX")
        return graph.node("NoSuchOperator", [x], place.name)
    monkeypatch.setitem(onnx_writer.WRITERS, nn.Conv2d, refuse)
    made(tmp_path / "ours.safetensors", "cifar10-18pct")
    assert models("convert", tmp_path / "ours.safetensors", tmp_path / "theirs.onnx") == 1
    assert "theirs.onnx cannot be written: " in complaint(capsys)
    assert not (tmp_path / "theirs.onnx").exists()
