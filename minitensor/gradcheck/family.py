"""The family for `python -m minitensor.gradcheck`: AlexNet and ResNet-18 whole, each of AlexNet's
heirs in miniature.

The heirs' own layers, blocks and shortcuts are there, few of each and with few channels, at a size
that leaves the last stage 2 x 2: of smaller images most weights of a 3 x 3 see the padding alone.
"""
from __future__ import annotations

from typing import Any

from .. import nn
from ..ops import cat
from ..random import Generator
from ..tensor import Tensor
from .networks import Network

HEIRS = ("vgg", "vgg-bn", "googlenet", "caffe-googlenet", "inception", "resnet-basic",
         "resnet-bottleneck", "resnet-cifar", "plain-cifar")
MISSING = ("it needs the package `models`: run this from a checkout of the repository")


def alexnet() -> Network:
    """All 62,378,344 parameters at 227 pixels. Raises ImportError without the package `models`."""
    build = _models().build
    options = {"eps": 1e-8, "retries": 2, "tolerance": 2e-5, "max_elements": 0}
    return Network("alexnet", build.AlexNet(generator=Generator(0)), (1, 3, 227, 227), options)


def resnet18() -> Network:
    """All 11,689,512 parameters, along a direction for each array. Raises ImportError."""
    module = _models().build.build("resnet18", image_size=33, generator=Generator(0))
    options = {"eps": 1e-8, "retries": 2, "tolerance": 2e-5, "max_elements": 0, "directions": 1}
    return Network("resnet18", module, (2, 3, 33, 33), options, is_one_row=True)


def heir(name: str) -> Network:
    """The miniature called name in HEIRS. Raises ImportError without the package `models`."""
    networks = _models()
    resnet, googlenet, vgg = networks.resnet, networks.googlenet, networks.vgg
    table, width, size = {
        "vgg": lambda: (vgg.VGG11, 1 / 32, 64),
        "vgg-bn": lambda: (vgg.with_batch_norm(vgg.VGG11), 1 / 32, 64),
        "googlenet": lambda: (_some(googlenet.GOOGLENET, "conv1", "maxpool1", "inception3a", "aux1",
                                    "inception5b", "avgpool", "flatten", "dropout", "fc"),
                              1 / 8, 16),
        "caffe-googlenet": lambda: (_some(googlenet.CAFFE_GOOGLENET, "conv1", "pool1",
                                          "inception_3a", "loss1", "pool5", "flatten", "loss3"),
                                    1 / 16, 32),
        "inception": lambda: (_some(networks.inception.INCEPTION_V3, "Conv2d_1a_3x3", "Mixed_6a",
                                    "Mixed_5b", "Mixed_6b", "AuxLogits", "Mixed_7a", "Mixed_7b",
                                    "avgpool", "dropout", "flatten", "fc"), 1 / 16, 83),
        "resnet-basic": lambda: (resnet.imagenet(resnet.basic, (1, 1, 1, 1)), 1 / 16, 33),
        "resnet-bottleneck": lambda: (
            resnet.imagenet(resnet.bottleneck, (2, 1, 1, 1)), 1 / 16, 33),
        "resnet-cifar": lambda: (resnet.cifar(8), 1 / 4, 16),
        "plain-cifar": lambda: (resnet.cifar(8, is_plain=True), 1 / 4, 16),
    }[name]()
    table = networks.heads.with_classes(networks.tables.scaled(table, width), 5)
    module = nn.Sequential(**networks.layers.modules(table, (3, size, size), Generator(0)))
    _leave_out_useless_biases(module)
    options = {"eps": 1e-7, "retries": 2, "tolerance": 2e-5, "max_elements": 0,
               "directions": 1 if name == "inception" else 2}       # of very many layers
    return Network(name, WithHeads(module), (3, 3, size, size), options, is_one_row=True)


class WithHeads(nn.Module):
    """x -> a network's logits, and behind them those of its auxiliary heads (N, all classes)."""

    def __init__(self, network: nn.Module):
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        with _models().heads.auxiliary_logits() as heads:
            logits = self.network(x)
        return cat([logits, *(head for _, head in heads)], dim=1)


def _some(table: dict[str, Any], *kept: str) -> dict[str, Any]:
    """The layers of these names, or whose names begin with one of them and a dot, in its order."""
    return {name: table[name] for own in kept for name in table if name.partition(".")[0] == own}


def _models() -> Any:
    """The package of networks."""
    try:
        from models import networks
        from models.networks import (  # noqa: F401
            build, googlenet, heads, inception, layers, resnet, tables, vgg)
    except ImportError as error:
        raise ImportError(f"{MISSING} ({error})") from None
    return networks


def _leave_out_useless_biases(module: nn.Module) -> None:
    """Those that a BatchNorm takes away again: no difference shows that their gradient is 0."""
    layers = [layer for _, layer in module.named_modules()]
    for layer, following in zip(layers, layers[1:]):
        if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
            if layer.bias is not None:
                layer.bias.requires_grad = False
