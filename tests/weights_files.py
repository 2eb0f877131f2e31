"""Small files of weights, built byte by byte, as PyTorch would write them where it is installed."""
import io
import json
import pickle
import zipfile

import numpy as np
from safetensors.numpy import save

KINDS = {"f4": "FloatStorage", "f8": "DoubleStorage", "f2": "HalfStorage", "i8": "LongStorage",
         "u2": "BFloat16Storage"}          # NumPy has no bfloat16: the upper halves of float32
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


def dumped(value):
    """What pushes value, in a pickle."""
    return pickle.dumps(value, 2)[2:-1]


def as_zip(data, extra=(), compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in (("archive/data.pkl", data), *extra):
            archive.writestr(name, content)
    return stream.getvalue()


def tensor(key, kind, count, offset, shape, strides):
    """The call of torch._utils._rebuild_tensor_v2."""
    return (b"ctorch._utils\n_rebuild_tensor_v2\n((" + dumped("storage") + b"ctorch\n"
            + kind.encode() + b"\n" + dumped(key) + dumped("cpu") + dumped(count) + b"tQ"
            + dumped(offset) + dumped(shape) + dumped(strides) + b"\x89}tR")


def state_pickle(state, beside=b"", wrapped=True):
    """{"model": the state dict, ...}; beside: keys and values that stand behind it."""
    parts = []
    for key, (name, array) in enumerate(state.items()):
        strides = tuple(int(n) // array.itemsize for n in np.empty(array.shape,
                                                                   array.dtype).strides)
        parts += [dumped(name), tensor(str(key), KINDS[array.dtype.str[1:]], array.size, 0,
                                       array.shape, strides)]
    state = b"}(" + b"".join(parts) + b"u"
    around = b"}(" + dumped("model") + state + beside + b"u"
    return b"\x80\x02" + (around if wrapped else state) + b"."


def storages(state):
    return [np.ascontiguousarray(array).tobytes() for array in state.values()]


def torch_zip(state, beside=b"", wrapped=True):
    return as_zip(state_pickle(state, beside, wrapped), [
        *((f"archive/data/{key}", content) for key, content in enumerate(storages(state))),
        ("archive/version", b"3\n"), ("archive/byteorder", b"little")])


def torch_legacy(state, beside=b"", protocol=2):
    heads = [pickle.dumps(value, protocol)
             for value in (LEGACY_MAGIC, 1001, {"little_endian": True})]
    keys = pickle.dumps([str(key) for key in range(len(state))], protocol)
    counts = [array.size.to_bytes(8, "little") for array in state.values()]
    return b"".join([*heads, state_pickle(state, beside), keys,
                     *(part for pair in zip(counts, storages(state)) for part in pair)])


def safetensors(state, metadata=None):
    return save({name: np.asarray(a, order="C") for name, a in state.items()}, metadata)


def npz(state, compressed=False):
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **state)
    return stream.getvalue()


def sharded(folder, parts, write, suffix):
    """Writes parts of a state dict, each by write, and the index, whose path is returned."""
    places = {}
    for number, part in enumerate(parts, 1):
        name = f"model-{number:05}-of-{len(parts):05}{suffix}"
        (folder / name).write_bytes(write(part))
        places |= dict.fromkeys(part, name)
    path = folder / f"model{suffix}.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": places}))
    return path
