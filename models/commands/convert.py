"""`convert`: a network's weights as a checkpoint of ours, as ONNX, or under torchvision's names."""
from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..errors import UserError, as_user_error, require
from ..files import write_file
from ..progress import Terminal
from .options import CHECKPOINT
from .values import UsageError, new_file

HELP = "Write a network's weights for other programs, or other programs' for this one."
EXAMPLES = """  python -m models convert bvlc_alexnet.npy alexnet.safetensors
  python -m models convert runs/cifar10 cifar10.onnx
  python -m models convert runs/mine mine.safetensors --torchvision"""
NEEDS = ("safetensors",)
SUFFIXES = (".safetensors", ".onnx")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="IN", help=CHECKPOINT)
    parser.add_argument("target", metavar="OUT", type=new_file,
                        help="a new file: .safetensors for a checkpoint, .onnx for an ONNX graph")
    parser.add_argument("--torchvision", action="store_true",
                        help="a .safetensors with torchvision's names, for load_state_dict; what "
                        "the network is stands in its metadata")


def run(options: dict[str, Any]) -> int:
    from minitensor import checkpoint

    from ..training.checkpoints import arrays_of, load_network, metadata_of, without_arrays
    from ..weights.onnx import write_onnx
    path, torchvision = Path(options["target"]), options["torchvision"]
    suffixes = SUFFIXES[:1] if torchvision else SUFFIXES
    if path.suffix not in suffixes:
        raise UsageError(f"{path} must end in {' or '.join(suffixes)}")
    if path.suffix == ".onnx":
        require("onnx")
    _check_target(path, options["source"])
    network, metadata = load_network(options["source"], progress=Terminal())
    metadata = metadata_of(network, metadata["classes"], metadata["preprocessing"])
    if path.suffix == ".onnx":
        if arrays_of(metadata):
            Terminal().warn(f"{path} does not hold the mean image, which is subtracted from images "
                            "before they are cropped")
        with as_user_error(ValueError, what=f"{path} cannot be written: "):
            write_file(path, lambda partial: write_onnx(partial, network,
                                                        without_arrays(metadata)))
    elif torchvision:
        _write_torchvision(path, network, metadata)
    else:
        arrays = {**network.state_dict(), **arrays_of(metadata)}
        checkpoint.save(path, arrays, without_arrays(metadata))
    print(f"{path}: {network.name}, {network.num_parameters():,} parameters, "
          f"{len(metadata['classes']):,} classes")
    return 0


def _check_target(path: Path, source: str) -> None:
    """That nothing a run needs is overwritten, nor what is read."""
    from ..training.checkpoints import checkpoint_path
    from ..training.run_folder import RunFolder
    if not path.exists():
        return
    folder, read = RunFolder(path.parent), Path(checkpoint_path(source))
    if path in (folder.latest, folder.best) or (read.exists() and path.samefile(read)):
        raise UsageError(f"OUT must be a new file, not {path}, which a run or IN still needs")


def _write_torchvision(path: Path, network: Any, metadata: dict[str, Any]) -> None:
    """A safetensors file under torchvision's names, with our header in its metadata.

    PyTorch does not see the header, so it is said where torchvision's network is another one, or
    sees pictures otherwise.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    from ..weights import header, recipes
    from ..weights.layouts import torchvision_arrays
    from ..weights.torchvision_names import torchvision_names
    if "mean_image" in metadata["preprocessing"]:
        raise UserError(f"{path} cannot be written: the network subtracts a mean image, for which "
                        "torchvision's names have no place; leave out --torchvision")
    with as_user_error(ValueError):
        arrays = torchvision_arrays(network)
    about = {"format": "pt", header.KEY: json.dumps(metadata)}
    with as_user_error(SafetensorError, what=f"cannot write {path}: "):
        write_file(path, lambda partial: save_file(arrays, partial, metadata=about))
    ablations = [name for name in network.config["ablations"] if name != "no-heads"]
    if not torchvision_names(network.name) or ablations:
        changed = "".join(f", {ablation}" for ablation in ablations)
        Terminal().warn(f"{path} is {network.name}{changed}, which torchvision's own network of "
                        "these names computes otherwise; read here it is what it was")
    own = recipes.OF_TORCHVISION.get(network.name, recipes.TORCHVISION)
    p = metadata["preprocessing"]
    if (p["mean"], p["std"]) != (own["mean"], own["std"]):
        Terminal().warn(f"its pictures are normalised with mean {_short(p['mean'])} and std "
                        f"{_short(p['std'])}, for torchvision's own {network.name} with "
                        f"{_short(own['mean'])} and {_short(own['std'])}")


def _short(numbers: list[float]) -> str:
    return " ".join(f"{number:.4g}" for number in numbers)
