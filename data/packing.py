"""Packing: pictures of any size become shards of equal square ones (see packed.py), in many processes.

A packing that is killed goes on when it is started again, and ends with the bytes of one that was not. Shard k is
made from pictures k * shard_pictures ... of the dataset and nothing else; beside a finished shard lie its notes (NOTES). Every file
appears under its name only when it is whole, the manifest last; then the notes go.
"""
import contextlib
import hashlib
import io
import json
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import PIL
from PIL import Image

from .checks import whole
from .pools import Processes
from .images import UnreadableImage
from .packed import FORMAT, MANIFEST, PLAN, VERSION, read_manifest, sha256
from .transforms import CenterCrop, Resize

SHARD_BYTES = 1 << 30       # of a shard, about, unless its number of pictures is given
CHUNK_BYTES = 4 << 20       # what a worker makes at a time, about
NOTES = "{}.notes.npz"      # of shard {}: "sum" of its pictures, "kept" and "unreadable" places in the dataset, "reasons", "sha256"


def pack(dataset, folder, side=256, *, workers=0, shard_pictures=None, root="", report=lambda pictures: None):
    """Write dataset's pictures into `folder`, one split of a packed folder -> its manifest.

    The shorter side is scaled to `side` pixels, and the middle side x side are kept. `root` is left out of the pictures' names.
    `report(n)` is told of n more pictures that are done. Raises ValueError if the folder holds another packing or no picture is readable.
    """
    side = whole("pack: size", side, 1)
    shard_pictures = whole("pack: shard_pictures", shard_pictures or max(1, SHARD_BYTES // (3 * side * side)), 1)
    os.makedirs(folder, exist_ok=True)
    with _alone_in(folder):
        names = [_without(root, dataset.name(index)) for index in range(len(dataset))]
        plan = _plan(dataset, names, side, shard_pictures)
        if _finished(folder, plan):
            report(len(dataset))
        else:
            _write_json(folder, PLAN, plan)
            _pack_shards(_PictureMaker(dataset, side, shard_pictures), workers, folder, root, report)
            _finish(folder, plan, dataset, names)
        _remove_notes(folder)
    return read_manifest(folder)


@contextlib.contextmanager
def _alone_in(folder):
    """Keep other processes from packing into folder, for as long as this one lives."""
    try:
        import fcntl                                                    # here, because Windows has none
    except ImportError:
        raise ValueError("pack: needs Linux or macOS, to keep two processes from writing into one folder") from None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ValueError(f"pack: another process is packing into {folder}") from None
    finally:
        os.close(handle)


def _plan(dataset, names, side, shard_pictures):
    """Everything that the shards' bytes depend on but the files' contents."""
    listed = json.dumps([names, dataset.labels.tolist()]).encode()
    preprocessing = {"shorter_side": side, "center_crop": side, "filter": "bilinear", "channels": "RGB", "pillow": PIL.__version__}
    return {"format": FORMAT, "version": VERSION, "side": side, "preprocessing": preprocessing, "shard_pictures": shard_pictures,
            "source_pictures": len(names), "source_sha256": hashlib.sha256(listed).hexdigest(), "classes": list(dataset.classes)}


def _finished(folder, plan):
    """Whether folder already holds what is planned. Raises ValueError if it holds, or was to hold, anything else."""
    for file in (MANIFEST, PLAN):
        path = os.path.join(folder, file)
        if os.path.exists(path):
            there = _read_json(path)
            other = [key for key in plan if there.get(key) != plan[key]]
            if other:
                raise ValueError(f"pack: {folder} holds {'an unfinished' if file == PLAN else 'another'} packing, of another "
                                 f"{other[0].replace('_', ' ')}; delete it, or choose another folder")
            return file == MANIFEST
    strangers = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    if strangers:
        raise ValueError(f"pack: {folder} is not empty, it holds {strangers[0]}; choose another folder")
    return False


def _read_json(path):
    """The object in a file. Raises ValueError, with the path, for anything else."""
    try:
        with open(path) as file:
            return dict(json.load(file))
    except (ValueError, TypeError) as error:
        raise ValueError(f"pack: {path} is damaged ({error}); delete its folder, or choose another") from error


# ---- shards -----------------------------------------------------------------------------------------------------------------------

class _PictureMaker:
    """Makes chunk `number` of shard `shard`, for Processes."""

    def __init__(self, dataset, side, shard_pictures):
        self.dataset, self.side, self.shard_pictures = dataset, side, shard_pictures
        self.chunk = min(256, max(1, CHUNK_BYTES // (3 * side * side)))
        self.resize, self.crop = Resize(side), CenterCrop(side)

    def shard(self, shard):
        """The places in the dataset that it is made from."""
        return range(len(self.dataset))[shard * self.shard_pictures:(shard + 1) * self.shard_pictures]

    def make(self, shard, number, allocate=np.empty, announce=lambda index: None):
        """-> uint8 (n, side, side, 3), places of those n in the dataset, [(place, reason)] of the unreadable"""
        places = self.shard(shard)[number * self.chunk:(number + 1) * self.chunk]
        pictures, kept, unreadable = allocate((len(places), self.side, self.side, 3), np.uint8), [], []
        for place in places:
            announce(place)
            try:
                pictures[len(kept)] = self.crop(np.asarray(self.resize.scale(self._image(place))), None)
                kept.append(place)
            except UnreadableImage as error:
                unreadable.append((place, error.reason))
        return pictures[:len(kept)], kept, unreadable

    def _image(self, place):
        """As a Pillow picture, without a detour through an array where there need be none."""
        return self.dataset.image(place) if hasattr(self.dataset, "image") else Image.fromarray(self.dataset[place][0])


def _pack_shards(maker, workers, folder, root, report):
    crew = Processes(maker, workers)
    with contextlib.closing(crew):
        for shard in range(-(-len(maker.dataset) // maker.shard_pictures)):
            places = maker.shard(shard)
            if os.path.exists(_notes_path(folder, shard)):
                report(len(places))
                continue
            chunks = crew.batches(shard, range(-(-len(places) // maker.chunk)))
            with contextlib.closing(chunks):
                _write_shard(folder, shard, chunks, len(places), maker.side, report)


def _write_shard(folder, shard, chunks, most, side, report):
    path = os.path.join(folder, _shard_file(shard))
    header, total, kept, unreadable = _header((most, side, side, 3)), np.zeros((side, side, 3), np.uint64), [], []
    digest = hashlib.sha256(header)

    def add(pictures):
        file.write(pictures.data)
        digest.update(pictures.data)
        np.add(total, pictures.sum(axis=0, dtype=np.uint32), out=total)

    with _whole(path) as file, ThreadPoolExecutor(1) as beside:         # a chunk is written while the next is made
        written = beside.submit(file.write, header)
        for pictures, places, failed in chunks:
            written.result()
            written = beside.submit(add, pictures)
            kept += places
            unreadable += failed
            report(len(places) + len(failed))
        written.result()
        if len(kept) < most:
            file.seek(0)
            file.write(_header((len(kept), side, side, 3), len(header)))
    checksum = digest.hexdigest() if len(kept) == most else sha256(path)        # a large shard is read again only where it must be
    with _whole(_notes_path(folder, shard)) as file:
        np.savez(file, sum=total, kept=np.array(kept, np.int64), sha256=checksum,
                 unreadable=np.array([place for place, _ in unreadable], np.int64), reasons=np.array([why for _, why in unreadable], str))


def _header(shape, length=None):
    """The first bytes of a .npy file of uint8, with room for its count to change: length, where given, is how many there must be."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    if length not in (None, file.tell()):
        raise RuntimeError(f"pack: a header of {length} bytes grew to {file.tell()}")
    return file.getvalue()


def _shard_file(shard):
    return f"shard-{shard:05}.npy"


def _notes_path(folder, shard):
    return os.path.join(folder, NOTES.format(_shard_file(shard)))


# ---- the rest of a folder -----------------------------------------------------------------------------------------------------------

def _finish(folder, plan, dataset, names):
    """From the shards' notes: labels, mean image, names, and the manifest, which makes the folder complete."""
    notes = _read_notes(folder)
    kept = np.concatenate([note["kept"] for _, note in notes])
    if not len(kept):
        raise ValueError(f"pack: none of the {len(names)} pictures can be read; the first: {names[0]}: {notes[0][1]['reasons'][0]}")
    labels = dataset.labels[kept].astype(np.int64)
    unreadable = [f"{names[place]}: {why}\n" for _, note in notes for place, why in zip(note["unreadable"], note["reasons"])]
    mean = sum(note["sum"] for _, note in notes) / np.float64(len(kept))
    _write(folder, "labels.npy", lambda file: np.save(file, labels))
    _write(folder, "mean.npy", lambda file: np.save(file, mean))
    _write_json(folder, "names.json", [names[place] for place in kept])
    files = ["labels.npy", "mean.npy", "names.json"]
    if unreadable:
        _write(folder, "unreadable.txt", lambda file: file.write("".join(unreadable).encode(errors="backslashreplace")))
        files.append("unreadable.txt")
    shards = [{"file": file, "pictures": len(note["kept"]), "sha256": str(note["sha256"])} for file, note in notes if len(note["kept"])]
    _write_json(folder, MANIFEST, {
        **plan, "pictures": len(kept), "pictures_per_class": np.bincount(labels, minlength=len(dataset.classes)).tolist(),
        "unreadable": len(unreadable), "mean_colour": mean.mean(axis=(0, 1)).tolist(), "shards": shards,
        "sha256": {file: sha256(os.path.join(folder, file)) for file in files}})


def _read_notes(folder):
    """[(shard's file, its notes)]"""
    notes = []
    while os.path.exists(path := _notes_path(folder, len(notes))):
        with np.load(path) as arrays:
            notes.append((_shard_file(len(notes)), dict(arrays)))
    return notes


def _remove_notes(folder):
    """And the shards that hold nothing. The plan goes last, and notes of late shards before those of early ones."""
    for file, note in _read_notes(folder):
        if not len(note["kept"]) and os.path.exists(os.path.join(folder, file)):
            os.unlink(os.path.join(folder, file))
    for name in sorted(os.listdir(folder), reverse=True):
        if name == PLAN or name.endswith(NOTES.format("")):
            os.unlink(os.path.join(folder, name))


# ---- files --------------------------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def _whole(path):
    """A file to write, which appears under its name when the with-block ends well. What a kill leaves of it, the next one overwrites."""
    folder, name = os.path.split(path)
    partial = os.path.join(folder, f".{name}.partial")
    try:
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        if isinstance(error, OSError) and not error.filename:      # a full disk does not say which file it refuses
            raise OSError(error.errno, error.strerror, path) from error
        raise


def _write(folder, name, write):
    with _whole(os.path.join(folder, name)) as file:
        write(file)


def _write_json(folder, name, value):
    _write(folder, name, lambda file: file.write((json.dumps(value, indent=1) + "\n").encode()))


def _without(root, name):
    return os.path.relpath(name, root) if root and name.startswith(os.path.join(root, "")) else name
