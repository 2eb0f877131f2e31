"""`train`: a network learns; what is given on the command line, and how it becomes settings."""
from __future__ import annotations

import argparse
from typing import Any

from ..errors import as_user_error
from ..networks.build import FAMILY, table_of
from ..networks.initial import DEPARTURES, INITS
from ..networks.published import PUBLISHED, for_network
from ..progress import Terminal
from ..settings import CHANGEABLE, FIELDS, NORMALIZATIONS, RECIPES, Settings
from ..training.optimizers import OPTIMIZERS, SCHEDULES
from .options import LARGEST, OWN, add_data, add_device, add_loading, add_network, add_setting
from .values import (BalancedOrPairs, Pairs, UsageError, class_weight, named_number, number,
                     option, weights)

HELP = ("Train a network; validation pictures choose its best epoch, which test pictures score "
        "once, at the end.")
EXAMPLES = """  python -m models train --recipe demo
  python -m models train --data photos/ --image-size 131 --width 1/4 --epochs 20
  python -m models train --data cifar10/ --recipe cifar10 --out runs/cifar10
  python -m models train --data imagenet/ --recipe paper
  python -m models train --resume runs/cifar10
  python -m models train --weights runs/cifar10 --data photos/ --freeze features"""
NEEDS = ("PIL", "safetensors", "tqdm", "matplotlib")
PREPROCESSING = ("resize", "normalize")     # comes with weights, if any are given
SMALL_LR = 0.001            # the default where weights are given, and of adam and adamw


# ---- what can be given -------------------------------------------------------------------------

def add_arguments(parser: argparse.ArgumentParser) -> None:
    _add_run(parser.add_argument_group("the run"))
    _add_pictures(parser.add_argument_group("pictures"))
    _add_network(parser.add_argument_group("network"))
    _add_fine_tuning(parser.add_argument_group("fine-tuning"))
    _add_learning(parser.add_argument_group("learning"))
    add_device(parser)


def _add_run(group: Any) -> None:
    group.add_argument("--out", metavar="RUN_FOLDER", help="a new folder for checkpoints, log and "
                       "plots (default: runs/DATE-TIME)")
    group.add_argument("--resume", metavar="RUN_FOLDER",
                       help="go on with a run that was stopped, exactly where it was; of its "
                       f"settings only {', '.join(map(option, CHANGEABLE))} can change")
    group.add_argument("--recipe", choices=RECIPES, help="settings that suit each other; every one "
                       "can still be changed. paper: all of the 2012 paper's, with the two "
                       "departures that make it train (--departures)")
    add_setting(group, "save_minutes", number(float, 0),
                "save at least this often, besides after every epoch")


def _add_pictures(group: Any) -> None:
    add_data(group, "'builtin'; a folder with train/ and val/, test/ or both (or training/, "
             "valid/, validation/, testing/); one folder of class folders; CIFAR-10's or "
             "CIFAR-100's official files, or .tar.gz; ILSVRC-2012 as handed out; or what `python "
             "-m data pack` made of any of these")
    add_setting(group, "validation", number(float, 0, 1, open_high=True), "the share of each "
                "class's training pictures that is held out to choose the best epoch; with 0 the "
                "last epoch is the result. What is not for training then only scores it, once, "
                "at the end", "val/ chooses; without one 0.1, or 0.2 of a folder that "
                "has no test/ either", metavar="SHARE")
    add_setting(group, "pictures", number(int, 20), "how many built-in pictures to train on; "
                "a quarter as many each are for validation and the test")
    add_setting(group, "labels", None, "of CIFAR-100: of 100 classes, or of 20",
                choices=("fine", "coarse"))
    add_setting(group, "resize", number(int, 1, LARGEST), "the shorter side of a picture before "
                "it is cropped, in pixels (default: 256/227 of the crop; built-in pictures have "
                "the crop's size, packed ones keep theirs)")
    add_setting(group, "random_crop", None, "cut training pictures anywhere, else in the centre",
                action=argparse.BooleanOptionalAction)
    add_setting(group, "crop_padding", number(int, 0, LARGEST), "black pixels put on every side of "
                "a training picture before it is cut anywhere; 4 is usual at 32 pixels",
                metavar="N")
    add_setting(group, "flip", None, "mirror half of the training pictures",
                action=argparse.BooleanOptionalAction)
    add_setting(group, "pca_noise", number(float, 0), "colour noise along the principal "
                "components; 0.1 in the paper", metavar="SIGMA")
    add_setting(group, "random_resized_crop", number(float, 0.01, 1), "cut training pictures to a "
                "random part, of this share of their area at least (0.08 is usual) and of "
                "proportions from 3:4 to 4:3, and scale it to the image size; in place of "
                "--random-crop", metavar="SHARE")
    add_setting(group, "color_jitter", number(float, 0), "change the brightness of training "
                "pictures by up to this share either way (0.4 is usual), then their contrast, "
                "saturation and hue (0.5 at most), as far as numbers are given", nargs="+",
                metavar="N")
    add_setting(group, "random_erasing", number(float, 0, 1), "the share of training pictures in "
                "which a random rectangle, a third of them at most, becomes the mean colour",
                metavar="P")
    add_setting(group, "normalize", None, "what pixels become: imagenet subtracts the mean colour "
                "of ImageNet's pictures and divides by its deviation; mean-pixel and mean-image "
                "subtract that of the training pictures from bytes, as in the paper",
                choices=NORMALIZATIONS)
    add_loading(group)


