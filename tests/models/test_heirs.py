"""VGG and ResNet: published counts, and the same networks written out in PyTorch as oracles."""
import math

import numpy as np
import pytest

import torch_twins
from minitensor import Generator, Tensor, checkpoint, cross_entropy, no_grad
from models.networks.build import FAMILY, build, table_of
from models.networks.layers import Conv, Linear, Residual
from models.networks.tables import shapes, state_shapes, walk
from models.networks.transfer import freeze
from models.training.checkpoints import load_network, metadata_of
from models.weights import onnx as onnx_writer
from models.weights.torchvision_names import torchvision_names
from models_cli import log, models

# parameters, numbers in buffers, multiplications per image in 10^9
PUBLISHED = {
    "vgg11": (132_863_336, 0, 7.609), "vgg11_bn": (132_868_840, 5_504, 7.609),
    "vgg13": (133_047_848, 0, 11.308), "vgg13_bn": (133_053_736, 5_888, 11.308),
    "vgg16": (138_357_544, 0, 15.470), "vgg16_bn": (138_365_992, 8_448, 15.470),
    "vgg19": (143_667_240, 0, 19.632), "vgg19_bn": (143_678_248, 11_008, 19.632),
    "resnet18": (11_689_512, 9_600, 1.814), "resnet34": (21_797_672, 17_024, 3.664),
    "resnet50": (25_557_032, 53_120, 4.089), "resnet101": (44_549_160, 105_344, 7.801),
}
STAGES = {"resnet18": ([2, 2, 2, 2], 1), "resnet34": ([3, 4, 6, 3], 1),
          "resnet50": ([3, 4, 6, 3], 4), "resnet101": ([3, 4, 23, 3], 4)}
VGGS = {"vgg11": [1, 1, 2, 2, 2], "vgg13": [2, 2, 2, 2, 2], "vgg16": [2, 2, 3, 3, 3],
        "vgg19": [2, 2, 4, 4, 4]}


def total(sizes):
    return sum(map(math.prod, sizes))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_counts(name):
    parameters, buffers, gmac = PUBLISHED[name]
    places = list(walk(FAMILY[name].table, (3, 224, 224)))
    assert total(s for p in places for s in p.layer.parameters(p.input).values()) == parameters
    norms = [p.layer.buffers(p.input) for p in places]
    assert total(s for sizes in norms for s in list(sizes.values())[:2]) == buffers
    assert round(sum(p.layer.macs(p.input) for p in places) / 1e9, 3) == pytest.approx(gmac,
                                                                                       abs=1e-3)


def test_the_sizes_of_the_stages():
    at = shapes(FAMILY["resnet50"].table, 224)
    assert [at[name] for name in ("conv1", "maxpool", "layer1.2", "layer2.3", "layer3.5",
                                  "layer4.2")] == [
        (64, 112, 112), (64, 56, 56), (256, 56, 56), (512, 28, 28), (1024, 14, 14), (2048, 7, 7)]
    at = shapes(FAMILY["vgg16"].table, 224)
    assert [at[f"pool{i}"] for i in range(1, 6)] == [
        (64, 112, 112), (128, 56, 56), (256, 28, 28), (512, 14, 14), (512, 7, 7)]


@pytest.mark.parametrize("depth, millions", [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85)])
def test_cifar_networks_have_the_papers_size_and_their_plain_twins_the_same(depth, millions):
    """He et al. 2015, table 6: layers with weights, and parameters."""
    tables = [table_of(f"{kind}{depth}") for kind in ("resnet", "plain")]
    for table in tables:
        places = list(walk(table, (3, 32, 32)))
        assert sum(isinstance(p.layer, (Conv, Linear)) for p in places) == depth
        count = total(s for p in places for s in p.layer.parameters(p.input).values())
        assert round(count / 1e6, 2) == millions
        at = shapes(table, 32)
        assert at["avgpool"] == (64, 1, 1) and at["fc"] == (10,)
    assert state_shapes(tables[0], 32) == state_shapes(tables[1], 32)
    residuals = [isinstance(layer, Residual) for layer in tables[0].values()]
    assert sum(residuals) == (depth - 2) // 2
    assert not any(isinstance(layer, Residual) for layer in tables[1].values())


# ---- the same in PyTorch -------------------------------------------------------------------------

