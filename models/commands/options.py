"""The options of the command line: their defaults and help."""
from __future__ import annotations

import argparse
from typing import Any

from minitensor.backend import DEVICES
from minitensor.kernels import PRECISIONS

from ..networks.initial import DEPARTURES
from ..networks.build import ABLATIONS, FAMILY, INITS
from ..reproduce import EXPERIMENTS
from ..settings import FINE_TUNING, NORMALIZATIONS, RECIPES, Settings
from .values import Table, data_source, frozen, named_number, number, weights_source, width

OWN = "the network's own"
LARGEST = 4096              # side of a picture in pixels: hardly a machine could train on more
SCHEDULES = ("constant", "step", "multistep", "plateau", "cosine")


def add_train_options(parser: argparse.ArgumentParser) -> None:
    run = parser.add_argument_group("the run")
    run.add_argument("--out", metavar="RUN_FOLDER", help="a new folder for checkpoints, log and plots (default: runs/DATE-TIME)")
    run.add_argument("--resume", metavar="RUN_FOLDER", help="go on with a run that was stopped, exactly where it was")
    run.add_argument("--recipe", choices=RECIPES,
                     help="settings that suit each other; every one can still be changed. paper: all of the 2012 paper's, with the two "
                          "departures that make it train (--departures)")
    _setting(run, "save_minutes", number(float, 0), "save at least this often, besides after every epoch")

    data = parser.add_argument_group("pictures")
    add_data_option(data, "'builtin'; a folder with train/ and test/ (or val/); one folder of class folders, a fifth of which is "
                    "held out; CIFAR-10's official files; ILSVRC-2012 as handed out; or what `python -m data pack` made of any of these")
    _setting(data, "pictures", number(int, 20), "how many built-in pictures to train on; a quarter as many are held out")
    _setting(data, "resize", number(int, 1, LARGEST), "the shorter side of a picture before it is cropped, in pixels (default: 256/227 "
             "of the crop; built-in pictures have the crop's size, packed ones keep theirs)")
    _setting(data, "random_crop", None, "cut training pictures anywhere, else in the centre", action=argparse.BooleanOptionalAction)
    _setting(data, "flip", None, "mirror half of the training pictures", action=argparse.BooleanOptionalAction)
    _setting(data, "pca_noise", number(float, 0), "colour noise along the principal components; 0.1 in the paper", metavar="SIGMA")
    _setting(data, "normalize", None, "what pixels become: imagenet subtracts the mean colour of ImageNet's pictures and divides by its "
             "deviation; mean-pixel and mean-image subtract that of the training pictures from bytes, as in the paper",
             choices=NORMALIZATIONS)
    add_loading_options(data)

    network = parser.add_argument_group("network")
    _setting(network, "network", None, "which of the family; `summary NETWORK` shows its layers", choices=FAMILY)
    add_network_options(network)
    _setting(network, "init", None, "initial weights", choices=INITS, default=OWN)
    _setting(network, "departures", str, "from --init paper, both in --recipe paper: biases-0.1 starts the biases of 1 at 0.1, "
             "as Caffe does; sigma-0.03 starts conv3 to conv5 wider, as the published 2012 code does",
             nargs="*", choices=DEPARTURES, metavar="NAME")

    tuning = parser.add_argument_group("fine-tuning")
    _setting(tuning, "weights", weights_source, "begin with all layers but the last of a trained network, its picture size, its width and "
             "its preprocessing: a checkpoint, a run folder, or what `classify --weights` takes", metavar="CHECKPOINT|FILE")
    _setting(tuning, "freeze", frozen, "which layers keep their parameters: none, features (the convolutions), or the first N of those "
             "that have parameters", metavar="none|features|N")
    _setting(tuning, "new_lr_multiplier", number(float, 0), "how many times faster than the others the new last layer learns")
    _setting(tuning, "cache_features", None, "compute the output of frozen layers once per picture, where no crop or flip changes it",
             action=argparse.BooleanOptionalAction)

    learning = parser.add_argument_group("learning")
    _setting(learning, "epochs", number(int, 1), "passes over the training pictures")
    _setting(learning, "batch_size", number(int, 1), "pictures per step")
    _setting(learning, "lr", number(float, 0), "learning rate; biases learn at twice the rate and do not decay",
             f"{Settings.lr:g}; with --weights {FINE_TUNING['lr']:g}")
    _setting(learning, "warmup", number(int, 0), "steps over which the learning rate rises to its full height")
    _setting(learning, "momentum", number(float, 0, 1, open_high=True), "momentum")
    _setting(learning, "weight_decay", number(float, 0), "weight decay; biases have none")
    _setting(learning, "layer_weight_decay", named_number, "weight decay of single layers, such as fc8=0.001", nargs="+",
             action=Table, metavar="LAYER=N")
    _setting(learning, "label_smoothing", number(float, 0, 1), "how much of each target goes to all classes alike")
    _setting(learning, "schedule", None, "how the learning rate falls, epoch by epoch", choices=SCHEDULES)
    _setting(learning, "step_size", number(int, 1), "step: epochs between cuts (default: a third of all)")
    _setting(learning, "milestones", number(int, 1), "multistep: epochs of the cuts (default: at 1/2 and 3/4)", nargs="+")
    _setting(learning, "patience", number(int, 0), "plateau: epochs without a better error before a cut")
    _setting(learning, "cuts", number(int, 0), "plateau: cuts at most (default: no limit; 3 in --recipe paper)")
    _setting(learning, "gamma", number(float, 0, 1), "what a cut multiplies the learning rate by")
    _setting(learning, "target_error", number(float, 0, 1), "stop after the epoch whose training error is this or less, such as 0.25")
    _setting(learning, "seed", number(int, 0, 2**63), "of initial weights, dropout, order and augmentation")
    add_device_options(parser)


