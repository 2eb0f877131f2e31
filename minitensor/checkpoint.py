"""Checkpoints: arrays and a JSON header in one safetensors file, written whole or not at all."""
from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .backend import Array, to_numpy
from .files import written_whole

FORMAT = "minitensor-1"


class CheckpointError(Exception):
    """One sentence that names the file and what is wrong with it."""


def save(path: str | os.PathLike, arrays: Mapping[str, Array], info: Mapping[str, Any]) -> None:
    """Write arrays by name, and info (anything that JSON can hold), to path.

    Only a complete new file replaces an older one there. Raises CheckpointError when the disk
    refuses, TypeError for an info that JSON cannot hold, ImportError without safetensors.
    """
    safetensors = _safetensors()
    data = {name: np.asarray(to_numpy(array), order="C") for name, array in arrays.items()}
    metadata = {"format": FORMAT, "info": json.dumps(info)}
    try:
        with written_whole(path) as partial:
            safetensors.numpy.save_file(data, partial, metadata=metadata)
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"cannot write checkpoint {path}: {_reason(error)}") from error


def load(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(arrays, info) as given to `save`.

    Raises CheckpointError for a file that is missing, truncated or no checkpoint of minitensor,
    ImportError without safetensors.
    """
    safetensors = _safetensors()
    if not Path(path).is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        with open(path, "rb"), safetensors.safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise CheckpointError(f"{path} is a safetensors file, but not a checkpoint of "
                                      f"minitensor (format {FORMAT})")
            arrays = {name: file.get_tensor(name) for name in file.keys()}
            if any(array.dtype.kind == "V" for array in arrays.values()):
                raise TypeError("data type 'bfloat16' not understood")
            return arrays, json.loads(metadata["info"])
    except (OSError, safetensors.SafetensorError, json.JSONDecodeError, KeyError, RecursionError,
            TypeError) as error:        # bfloat16, which NumPy has from ml_dtypes at most
        raise CheckpointError(f"cannot read checkpoint {path}: {_reason(error)}") from error


def is_checkpoint(path: str | os.PathLike) -> bool:
    """Whether path is a safetensors file of FORMAT; False for a file that cannot be read."""
    try:
        with open(path, "rb") as file:
            size = min(int.from_bytes(file.read(8), "little"), os.path.getsize(path))
            begins = file.read(1) == b"{"           # else it has no header, and may be large
            return begins and f'"format":"{FORMAT}"'.encode() in file.read(size).replace(b" ", b"")
    except OSError:
        return False


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise ImportError("checkpoints need safetensors; "
                          "install it with: pip install safetensors") from None
    return safetensors


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).rstrip(".")
