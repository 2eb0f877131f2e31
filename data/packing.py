"""Packing: images of any size become shards of equal squares (see packed.py), in many processes.

A packing that is killed goes on when it is started again, and ends with the bytes of one that was
not. Every file appears under its name only when it is whole, the manifest last; then the shards'
notes go, and the plan.
"""
from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
import PIL

from .checks import whole
from .files import alone_with, sha256, written_whole
from .packed import FORMAT, MANIFEST, PLAN, VERSION, Manifest, read_manifest
from .protocols import Dataset
from .shards import ImageMaker, Report, pack_shards, read_notes, remove_notes

SHARD_BYTES = 1 << 30       # of a shard, about, unless its number of images is given

Plan = dict[str, Any]       # the part of a manifest that is known before


def pack(dataset: Dataset, folder: str | os.PathLike[str], side: int = 256, *, workers: int = 0,
         shard_images: int | None = None, root: str = "",
         report: Report = lambda images: None) -> Manifest:
    """Write dataset's images into `folder`, one split of a packed folder -> its manifest.

    side            of the packed images: what an image's shorter side is scaled to; of the longer
                    one the middle is kept
    workers         processes; 0 works in this one
    shard_images    images a file, about a gibibyte of them by default
    root            left out of the images' names
    report          report(n) is told of n more images that are done

    Raises ValueError if the folder holds another packing or no image is readable.
    """
    folder = os.fspath(folder)
    side = whole("pack: size", side, 1)
    shard_images = whole("pack: shard_images",
                         shard_images or max(1, SHARD_BYTES // (3 * side * side)), 1)
    if sys.platform == "win32":
        raise ValueError("pack: needs Linux or macOS, to keep two processes from writing into one "
                         "folder")
    os.makedirs(folder, exist_ok=True)
    with alone_with(folder, ValueError(f"pack: another process is packing into {folder}")):
        names = [_without(root, dataset.name(index)) for index in range(len(dataset))]
        plan = _plan(dataset, names, side, shard_images)
        if _finished(folder, plan):
            report(len(dataset))
        else:
            _write_json(folder, PLAN, plan)
            pack_shards(ImageMaker(dataset, side, shard_images), workers, folder, report)
            _finish(folder, plan, dataset, names)
        remove_notes(folder)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, PLAN))
    return read_manifest(folder)


def _without(root: str, name: str) -> str:
    inside = root and name.startswith(os.path.join(root, ""))
    return os.path.relpath(name, root) if inside else name


def _plan(dataset: Dataset, names: list[str], side: int, shard_images: int) -> Plan:
    """Everything that the shards' bytes depend on but the files' contents."""
    listed = json.dumps([names, dataset.labels.tolist()]).encode()
    preprocessing = {"shorter_side": side, "center_crop": side, "filter": "bilinear",
                     "channels": "RGB", "pillow": PIL.__version__}
    return {"format": FORMAT, "version": VERSION, "side": side, "preprocessing": preprocessing,
            "shard_pictures": shard_images, "source_pictures": len(names),
            "max_pixels": getattr(dataset, "max_pixels", None),
            "source_sha256": hashlib.sha256(listed).hexdigest(), "classes": list(dataset.classes)}


def _finished(folder: str, plan: Plan) -> bool:
    """Whether folder already holds what is planned.

    Raises ValueError if it holds, or was to hold, anything else.
    """
    for file in (MANIFEST, PLAN):
        path = os.path.join(folder, file)
        if os.path.exists(path):
            there = _read_json(path)
            other = [key for key in plan if there.get(key) != plan[key]]
            if other:
                raise ValueError(
                    f"pack: {folder} holds {'an unfinished' if file == PLAN else 'another'} "
                    f"packing, of another {other[0].replace('_', ' ')}; delete it, or choose "
                    "another folder")
            return file == MANIFEST
    strangers = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    if strangers:
        raise ValueError(f"pack: {folder} is not empty, it holds {strangers[0]}; "
                         "choose another folder")
    return False


def _finish(folder: str, plan: Plan, dataset: Dataset, names: list[str]) -> None:
    """Write, from the shards' notes, labels, mean image and names.

    The manifest comes last, and makes the folder complete.
    """
    notes = read_notes(folder)
    kept = np.concatenate([note["kept"] for _, note in notes])
    if not len(kept):
        raise ValueError(f"pack: none of the {len(names)} pictures can be read; "
                         f"the first: {names[0]}: {notes[0][1]['reasons'][0]}")
    labels = dataset.labels[kept].astype(np.int64)
    unreadable = [f"{names[place]}: {why}\n" for _, note in notes
                  for place, why in zip(note["unreadable"], note["reasons"])]
    mean = sum(note["sum"] for _, note in notes) / np.float64(len(kept))
    _write(folder, "labels.npy", lambda file: np.save(file, labels))
    _write(folder, "mean.npy", lambda file: np.save(file, mean))
    _write_json(folder, "names.json", [names[place] for place in kept])
    files = ["labels.npy", "mean.npy", "names.json"]
    if unreadable:
        lines = "".join(unreadable).encode(errors="backslashreplace")
        _write(folder, "unreadable.txt", lambda file: file.write(lines))
        files.append("unreadable.txt")
    shards = [{"file": file, "pictures": len(note["kept"]), "sha256": str(note["sha256"])}
              for file, note in notes if len(note["kept"])]
    per_class = np.bincount(labels, minlength=len(dataset.classes)).tolist()
    _write_json(folder, MANIFEST, {
        **plan, "pictures": len(kept), "pictures_per_class": per_class,
        "unreadable": len(unreadable), "mean_colour": mean.mean(axis=(0, 1)).tolist(),
        "shards": shards,
        "sha256": {file: sha256(os.path.join(folder, file)) for file in files}})


# ---- files ---------------------------------------------------------------------------------------

def _write(folder: str, name: str, write: Callable[[BinaryIO], object]) -> None:
    with written_whole(os.path.join(folder, name)) as file:
        write(file)


def _write_json(folder: str, name: str, value: Any) -> None:
    content = (json.dumps(value, indent=1) + "\n").encode()
    _write(folder, name, lambda file: file.write(content))


def _read_json(path: str) -> dict[str, Any]:
    """The object in a file. Raises ValueError, with the path, for anything else."""
    try:
        with open(path) as file:
            return dict(json.load(file))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"pack: {path} is damaged ({error}); delete its folder, "
                         "or choose another") from error
