"""Networks in checkpoint files: arrays by name, and metadata that explains them.

Parameters and buffers stand under their own names, what the optimizer keeps for a parameter under
"optimizer.KIND.NAME": "optimizer.velocity.conv1.weight".
"""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from minitensor import Generator, checkpoint

from .. import weights
from ..errors import as_user_error
from ..networks.build import Network, build
from ..networks.published import is_name
from ..progress import SILENT, Progress
from .run_folder import RunFolder

OPTIMIZER = "optimizer."
MEAN_IMAGE = "preprocessing.mean_image"
Arrays = dict[str, np.ndarray]


def metadata_of(network: Network, classes: list[str],
                preprocessing: dict[str, Any]) -> dict[str, Any]:
    """What it takes to build the network again and to show it images."""
    return {"network": network.name, "config": network.config, "classes": list(classes),
            "preprocessing": preprocessing}


def without_arrays(metadata: dict[str, Any]) -> dict[str, Any]:
    """metadata as JSON can hold it: a checkpoint holds its arrays beside the parameters."""
    p = {key: value for key, value in metadata["preprocessing"].items() if key != "mean_image"}
    return {**metadata, "preprocessing": p}


def arrays_of(metadata: dict[str, Any]) -> Arrays:
    """The arrays in metadata by the names that they have in a checkpoint."""
    p = metadata["preprocessing"]
    return {MEAN_IMAGE: p["mean_image"]} if "mean_image" in p else {}


def load_checkpoint(path: str) -> tuple[Arrays, dict[str, Any]]:
    """(arrays, metadata).

    Raises CheckpointError for an unreadable file, UserError for one without a network of ours.
    """
    arrays, metadata = checkpoint.load(path)
    with as_user_error(ValueError, what=f"{path} is no checkpoint of ours: "):
        weights.header.check(metadata, arrays)
        arrays, metadata = _up_to_date(arrays, metadata)
        if MEAN_IMAGE in arrays:
            metadata["preprocessing"]["mean_image"] = _mean_image(arrays, metadata)
    return arrays, metadata


def _mean_image(arrays: Arrays, metadata: dict[str, Any]) -> np.ndarray:
    image, side = arrays.pop(MEAN_IMAGE), metadata["preprocessing"]["resize"]
    if image.shape != (side, side, 3):
        raise ValueError(f"its mean image is {image.shape}, not {(side, side, 3)}")
    return image


def _up_to_date(arrays: Arrays, metadata: dict[str, Any]) -> tuple[Arrays, dict[str, Any]]:
    """Of a checkpoint from before there was more than SGD: "velocity.NAME", a list of groups."""
    if isinstance(metadata.get("optimizer"), list):
        metadata = {**metadata, "optimizer": {"groups": metadata["optimizer"]}}
    return {OPTIMIZER + name if name.startswith("velocity.") else name: array
            for name, array in arrays.items()}, metadata


def checkpoint_path(path: str) -> str:
    """The best checkpoint (else the latest) of the run folder that path is; any other path itself.

    So is the name of published weights, whatever folder may have that name too.
    """
    if is_name(path) or not os.path.isdir(path):
        return path
    folder = RunFolder(Path(path))
    return str(folder.best if folder.best.exists() else folder.latest)


def load_parameters(source: str, progress: Progress = SILENT) -> tuple[Arrays, dict[str, Any]]:
    """(parameters and buffers by name, the metadata) of source.

    source: a checkpoint, a run folder, published weights, or the name of some that can be fetched;
    published weights have metadata without "settings" and "progress". Raises CheckpointError or
    UserError.
    """
    path = checkpoint_path(source)
    if is_name(path):
        return weights.load(weights.fetch(path, progress), progress)
    if os.path.isfile(path) and not checkpoint.is_checkpoint(path):
        return weights.load(path, progress)
    arrays, metadata = load_checkpoint(path)
    return {name: a for name, a in arrays.items() if not name.startswith(OPTIMIZER)}, metadata


def load_network(source: str, device: str = "cpu",
                 progress: Progress = SILENT) -> tuple[Network, dict[str, Any]]:
    """(the network, in evaluation mode, and the metadata) of what load_parameters takes.

    Raises CheckpointError or UserError.
    """
    arrays, metadata = load_parameters(source, progress)
    name = metadata["network"]
    with as_user_error(ValueError, TypeError, what=f"{source} does not fit {name}: "):
        network = build(name, **metadata["config"], generator=Generator(0))
        network.load_state_dict(arrays)
    network.eval().to(device)
    return network, metadata