def _add_network(group: Any) -> None:
    add_setting(group, "network", None, "which of the family; `summary NETWORK` shows its layers",
                choices=FAMILY)
    add_network(group)
    add_setting(group, "init", None, "initial weights", OWN, choices=INITS)
    add_setting(group, "departures", str, "from --init paper, both in --recipe paper: biases-0.1 "
                "starts the biases of 1 at 0.1, as Caffe does; sigma-0.03 starts conv3 to conv5 "
                "wider, as the published 2012 code does",
                nargs="*", choices=DEPARTURES, metavar="NAME")


def _add_fine_tuning(group: Any) -> None:
    add_setting(group, "weights", weights, "begin with all layers but the last of a trained "
                "network, its picture size, its width and its preprocessing: a checkpoint, a run "
                "folder, or what `classify --weights` takes", metavar="CHECKPOINT|FILE")
    add_setting(group, "freeze", str, "which layers keep their parameters: none, features (the "
                "convolutions), the first N of those that have parameters, or all to the end of a "
                "layer or stage: layer2 of a ResNet, conv3 of a VGG, inception3a of a GoogLeNet",
                metavar="none|features|N|NAME")
    add_setting(group, "new_lr_multiplier", number(float, 0),
                "how many times faster than the others the new last layer learns")
    add_setting(group, "cache_features", None, "compute the output of frozen layers once per "
                "picture, where no crop or flip changes it", action=argparse.BooleanOptionalAction)


def _add_learning(group: Any) -> None:
    add_setting(group, "epochs", number(int, 1), "passes over the training pictures")
    add_setting(group, "batch_size", number(int, 1), "pictures per step")
    add_setting(group, "optimizer", None, "how gradients become steps", choices=OPTIMIZERS)
    add_setting(group, "lr", number(float, 0), "learning rate; biases learn at twice the rate and "
                "do not decay", f"{Settings.lr:g}; {SMALL_LR:g} with --weights, adam or adamw")
    add_setting(group, "warmup", number(int, 0),
                "steps over which the learning rate rises to its full height")
    add_setting(group, "momentum", number(float, 0, 1, open_high=True), "momentum of sgd")
    add_setting(group, "lr_in_velocity", None, "sgd keeps its velocity times the learning rate, as "
                "in the paper; else without, as in PyTorch, and follows a new learning rate at "
                "once", action=argparse.BooleanOptionalAction)
    add_setting(group, "weight_decay", number(float, 0), "weight decay; biases have none")
    add_setting(group, "layer_weight_decay", named_number, "weight decay of single layers, such "
                "as fc8=0.001", nargs="+", action=Pairs, metavar="LAYER=N")
    add_setting(group, "label_smoothing", number(float, 0, 1),
                "how much of each target goes to all classes alike")
    add_setting(group, "class_weights", class_weight, "how much the pictures of a class count in "
                "the loss: balanced (the fewer there are, the more each counts), or some classes' "
                "numbers, such as cat=3 dog=0.5, where others count 1", nargs="+",
                action=BalancedOrPairs, metavar="balanced|CLASS=N")
    add_setting(group, "schedule", None, "how the learning rate falls, epoch by epoch",
                choices=SCHEDULES)
    add_setting(group, "step_size", number(int, 1),
                "step: epochs between cuts (default: a third of all)")
    add_setting(group, "milestones", number(int, 1),
                "multistep: epochs of the cuts (default: at 1/2 and 3/4)", nargs="+")
    add_setting(group, "patience", number(int, 0),
                "plateau: epochs without a better error before a cut")
    add_setting(group, "cuts", number(int, 0),
                "plateau: cuts at most (default: no limit; 3 in --recipe paper)")
    add_setting(group, "gamma", number(float, 0, 1), "what a cut multiplies the learning rate by")
    add_setting(group, "target_error", number(float, 0, 1),
                "stop after the epoch whose training error is this or less, such as 0.25")
    add_setting(group, "seed", number(int, 0, 2**63),
                "of initial weights, dropout, order and augmentation")


