"""Initial values of a network: He's, the 2012 paper's, cuda-convnet's, and what mends the paper's.

The paper's recipe stays at the loss of guessing without two documented departures from its initial
values (section 5): with biases of 1 and sigma 0.01 the upper layers see hardly anything but their
own biases. Measured in docs/recipe.md.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

from minitensor import Generator, nn
from minitensor.nn import init

from .heads import logit_layers

PAPER_ONES = ("conv2", "conv4", "conv5", "fc6", "fc7")      # layers whose biases start at 1


def he(network: nn.Module, generator: Generator) -> None:
    """He's, which the layers have already, with small logits.

    The loss starts near ln(num_classes), and no ReLU dies in the first steps.
    """
    parameters = dict(network.named_parameters())
    for layer in logit_layers(network):
        parameters[f"{layer}.weight"].data[...] *= 0.1


def paper(network: nn.Module, generator: Generator) -> None:
    """Section 5: weights N(0, 0.01²); biases 1 in the layers of PAPER_ONES, 0 elsewhere."""
    init.normal(network, 0.01, generator)
    for name, parameter in network.named_parameters():
        layer = name.split(".")[-2:][0]
        if parameter.kind == "bias" and layer in PAPER_ONES:
            parameter.data[...] = 1


def cuda_convnet(network: nn.Module, generator: Generator) -> None:
    """layers-18pct.cfg: weights N(0, 0.01²), in conv1 N(0, 0.0001²); biases 0."""
    init.normal(network, 0.01, generator)
    for name, parameter in network.named_parameters():
        if name == "conv1.weight":
            parameter.data[...] *= 0.01


INITS: dict[str, Callable[[nn.Module, Generator], None]] = {
    "he": he, "paper": paper, "cuda-convnet": cuda_convnet}


# ---- departures from the paper's ---------------------------------------------------------------

def small_biases(network: nn.Module) -> None:
    """Caffe's: the biases that the paper starts at 1 start at 0.1, for 1 "gave flat loss"."""
    for parameter in network.parameters():
        if parameter.kind == "bias":
            parameter.data[...] *= 0.1


def wider_convolutions(network: nn.Module) -> None:
    """The published 2012 code's: the weights of conv3 to conv5 start at sigma 0.03, not 0.01."""
    for name, parameter in network.named_parameters():
        if name in ("conv3.weight", "conv4.weight", "conv5.weight"):
            parameter.data[...] *= 3


DEPARTURES: dict[str, Callable[[nn.Module], None]] = {
    "biases-0.1": small_biases, "sigma-0.03": wider_convolutions}


def depart(network: nn.Module, departures: Sequence[str]) -> None:
    """Change a network's initial values, the paper's, by the departures so called."""
    for name in departures:
        DEPARTURES[name](network)
