"""What `torch.save` wrote: a zip of a pickle and its storages.

Or, before PyTorch 1.6, pickles and storages in a row. What is no tensor is not looked at.
"""
from __future__ import annotations

import io
import mmap
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from data import pickles
from data.pickles import Placeholder

from . import npy, objects
from .state_dicts import Choose
from .strided import BFLOAT16, Arrays, strided
from .zips import Entries

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_START = re.compile(              # the number, as the protocols of pickles write it
    rb"\x80([\2\3]|[\4\5]\x95.{8})\x8a\x0a" + re.escape(LEGACY_MAGIC.to_bytes(10, "little"))
    + rb"|L%dL\n" % LEGACY_MAGIC, re.DOTALL)
DTYPES: dict[str, np.dtype] = {
    "FloatStorage": np.dtype("<f4"), "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"), "BFloat16Storage": BFLOAT16,
    "LongStorage": np.dtype("<i8"), "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"), "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"), "BoolStorage": np.dtype("?"), "UntypedStorage": np.dtype("u1"),
    "ComplexFloatStorage": np.dtype("<c8"), "ComplexDoubleStorage": np.dtype("<c16")}


@dataclass(frozen=True)
class Storage:
    """stored_as: None for a kind of numbers that weights are not in."""

    key: str
    kind: str
    stored_as: np.dtype | None
    count: int

    @property
    def dtype(self) -> np.dtype:
        """Raises ValueError for a kind of numbers that weights are not in."""
        if self.stored_as is None:
            raise ValueError(f"its numbers are of the kind {self.kind}, not float32, float64, "
                             "float16 or bfloat16")
        return self.stored_as

    @property
    def size(self) -> int:
        """In bytes."""
        return self.count * self.dtype.itemsize


@dataclass(frozen=True)
class StoredTensor:
    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_zip(entries: Entries, choose: Choose) -> Arrays:
    """The chosen tensors. Raises ValueError for a file that is not what `torch.save` writes."""
    if "byteorder" in entries and entries.read("byteorder") != b"little":
        raise ValueError("its numbers are big-endian")
    tensors = objects.tensors_in(_unpickled(io.BytesIO(entries.read("data.pkl")), _storage))
    chosen = {short: tensors[name] for short, name in choose(objects.shapes(tensors)).items()}
    storages = {t.storage for t in chosen.values() if isinstance(t, StoredTensor)}
    if sum(storage.size for storage in storages) > entries.size:
        raise ValueError("its tensors are larger than the file")
    return _arrays(chosen, {storage.key: entries.read(f"data/{storage.key}")
                            for storage in storages})


def read_legacy(path: str, choose: Choose) -> Arrays:
    """The chosen tensors: five pickles, then the storages.

    The pickles are magic number, version, machine, what was saved, the storages' keys.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
        seen: dict[str, Storage] = {}

        def persistent(persistent_id: Any) -> Any:
            found = _storage(persistent_id)
            return seen.setdefault(found.key, found) if isinstance(found, Storage) else found
        magic, _, machine, saved, keys = (_unpickled(stream, persistent) for _ in range(5))
        little = isinstance(machine, dict) and machine.get("little_endian")
        if magic != LEGACY_MAGIC or not little:
            raise ValueError("its numbers are big-endian, or it is not PyTorch's")
        is_text = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
        if not is_text or set(keys) != seen.keys():
            raise ValueError("its list of storages does not fit its tensors")
        tensors = objects.tensors_in(saved)
        chosen = {short: tensors[name] for short, name in choose(objects.shapes(tensors)).items()}
        needed = {t.storage.key for t in chosen.values() if isinstance(t, StoredTensor)}
        storages = {key: _next_storage(stream, seen[key], key in needed) for key in keys}
        return _arrays(chosen, storages)


def _next_storage(stream: mmap.mmap, storage: Storage, needed: bool) -> bytes:
    """A number of elements in eight bytes, and the elements; passed over where not needed."""
    head = stream.read(8)
    if head != struct.pack("<q", storage.count) or storage.size > stream.size() - stream.tell():
        raise ValueError("it is cut off, or a storage is not of the size that its tensors have")
    if needed:
        return stream.read(storage.size)
    stream.seek(storage.size, 1)
    return b""


def read_pickle(path: str, choose: Choose) -> Arrays:
    """The chosen arrays of a pickle that `pickle.dump` wrote, of NumPy's arrays."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
        arrays = objects.tensors_in(_unpickled(stream, None))
        if not arrays:
            raise ValueError("it is a pickle without arrays of NumPy; PyTorch's tensors are "
                             "written with torch.save(model.state_dict(), path)")
        names = choose(objects.shapes(arrays))
        return _arrays({short: arrays[name] for short, name in names.items()}, {})


