"""The AlexNets there are, each as one table of named layers, and the module that a table becomes."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from minitensor import Generator, nn
from minitensor.nn import init as initial
from minitensor.nn.summary import summary

from .specs import (AverageTo, AvgPool, Conv, Drop, Flatten, Full, MaxPool, Norm, Table, modules, scaled, smallest_image, with_classes,
                    with_dropout, with_tanh, without_groups, without_norm, without_overlap)

# ---- tables ----------------------------------------------------------------------------------------------------------------------

# AlexNet as one tower: no groups, no normalisation.
ALEXNET: Table = {                                      # output at 227 px
    "conv1": Conv(96, 11, stride=4),                    # 96 x 55 x 55
    "pool1": MaxPool(3, 2),                             # 96 x 27 x 27
    "conv2": Conv(256, 5, padding=2),                   # 256 x 27 x 27
    "pool2": MaxPool(3, 2),                             # 256 x 13 x 13
    "conv3": Conv(384, 3, padding=1),                   # 384 x 13 x 13
    "conv4": Conv(384, 3, padding=1),                   # 384 x 13 x 13
    "conv5": Conv(256, 3, padding=1),                   # 256 x 13 x 13
    "pool5": MaxPool(3, 2),                             # 256 x 6 x 6
    "flatten": Flatten(),                               # 9216
    "drop6": Drop(),
    "fc6": Full(4096),                                  # 4096
    "drop7": Drop(),
    "fc7": Full(4096),                                  # 4096
    "fc8": Full(1000, activation=None),                 # 1000 logits
}

# Krizhevsky, Sutskever, Hinton 2012: two towers, which meet in conv3, fc6, fc7 and fc8; normalisation before the pools.
ALEXNET_PAPER: Table = {                                # output at 227 px
    "conv1": Conv(96, 11, stride=4),                    # 96 x 55 x 55
    "norm1": Norm(k=2.0),                               # 96 x 55 x 55
    "pool1": MaxPool(3, 2),                             # 96 x 27 x 27
    "conv2": Conv(256, 5, padding=2, groups=2),         # 256 x 27 x 27
    "norm2": Norm(k=2.0),                               # 256 x 27 x 27
    "pool2": MaxPool(3, 2),                             # 256 x 13 x 13
    "conv3": Conv(384, 3, padding=1),                   # 384 x 13 x 13
    "conv4": Conv(384, 3, padding=1, groups=2),         # 384 x 13 x 13
    "conv5": Conv(256, 3, padding=1, groups=2),         # 256 x 13 x 13
    "pool5": MaxPool(3, 2),                             # 256 x 6 x 6
    "flatten": Flatten(),                               # 9216
    "fc6": Full(4096),                                  # 4096
    "drop6": Drop(),
    "fc7": Full(4096),                                  # 4096
    "drop7": Drop(),
    "fc8": Full(1000, activation=None),                 # 1000 logits
}

# Caffe's bvlc_alexnet: the paper's, with k = 1 in the normalisation.
CAFFE_ALEXNET: Table = {**ALEXNET_PAPER, "norm1": Norm(), "norm2": Norm()}

# Caffe's bvlc_reference_caffenet: the normalisation comes after the pools, where it costs less.
CAFFENET: Table = {name: CAFFE_ALEXNET[name] for name in (
    "conv1", "pool1", "norm1",                          # 96 x 55 x 55, 96 x 27 x 27, 96 x 27 x 27
    "conv2", "pool2", "norm2",                          # 256 x 27 x 27, 256 x 13 x 13, 256 x 13 x 13
    "conv3", "conv4", "conv5", "pool5", "flatten", "fc6", "drop6", "fc7", "drop7", "fc8")}

# torchvision's, after Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks".
TORCHVISION: Table = {                                  # output at 224 px
    "conv1": Conv(64, 11, stride=4, padding=2),         # 64 x 55 x 55
    "pool1": MaxPool(3, 2),                             # 64 x 27 x 27
    "conv2": Conv(192, 5, padding=2),                   # 192 x 27 x 27
    "pool2": MaxPool(3, 2),                             # 192 x 13 x 13
    "conv3": Conv(384, 3, padding=1),                   # 384 x 13 x 13
    "conv4": Conv(256, 3, padding=1),                   # 256 x 13 x 13
    "conv5": Conv(256, 3, padding=1),                   # 256 x 13 x 13
    "pool5": MaxPool(3, 2),                             # 256 x 6 x 6
    "average": AverageTo(6),                            # 256 x 6 x 6
    "flatten": Flatten(),                               # 9216
    "drop6": Drop(),
    "fc6": Full(4096),                                  # 4096
    "drop7": Drop(),
    "fc7": Full(4096),                                  # 4096
    "fc8": Full(1000, activation=None),                 # 1000 logits
}

# cuda-convnet's network for CIFAR-10, published with its code as layers-18pct.cfg for its 18 % test error.
WITHIN = Norm(3, alpha=5e-5, region="within_channel")
CIFAR10_18PCT: Table = {                                # output at 32 px
    "conv1": Conv(32, 5, padding=2),                    # 32 x 32 x 32
    "pool1": MaxPool(3, 2, ceil=True),                  # 32 x 16 x 16
    "norm1": WITHIN,                                    # 32 x 16 x 16
    "conv2": Conv(32, 5, padding=2),                    # 32 x 16 x 16
    "pool2": AvgPool(3, 2, ceil=True),                  # 32 x 8 x 8
    "norm2": WITHIN,                                    # 32 x 8 x 8
    "conv3": Conv(64, 5, padding=2),                    # 64 x 8 x 8
    "pool3": AvgPool(3, 2, ceil=True),                  # 64 x 4 x 4
    "flatten": Flatten(),                               # 1024
    "fc10": Full(10, activation=None),                  # 10 logits
}


# ---- initial values --------------------------------------------------------------------------------------------------------------

def he(network: nn.Module, generator: Generator) -> None:
    """He's, which the layers have already. Small logits: the loss starts near ln(num_classes), and no ReLU dies in the first steps."""
    last_weight = [p for name, p in network.named_parameters() if name.endswith("weight")][-1]
    last_weight.data[...] *= 0.1


