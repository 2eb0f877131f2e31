"""GoogLeNet and Inception v3: published counts, and the same networks written out in PyTorch."""
import math
import re

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import inception_twins
import torch_twins
from minitensor import Generator, Tensor, cat, checkpoint, cross_entropy, gradcheck, nn, no_grad
from models.networks.build import FAMILY, Design, build, table_of
from models.networks.heads import auxiliary_logits
from models.networks.layers import AvgPool, Conv, Flatten, Linear
from models.networks.tables import shapes, walk
from models.settings import Settings
from models.training.checkpoints import load_network, metadata_of
from models.training.step import Training
from models.weights import onnx as onnx_writer
from models.weights.torchvision_names import torchvision_names
from models_cli import complaint, models

# parameters without heads, and with them; multiplications of an image in 10^9
PUBLISHED = {"googlenet": (6_624_904, 13_004_888, 1.498),
             "caffe-googlenet": (6_998_552, 13_378_280, 1.583),
             "inception_v3": (23_834_568, 27_161_264, 5.713)}
WEIGHTS = {"googlenet": [0.3, 0.3], "caffe-googlenet": [0.3, 0.3],      # of the heads' losses
           "inception_v3": [0.4]}
# Arrays in torchvision's file, and numbers in its running statistics.
STATES = {"googlenet": (364, 15_072), "inception_v3": (580, 36_224)}
# What finite differences are taken of, beside the image: heads, layers before and behind them.
CHECKED = {"googlenet": ("conv1.", "aux1.", "inception4b.branch3.", "aux2.", "fc."),
           "caffe-googlenet": ("conv1.", "loss1.", "inception_4b.5x5", "loss2.", "loss3."),
           "inception_v3": ("Conv2d_1a_3x3.", "Mixed_6b.branch7x7.", "AuxLogits.",
                            "Mixed_7b.branch3x3.2.", "fc.")}
SMALL = {"googlenet": 64, "caffe-googlenet": 96, "inception_v3": 299}   # image sizes for tests


def total(sizes):
    return sum(map(math.prod, sizes))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_counts(name):
    without, with_heads, gmac = PUBLISHED[name]
    size = FAMILY[name].image_size
    for ablations, expected in (([], with_heads), (["no-heads"], without)):
        places = list(walk(table_of(name, ablations=ablations), (3, size, size)))
        assert total(s for p in places for s in p.layer.parameters(p.input).values()) == expected
        assert sum(p.layer.macs(p.input) for p in places) / 1e9 == pytest.approx(gmac, abs=1e-3)


def test_the_sizes_of_googlenets_stages():
    """Szegedy et al. 2014, table 1."""
    at = shapes(FAMILY["googlenet"].table, 224)
    assert [at[name] for name in ("conv1.bn", "maxpool1", "conv3.bn", "maxpool2", "inception3a",
                                  "inception3b", "maxpool3", "inception4a", "inception4d",
                                  "inception4e", "maxpool4", "inception5b", "avgpool")] == [
        (64, 112, 112), (64, 56, 56), (192, 56, 56), (192, 28, 28), (256, 28, 28), (480, 28, 28),
        (480, 14, 14), (512, 14, 14), (528, 14, 14), (832, 14, 14), (832, 7, 7), (1024, 7, 7),
        (1024, 1, 1)]


def test_the_sizes_of_inceptions_stages():
    """Szegedy et al. 2015, table 1, as torchvision has it."""
    at = shapes(FAMILY["inception_v3"].table, 299)
    assert [at[name] for name in ("Conv2d_1a_3x3.bn", "Conv2d_2b_3x3.bn", "maxpool1",
                                  "Conv2d_4a_3x3.bn", "maxpool2", "Mixed_5b", "Mixed_5d",
                                  "Mixed_6a", "Mixed_6e", "Mixed_7a", "Mixed_7c")] == [
        (32, 149, 149), (64, 147, 147), (64, 73, 73), (192, 71, 71), (192, 35, 35), (256, 35, 35),
        (288, 35, 35), (768, 17, 17), (768, 17, 17), (1280, 8, 8), (2048, 8, 8)]


