"""Options that several commands share: their defaults and help."""
from __future__ import annotations

import argparse
from contextlib import AbstractContextManager
from typing import Any

from minitensor.backend import DEVICES
from minitensor.kernels import PRECISIONS

from ..compute import computing
from ..networks.build import ABLATIONS
from ..progress import Terminal, printable
from ..settings import COMPUTE, Settings
from .values import data_source, kernels, number, option, width

OWN = "the network's own"
LARGEST = 4096              # side of an image in pixels: hardly a computer could train on more
PICTURES = ("a picture, a folder of pictures, a pattern in quotes such as '*.jpg', "
            "or - for one picture on standard input")
WEIGHTS = ("published weights, of PyTorch (.pth, .safetensors, or the .index.json of several "
           "files), NumPy (.npz, .npy), Toronto (.npy) or Caffe (.caffemodel); 'torchvision' "
           "fetches its AlexNet's, 'torchvision:resnet18' another network's")
CHECKPOINT = f"a checkpoint, or a run folder, of which the best is taken; or {WEIGHTS}"


def add_setting(parser: Any, name: str, kind: Any, text: str, default: Any = "",
                **options: Any) -> None:
    """An option for one field of Settings.

    What is not given stays out of the namespace, so that recipes and resumed runs can tell.
    """
    default = default or getattr(Settings, name)
    if default not in ("", None, ()) and not isinstance(default, bool):
        shown = f"{default:g}" if isinstance(default, float) else default
        text += f" (default: {shown})"
    if kind is not None:
        options = {"type": kind, "metavar": "N", **options}
    parser.add_argument(option(name), default=argparse.SUPPRESS, help=text, **options)


def add_data(parser: Any, text: str) -> None:
    add_setting(parser, "data", data_source, text, metavar="SOURCE")


def add_network(parser: Any) -> None:
    """How the network is built."""
    add_setting(parser, "image_size", number(int, 1, LARGEST), "side of the input in pixels", OWN)
    add_setting(parser, "width", width, "multiplies the channels of every hidden layer; "
                "0.25 or 1/4 is four times narrower")
    add_setting(parser, "dropout", number(float, 0, 1, open_high=True),
                "probability of dropping each value where the network drops any, in training", OWN)
    add_setting(parser, "ablations", None, "what is changed in it, for comparison; no-heads leaves "
                "out the auxiliary heads that help a deep network to train",
                choices=ABLATIONS, nargs="*")


def add_weights(parser: Any, text: str) -> None:
    parser.add_argument("--weights", metavar="FILE", help=f"{text}: {WEIGHTS}; "
                        "a checkpoint or a run folder does as well")


def add_max_pixels(parser: Any) -> None:
    add_setting(parser, "max_pixels", number(int, 1), "refuse pictures of more pixels, which may "
                "fill the memory", "179 million, Pillow's own limit")


class Failures(list[str]):
    """What cannot be read: called with a sentence, it keeps it and tells it."""

    def __call__(self, sentence: str) -> None:
        self.append(sentence)
        Terminal().say(printable(sentence), error=True)


def add_layer(parser: Any) -> None:
    parser.add_argument("--layer", metavar="NAME", help="whose output, activation included "
                        "(default: what the last layer looks at, fc7 in AlexNet, the mean over "
                        "the picture in a ResNet)")


def add_loading(parser: Any, default: str = "") -> None:
    """default: what the help says of it, where it is not that of Settings."""
    add_setting(parser, "workers", number(int, 0),
                "processes that prepare pictures; 0 prepares them between the steps", default)
    add_setting(parser, "on_error", None, "what to do about an unreadable picture", default,
                choices=("stop", "skip"))
    add_max_pixels(parser)


def add_device(parser: Any) -> None:
    """Where and how to compute."""
    group = parser.add_argument_group("machine")
    add_setting(group, "device", None, "where to compute", choices=DEVICES)
    add_setting(group, "kernels", kernels, "kernel set, such as 'reference' for the textbook's, "
                "or a .py file with kernels of your own; what it lacks is the textbook's (default: "
                "the fastest of the device)", metavar="SET")
    add_setting(group, "precision", None, "on a GPU, what convolutions and linear layers round "
                "their factors to; sums stay float32", choices=PRECISIONS)


def computing_as_asked(options: dict[str, Any]) -> AbstractContextManager:
    """A with-block in which what add_device added is done; options get what was not given."""
    return computing(**{name: options.setdefault(name, getattr(Settings, name))
                        for name in COMPUTE})