def add_reproduce_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", metavar="NAME", choices=EXPERIMENTS, help=", ".join(EXPERIMENTS))
    add_data_option(parser, "CIFAR-10: a folder with train/ and test/, packed, or its official files")
    parser.add_argument("--quick", action="store_true", help="a few minutes on built-in pictures: shows the experiment, proves nothing")
    parser.add_argument("--seeds", type=number(int, 1), metavar="N", help="how many, each of which trains all variants (default: 1 or 3)")
    _setting(parser, "epochs", number(int, 1), "of each training; a finished experiment can be given more", default="the experiment's own")
    parser.add_argument("--out", metavar="FOLDER", help="for trainings, measurements and plot (default: runs/NAME, with -quick if it is)")
    add_loading_options(parser)
    add_device_options(parser)


def add_data_option(parser, text: str) -> None:
    _setting(parser, "data", data_source, text, metavar="SOURCE")


def add_network_options(parser) -> None:
    _setting(parser, "image_size", number(int, 1, LARGEST), "side of the input in pixels", default=OWN)
    _setting(parser, "width", width, "multiplies the channels of every hidden layer; 0.25 or 1/4 is four times narrower")
    _setting(parser, "dropout", number(float, 0, 1, open_high=True),
             "probability of dropping each value where the network drops any, in training")
    _setting(parser, "ablations", None, "what is changed in it, for comparison", choices=ABLATIONS, nargs="+")


def add_num_classes(parser) -> None:
    parser.add_argument("--classes", dest="num_classes", type=number(int, 2), default=argparse.SUPPRESS, metavar="N",
                        help=f"how many (default: {OWN})")


def add_weights(parser, text: str) -> None:
    parser.add_argument("--weights", metavar="FILE", help=f"{text}: published weights, of PyTorch (.pth, .safetensors), Toronto (.npy) "
                        "or Caffe (.caffemodel), or 'torchvision', which fetches them; a checkpoint or a run folder does as well")


def add_layer(parser) -> None:
    parser.add_argument("--layer", metavar="NAME", help="whose output, activation included (default: the last before the classes, fc7)")


def add_count(parser) -> None:
    parser.add_argument("-k", dest="count", type=number(int, 1), default=6, metavar="N", help="how many to find (default: 6)")


def add_loading_options(parser, default: str = "") -> None:
    """default: what the help says of it, where it is not that of Settings."""
    _setting(parser, "workers", number(int, 0), "processes that prepare pictures; 0 prepares them between the steps", default)
    _setting(parser, "on_error", None, "what to do about an unreadable picture", default, choices=("stop", "skip"))


def add_device_options(parser) -> None:
    machine = parser.add_argument_group("machine")
    _setting(machine, "device", None, "where to compute", choices=DEVICES)
    _setting(machine, "kernels", str, "kernel set, such as 'reference' for the textbook's (default: the fastest of the device)",
             metavar="SET")
    _setting(machine, "precision", None, "on a GPU, what convolutions and linear layers round their factors to; sums stay float32",
             choices=PRECISIONS)


def _setting(parser, name: str, kind: Any, text: str, default: Any = "", **options: Any) -> None:
    """An option for one field of Settings. What is not given stays out of the namespace, so that recipes and resumed runs can tell."""
    default = default or getattr(Settings, name)
    if default not in ("", None, ()) and not isinstance(default, bool):
        text += f" (default: {default:g})" if isinstance(default, float) else f" (default: {default})"
    if kind is not None:
        options = {"type": kind, "metavar": "N", **options}
    parser.add_argument(f"--{name.replace('_', '-')}", default=argparse.SUPPRESS, help=text, **options)
