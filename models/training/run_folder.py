"""A run's folder: its settings, its log, its checkpoints and its plots."""
from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from minitensor.files import written_whole

from ..errors import UserError, writing


class RunFolder:
    """path/config.json, log.jsonl (one line per step and per epoch), latest.safetensors, best.safetensors, curves.png, filters.png;
    samples/ of built-in pictures, features/ while cache.py needs it.

    records     the log's lines, as dicts
    """

    def __init__(self, path: Path):
        self.path = path
        self.latest, self.best = path / "latest.safetensors", path / "best.safetensors"
        self.curves, self.filters = path / "curves.png", path / "filters.png"
        self.log = path / "log.jsonl"
        self.features, self.samples = path / "features", path / "samples"
        self.records: list[dict[str, Any]] = []

    @classmethod
    def create(cls, path: str | None, config: dict[str, Any]) -> RunFolder:
        """A new folder with config.json, which also proves that it can be written to. Raises UserError."""
        folder = cls(Path(path) if path else _dated())
        if folder.log.exists() or folder.latest.exists():
            go_on = f"go on with it by --resume {folder.path}" if folder.latest.exists() else "it left no checkpoint, so delete it"
            raise UserError(f"{folder.path} already holds a run; {go_on}, or choose another --out")
        with writing(folder.path):
            folder.path.mkdir(parents=True, exist_ok=True)
        write_text(folder.path / "config.json", json.dumps(config, indent=2) + "\n")
        return folder

    @classmethod
    def reopen(cls, path: str) -> RunFolder:
        folder = cls(Path(path))
        if not folder.latest.is_file():
            raise UserError(f"{path} is not a run that can be resumed, a folder with {folder.latest.name} in it")
        return folder

    def read(self) -> RunFolder:
        """With the records that are in the log."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.records = [record for record in map(_parsed, lines) if record]
        return self

    def rewind(self, step: int, epoch: int) -> None:
        """Read the log and forget what came after the checkpoint: steps beyond step, summaries of epochs beyond epoch."""
        records = self.read().records
        self.records = [r for r in records if r["step"] <= step and (r["event"] != "epoch" or r["epoch"] <= epoch)]
        write_text(self.log, "".join(json.dumps(r) + "\n" for r in self.records))

    def record(self, event: str, **values: Any) -> None:
        """Add a line to the log, and have it on disk at once."""
        self.records.append({"event": event, **values})
        with writing(self.log), open(self.log, "a") as file:
            file.write(json.dumps(self.records[-1]) + "\n")

    def epochs(self) -> list[dict[str, Any]]:
        return [r for r in self.records if r["event"] == "epoch"]

    def reached(self, target_error: float | None) -> bool:
        """Whether the latest epoch's training error is target_error or less; never, if that is None."""
        epochs = self.epochs()
        return target_error is not None and bool(epochs) and 1 - epochs[-1]["train_top1"] <= target_error


def _dated() -> Path:
    """A new folder runs/DATE-TIME, or runs/DATE-TIME-2 and so on where another run began in the same second."""
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


def checkpoint_path(path: str) -> str:
    """path itself, or the best checkpoint (else the latest) of the run folder that path is."""
    if not os.path.isdir(path):
        return path
    folder = RunFolder(Path(path))
    return str(folder.best if folder.best.exists() else folder.latest)


def write_file(path: Path, write: Callable[[Path], Any]) -> None:
    """write(temporary path), which then becomes path. Raises UserError when the disk refuses."""
    with writing(path), written_whole(path) as partial:
        write(partial)


def write_text(path: Path, text: str) -> None:
    """In UTF-8; names of files that are no text keep their bytes."""
    write_file(path, lambda partial: partial.write_text(text, encoding="utf-8", errors="surrogateescape"))


def _parsed(line: str) -> dict[str, Any] | None:
    """None for the half line that a killed process leaves."""
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None
