"""`features`: what a layer inside a network makes of pictures, for other programs."""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from ..files import write_file, write_text
from .options import CHECKPOINT, PICTURES, add_device, add_layer, computing_as_asked
from .values import new_file_ending

HELP = "Write what a layer of a network makes of pictures, and their names."
EXAMPLES = """  python -m models features runs/cifar10 photos/ --out fc7.npz
  python -m models features alexnet.pth photos/ --layer conv5 --out conv5.npy"""
NEEDS = ("PIL", "safetensors", "tqdm")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help=CHECKPOINT)
    parser.add_argument("pictures", metavar="PICTURE", nargs="+", help=PICTURES)
    parser.add_argument("--out", metavar="FILE", type=new_file_ending(".npz", ".npy"),
                        required=True, help="FILE.npz with the arrays features and names, or "
                        "FILE.npy with the features and FILE.txt with the names")
    add_layer(parser)
    add_device(parser)


def run(options: dict[str, Any]) -> int:
    """Returns 1 if some pictures could not be read."""
    from ..inputs.picture_files import expanded
    from .pictures import PictureFeatures
    out = options["out"]
    with computing_as_asked(options):
        files = expanded(options["pictures"])
        extractor = PictureFeatures(options["checkpoint"], options["layer"], options["device"])
        names, values = extractor.all(files)
    if out.endswith(".npz"):
        arrays = {"features": values, "names": np.array(names)}
        write_file(Path(out), lambda file: np.savez(file, **arrays))        # type: ignore[arg-type]
        written = out
    else:
        write_file(Path(out), lambda file: np.save(file, values))
        names_file = Path(out).with_suffix(".txt")
        write_text(names_file, "".join(name + "\n" for name in names))
        written = f"{out}, with the names in {names_file}"
    print(f"{written}: {extractor.layer} of {len(names)} pictures, float32 {values.shape}")
    return 1 if extractor.failed else 0
