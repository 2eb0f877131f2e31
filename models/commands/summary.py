"""`summary`: the layers of a network, from its name or from a checkpoint."""
from __future__ import annotations

import os
from typing import Any

from minitensor import Generator

from ..errors import UsageError, require, told
from ..networks.build import FAMILY, Network, build
from ..training.run_folder import checkpoint_path
from ..training.checkpoints import load_network
from ..weights import PUBLISHED


def show(name: str, config: dict[str, Any]) -> int:
    """Print the summary of the network called name, built with config, or of the checkpoint at the path name."""
    with told(ValueError, error=UsageError):
        network = build(name, **config, generator=Generator(0)) if name in FAMILY else _from_checkpoint(name, config)
    print(network)
    return 0


def _from_checkpoint(path: str, config: dict[str, Any]) -> Network:
    if not os.path.exists(path) and path not in PUBLISHED:
        raise UsageError(f"there is no network or checkpoint {path!r}; networks: {', '.join(FAMILY)}")
    if config:
        raise UsageError(f"{path} is a checkpoint, whose network is as it is: leave out --{next(iter(config)).replace('_', '-')}")
    require("safetensors")
    return load_network(checkpoint_path(path))[0]
