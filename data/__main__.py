"""The command line: `python -m data pack | verify`."""
from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import Any

from minitensor.command_line import Parser

from .checks import whole
from .images import UnreadableImage
from .packed import Manifest, PackedPictures, damaged, files_of, is_packed, read_manifest
from .packing import pack
from .sources import SPLITS, find_splits
from .workers import DeadWorker

PROG = "python -m data"
LARGEST = 4096              # side of packed images, as of those that models trains on
EXAMPLES = """examples:
  python -m data pack photos/ packed/
  python -m data pack cifar10/ packed-cifar10/ --size 32
  python -m data verify packed/
  python -m models train --data packed/"""


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status.

    A mistake in argv ends in SystemExit(2), after one line on standard error.
    """
    for stream in (sys.stdout, sys.stderr):     # names of files may hold anything
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    options = _parser().parse_args(argv)
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:               # see __init__.py
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return options.run(options)
    except (ValueError, OSError, ImportError, DeadWorker, UnreadableImage) as error:
        where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        what = getattr(error, "strerror", None) or error
        print(f"{PROG} {options.command}: {where}{what}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = Parser(PROG, epilog=EXAMPLES, description="Prepare pictures for training.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    packing = commands.add_parser(
        "pack", help="make a folder of pictures into a few large files, which train faster",
        description="Make pictures into shards of equal square ones. After a kill the same "
        "command goes on.")
    packing.set_defaults(run=_pack)
    packing.add_argument(
        "folder", metavar="FOLDER",
        help="train/CLASS/PICTURE and val/, test/ or both likewise; CLASS/PICTURE; CIFAR-10's or "
        "CIFAR-100's official files, or .tar.gz; or ILSVRC-2012, where the flat val/ needs the "
        "devkit's ILSVRC2012_validation_ground_truth.txt with meta.mat beside it, or Kaggle's "
        "LOC_val_solution.csv, in FOLDER")
    packing.add_argument("out", metavar="OUT",
                         help="a new folder, or one whose packing was interrupted")
    packing.add_argument("--size", type=_side, default=256, metavar="N",
                         help="the shorter side becomes N pixels, of which the middle N x N are "
                         "kept (default %(default)s)")
    packing.add_argument("--labels", choices=("fine", "coarse"), default="fine",
                         help="of CIFAR-100: of 100 classes, or of 20 (default %(default)s)")
    packing.add_argument("--max-pixels", type=_count, metavar="N", help="leave out pictures of "
                         "more pixels (default: 179 million, Pillow's own limit)")
    packing.add_argument("--workers", type=_count, default=os.cpu_count(), metavar="N",
                         help="processes (default %(default)s)")
    packing.add_argument("--shard-pictures", type=_count, metavar="N",
                         help="pictures a file (default: a gibibyte of them)")
    verify = commands.add_parser(
        "verify", help="compare the checksums of packed pictures",
        description="Compare the SHA-256 of every file of packed pictures with the manifest.")
    verify.set_defaults(run=_verify)
    verify.add_argument("out", metavar="OUT", help="a folder of packed pictures")
    return parser


def _count(text: str) -> int:
    try:
        return whole("it", int(text), 1)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be a whole number at least 1, not {text!r}") from None


def _side(text: str) -> int:
    side = _count(text)
    if side > LARGEST:
        raise argparse.ArgumentTypeError(f"must be at most {LARGEST}, not {text!r}")
    return side


def _pack(options: argparse.Namespace) -> int:
    folder, out = os.path.realpath(options.folder), os.path.realpath(options.out)
    if os.path.commonpath([folder, out]) == folder:
        raise ValueError(f"{options.out} lies in {options.folder}, whose pictures would then "
                         "include it; choose another folder")
    found = find_splits(options.folder, options.max_pixels, options.labels)
    splits = {name: open_split() for name, open_split in found.items()}
    for name in SPLITS:                 # what an earlier version called val/ may be today's test/
        if name not in splits and is_packed(options.out, name):
            raise ValueError(f"{options.out} already holds {name}/, for which {options.folder} "
                             "has no pictures; choose another folder")
    first, *others = splits.values()
    for other in others:
        if list(other.classes) != list(first.classes):
            raise ValueError(f"{first!r} and {other!r} have different classes")
    with _progress(sum(map(len, splits.values())), " pictures") as bar:
        manifests = {
            name: pack(dataset, os.path.join(out, name), options.size, workers=options.workers,
                       root=options.folder, shard_images=options.shard_pictures, report=bar.update)
            for name, dataset in splits.items()}
    for name, manifest in manifests.items():
        split = os.path.join(options.out, name)
        print(f"{split}: {_summary(manifest)}")
        if manifest["unreadable"]:
            print(f"{manifest['unreadable']:,} could not be read and were left out: "
                  f"{os.path.join(split, 'unreadable.txt')} says why")
    return 0


def _summary(manifest: Manifest) -> str:
    side, shards = manifest["side"], len(manifest["shards"])
    return (f"{manifest['pictures']:,} pictures of {len(manifest['classes'])} classes, "
            f"{side} x {side} pixels, in {shards} shard{'s' * (shards > 1)}")


def _verify(options: argparse.Namespace) -> int:
    folders = [os.path.join(options.out, split)
               for split in SPLITS if is_packed(options.out, split)]
    if not folders:
        raise FileNotFoundError(f"{options.out} holds no packed pictures")
    return max(map(_verify_split, folders))


def _verify_split(folder: str) -> int:
    """The exit status."""
    manifest = read_manifest(folder)
    paths = [os.path.join(folder, file) for file in files_of(manifest)]
    with _progress(sum(map(os.path.getsize, filter(os.path.exists, paths))), "B") as bar:
        broken = damaged(folder, bar.update)
    for file in broken:
        print(f"{PROG} verify: {os.path.join(folder, file)} is missing, or not as it was written",
              file=sys.stderr)
    if broken:
        return 1
    PackedPictures(*os.path.split(folder))          # the files agree with one another, too
    print(f"{folder}: {_summary(manifest)}: every checksum is right")
    return 0


def _progress(total: int, unit: str) -> Any:
    """A progress bar, on a terminal only."""
    try:
        from tqdm import tqdm
    except ImportError:
        raise ImportError("this command needs tqdm; install with: pip install tqdm") from None
    return tqdm(total=total, unit=unit, unit_scale=True, dynamic_ncols=True, disable=None)


if __name__ == "__main__":
    sys.exit(main())
