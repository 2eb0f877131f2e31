"""What can be written after `python -m models`: its commands, their arguments, their help."""
from __future__ import annotations

import argparse
from typing import Any, NoReturn

from ..networks.build import FAMILY
from .options import (add_count, add_data_option, add_device_options, add_layer, add_loading_options, add_network_options,
                      add_num_classes, add_reproduce_options, add_train_options, add_weights)
from .values import new_file, new_file_ending

EXAMPLES = {
    "train": """examples:
  python -m models train --recipe demo
  python -m models train --data photos/ --image-size 131 --width 1/4 --epochs 20
  python -m models train --data cifar10/ --recipe cifar10 --out runs/cifar10
  python -m models train --data imagenet/ --recipe paper
  python -m models train --resume runs/cifar10
  python -m models train --weights runs/cifar10 --data photos/ --freeze features""",
    "evaluate": """examples:
  python -m models evaluate runs/cifar10
  python -m models evaluate runs/cifar10/latest.safetensors --data photos/ --ten-crop
  python -m models evaluate --weights bvlc_alexnet.caffemodel --data imagenet/val""",
    "classify": """examples:
  python -m models classify runs/cifar10 cat.jpg dog.jpg
  python -m models classify runs/cifar10 photos/val --figure guesses.png
  python -m models classify runs/cifar10 'photos/**/*cat*.jpg' --json
  python -m models classify --weights torchvision cat.jpg
  curl -s https://example.org/cat.jpg | python -m models classify runs/cifar10 -""",
    "features": """examples:
  python -m models features runs/cifar10 photos/ --out fc7.npz
  python -m models features alexnet.pth photos/ --layer conv5 --out conv5.npy""",
    "similar": """examples:
  python -m models similar runs/cifar10 cat.jpg photos/
  python -m models similar runs/cifar10 cat.jpg dog.jpg photos/ -k 8 --figure similar.png""",
    "convert": """examples:
  python -m models convert bvlc_alexnet.npy alexnet.safetensors
  python -m models convert runs/cifar10 cifar10.onnx
  python -m models convert runs/mine mine.safetensors --torchvision""",
    "summary": """examples:
  python -m models summary
  python -m models summary alexnet-paper
  python -m models summary alexnet --image-size 131 --width 1/4 --classes 10
  python -m models summary runs/cifar10""",
    "reproduce": """examples:
  python -m models reproduce relu-vs-tanh --quick
  python -m models reproduce cifar10-18pct --data cifar10/ --workers 0
  python -m models reproduce lrn --data cifar10/ --seeds 1 --out runs/lrn""",
}
PROG = "python -m models"
PICTURES_HELP = "a picture, a folder of pictures, a pattern in quotes such as '*.jpg', or - for one picture on standard input"
CHECKPOINT_HELP = "a checkpoint, or a run folder, of which the best is taken; or published weights, as with --weights"


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and keeps the line breaks of its examples."""

    def __init__(self, **options: Any):
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def make_parser() -> Parser:
    parser = Parser(prog=PROG, description="Train AlexNet or one of its relatives on pictures, and use it.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> Parser:
        return commands.add_parser(name, help=text, description=text, epilog=EXAMPLES[name])

    train = command("train", "Train a network; every epoch is scored on held-out pictures.")
    add_train_options(train)

    evaluate = command("evaluate", "Print a network's top-1 and top-5 error, in all and by class; draw its confusion matrix.")
    evaluate.add_argument("checkpoint", metavar="CHECKPOINT", nargs="?", help=CHECKPOINT_HELP)
    add_weights(evaluate, "what to evaluate, in place of CHECKPOINT")
    add_data_option(evaluate, "'builtin', or a folder, of which the test pictures are taken (default: those held out in training)")
    evaluate.add_argument("--ten-crop", action="store_true", help="also average over ten crops of each picture, as in the paper")
    evaluate.add_argument("--out", metavar="FOLDER", help="where to write the confusion matrix (PNG, CSV) and the errors by class (CSV); "
                          "default: `evaluation` beside the checkpoint")
    add_loading_options(evaluate, default="as in training")
    add_device_options(evaluate)

    classify = command("classify", "Print the five best classes of pictures.")
    classify.add_argument("checkpoint", metavar="CHECKPOINT", help=CHECKPOINT_HELP)
    classify.add_argument("pictures", metavar="PICTURE", nargs="*", help=PICTURES_HELP)
    add_weights(classify, "what to classify with, in place of CHECKPOINT")
    classify.add_argument("--figure", metavar="FILE.png", type=new_file_ending(".png"),
                          help="also draw the pictures with their five bars, up to 40, as in the paper's Figure 4")
    classify.add_argument("--json", action="store_true", help="print an object a line, for other programs")
    add_device_options(classify)

    features = command("features", "Write what a layer of a network makes of pictures, and their names.")
    features.add_argument("checkpoint", metavar="CHECKPOINT", help=CHECKPOINT_HELP)
    features.add_argument("pictures", metavar="PICTURE", nargs="+", help=PICTURES_HELP)
    features.add_argument("--out", metavar="FILE", type=new_file_ending(".npz", ".npy"), required=True,
                          help="FILE.npz with the arrays features and names, or FILE.npy with the features and FILE.txt with the names")
    add_layer(features)
    add_device_options(features)

    similar = command("similar", "Find the pictures nearest to others in the eyes of a network.")
    similar.add_argument("checkpoint", metavar="CHECKPOINT", help=CHECKPOINT_HELP)
    similar.add_argument("queries", metavar="PICTURE", nargs="+", help=PICTURES_HELP)
    similar.add_argument("folder", metavar="FOLDER", help="the pictures to search")
    add_count(similar)
    similar.add_argument("--figure", metavar="FILE.png", type=new_file_ending(".png"),
                         help="also draw them, a row for each PICTURE: the paper's Figure 4")
    add_layer(similar)
    add_device_options(similar)

    convert = command("convert", "Write a network's weights for other programs, or other programs' for this one.")
    convert.add_argument("source", metavar="IN", help=CHECKPOINT_HELP)
    convert.add_argument("target", metavar="OUT", type=new_file, help="a new file: .safetensors for a checkpoint, .onnx for an ONNX graph")
    convert.add_argument("--torchvision", action="store_true", help="a plain .safetensors with torchvision's names, for load_state_dict")

    summary = command("summary", "Print a network's layers: output shapes, parameters, multiplications.")
    summary.add_argument("network", metavar="NETWORK", nargs="?", default="alexnet",
                         help=f"a checkpoint, a run folder, or a name: {', '.join(FAMILY)} (default: alexnet)")
    add_network_options(summary)
    add_num_classes(summary)

    reproduce = command("reproduce", "Put a claim of the 2012 paper to the test; a stopped experiment goes on where it was.")
    add_reproduce_options(reproduce)
    return parser
