"""The AlexNets there are, each as one table of named layers, and the module that a table becomes."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from minitensor import Generator, nn
from minitensor.nn import init as initial
from minitensor.nn.summary import summary

from .layers import (AdaptiveAvgPool, AvgPool, Conv, Dropout, Flatten, Linear, MaxPool, LRN, Table, modules, scaled, smallest_image, with_classes,
                     with_dropout, with_tanh, without_groups, without_norm, without_overlap)

# ---- initial values --------------------------------------------------------------------------------------------------------------

def he(network: nn.Module, generator: Generator) -> None:
    """He's, which the layers have already. Small logits: the loss starts near ln(num_classes), and no ReLU dies in the first steps."""
    last_weight = [p for name, p in network.named_parameters() if name.endswith("weight")][-1]
    last_weight.data[...] *= 0.1


def cuda_convnet(network: nn.Module, generator: Generator) -> None:
    """layers-18pct.cfg: weights N(0, 0.01²), in conv1 N(0, 0.0001²); biases 0."""
    initial.paper(network, generator, ones=())
    for name, parameter in network.named_parameters():
        if name == "conv1.weight":
            parameter.data[...] *= 0.01


INITS: dict[str, Callable[[nn.Module, Generator], None]] = {"he": he, "paper": initial.paper, "cuda-convnet": cuda_convnet}


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
