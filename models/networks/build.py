"""From a name to a network: the family of designs, and the module that a design becomes."""
from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from minitensor import Generator, nn
from minitensor.nn.summary import as_table
from minitensor.random import default_generator

from .alexnet import ALEXNET, ALEXNET_PAPER, CAFFE_ALEXNET, CAFFENET, TORCHVISION
from .cifar10 import CIFAR10_18PCT
from .googlenet import CAFFE_GOOGLENET, GOOGLENET, SLIP
from .heads import heads_in, with_classes, without_heads
from .inception import INCEPTION_V3
from .initial import INITS
from .layers import Shape, Table, modules
from .resnet import RESNET18, RESNET34, RESNET50, RESNET101, STRIDE, cifar
from .tables import (has_outputs, parameters_of, scaled, smallest_image, walk, with_5x5,
                     with_dropout, with_tanh, without_groups, without_lrn, without_overlap)
from .vgg import CIFAR10_VGG, VGG11, VGG13, VGG16, VGG19, with_batch_norm


@dataclass(frozen=True)
class Design:
    """A table whose last layer is a Linear that gives the logits, and what suits it by default.

    note    a sentence that its summary ends with
    """

    table: Table
    image_size: int = 227
    init: str = "he"
    note: str = ""

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
    "vgg11": Design(VGG11, 224),
    "vgg13": Design(VGG13, 224),
    "vgg16": Design(VGG16, 224),
    "vgg19": Design(VGG19, 224),
    "vgg11_bn": Design(with_batch_norm(VGG11), 224),
    "vgg13_bn": Design(with_batch_norm(VGG13), 224),
    "vgg16_bn": Design(with_batch_norm(VGG16), 224),
    "vgg19_bn": Design(with_batch_norm(VGG19), 224),
    "cifar10-vgg": Design(CIFAR10_VGG, 32),
    "cifar10-vgg_bn": Design(with_batch_norm(CIFAR10_VGG), 32),
    "googlenet": Design(GOOGLENET, 224, note=SLIP),
    "caffe-googlenet": Design(CAFFE_GOOGLENET, 224),
    "inception_v3": Design(INCEPTION_V3, 299),
    "resnet18": Design(RESNET18, 224),
    "resnet34": Design(RESNET34, 224),
    "resnet50": Design(RESNET50, 224, note=STRIDE),
    "resnet101": Design(RESNET101, 224, note=STRIDE),
    **{f"resnet{depth}": Design(cifar(depth), 32) for depth in (20, 32, 44, 56)},
    **{f"plain{depth}": Design(cifar(depth, is_plain=True), 32) for depth in (20, 32, 44, 56)},
}
ABLATIONS = {"tanh": with_tanh, "no-overlap": without_overlap, "no-lrn": without_lrn,
             "one-tower": without_groups, "no-heads": without_heads, "one-5x5": with_5x5}


class Network(nn.Sequential):
    """(N, 3, image_size, image_size) float32 -> logits (N, num_classes).

    name        of the family's design
    config      the arguments of `build` that make the same network again, whatever its weights
    table       its layers, from which everything but its weights follows
    """

    def __init__(self, name: str, config: dict[str, Any], table: Table, generator: Generator):
        self.name, self.config, self.table = name, config, table
        super().__init__(**modules(table, self.input_shape, generator))

    @property
    def input_shape(self) -> Shape:
        return 3, self.config["image_size"], self.config["image_size"]

    def __repr__(self) -> str:
        """A row for each layer: its output's shape, parameters and multiplications."""
        layers = dict(self.named_modules())
        rows = []
        for place in walk(self.table, self.input_shape):
            module = layers[place.name]
            is_single = not any(module.named_children())
            rows.append((place.name, repr(module) if is_single else type(module).__name__,
                         " x ".join(map(str, place.output)),
                         sum(map(math.prod, place.layer.parameters(place.input).values())),
                         place.layer.macs(place.input)))
        table = as_table(self.name, self.input_shape, rows, self.num_parameters())
        return "\n".join([table, *self._remarks()])

    def _remarks(self) -> Iterator[str]:
        heads = heads_in(self.table)
        if heads:
            kept = parameters_of(without_heads(self.table), self.input_shape).values()
            yield (f"{sum(map(math.prod, kept)):,} parameters without {', '.join(heads)}, "
                   "which are for training only")
        if FAMILY[self.name].note:
            yield FAMILY[self.name].note


def build(name: str, num_classes: int | None = None, image_size: int | None = None,
          width: float = 1.0, dropout: float | None = None, ablations: Sequence[str] = (), *,
          generator: Generator | None = None, init: str | None = None) -> Network:
    """The network called name in FAMILY.

    num_classes     default: the design's, as are image_size's and init's
    image_size      in pixels, at least what leaves every layer an output
    width           multiplies the channels of every hidden layer
    dropout         probability of dropping each input of the layers that drop any, while training;
                    None: each layer's own
    ablations       names in ABLATIONS of what is changed, for comparison
    generator       draws the weights, then the dropout masks; None is the default one
    init            a name in INITS; "paper" learns slowly if at all on its own (see initial.py)

    Raises ValueError naming the argument that is out of range.
    """
    table = table_of(name, num_classes, image_size, width, dropout, ablations)
    design = FAMILY[name]
    config: dict[str, Any] = {
        "num_classes": num_classes or design.num_classes,
        "image_size": image_size or design.image_size,
        "width": width, "dropout": dropout, "ablations": list(ablations)}
    init = init or design.init
    if init not in INITS:
        raise ValueError(f"{name}: init must be one of {tuple(INITS)}, not {init!r}")
    generator = generator or default_generator
    network = Network(name, config, table, generator)
    INITS[init](network, generator)
    return network


def AlexNet(num_classes: int = 1000, image_size: int = 227, width: float = 1.0,
            dropout: float = 0.5, *, generator: Generator | None = None,
            init: str = "he") -> Network:
    """`build("alexnet", ...)`: 62,378,344 parameters and 1,135,256,096 MACs with these defaults."""
    return build("alexnet", num_classes, image_size, width, dropout, generator=generator, init=init)


def table_of(name: str, num_classes: int | None = None, image_size: int | None = None,
             width: float = 1.0, dropout: float | None = None,
             ablations: Sequence[str] = ()) -> Table:
    """The layers that `build` makes of the same arguments.

    Raises ValueError naming the argument that is out of range.
    """
    if name not in FAMILY:
        raise ValueError(f"there is no network {name!r}; networks: {', '.join(FAMILY)}")
    design = FAMILY[name]
    if num_classes is not None and num_classes < 2:
        raise ValueError(f"{name}: num_classes must be at least 2, not {num_classes}")
    if not width > 0:
        raise ValueError(f"{name}: width must be above 0, not {width}")
    if dropout is not None and not 0 <= dropout < 1:
        raise ValueError(f"{name}: dropout must be in [0, 1), not {dropout}")
    table = with_classes(scaled(design.table, width), num_classes or design.num_classes)
    table = table if dropout is None else with_dropout(table, dropout)
    for ablation in ablations:
        if ablation not in ABLATIONS:
            raise ValueError(f"{name}: ablations must be among {tuple(ABLATIONS)}, "
                             f"not {ablation!r}")
        table = ABLATIONS[ablation](table)
    if image_size is not None and not has_outputs(table, (3, image_size, image_size)):
        least, bare = smallest_image(table), smallest_image(without_heads(table))
        raise ValueError(f"{name}: image_size must be at least {least}, not {image_size}: some "
                         "layer would have no output"
                         + f"; {bare} without the auxiliary heads (no-heads)" * (bare < least))
    return table
