"""AlexNet, the seed network: its arithmetic layer by layer, and ten steps of training beside
PyTorch."""
import re

import numpy as np
import pytest

from minitensor import Generator, Tensor, cross_entropy, nn, no_grad, optim
from models.networks.initial import PAPER_ONES
from models import AlexNet

# name: output at 227 pixels, parameters, multiplications per image
LAYERS = {
    "conv1": ("96 x 55 x 55", 34_944, 105_415_200), "pool1": ("96 x 27 x 27", 0, 0),
    "conv2": ("256 x 27 x 27", 614_656, 447_897_600), "pool2": ("256 x 13 x 13", 0, 0),
    "conv3": ("384 x 13 x 13", 885_120, 149_520_384),
    "conv4": ("384 x 13 x 13", 1_327_488, 224_280_576),
    "conv5": ("256 x 13 x 13", 884_992, 149_520_384), "pool5": ("256 x 6 x 6", 0, 0),
    "flatten": ("9216", 0, 0), "drop6": ("9216", 0, 0),
    "fc6": ("4096", 37_752_832, 37_748_736), "drop7": ("4096", 0, 0),
    "fc7": ("4096", 16_781_312, 16_777_216),
    "fc8": ("1000", 4_097_000, 4_096_000),
}
PARAMETERS, MACS = 62_378_344, 1_135_256_096


@pytest.fixture(scope="module")
def alexnet():
    return AlexNet(generator=Generator(0))


def test_parameters(alexnet):
    counts = {name: layer.num_parameters() for name, layer in alexnet.named_children()}
    assert counts == {name: parameters for name, (_, parameters, _) in LAYERS.items()}
    assert alexnet.num_parameters() == sum(counts.values()) == PARAMETERS
    assert len(list(alexnet.parameters())) == 16


def test_printing_it_shows_the_arithmetic(alexnet):
    lines = repr(alexnet).splitlines()
    for name, (output, parameters, macs) in LAYERS.items():
        line = next(line for line in lines if line.startswith(f"{name} "))
        expected = [output, *(f"{n:,}" for n in (parameters, macs) if n)]
        assert re.split(r"\s{2,}", line)[2:] == expected
    assert lines[-1].split() == ["total", f"{PARAMETERS:,}", f"{MACS:,}"]
    assert sum(macs for _, _, macs in LAYERS.values()) == MACS


@pytest.mark.parametrize("image_size, side",
                         [(67, 1), (98, 1), (99, 2), (131, 3), (224, 5), (227, 6), (259, 7)])
def test_image_sizes(image_size, side):
    network = AlexNet(10, image_size, 1 / 32, generator=Generator(0)).eval()
    assert network.fc6.weight.shape == (128, 8 * side * side)
    with no_grad():
        assert network(Tensor(np.zeros((1, *network.input_shape), np.float32))).shape == (1, 10)


def test_the_papers_initial_values():
    network = AlexNet(10, 67, 1 / 16, generator=Generator(0), init="paper")
    for name, layer in network.named_children():
        if hasattr(layer, "bias"):
            assert (layer.bias.data == float(name in PAPER_ONES)).all()
            assert layer.weight.data.std() == pytest.approx(0.01, rel=0.1)


def test_the_same_seed_makes_the_same_network():
    a, b = (AlexNet(10, 67, 1 / 32, generator=Generator(5)) for _ in range(2))
    x = Tensor(np.random.default_rng(0).standard_normal((2, 3, 67, 67)).astype(np.float32))
    np.testing.assert_array_equal(a(x).data, b(x).data)  # dropout masks included
    np.testing.assert_array_equal(a.eval()(x).data, b.eval()(x).data)


@pytest.mark.parametrize("arguments, message", [
    (dict(num_classes=1), "num_classes must be at least 2, not 1"),
    (dict(image_size=66), "image_size must be at least 67, not 66"),
    (dict(width=0), "width must be above 0, not 0"),
    (dict(width=float("nan")), "width must be above 0, not nan"),
    (dict(dropout=1.0), r"dropout must be in \[0, 1\), not 1.0"),
    (dict(init="zeros"), "init must be one of .* not 'zeros'"),
])
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=f"alexnet: {message}"):
        AlexNet(generator=Generator(0), **arguments)


# ---- ten steps beside PyTorch ------------------------------------------------------------------

def in_pytorch(torch, network):
    """The same network, with the same weights, written with PyTorch's own layers."""
    layers = []
    for _, layer in network.named_children():
        if isinstance(layer, nn.Conv2d):
            F, C, *kernel_size = layer.weight.shape
            layers += [torch.nn.Conv2d(C, F, kernel_size, layer.stride, layer.padding),
                       torch.nn.ReLU()]
        elif isinstance(layer, nn.MaxPool2d):
            layers.append(torch.nn.MaxPool2d(layer.kernel_size, layer.stride))
        elif isinstance(layer, nn.Flatten):
            layers.append(torch.nn.Flatten())
        elif isinstance(layer, nn.Linear):
            layers += [torch.nn.Linear(*reversed(layer.weight.shape)),
                       *([torch.nn.ReLU()] if layer.activation else [])]
    model = torch.nn.Sequential(*layers)
    for p, q in zip(model.parameters(), network.parameters(), strict=True):
        p.data = torch.tensor(np.ascontiguousarray(q.data))
    return model


@pytest.mark.slow
def test_ten_steps_follow_pytorch(torch):
    network = AlexNet(dropout=0.0, generator=Generator(0))
    model = in_pytorch(torch, network)
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((4, 3, 227, 227)).astype(np.float32), rng.integers(0, 1000, 4)
    lr = 2e-5  # not much higher: steps that overshoot would amplify rounding errors to percents
    sgd = optim.SGD(network.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)
    torch_sgd = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4)
    losses, expected = [], []
    for _ in range(10):
        loss = cross_entropy(network(Tensor(x)), labels)
        network.zero_grad()
        loss.backward()
        sgd.step()
        losses.append(loss.item())

        torch_loss = torch.nn.functional.cross_entropy(model(torch.tensor(x)), torch.tensor(labels))
        torch_sgd.zero_grad()
        torch_loss.backward()
        torch_sgd.step()
        expected.append(torch_loss.item())
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    assert losses[-1] < losses[0] / 2, "it learns these four pictures"