def test_the_summary_counts_parameters_with_heads_and_without(capsys):
    assert models("summary", "googlenet") == 0
    *_, last, beside, slip = capsys.readouterr().out.strip().splitlines()
    assert last.split()[1:] == ["13,004,888", "1,498,376,192"]
    assert beside == "6,624,904 parameters without aux1, aux2, which are for training only"
    assert "5 x 5 filters, these are 3 x 3" in slip
    assert models("summary", "googlenet", "--ablations", "no-heads") == 0
    assert capsys.readouterr().out.strip().splitlines()[-2].split()[1] == "6,624,904"
    assert models("summary") == 0
    assert "13,004,888 parameters with the auxiliary heads" in capsys.readouterr().out


# ---- the same in PyTorch -------------------------------------------------------------------------

def twins(torch, name, classes=5):
    """The network, an eighth as wide, in float64, and PyTorch's with the same state."""
    ours = build(name, classes, SMALL[name], 1 / 8, dropout=0, generator=Generator(1))
    theirs, names = getattr(inception_twins, name.replace("-", "_"))(torch, 8, classes), names_of(
        name, ours)
    return (*torch_twins.given_the_same_state(torch, ours, theirs, names), names)


def names_of(name, network):
    """Of theirs by ours: torchvision's, or Caffe's, the first and the last part of ours."""
    if name != "caffe-googlenet":
        return torchvision_names(name)
    parts = {own: own.split(".") for own in network.state_dict()}
    return {own: f"{first}/{last}.{kind}" for own, (first, *_, last, kind) in parts.items()}


@pytest.mark.parametrize("name", PUBLISHED)
def test_training_with_heads_and_evaluation_equal_pytorchs(torch, name):
    """Loss, gradients, running statistics; then with these in evaluation mode, and folded."""
    ours, theirs, names = twins(torch, name)
    x = np.random.default_rng(2).standard_normal((3, *ours.input_shape))
    labels = np.array([0, 3, 2])
    ours.train(), theirs.train()
    with auxiliary_logits() as heads:
        loss = cross_entropy(ours(Tensor(x)), labels)
    assert [weight for weight, _ in heads] == WEIGHTS[name]
    logits, their_heads = theirs(torch.tensor(x))
    their_loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels))
    for (weight, head), their_head in zip(heads, their_heads, strict=True):
        loss = loss + weight * cross_entropy(head, labels)
        their_loss = their_loss + weight * torch.nn.functional.cross_entropy(
            their_head, torch.tensor(labels))
    assert loss.item() == pytest.approx(their_loss.item(), rel=1e-9)
    loss.backward(), their_loss.backward()
    torch_twins.assert_learned_alike(ours, theirs, names)
    with auxiliary_logits() as heads:
        torch_twins.assert_evaluates_alike(torch, ours, theirs, x)
    assert heads == [], "they vanish at inference"


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_step_of_training_equals_pytorchs_with_the_heads_losses(torch, name):
    """Through the training itself: loss with label smoothing, then SGD's update."""
    ours, theirs, names = twins(torch, name)
    training = Training(Settings(network=name, image_size=SMALL[name], width=1 / 8, dropout=0,
                                 warmup=0, lr=0.1, weight_decay=0.0, label_smoothing=0.1),
                        list("abcde"), {})
    training.network.to(dtype=np.float64).load_state_dict(ours.state_dict())
    x = np.random.default_rng(3).standard_normal((4, *ours.input_shape))
    labels = np.array([1, 0, 4, 2])
    value, _ = training.step(x, labels)

    def loss(logits):
        return torch.nn.functional.cross_entropy(logits, torch.tensor(labels), label_smoothing=0.1)

    logits, heads = theirs.train()(torch.tensor(x))
    expected = loss(logits) + sum(w * loss(head) for w, head in zip(WEIGHTS[name], heads))
    assert value == pytest.approx(expected.item(), rel=1e-9)
    expected.backward()
    parameters = dict(theirs.named_parameters())
    for own, parameter in training.network.named_parameters():
        their = parameters[names[own]]
        rate = 0.2 if parameter.kind == "bias" else 0.1
        after = (their - rate * their.grad).detach().numpy()
        np.testing.assert_allclose(parameter.data, after, rtol=1e-7, atol=1e-8)


