"""The two documented departures from the paper's initial values (section 5) without which its recipe stays at the loss of guessing.

With biases of 1 and sigma 0.01 the upper layers see hardly anything but their own biases: measured in docs/recipe.md.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

from minitensor import nn


def small_biases(network: nn.Module) -> None:
    """Caffe's: the biases that the paper starts at 1 start at 0.1, for 1 "gave flat loss"."""
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            parameter.data[...] *= 0.1


def wider_convolutions(network: nn.Module) -> None:
    """The published 2012 code's: the weights of conv3, conv4 and conv5 start at sigma 0.03, not 0.01."""
    for name, parameter in network.named_parameters():
        if name in ("conv3.weight", "conv4.weight", "conv5.weight"):
            parameter.data[...] *= 3


DEPARTURES: dict[str, Callable[[nn.Module], None]] = {"biases-0.1": small_biases, "sigma-0.03": wider_convolutions}


def depart(network: nn.Module, departures: Sequence[str]) -> None:
    """Change a network's initial values, the paper's, by the departures so called."""
    for name in departures:
        DEPARTURES[name](network)