# ---- what the pickle may ask for ---------------------------------------------------------------

def _storage(persistent_id: Any) -> Any:
    """("storage", kind, key, device, count).

    In older files with a view of another storage, or None, behind; and ("module", its class,
    where its source is), for which the class stands.
    """
    if not isinstance(persistent_id, tuple) or len(persistent_id) < 2:
        raise ValueError(NOT_PYTORCHS)
    tag, kind, *rest = persistent_id
    if tag == "module":
        return kind
    if tag != "storage" or not isinstance(kind, pickles.Name) or len(rest) not in (3, 4):
        raise ValueError(NOT_PYTORCHS)
    key, _, count, *view = rest
    counts = type(count) is int and 0 <= count < 2**62
    if not isinstance(key, str) or not counts or view not in ([], [None]):
        raise ValueError(NOT_PYTORCHS)
    return Storage(key, _dotted(kind), DTYPES.get(kind.name.split(" ")[-1]), count)


def _dotted(name: pickles.Name) -> str:
    return name.name.replace(" ", ".")[:60]


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> Any:
    """torch._utils._rebuild_tensor_v2; rest: requires_grad, hooks, metadata."""
    if not isinstance(storage, Storage):        # one inside another pickle
        return Placeholder("a tensor")
    if not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise ValueError(NOT_PYTORCHS.replace("storages", "tensors"))
    return StoredTensor(storage, offset, shape, strides)


def _tensor_v3(storage: Any, offset: Any, shape: Any, strides: Any, requires_grad: Any, hooks: Any,
               dtype: Any, *rest: Any) -> Any:
    """torch._utils._rebuild_tensor_v3, of dtypes that have no storage of their own: float8."""
    return _unread(_dotted(dtype), shape)


def _unread(kind: str, shape: Any) -> StoredTensor:
    """One that stands among the weights, and cannot be one of them."""
    return StoredTensor(Storage("", kind, None, 0), 0, shape, ())


def _parameter(tensor: Any, *rest: Any) -> Any:
    """torch._utils._rebuild_parameter; rest: requires_grad, hooks, attributes."""
    return tensor


def _from_type(rebuild: Any, kind: Any, arguments: Any, attributes: Any) -> Any:
    """torch._tensor._rebuild_from_type_v2: a tensor that was given attributes."""
    known = isinstance(rebuild, pickles.Name) and rebuild.function
    return rebuild.function(*arguments) if known else Placeholder("a tensor")


NOT_PYTORCHS = "one of its storages is not as PyTorch writes them"
NAMES: Mapping[str, Callable | None] = {
    **pickles.ARRAYS,
    "collections OrderedDict": lambda *_: {},
    "collections defaultdict": lambda *_: {},
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_tensor_v2": _tensor,
    "torch._utils _rebuild_tensor_v3": _tensor_v3,
    "torch._utils _rebuild_qtensor": _tensor,
    "torch._utils _rebuild_sparse_tensor": lambda layout, parts: _unread("sparse", parts[2]),
    "torch._utils _rebuild_meta_tensor_no_storage": lambda dtype, shape, *_: _unread("meta", shape),
    "torch Size": lambda sizes: sizes,
    "torch._utils _rebuild_parameter": _parameter,
    "torch._utils _rebuild_parameter_with_state": _parameter,
    "torch._tensor _rebuild_from_type_v2": _from_type,
}


def _unpickled(stream: Any, persistent: Callable[[Any], Any] | None) -> Any:
    return pickles.load(stream, NAMES, persistent, inert=True)


def _arrays(tensors: Mapping[str, Any], storages: Mapping[str, bytes]) -> Arrays:
    return {name: _array(tensor, storages) for name, tensor in tensors.items()}


def _array(tensor: Any, storages: Mapping[str, bytes]) -> np.ndarray:
    if not isinstance(tensor, StoredTensor):
        return npy.array_of(tensor)
    dtype = tensor.storage.dtype
    return strided(storages[tensor.storage.key], dtype, tensor.offset, tensor.shape,
                   tensor.strides)
