"""What finished trainings left in their run folders."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from ..training.run_folder import RunFolder


def epochs(folder: Path) -> list[dict[str, Any]]:
    """The log's lines about epochs."""
    return RunFolder(folder).read().epochs()


def curve(folder: Path, accuracy: str) -> list[float]:
    """The error in % that goes with "train_top1" (while learning) or "test_top1", epoch by epoch."""
    return [100 * (1 - epoch[accuracy]) for epoch in epochs(folder)]
