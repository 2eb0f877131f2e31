"""Residual networks (He, Zhang, Ren and Sun 2015): a block learns what to add to its input.

Plain networks deeper than VGG learn worse than shallower ones, even the images they train on. Here
every block's input goes around it, and so do gradients. Beside AlexNet: no large linear layers, no
dropout; batch normalisation behind every convolution.
"""
from collections.abc import Callable

from .layers import (AdaptiveAvgPool, BatchNorm, Conv, Flatten, Layer, Linear, MaxPool, PadChannels,
                     Residual, Table)


def _conv(channels: int, kernel: int, stride: int = 1) -> Conv:
    """Of the same size, or a stride smaller; BatchNorm's bias makes its own useless."""
    return Conv(channels, kernel, stride, kernel // 2, activation=None, bias=False)


# ---- ImageNet: blocks of two or three layers -----------------------------------------------------

def _around(channels: int, stride: int, is_new: bool) -> Table | None:
    """The shortcut: the input itself, or a projection where the sizes change (option B)."""
    return {"0": _conv(channels, 1, stride), "1": BatchNorm(activation=None)} if is_new else None


def basic(channels: int, stride: int, is_first: bool) -> Layer:
    """Two layers of 3 x 3."""
    body = {"conv1": _conv(channels, 3, stride), "bn1": BatchNorm(),
            "conv2": _conv(channels, 3), "bn2": BatchNorm(activation=None)}
    return Residual(body, _around(channels, stride, is_first and stride > 1))


STRIDE = "A block strides in its 3 x 3, as torchvision's; the paper's in its first 1 x 1."


def bottleneck(channels: int, stride: int, is_first: bool) -> Layer:
    """1 x 1, 3 x 3 on a fourth of the channels, 1 x 1."""
    body = {"conv1": _conv(channels, 1), "bn1": BatchNorm(),
            "conv2": _conv(channels, 3, stride), "bn2": BatchNorm(),
            "conv3": _conv(4 * channels, 1), "bn3": BatchNorm(activation=None)}
    return Residual(body, _around(4 * channels, stride, is_first))


Block = Callable[[int, int, bool], Layer]


def _stage(name: str, block: Block, count: int, channels: int, stride: int) -> Table:
    """Blocks called "layer1.0", "layer1.1", ...; the first one strides."""
    return {f"{name}.{i}": block(channels, 1 if i else stride, i == 0) for i in range(count)}


def imagenet(block: Block, counts: tuple[int, int, int, int]) -> Table:
    return {                                                # output at 224 px; bottleneck's
        "conv1": _conv(64, 7, 2),                           # 64 x 112 x 112
        "bn1": BatchNorm(),                                 # 64 x 112 x 112
        "maxpool": MaxPool(3, 2, padding=1),                # 64 x 56 x 56
        **_stage("layer1", block, counts[0], 64, 1),        # 64 x 56 x 56; 256 x 56 x 56
        **_stage("layer2", block, counts[1], 128, 2),       # 128 x 28 x 28; 512 x 28 x 28
        **_stage("layer3", block, counts[2], 256, 2),       # 256 x 14 x 14; 1024 x 14 x 14
        **_stage("layer4", block, counts[3], 512, 2),       # 512 x 7 x 7; 2048 x 7 x 7
        "avgpool": AdaptiveAvgPool(1),                      # 512 x 1 x 1; 2048 x 1 x 1
        "flatten": Flatten(),                               # 512; 2048
        "fc": Linear(1000, activation=None),                # 1000 logits
    }


RESNET18 = imagenet(basic, (2, 2, 2, 2))
RESNET34 = imagenet(basic, (3, 4, 6, 3))
RESNET50 = imagenet(bottleneck, (3, 4, 6, 3))
RESNET101 = imagenet(bottleneck, (3, 4, 23, 3))


# ---- CIFAR-10: section 4.2 -----------------------------------------------------------------------

def small(channels: int, stride: int, is_first: bool) -> Layer:
    """Two layers of 3 x 3. The shortcut has no parameters: every other pixel, zeros for the new
    channels (option A)."""
    around: Table | None = {"every_other": MaxPool(1, 2),
                            "zeros": PadChannels(channels)} if stride > 1 else None
    body = {"conv1": _conv(channels, 3, stride), "bn1": BatchNorm(),
            "conv2": _conv(channels, 3), "bn2": BatchNorm(activation=None)}
    return Residual(body, around)


def cifar(depth: int, is_plain: bool = False) -> Table:
    """depth: 6 n + 2 layers with weights. The plain twin has the same layers without shortcuts."""
    count = (depth - 2) // 6
    stages = {**_stage("layer1", small, count, 16, 1),      # 16 x 32 x 32
              **_stage("layer2", small, count, 32, 2),      # 32 x 16 x 16
              **_stage("layer3", small, count, 64, 2)}      # 64 x 8 x 8
    return {                                                # output at 32 px
        "conv1": _conv(16, 3),                              # 16 x 32 x 32
        "bn1": BatchNorm(),                                 # 16 x 32 x 32
        **(_plain(stages) if is_plain else stages),         # 64 x 8 x 8
        "avgpool": AdaptiveAvgPool(1),                      # 64 x 1 x 1
        "flatten": Flatten(),                               # 64
        "fc": Linear(10, activation=None),                  # 10 logits
    }


def _plain(blocks: Table) -> Table:
    """The bodies' layers one after the other, with the sum's ReLU and without the sum."""
    result: Table = {}
    for name, block in blocks.items():
        layers = {**block.body, "bn2": BatchNorm()}
        result |= {f"{name}.{own}": layer for own, layer in layers.items()}
    return result