def all_logits(network):
    """x -> the network's logits beside its heads', and the same dropout on every call."""
    def run(x, *parameters):
        for i, module in enumerate(network.modules()):
            if isinstance(module, nn.Dropout):
                module.generator = Generator(i)
        with auxiliary_logits() as heads:
            y = network(x)
        return cat([y, *(logits for _, logits in heads)], dim=1)
    return run


@pytest.mark.parametrize("name", ["googlenet", "caffe-googlenet", pytest.param(
    "inception_v3", marks=pytest.mark.slow)])
def test_finite_differences_of_a_miniature_with_its_heads(name):
    network = build(name, 3, SMALL[name], 1 / 32, generator=Generator(0)).to(dtype=np.float64)
    rng = np.random.default_rng(0)
    for parameter in network.parameters():
        if parameter.kind == "bias":
            parameter.data[...] = rng.normal(0, 0.1, parameter.shape)
    x = Tensor(rng.standard_normal((3, *network.input_shape)), requires_grad=True)
    names, parameters = zip(*(pair for pair in network.named_parameters()
                              if pair[0].startswith(CHECKED[name])))
    gradcheck(all_logits(network), [x, *parameters], names=["x", *names], eps=1e-7, retries=2,
              tolerance=2e-5, max_elements=0, directions=1)


# ---- weights, with heads and without -------------------------------------------------------------

def saved(path, name, ablations=()):
    """A checkpoint of a narrow network whose statistics are not those it begins with."""
    network = build(name, 5, SMALL[name], 1 / 8, ablations=ablations, generator=Generator(0))
    with auxiliary_logits():
        network(Tensor(np.random.default_rng(0).standard_normal(
            (4, *network.input_shape)).astype(np.float32)))
    size = SMALL[name]
    pictures = {"resize": size + 8, "crop": size, "mean": [0.5] * 3, "std": [0.25] * 3}
    checkpoint.save(path, network.state_dict(), metadata_of(network, list("abcde"), pictures))
    return network.eval()


@pytest.mark.parametrize("name", STATES)
def test_torchvisions_list_of_names(name):
    """How many arrays its file has, and numbers in its buffers; no name of ours has no other."""
    names = torchvision_names(name)
    state = build(name, generator=Generator(0)).state_dict()
    assert names.keys() == state.keys() and len(set(names.values())) == len(names)
    buffers = total(array.shape for own, array in state.items() if "running" in own)
    assert (len(names), buffers) == STATES[name]


