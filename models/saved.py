"""Networks in checkpoint files: parameters under their own names, velocities as "velocity.NAME", and a header that explains them."""
from __future__ import annotations

from typing import Any

import numpy as np

from minitensor import Generator, checkpoint

from . import NETWORKS
from .errors import UserError, told

VELOCITY = "velocity."


def header(network: Any, classes: list[str], preprocessing: dict[str, Any]) -> dict[str, Any]:
    """What it takes to build the network again and to show it pictures."""
    return {"network": type(network).__name__, "config": network.config, "classes": list(classes), "preprocessing": preprocessing}


def load_checkpoint(path: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(arrays, header). Raises CheckpointError for an unreadable file, UserError for one that holds none of our networks."""
    arrays, info = checkpoint.load(path)
    if not isinstance(info, dict) or not {"network", "config", "classes", "preprocessing"} <= info.keys():
        raise UserError(f"{path} is a checkpoint, but not one that `python -m models train` wrote")
    if info["network"].lower() not in NETWORKS:
        raise UserError(f"{path} holds a network called {info['network']}, not one of {', '.join(NETWORKS)}")
    return arrays, info


def load_network(path: str, device: str = "cpu") -> tuple[Any, dict[str, Any]]:
    """(the network, in evaluation mode, and the header) of the checkpoint at path. Raises CheckpointError or UserError."""
    arrays, info = load_checkpoint(path)
    with told(ValueError, TypeError, what=f"{path} does not fit {info['network']}: "):
        network = NETWORKS[info["network"].lower()](**info["config"], generator=Generator(0))
        network.load_state_dict({name: array for name, array in arrays.items() if not name.startswith(VELOCITY)})
    return network.eval().to(device), info