# ---- what is done with it ----------------------------------------------------------------------

def run(options: dict[str, Any]) -> int:
    """Returns the exit status: 0, or 128 + the signal that stopped it."""
    from ..training import start
    from ..training.checkpoints import load_parameters
    out, resumed, recipe = (options.pop(name, None) for name in ("out", "resume", "recipe"))
    if resumed:
        if out or recipe:
            raise UsageError("--resume goes on in its own folder with its own settings: "
                             "leave out --out and --recipe")
        stopped = start.stopped(resumed)
        return start.resume(stopped, start.changed(stopped.settings, options), Terminal())
    begin_with, inherited = None, {}
    if "weights" in options:
        options["weights"] = _of_network(options["weights"], options.get("network"))
        begin_with = start.Trained(*load_parameters(options["weights"], Terminal()))
        metadata = begin_with.metadata
        inherited = {"network": metadata["network"], **metadata["config"]}
    return start.start(new_settings(options, recipe, inherited), Terminal(), out, begin_with)


def _of_network(name: str, network: str | None) -> str:
    """The published weights that `--weights torchvision` means beside --network; else name."""
    if name == "torchvision" and network:
        name = for_network(network)
        if name not in PUBLISHED:
            known = dict.fromkeys(published.network for published in PUBLISHED.values())
            raise UsageError(f"--weights torchvision: it has none for --network {network}; "
                             f"it has for {', '.join(known)}")
    if network and name in PUBLISHED and PUBLISHED[name].network != network:
        raise UsageError(f"--network {network} does not fit --weights {name}, "
                         f"whose network is {PUBLISHED[name].network}")
    return name


def new_settings(given: dict[str, Any], recipe: str | None,
                 inherited: dict[str, Any] | None = None) -> Settings:
    """The defaults, changed by what suits the network, by the recipe, by what was given.

    inherited: what given weights bring. Raises UsageError for what does not go together.
    """
    inherited = {name: value for name, value in (inherited or {}).items() if name in FIELDS}
    _check_fine_tuning(given, inherited)
    small = "weights" in given or given.get("optimizer", "sgd") != "sgd"
    defaults = {"lr": SMALL_LR} if small else {}
    chosen = {**defaults, **RECIPES.get(recipe or "", {}), **inherited, **given}
    design = FAMILY[chosen.get("network", Settings.network)]
    settings = Settings(**{"image_size": design.image_size, "init": design.init, **chosen})
    if settings.departures and settings.init != "paper":
        raise UsageError(f"--departures are from --init paper, not {settings.init}; "
                         "--departures with nothing behind it takes them back")
    if len(settings.color_jitter) > 4 or any(hue > 0.5 for hue in settings.color_jitter[3:]):
        raise UsageError("--color-jitter takes four numbers at most, for brightness, contrast, "
                         "saturation and hue, which is at most 0.5")
    with as_user_error(ValueError, error=UsageError):
        table_of(settings.network, **settings.network_config)
    if not settings.data:
        raise UsageError("--data is required: 'builtin', or a folder of pictures")
    return settings


def _bound(setting: Any) -> Any:
    """What a network keeps of a setting of its weights: auxiliary heads may be taken or left."""
    return [one for one in setting if one != "no-heads"] if isinstance(setting, list) else setting


def _check_fine_tuning(given: dict[str, Any], inherited: dict[str, Any]) -> None:
    for name, own in inherited.items():
        if name != "dropout" and _bound(given.get(name, own)) != _bound(own):
            raise UsageError(f"{option(name)} {given[name]} does not fit --weights, "
                             f"whose network has {own}")
    if "weights" not in given:
        if "new_lr_multiplier" in given:
            raise UsageError("--new-lr-multiplier needs --weights: "
                             "without them every layer is new")
        return
    for name in PREPROCESSING:
        if name in given:
            raise UsageError(f"{option(name)} does not go with --weights, "
                             "whose pictures are prepared as in their own training")
