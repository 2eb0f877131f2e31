"""A run's folder: its settings, its log, its checkpoints and its plots."""
from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import UserError, writing
from ..files import write_file, write_text


class RunFolder:
    """path/config.json, log.jsonl (one line per step and per epoch), latest.safetensors,
    best.safetensors, curves.png, filters.png; samples/ of built-in images, features/ while
    feature_cache.py needs it.

    What is kept of the log in memory:
    epochs      its lines about epochs, as dicts
    tested      its latest line about the test images, if there is one
    warned      whether it holds a warning
    diverged    whether it ends because the loss was no finite number any more
    """

    def __init__(self, path: Path):
        self.path = path
        self.latest, self.best = path / "latest.safetensors", path / "best.safetensors"
        self.curves, self.filters = path / "curves.png", path / "filters.png"
        self.log = path / "log.jsonl"
        self.features, self.samples = path / "features", path / "samples"
        self.epochs: list[dict[str, Any]] = []
        self.tested: dict[str, Any] | None = None
        self.warned = self.diverged = False

    @classmethod
    def create(cls, path: str | None, config: dict[str, Any]) -> RunFolder:
        """A new folder with config.json, which also proves that it can be written to.

        One whose run diverged before its first checkpoint counts as new. Raises UserError.
        """
        folder = cls(Path(path) if path else _dated())
        with writing(folder.path):
            folder.path.mkdir(parents=True, exist_ok=True)
        with folder.alone():
            folder.check_new()
            with writing(folder.path):
                folder.log.unlink(missing_ok=True)
                shutil.rmtree(folder.features, ignore_errors=True)
            write_text(folder.path / "config.json", json.dumps(config, indent=2) + "\n")
        return folder

    def check_new(self) -> None:
        """Raises UserError for the folder of a run that may be resumed, or is of use."""
        saved = [path for path in (self.latest, self.best) if path.exists()]
        if saved or self.log.exists() and not RunFolder(self.path).read().diverged:
            go_on = ("resume it" if self.latest in saved
                     else f"move its {self.best.name} away" if saved
                     else "it left no checkpoint, so delete it")
            raise UserError(f"{self.path} already holds a run; {go_on}, or choose another folder")

    def alone(self) -> AbstractContextManager[None]:
        """A with-block in which no other process trains here. Raises UserError where one does."""
        from data.files import alone_with       # here: --help needs no Pillow
        return alone_with(self.path, UserError(f"another process is training in {self.path}; wait "
                                               "for its end, or stop it"))

    @classmethod
    def reopen(cls, path: str) -> RunFolder:
        folder = cls(Path(path))
        if not folder.latest.is_file():
            raise UserError(f"{path} is not a run that can be resumed, "
                            f"a folder with {folder.latest.name} in it")
        return folder

    # ---- the log -------------------------------------------------------------------------------

    def read(self) -> RunFolder:
        """With what is in the log."""
        for record in self._lines():
            self._remember(record)
        return self

    def rewind(self, step: int, epoch: int) -> None:
        """Read the log and forget what came after a checkpoint.

        That is what happened beyond step, and summaries of epochs beyond epoch.
        """
        def copy(partial: Path) -> None:
            with open(partial, "w") as file:
                for record in self._lines():
                    if record["step"] <= step and (record["event"] != "epoch"
                                                   or record["epoch"] <= epoch):
                        self._remember(record)
                        file.write(json.dumps(record) + "\n")
        write_file(self.log, copy)

    def record(self, event: str, **values: Any) -> None:
        """Add a line to the log, and have it on disk at once."""
        record = {"event": event, **values}
        self._remember(record)
        with writing(self.log), open(self.log, "a") as file:
            file.write(json.dumps(record) + "\n")

    def _remember(self, record: dict[str, Any]) -> None:
        if record["event"] == "epoch":      # older logs say "test_loss" of what validates
            self.epochs.append({name.replace("test_", "validation_"): value
                                for name, value in record.items()})
        elif record["event"] == "test":
            self.tested = record
        elif record["event"] == "warning":
            self.warned = True
        self.diverged = record["event"] == "diverged"

    def _lines(self) -> Iterator[dict[str, Any]]:
        """The log's lines, but for the half one that a killed process leaves, and strangers."""
        if not self.log.exists():
            return
        with open(self.log, encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    record = json.loads(line)
                except (json.JSONDecodeError, RecursionError):
                    continue
                if isinstance(record, dict) and {"event", "epoch", "step"} <= record.keys():
                    yield record

    def reached(self, target_error: float | None) -> bool:
        """Whether the latest epoch's training error is target_error or less; never for None."""
        error = 1 - self.epochs[-1]["train_top1"] if self.epochs else math.inf
        return target_error is not None and error <= target_error

    def error_curve(self, accuracy: str) -> list[float]:
        """The error in % that goes with an accuracy of the log, epoch by epoch.

        accuracy: "train_top1" (while learning) or "validation_top1".
        """
        return [100 * (1 - epoch[accuracy]) for epoch in self.epochs]


def _dated() -> Path:
    """A new folder runs/DATE-TIME.

    Or runs/DATE-TIME-2 and so on where another run began in the same second.
    """
    name, number = datetime.now().strftime("%Y-%m-%d-%H%M%S"), 1
    folder = Path("runs", name)
    with writing(folder):
        folder.parent.mkdir(exist_ok=True)
        while True:
            try:
                folder.mkdir()
                return folder
            except FileExistsError:
                number += 1
                folder = folder.with_name(f"{name}-{number}")
