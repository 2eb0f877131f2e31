"""State dicts that `torch.save` wrote: a zip of a pickle and its storages.

Or, before PyTorch 1.6, pickles and storages in a row.
"""
from __future__ import annotations

import io
import mmap
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from data import pickles

from .strided import strided

MAX_PICKLE = 2**24              # bytes of the pickle, and of the zip's directory
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_START = b"\x80\x02\x8a\x0a" + LEGACY_MAGIC.to_bytes(10, "little")
DTYPES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2",
          "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1",
          "ByteStorage": "u1", "BoolStorage": "?"}


@dataclass(frozen=True)
class Storage:
    key: str
    dtype: np.dtype
    count: int


@dataclass(frozen=True)
class StoredTensor:
    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_zip(path: str) -> dict[str, np.ndarray]:
    """The tensors by name.

    Raises ValueError for a file that is not what `torch.save(model.state_dict(), path)` writes.
    """
    try:
        with open(path, "rb") as file:
            _check_directory(file)
            with zipfile.ZipFile(file) as archive:
                return _from_archive(archive, file.seek(0, 2))
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError,
            struct.error, EOFError, KeyError) as error:
        raise ValueError(f"it is not a whole zip file: {error}") from error


def _check_directory(file: Any) -> None:
    """The zip's directory, which zipfile reads at once and makes larger, must be small.

    Its size stands at the end of the file.
    """
    file.seek(max(0, file.seek(0, 2) - 98))
    end = file.read()
    record, wide = end[-22:], end[-98:-42]
    if record[:4] != b"PK\5\6":
        raise ValueError("it is not a whole zip file: its end is missing")
    size = struct.unpack("<L", record[12:16])[0]
    if end[-42:-38] == b"PK\6\7" and len(wide) == 56:
        size = struct.unpack("<Q", wide[40:48])[0]
    if size > MAX_PICKLE:
        raise ValueError("its zip directory is larger than those of weights are")


def _from_archive(archive: zipfile.ZipFile, file_size: int) -> dict[str, np.ndarray]:
    entries = {info.filename.partition("/")[2]: info for info in archive.infolist()}

    def read(name: str, limit: int) -> bytes:
        if name not in entries:
            raise ValueError(f"its zip holds no {name}")
        info = entries[name]
        stored = info.compress_type == zipfile.ZIP_STORED
        if not stored or info.file_size != info.compress_size or info.file_size > limit:
            raise ValueError(f"its zip's {name} is compressed, or of an impossible size")
        return archive.read(info)
    if "byteorder" in entries and read("byteorder", 16) != b"little":
        raise ValueError("its numbers are big-endian")
    pickle = io.BytesIO(read("data.pkl", min(MAX_PICKLE, file_size)))
    tensors = _tensors(_unpickled(pickle, _storage))
    storages = {tensor.storage for tensor in tensors.values()}
    if sum(storage.count * storage.dtype.itemsize for storage in storages) > file_size:
        raise ValueError("its tensors are larger than the file")
    return _arrays(tensors, {storage.key: read(f"data/{storage.key}", file_size)
                             for storage in storages})


def read_legacy(path: str) -> dict[str, np.ndarray]:
    """The tensors by name: five pickles, then the storages.

    The pickles are magic number, version, machine, state dict, the storages' keys.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
        seen: dict[str, Storage] = {}

        def storage(persistent_id: Any) -> Storage:
            found = _storage(persistent_id)
            return seen.setdefault(found.key, found)
        magic, _, machine, state, keys = (_unpickled(stream, storage) for _ in range(5))
        little = isinstance(machine, dict) and machine.get("little_endian")
        if magic != LEGACY_MAGIC or not little:
            raise ValueError("its numbers are big-endian, or it is not PyTorch's")
        is_text = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
        if not is_text or set(keys) != seen.keys():
            raise ValueError("its list of storages does not fit its tensors")
        return _arrays(_tensors(state), {key: _next_storage(stream, seen[key]) for key in keys})


def _next_storage(stream: mmap.mmap, storage: Storage) -> bytes:
    """A number of elements in eight bytes, and the elements."""
    head, size = stream.read(8), storage.count * storage.dtype.itemsize
    if head != struct.pack("<q", storage.count) or size > stream.size() - stream.tell():
        raise ValueError("it is cut off, or a storage is not of the size that its tensors have")
    return stream.read(size)


# ---- what the pickle may ask for ---------------------------------------------------------------

def _storage(persistent_id: Any) -> Storage:
    """("storage", kind, key, device, count).

    In older files with a view of another storage, or None, behind.
    """
    tag, kind, key, _, count, *view = persistent_id
    named = tag == "storage" and isinstance(kind, pickles.Name) and isinstance(key, str)
    if not named or type(count) is not int or count < 0 or view not in ([], [None]):
        raise ValueError("one of its storages is not as PyTorch writes them")
    dtype = DTYPES.get(kind.name.removeprefix("torch "))
    if dtype is None:
        raise ValueError(f"its numbers are of the kind {kind.name.replace(' ', '.')}, not float32, "
                         "float64 or float16")
    return Storage(key, np.dtype(dtype), count)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> StoredTensor:
    """torch._utils._rebuild_tensor_v2; rest: requires_grad, hooks, metadata."""
    if not (isinstance(storage, Storage) and isinstance(shape, tuple)
            and isinstance(strides, tuple)):
        raise ValueError("one of its tensors is not as PyTorch writes them")
    return StoredTensor(storage, offset, shape, strides)


def _parameter(tensor: Any, *rest: Any) -> Any:
    """torch._utils._rebuild_parameter; rest: requires_grad, hooks."""
    return tensor


NAMES: Mapping[str, Callable | None] = {
    "collections OrderedDict": lambda *_: {},
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_parameter": _parameter,
    **{f"torch {storage}": None for storage in (*DTYPES, "BFloat16Storage")},
}


def _unpickled(stream: Any, storage: Callable[[Any], Storage]) -> Any:
    try:
        return pickles.load(stream, NAMES, storage)
    except pickles.Forbidden as error:
        raise ValueError(f"{error}; if you wrote it, save the model's state_dict(), not the model"
                         ) from error


def _tensors(state: Any) -> dict[str, StoredTensor]:
    """Those of a state dict, which a training script may have put under "state_dict"."""
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict):
        raise ValueError("it holds no state dict; save the model's state_dict(), not the model")
    return {str(name): value for name, value in state.items() if isinstance(value, StoredTensor)}


def _arrays(tensors: dict[str, StoredTensor],
            storages: Mapping[str, bytes]) -> dict[str, np.ndarray]:
    return {name: strided(storages[t.storage.key], t.storage.dtype, t.offset, t.shape, t.strides)
            for name, t in tensors.items()}