@pytest.mark.parametrize("ablations", [(), ("no-heads",)], ids=["heads", "no heads"])
@pytest.mark.parametrize("name", STATES)
def test_torchvisions_names_both_ways(torch, tmp_path, capsys, name, ablations):
    """A file without heads is a network without them, and is written so."""
    network = saved(tmp_path / "ours.safetensors", name, ablations)
    assert models("convert", tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors",
                  "--torchvision") == 0
    assert "computes otherwise" not in capsys.readouterr().err
    state = {key: torch.tensor(value) for key, value in
             load_file(tmp_path / "theirs.safetensors").items()}
    _, theirs, names = twins(torch, name)
    lacking = theirs.load_state_dict(state, strict=not ablations).missing_keys
    heads = [their for own, their in names.items() if own not in network.state_dict()
             and not their.endswith("num_batches_tracked")]
    assert set(lacking) == set(heads) and bool(heads) == bool(ablations)
    torch.save(state, tmp_path / "theirs.pth")
    found, metadata = load_network(str(tmp_path / "theirs.pth"))
    assert (found.name, metadata["config"]["ablations"]) == (name, list(ablations))
    for own, array in network.state_dict().items():
        np.testing.assert_array_equal(found.state_dict()[own], array)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_plain_file_under_our_names_is_recognised(tmp_path, name):
    network = saved(tmp_path / "ours.safetensors", name)
    save_file({own: np.asarray(a, order="C") for own, a in network.state_dict().items()},
              tmp_path / "plain.safetensors")
    found, metadata = load_network(str(tmp_path / "plain.safetensors"))
    assert (found.name, metadata["config"]["width"]) == (name, 1 / 8)


def test_a_misfit_speaks_of_heads_only_where_there_are_some(tmp_path, capsys):
    network = saved(tmp_path / "ours.safetensors", "googlenet", ["no-heads"])
    state = {own: np.asarray(a, order="C") for own, a in network.state_dict().items()}
    del state["inception4a.branch1.conv.weight"]
    save_file(state, tmp_path / "odd.safetensors")
    assert models("summary", tmp_path / "odd.safetensors") == 1
    assert complaint(capsys).endswith("it holds no inception4a.branch1.conv.weight")


# ---- ONNX ------------------------------------------------------------------------------

@pytest.mark.parametrize("name", PUBLISHED)
def test_onnx_equals_onnxruntime_and_has_no_heads(tmp_path, name):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    network = saved(tmp_path / "ours.safetensors", name)
    onnx_writer.write_onnx(tmp_path / "theirs.onnx", network, {
        "network": name, "config": network.config, "classes": [], "preprocessing": {}})
    graph = onnx.load(tmp_path / "theirs.onnx").graph
    assert not [node.name for node in graph.node if re.match("aux|loss[12]", node.name, re.I)]
    session = onnxruntime.InferenceSession(tmp_path / "theirs.onnx",
                                           providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).standard_normal((2, *network.input_shape)).astype(np.float32)
    with no_grad():
        expected = network(Tensor(x)).data
    np.testing.assert_allclose(session.run(None, {"image": x})[0], expected, rtol=1e-4,
                               atol=1e-4 * expected.std())


@pytest.mark.parametrize("pool", [AvgPool(3, 1, padding=1), AvgPool(3, 2, padding=1),
                                  AvgPool(5, 3, ceil=True)], ids=repr)
def test_onnx_of_averages_whose_padding_counts(pool, tmp_path, monkeypatch):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    network = of_pool(pool, monkeypatch)
    path = tmp_path / "average.onnx"
    onnx_writer.write_onnx(path, network, {"network": "average", "config": network.config,
                                           "classes": [], "preprocessing": {}})
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).standard_normal((2, 3, 12, 12)).astype(np.float32)
    with no_grad():
        np.testing.assert_allclose(session.run(None, {"image": x})[0], network(Tensor(x)).data,
                                   rtol=1e-5, atol=1e-6)


def test_onnx_refuses_an_average_that_hangs_over_counted_padding(tmp_path, monkeypatch):
    pytest.importorskip("onnx", reason="onnx is not installed")
    network = of_pool(AvgPool(4, 3, padding=1, ceil=True), monkeypatch)
    with pytest.raises(ValueError, match="pool is an average whose padding counts and whose last"):
        onnx_writer.write_onnx(tmp_path / "average.onnx", network, {})


def of_pool(pool, monkeypatch):
    table = {"pool": pool, "conv": Conv(4, (1, 3), padding=(0, 1)), "flatten": Flatten(),
             "fc": Linear(2, activation=None)}
    monkeypatch.setitem(FAMILY, "average", Design(table, 12))
    return build("average", generator=Generator(0)).eval()
