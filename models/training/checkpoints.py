"""Networks in checkpoint files: parameters under their own names, velocities as "velocity.NAME", and a header that explains them."""
from __future__ import annotations

import os
from typing import Any

import numpy as np

from minitensor import Generator, checkpoint

from .. import weights
from ..errors import UserError, told
from ..networks.build import FAMILY, Network, build
from .run_folder import checkpoint_path

VELOCITY = "velocity."
MEAN_IMAGE = "preprocessing.mean_image"


def header(network: Network, classes: list[str], preprocessing: dict[str, Any]) -> dict[str, Any]:
    """What it takes to build the network again and to show it pictures."""
    return {"network": network.name, "config": network.config, "classes": list(classes), "preprocessing": preprocessing}


def in_json(header: dict[str, Any]) -> dict[str, Any]:
    """header without the arrays in it, which JSON cannot hold and a checkpoint holds beside the parameters (picture_arrays)."""
    return {**header, "preprocessing": {key: value for key, value in header["preprocessing"].items() if key != "mean_image"}}


def picture_arrays(header: dict[str, Any]) -> dict[str, np.ndarray]:
    """The arrays in header by the names they have in a checkpoint."""
    p = header["preprocessing"]
    return {MEAN_IMAGE: p["mean_image"]} if "mean_image" in p else {}


def load_checkpoint(path: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(arrays, header). Raises CheckpointError for an unreadable file, UserError for one that holds none of our networks."""
    arrays, info = checkpoint.load(path)
    if not isinstance(info, dict) or not {"network", "config", "classes", "preprocessing"} <= info.keys():
        raise UserError(f"{path} is a checkpoint, but not one that `python -m models train` wrote")
    if str(info["network"]) not in FAMILY:
        raise UserError(f"{path} holds a network called {info['network']}, not one of {', '.join(FAMILY)}")
    if MEAN_IMAGE in arrays:
        info["preprocessing"]["mean_image"] = arrays.pop(MEAN_IMAGE)
    return arrays, info


def load_parameters(source: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(the parameters by name, the header) of a checkpoint, a run folder, published weights, or the name of some that can be fetched.

    Raises CheckpointError or UserError. Published weights have a header without "settings" and "progress".
    """
    path = checkpoint_path(source)
    if path in weights.PUBLISHED:
        return weights.load(weights.fetch(path))
    if os.path.isfile(path) and not checkpoint.is_checkpoint(path):
        return weights.load(path)
    arrays, info = load_checkpoint(path)
    return {name: array for name, array in arrays.items() if not name.startswith(VELOCITY)}, info


def load_network(source: str, device: str = "cpu") -> tuple[Network, dict[str, Any]]:
    """(the network, in evaluation mode, and the header) of what load_parameters takes. Raises CheckpointError or UserError."""
    arrays, info = load_parameters(source)
    with told(ValueError, TypeError, what=f"{source} does not fit {info['network']}: "):
        network = build(info["network"], **info["config"], generator=Generator(0))
        network.load_state_dict(arrays)
    network.eval().to(device)
    return network, info
