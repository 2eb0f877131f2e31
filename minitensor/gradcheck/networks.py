"""Whole networks for `python -m minitensor.gradcheck`, and a miniature of every layer.

Kinks. A step moves every relu and every maximum of a network a little. Each one that changes sides
spoils the difference by up to its share of the sum, here 1e-3; a unit that moves by h changes sides
with a probability of about h. A step along conv1's weights moves the full network's 650,000 units
by some 20 eps, so eps must be near 1e-8, and where a unit does change sides, a retry with 1e-9 or
1e-10 leaves it out. float64 has the digits for that: outputs, weighted and summed, are good to
1e-13, and at eps = 1e-8 their differences to 1e-7. So right gradients agree to 1e-5 or better, and
a gradient that is wrong by 0.05 % shows an error of at least 2.5e-4 at every eps.
"""
from typing import Any, NamedTuple

import numpy as np

from .. import nn
from ..backend import to_device
from ..random import Generator
from ..tensor import Tensor


class Network(NamedTuple):
    """A module, the shape of its input, and how to check its gradients."""
    name: str
    module: nn.Module
    input_shape: tuple[int, ...]
    options: dict[str, Any]  # for gradcheck
    is_one_row: bool = False  # of the command's table, in place of one for each input

    def prepare(self, device: str) -> tuple[list[Tensor], list[str]]:
        """The input and every parameter, in float64 on device, and their names."""
        rng = np.random.default_rng(0)
        self.module.to(device, np.float64)
        parameters = dict(self.module.named_parameters())
        for parameter in parameters.values():
            if parameter.kind == "bias":    # 0 would put a unit whose inputs are all 0 on its kink
                parameter.data[...] = to_device(rng.normal(0, 0.1, parameter.shape), device)
        x = Tensor(to_device(rng.standard_normal(self.input_shape), device), requires_grad=True)
        return [x, *parameters.values()], ["input", *parameters]

    def forward(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """module(x) in training mode, with the same dropout masks on every call."""
        for i, (_, layer) in enumerate(self.module.named_modules()):
            if isinstance(layer, nn.Dropout):
                layer.generator = Generator(i)
        return self.module(x)


def miniature() -> Network:
    """AlexNet at 67 pixels, with a 32nd of the channels and every layer type there is."""
    draw: dict[str, Any] = {"generator": Generator(0)}
    module = nn.Sequential(                                                         # output
        conv1=nn.Conv2d(3, 4, 11, stride=4, activation="relu", **draw),             # 4 x 15 x 15
        norm1=nn.LocalResponseNorm(5, alpha=0.5, k=2.0),
        pool1=nn.MaxPool2d(3, 2),                                                   # 4 x 7 x 7
        conv2=nn.Conv2d(4, 8, 5, padding=2, groups=2, activation="tanh", **draw),   # 8 x 7 x 7
        norm2=nn.LocalResponseNorm(3, alpha=0.5, norm_region="within_channel"),
        pool2=nn.AvgPool2d(3, 2),                                                   # 8 x 3 x 3
        conv3=nn.Conv2d(8, 12, 3, padding=1, **draw),                               # 12 x 3 x 3
        relu3=nn.ReLU(),
        norm3=nn.BatchNorm2d(12),
        conv4=nn.Conv2d(12, 12, 3, padding=2, dilation=2, bias=False, **draw),      # 12 x 3 x 3
        tanh4=nn.Tanh(),
        block4=nn.Residual(nn.Conv2d(12, 12, 3, padding=1, **draw)),                # 12 x 3 x 3
        block5=nn.Residual(nn.Sequential(conv=nn.Conv2d(12, 12, 1, bias=False, **draw),
                                         norm=nn.BatchNorm2d(12))),                 # 12 x 3 x 3
        mixed4=nn.Concat(a=nn.Conv2d(12, 4, 1, **draw), b=nn.Tanh()),               # 16 x 3 x 3
        conv5=nn.Conv2d(16, 8, 3, padding=1, groups=2, activation="relu", **draw),  # 8 x 3 x 3
        pool5=nn.AdaptiveAvgPool2d(2),                                              # 8 x 2 x 2
        flatten=nn.Flatten(),                                                       # 32
        drop6=nn.Dropout(0.5, **draw),
        fc6=nn.Linear(32, 128, activation="relu", **draw),
        drop7=nn.Dropout(0.5, **draw),
        fc7=nn.Linear(128, 128, **draw),
        sigmoid7=nn.Sigmoid(),
        identity7=nn.Identity(),
        fc8=nn.Linear(128, 10, **draw),
        log_softmax=nn.LogSoftmax(),
        softmax=nn.Softmax(),
    )
    options = {"eps": 1e-7, "retries": 1, "tolerance": 1e-5, "max_elements": 200}
    return Network("miniature", module, (2, 3, 67, 67), options)