def cuda_convnet(network: nn.Module, generator: Generator) -> None:
    """layers-18pct.cfg: weights N(0, 0.01²), in conv1 N(0, 0.0001²); biases 0."""
    initial.paper(network, generator)
    for name, parameter in network.named_parameters():
        if name == "conv1.weight":
            parameter.data[...] *= 0.01


PAPER_ONES = ("conv2", "conv4", "conv5", "fc6", "fc7")


def paper(network: nn.Module, generator: Generator) -> None:
    """The paper's: biases 1 in the layers where it says so."""
    initial.paper(network, generator, PAPER_ONES)


INITS: dict[str, Callable[[nn.Module, Generator], None]] = {"he": he, "paper": paper, "cuda-convnet": cuda_convnet}


# ---- from a name to a network ------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Design:
    """A table, and what suits it when nothing else is asked for."""

    table: Table
    image_size: int = 227
    init: str = "he"

    @property
    def num_classes(self) -> int:
        return list(self.table.values())[-1].features


FAMILY = {
    "alexnet": Design(ALEXNET),
    "alexnet-paper": Design(ALEXNET_PAPER),
    "caffe-alexnet": Design(CAFFE_ALEXNET),
    "caffenet": Design(CAFFENET),
    "torchvision": Design(TORCHVISION, 224),
    "cifar10-18pct": Design(CIFAR10_18PCT, 32, "cuda-convnet"),
}
ABLATIONS = {"tanh": with_tanh, "no-overlap": without_overlap, "no-lrn": without_norm, "one-tower": without_groups}


class Network(nn.Sequential):
    """(N, 3, image_size, image_size) float32 -> logits (N, num_classes).

    name        of the family's design
    config      the arguments of `build` that make the same network again, whatever its weights
    """

    def __init__(self, name: str, config: dict[str, Any], layers: dict[str, nn.Module]):
        super().__init__(**layers)
        self.name, self.config = name, config

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return 3, self.config["image_size"], self.config["image_size"]

    def __repr__(self) -> str:
        return summary(self, self.input_shape, self.name)


def build(name: str, num_classes: int | None = None, image_size: int | None = None, width: float = 1.0, dropout: float = 0.5,
          ablations: Sequence[str] = (), *, generator: Generator, init: str | None = None) -> Network:
    """The network called name in FAMILY.

    num_classes     default: the design's, as are image_size's and init's
    image_size      in pixels, at least what leaves the last pooling one
    width           multiplies the channels of every hidden layer
    dropout         probability of dropping each input of the layers that drop any, while training
    ablations       names in ABLATIONS of what is changed, for comparison
    generator       draws the weights, then the dropout masks
    init            a name in INITS; "paper" (N(0, 0.01), biases 1 in conv2, conv4, conv5, fc6 and fc7) learns slowly if at all on its own

    Raises ValueError naming the argument that is out of range.
    """
    table = table_of(name, num_classes, image_size, width, dropout, ablations)
    design = FAMILY[name]
    config: dict[str, Any] = {"num_classes": num_classes or design.num_classes, "image_size": image_size or design.image_size,
                              "width": width, "dropout": dropout, "ablations": list(ablations)}
    init = init or design.init
    if init not in INITS:
        raise ValueError(f"{name}: init must be one of {tuple(INITS)}, not {init!r}")
    network = Network(name, config, modules(table, config["image_size"], generator))
    INITS[init](network, generator)
    return network


def AlexNet(num_classes: int = 1000, image_size: int = 227, width: float = 1.0, dropout: float = 0.5, *,
            generator: Generator, init: str = "he") -> Network:
    """`build("alexnet", ...)`: the seed network, with these defaults of 62,378,344 parameters and 1,135,256,096 MACs."""
    return build("alexnet", num_classes, image_size, width, dropout, generator=generator, init=init)


def table_of(name: str, num_classes: int | None = None, image_size: int | None = None, width: float = 1.0, dropout: float = 0.5,
             ablations: Sequence[str] = ()) -> Table:
    """The layers that `build` makes of the same arguments. Raises ValueError naming the argument that is out of range."""
    if name not in FAMILY:
        raise ValueError(f"there is no network {name!r}; networks: {', '.join(FAMILY)}")
    design = FAMILY[name]
    if num_classes is not None and num_classes < 2:
        raise ValueError(f"{name}: num_classes must be at least 2, not {num_classes}")
    if not width > 0:
        raise ValueError(f"{name}: width must be above 0, not {width}")
    if not 0 <= dropout < 1:
        raise ValueError(f"{name}: dropout must be in [0, 1), not {dropout}")
    table = with_dropout(with_classes(scaled(design.table, width), num_classes or design.num_classes), dropout)
    for ablation in ablations:
        if ablation not in ABLATIONS:
            raise ValueError(f"{name}: ablations must be among {tuple(ABLATIONS)}, not {ablation!r}")
        table = ABLATIONS[ablation](table)
    smallest = smallest_image(table)
    if image_size is not None and image_size < smallest:
        raise ValueError(f"{name}: image_size must be at least {smallest}, not {image_size}: the last pooling would have no output")
    return table
