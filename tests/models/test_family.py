"""The family: every design's arithmetic against published figures, its layers against PyTorch's,
and what can be changed in it."""
import re

import numpy as np
import pytest

from minitensor import Generator, Tensor, checkpoint, nn, no_grad
from models.networks.build import ABLATIONS, FAMILY, build, table_of
from models.training.checkpoints import load_network
from models.networks.layers import Conv
from models.networks.tables import shapes, smallest_image, walk
from models_cli import models

CONVOLUTIONS_OF_THE_PAPER = [34_944, 307_456, 885_120, 663_936, 442_624]
LAST_LAYERS = [37_752_832, 16_781_312, 4_097_000]
# parameters layer by layer, of all, multiplications per image, input; AlexNet's stand in
# test_alexnet.py
PUBLISHED = {
    "alexnet-paper": (CONVOLUTIONS_OF_THE_PAPER + LAST_LAYERS, 60_965_224, 724_406_816, 227),
    "caffe-alexnet": (CONVOLUTIONS_OF_THE_PAPER + LAST_LAYERS, 60_965_224, 724_406_816, 227),
    "caffenet": (CONVOLUTIONS_OF_THE_PAPER + LAST_LAYERS, 60_965_224, 724_406_816, 227),
    "torchvision": ([23_296, 307_392, 663_936, 884_992, 590_080] + LAST_LAYERS, 61_100_840,
                    714_188_480, 224),
    "cifar10-18pct": ([2_432, 25_632, 51_264, 10_250], 89_578, 12_298_240, 32),
}
OUTPUTS = {
    "alexnet-paper": "96x55x55 96x55x55 96x27x27 256x27x27 256x27x27 256x13x13 384x13x13 384x13x13 "
    "256x13x13 256x6x6 9216 4096 4096 "
                     "4096 4096 1000",
    "caffenet": "96x55x55 96x27x27 96x27x27 256x27x27 256x13x13 256x13x13 384x13x13 384x13x13 "
    "256x13x13 256x6x6 9216 4096 4096 4096 "
                "4096 1000",
    "torchvision": "64x55x55 64x27x27 192x27x27 192x13x13 384x13x13 256x13x13 256x13x13 256x6x6 "
    "256x6x6 9216 9216 4096 4096 4096 1000",
    "cifar10-18pct": "32x32x32 32x16x16 32x16x16 32x16x16 32x8x8 32x8x8 64x8x8 64x4x4 1024 10",
}
# The networks without batch normalisation and branches; VGG and ResNet are test_heirs.py's.
CHAINS = ("alexnet", "cifar10-vgg", *PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_summary_prints_the_published_arithmetic(name, capsys):
    parameters, total, macs, size = PUBLISHED[name]
    assert models("summary", name) == 0
    caption, _, _, *rows, _, last = capsys.readouterr().out.strip().splitlines()
    assert caption.startswith(f"{name}, input 3 x {size} x {size};")
    cells = [re.split(r"\s{2,}", row) for row in rows]
    assert [int(row[3].replace(",", "")) for row in cells if len(row) > 3] == parameters
    assert last.split() == ["total", f"{total:,}", f"{macs:,}"]
    if name in OUTPUTS:
        assert " ".join(row[2].replace(" ", "") for row in cells) == OUTPUTS[name]


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("ablations", [[], ["no-overlap"]], ids=["", "no overlap"])
def test_the_table_knows_the_shapes_of_its_modules(name, ablations):
    table = table_of(name, 7, width=1 / 16, ablations=ablations)
    for size in (smallest_image(table), FAMILY[name].image_size + 2):
        network = build(name, 7, size, 1 / 16, ablations=ablations, generator=Generator(0)).eval()
        x = Tensor(np.zeros((1, *network.input_shape), np.float32))
        with no_grad():
            for (layer, module), expected in zip(network.named_children(),
                                                 shapes(table, size).values(), strict=True):
                x = module(x)
                assert x.shape[1:] == expected, layer
    with pytest.raises(ValueError, match=f"{name}: image_size must be at least "
                       f"{smallest_image(table)}, not"):
        build(name, 7, smallest_image(table) - 1, ablations=ablations, generator=Generator(0))


def in_pytorch(torch, network):
    """x -> logits of the same network by PyTorch's functions."""
    F = torch.nn.functional

    def run(x):
        for module in network:
            state = {name: torch.tensor(np.ascontiguousarray(p.data))
                     for name, p in module.named_parameters()}
            if isinstance(module, nn.Conv2d):
                x = F.conv2d(x, state["weight"], state["bias"], module.stride, module.padding,
                             groups=module.groups)
            elif isinstance(module, nn.Linear):
                x = F.linear(x, state["weight"], state["bias"])
            elif isinstance(module, nn.MaxPool2d):
                x = F.max_pool2d(x, module.kernel_size, module.stride, ceil_mode=module.ceil_mode)
            elif isinstance(module, nn.AvgPool2d):
                x = F.avg_pool2d(x, module.kernel_size, module.stride, ceil_mode=module.ceil_mode)
            elif isinstance(module, nn.AdaptiveAvgPool2d):
                x = F.adaptive_avg_pool2d(x, module.output_size)
            elif isinstance(module, nn.LocalResponseNorm):
                n, within = module.size, module.norm_region == "within_channel"
                window = (1, n, n) if within else (n, 1, 1)
                mean = F.avg_pool3d((x * x)[:, None], window, 1,
                                    [side // 2 for side in window])[:, 0]
                x = x / (module.k + module.alpha * mean)**module.beta
            elif isinstance(module, nn.Flatten):
                x = x.flatten(1)
            activation = getattr(module, "activation", None)
            x = getattr(torch, activation)(x) if activation else x
        return x
    return run


@pytest.mark.parametrize("ablation", [None, *ABLATIONS])
@pytest.mark.parametrize("name", CHAINS)
def test_logits_are_pytorchs(name, ablation, torch):
    size = FAMILY[name].image_size
    network = build(name, 10, size, 1 / 8, ablations=[ablation] if ablation else [],
                    generator=Generator(0), init="he").eval()
    x = np.random.default_rng(0).standard_normal((2, *network.input_shape)).astype(np.float32) * 30
    with no_grad():
        ours = network(Tensor(x)).data
    theirs = in_pytorch(torch, network)(torch.tensor(x)).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5 * np.abs(theirs).max())


def test_ablations_change_what_they_say():
    table = {name: table_of("alexnet-paper", ablations=[name]) for name in ABLATIONS}
    assert {layer.activation for name, layer in table["tanh"].items() if name[:4] == "conv"
            or name in ("fc6", "fc7")} == {"tanh"}
    assert table["tanh"]["fc8"].activation is None
    assert {layer.kernel for name, layer in table["no-overlap"].items()
            if name.startswith("pool")} == {2}
    assert [name for name in table_of("alexnet-paper")
            if name not in table["no-lrn"]] == ["norm1", "norm2"]
    assert [place.name for place in walk(table["one-5x5"], (3, 227, 227))
            if isinstance(place.layer, Conv) and place.layer.kernel == 5] == ["conv2"]     # groups


def test_one_5x5_makes_of_vggs_network_b_the_five_layers_of_its_twin():
    pairs, single = (table_of("vgg13", ablations=names) for names in ([], ["one-5x5"]))
    convolutions = {name: layer for name, layer in single.items() if isinstance(layer, Conv)}
    assert [(layer.kernel, layer.channels) for layer in convolutions.values()] == [
        (5, 64), (5, 128), (5, 256), (5, 512), (5, 512)]
    ours, theirs = shapes(single, 224), shapes(pairs, 224)
    assert all(theirs[name] == shape for name, shape in ours.items())


def test_the_pairs_and_the_single_layers_on_cifar10_cost_the_same():
    def macs(width, *ablations):
        table = table_of("cifar10-vgg", 10, 32, width, ablations=ablations)
        return sum(place.layer.macs(place.input) for place in walk(table, (3, 32, 32)))
    # height x width of the outputs, times the weights
    assert macs(1) == (32**2 * 9 * (3 * 32 + 32 * 32) + 16**2 * 9 * (32 * 64 + 64 * 64)
                       + 8**2 * 9 * (64 * 128 + 128 * 128) + 2048 * 10)
    assert macs(1.17, "one-5x5") == pytest.approx(macs(1), rel=0.001)


@pytest.mark.parametrize("width", [1 / 64, 0.3, 1.7])
def test_any_width_can_be_shared_out_to_the_groups(width):
    network = build("alexnet-paper", 3, 67, width, generator=Generator(0))
    assert network.conv2.weight.shape[1] * 2 == network.conv1.weight.shape[0]
    assert network.fc8.weight.shape[0] == 3


def test_cuda_convnets_initial_values():
    network = build("cifar10-18pct", generator=Generator(0))
    assert network.conv1.weight.data.std() == pytest.approx(1e-4, rel=0.05)
    for layer in (network.conv2, network.conv3, network.fc10):
        assert layer.weight.data.std() == pytest.approx(0.01, rel=0.05)
    assert not any(layer.bias.data.any() for layer in (network.conv1, network.conv2, network.conv3,
                                                       network.fc10))


@pytest.mark.parametrize("name", ["caffenet", "cifar10-18pct"])
def test_train_and_evaluate_another_network(name, tmp_path):
    run, size = tmp_path / "run", {"caffenet": 67}.get(name, 32)
    assert models("train", "--network", name, "--data", "builtin", "--pictures", 40,
                  "--image-size", size, "--width", "1/16",
                  "--ablations", "tanh", "--epochs", 1, "--workers", 0, "--out", run) == 0
    assert models("evaluate", run) == 0
    network, info = load_network(str(run / "latest.safetensors"))
    assert (network.name, info["settings"]["network"],
            network.conv1.activation) == (name, name, "tanh")
    arrays, header = checkpoint.load(run / "latest.safetensors")
    assert header["config"]["image_size"] == size


@pytest.mark.parametrize("arguments, message", [
    (("resnet",), "there is no network 'resnet'; networks: alexnet, "),
    (("alexnet", 1), "alexnet: num_classes must be at least 2, not 1"),
    (("caffenet", 10, 227, 1, 0.5, ["lrn"]), r"caffenet: ablations must be among .*, not 'lrn'")])
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(*arguments, generator=Generator(0))