def torch_block(torch, ins, channels, stride, growth, padded):
    """He's block under torchvision's names; padded: the shortcut without parameters."""
    layers = torch.nn

    class Block(layers.Module):
        def __init__(self):
            super().__init__()
            sizes = [(ins, channels, 3, stride), (channels, channels, 3, 1)] if growth == 1 else [
                (ins, channels, 1, 1), (channels, channels, 3, stride),
                (channels, 4 * channels, 1, 1)]
            self.count = len(sizes)
            for i, (a, b, k, s) in enumerate(sizes, 1):
                setattr(self, f"conv{i}", layers.Conv2d(a, b, k, s, k // 2, bias=False))
                setattr(self, f"bn{i}", layers.BatchNorm2d(b))
            out, self.downsample = channels * growth, None
            if (stride > 1 or ins != out) and not padded:
                self.downsample = layers.Sequential(
                    layers.Conv2d(ins, out, 1, stride, bias=False), layers.BatchNorm2d(out))

        def forward(self, x):
            y = x
            for i in range(1, self.count + 1):
                y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
                y = torch.relu(y) if i < self.count else y
            if self.downsample is not None:
                x = self.downsample(x)
            elif padded and stride > 1:
                x = x[:, :, ::2, ::2]
                x = torch.cat([x, torch.zeros(len(x), channels - ins, *x.shape[2:]).to(x)], 1)
            return torch.relu(x + y)

    return Block()


def torch_resnet(torch, counts, growth, width, classes, cifar=False):
    layers, blocks, ins = torch.nn, {}, width
    for stage, count in enumerate(counts, 1):
        chain, channels = [], width * 2**(stage - 1)
        for i in range(count):
            stride = 2 if stage > 1 and i == 0 else 1
            chain.append(torch_block(torch, ins, channels, stride, growth, cifar))
            ins = channels * growth
        blocks[f"layer{stage}"] = layers.Sequential(*chain)

    class ResNet(layers.Module):
        def __init__(self):
            super().__init__()
            kernel, stride = (3, 1) if cifar else (7, 2)
            self.conv1 = layers.Conv2d(3, width, kernel, stride, kernel // 2, bias=False)
            self.bn1 = layers.BatchNorm2d(width)
            for name, chain in blocks.items():
                setattr(self, name, chain)
            self.fc = layers.Linear(ins, classes)

        def forward(self, x):
            x = torch.relu(self.bn1(self.conv1(x)))
            x = x if cifar else layers.functional.max_pool2d(x, 3, 2, 1)
            for name in blocks:
                x = getattr(self, name)(x)
            return self.fc(x.mean((2, 3)))

    return ResNet().double()


def torch_vgg(torch, counts, norm, width, hidden, classes):
    layers = torch.nn
    features, ins = [], 3
    for count, growth in zip(counts, (1, 2, 4, 8, 8)):
        for _ in range(count):
            features += [layers.Conv2d(ins, width * growth, 3, padding=1),
                         *([layers.BatchNorm2d(width * growth)] if norm else []), layers.ReLU()]
            ins = width * growth
        features.append(layers.MaxPool2d(2, 2))
    classifier = [layers.Linear(ins * 49, hidden), layers.ReLU(), layers.Dropout(0),
                  layers.Linear(hidden, hidden), layers.ReLU(), layers.Dropout(0),
                  layers.Linear(hidden, classes)]

    class VGG(layers.Module):
        def __init__(self):
            super().__init__()
            self.features = layers.Sequential(*features)
            self.classifier = layers.Sequential(*classifier)

        def forward(self, x):
            x = layers.functional.adaptive_avg_pool2d(self.features(x), 7)
            return self.classifier(x.flatten(1))

    return VGG().double()


def twins(torch, name, classes=5, size=64):
    """The network, an eighth as wide, in float64, and PyTorch's with the same state."""
    size = size if FAMILY[name].image_size > 32 else 32
    ours = build(name, classes, size, 1 / 8, dropout=0, generator=Generator(1))
    if name in STAGES:
        theirs = torch_resnet(torch, *STAGES[name], 8, classes)
    elif name.startswith("resnet"):
        theirs = torch_resnet(torch, 3 * [(int(name[6:]) - 2) // 6], 1, 2, classes, cifar=True)
    else:
        theirs = torch_vgg(torch, VGGS[name[:5]], name.endswith("_bn"), 8, 512, classes)
    names = torchvision_names(name) or {name: name for name in ours.state_dict()}
    return (*torch_twins.given_the_same_state(torch, ours, theirs, names), names)


ALL = ["vgg11", "vgg11_bn", "vgg16_bn", "resnet18", "resnet34", "resnet50", "resnet20", "resnet56",
       pytest.param("resnet101", marks=pytest.mark.slow),
       pytest.param("vgg19", marks=pytest.mark.slow)]


@pytest.mark.parametrize("name", ALL)
def test_training_and_evaluation_equal_pytorchs(torch, name):
    """Logits, gradients, running statistics; then with these in evaluation mode, and folded."""
    ours, theirs, names = twins(torch, name)
    x = np.random.default_rng(2).standard_normal((3, *ours.input_shape))
    labels = np.array([0, 3, 2])
    ours.train(), theirs.train()
    loss, their_loss = (cross_entropy(ours(Tensor(x)), labels), torch.nn.functional.cross_entropy(
        theirs(torch.tensor(x)), torch.tensor(labels)))
    assert loss.item() == pytest.approx(their_loss.item(), rel=1e-9)
    loss.backward(), their_loss.backward()
    torch_twins.assert_learned_alike(ours, theirs, names)
    torch_twins.assert_evaluates_alike(torch, ours, theirs, x)


# ---- weights, ONNX, commands ---------------------------------------------------------------------

def saved(path, name):
    """A checkpoint of a narrow network whose statistics are not those it begins with."""
    size = 32 if FAMILY[name].image_size == 32 else 64
    network = build(name, 5, size, 1 / 8, generator=Generator(0))
    network(Tensor(np.random.default_rng(0).standard_normal(
        (4, *network.input_shape)).astype(np.float32)))
    pictures = {"resize": 72, "crop": size, "mean": [0.5] * 3, "std": [0.25] * 3}
    checkpoint.save(path, network.state_dict(), metadata_of(network, list("abcde"), pictures))
    return network.eval()


@pytest.mark.parametrize("name", [
    *VGGS, *(f"{name}_bn" for name in VGGS), "resnet18", "resnet34", "resnet50",
    pytest.param("resnet101", marks=pytest.mark.slow)])
def test_torchvisions_names_both_ways(torch, tmp_path, name):
    network = saved(tmp_path / "ours.safetensors", name)
    assert models("convert", tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors",
                  "--torchvision") == 0
    from safetensors.torch import load_file
    state = load_file(tmp_path / "theirs.safetensors")
    _, theirs, _ = twins(torch, name)
    theirs.load_state_dict(state, strict=True)
    torch.save({key: value.half() if value.is_floating_point() else value
                for key, value in state.items()}, tmp_path / "theirs.pth")
    for file, tolerance in (("theirs.safetensors", 0), ("theirs.pth", 1e-3)):
        found, metadata = load_network(str(tmp_path / file))
        assert found.name == name and metadata["config"]["num_classes"] == 5
        for own, array in network.state_dict().items():
            np.testing.assert_allclose(found.state_dict()[own], array, rtol=tolerance, atol=1e-6)


@pytest.mark.parametrize("name", ["vgg11_bn", "resnet18", "resnet50", "resnet20", "plain20"])
def test_onnx_of_the_heirs_equals_onnxruntime(tmp_path, name):
    pytest.importorskip("onnx", reason="onnx is not installed")
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    network = saved(tmp_path / "ours.safetensors", name)
    onnx_writer.write_onnx(tmp_path / "theirs.onnx", network, {
        "network": name, "config": network.config, "classes": [], "preprocessing": {}})
    session = onnxruntime.InferenceSession(tmp_path / "theirs.onnx",
                                           providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).standard_normal((2, *network.input_shape)).astype(np.float32)
    with no_grad():
        expected = network(Tensor(x)).data
    np.testing.assert_allclose(session.run(None, {"image": x})[0], expected, rtol=1e-4,
                               atol=1e-4 * expected.std())


@pytest.mark.parametrize("name", ["resnet20", "plain20"])
def test_a_cifar_network_is_trained_frozen_and_looked_into(tmp_path, name):
    run, tuned, out = tmp_path / "run", tmp_path / "tuned", tmp_path / "features.npy"
    common = ("--data", "builtin", "--pictures", 20, "--workers", 0, "--batch-size", 10,
              "--epochs", 1)
    assert models("train", "--network", name, "--width", "1/4", *common, "--out", run) == 0
    assert models("evaluate", run, "--workers", 0) == 0
    assert models("features", run, run / "samples", "--layer", "layer2.0.bn1", "--out", out) == 0
    assert np.load(out).shape == (5, 8, 16, 16)
    assert models("train", "--network", name, "--width", "1/4", *common, "--out", tuned,
                  "--weights", run, "--freeze", "features") == 0
    assert len(log(tuned)) >= 2
    before, after = (checkpoint.load(path)[0] for path in (run / "best.safetensors",
                                                           tuned / "latest.safetensors"))
    same = {array for array in before if np.array_equal(before[array], after[array])}
    assert same == before.keys() - {"fc.weight", "fc.bias"}


def test_freezing_counts_through_the_blocks():
    network = build("resnet18", 5, 64, 1 / 16, generator=Generator(0))
    freeze(network, "features")
    assert [name for name, p in network.named_parameters() if p.requires_grad] == [
        "fc.weight", "fc.bias"]
    assert not network.get_submodule("layer4.1.bn2").training
