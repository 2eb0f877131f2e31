"""The pickled dicts of CIFAR-10 and CIFAR-100, of any Python and protocol, read unexecuted.

"data" are whole numbers 0..255 of any type, (n, 3072), (n, 3, 32, 32) or (n, 32, 32, 3); labels are
whole numbers in a list, a tuple or an array. Keys are text or bytes.
"""
from __future__ import annotations

import io
import re
from typing import Any

import numpy as np

from . import pickles

INTEGER = re.compile(r"[<>|=]?([iu][1248])")
SHAPES = {(3072,), (3, 32, 32), (32, 32, 3)}


def read(path: str, content: bytes, label_key: str, title: str) -> tuple[np.ndarray, np.ndarray]:
    """-> planes uint8 (n, 3072), labels (n,). Raises ValueError with the path."""
    try:
        batch = _dict(content, title)
        return _planes(batch["data"]), _labels(batch[label_key])
    except KeyError as error:
        raise ValueError(f"{path} is no {title} batch: it has no {error}") from error
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{path} is no {title} batch: {error}") from error


def read_names(path: str, content: bytes, key: str, title: str) -> tuple[str, ...]:
    """The names of classes in the file meta. Raises ValueError with the path."""
    try:
        return tuple(map(_text, _dict(content, title)[key]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} holds no names of {title}'s classes: {error}") from error


def _dict(content: bytes, title: str) -> dict[str, Any]:
    found = pickles.load(io.BytesIO(content), NAMES, content=f"{title} batches")
    return {_text(key): value for key, value in found.items()}


def _text(value: Any) -> str:
    text = value.decode() if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise TypeError(f"{text!r:.40} is no text")
    return text


def _planes(value: Any) -> np.ndarray:
    """uint8 (n, 3072)"""
    array = _array(value) if isinstance(value, pickles.PickledArray) else np.empty(0)
    in_bytes = array.size and 0 <= array.min() and array.max() <= 255
    if array.shape[1:] not in SHAPES or not in_bytes:
        raise ValueError("its data are not uint8 (n, 3072)")
    if array.shape[1:] == (32, 32, 3):
        array = array.transpose(0, 3, 1, 2)
    return array.astype(np.uint8).reshape(len(array), -1)


def _labels(value: Any) -> np.ndarray:
    array = _array(value) if isinstance(value, pickles.PickledArray) else np.array(value)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise ValueError("its labels are not whole numbers")
    return array


def _array(pickled: pickles.PickledArray) -> np.ndarray:
    dtype = _dtype(pickled.dtype)
    return np.frombuffer(pickled.bytes(), dtype).reshape(
        pickled.shape, order="F" if pickled.fortran else "C")


def _dtype(dtype: Any) -> np.dtype:
    code = INTEGER.fullmatch(str(dtype.code))
    if not code:
        raise ValueError("its data are not uint8, nor its labels whole numbers")
    return np.dtype(code[1]).newbyteorder(">" if dtype.order == ">" else "<")


def _scalar(dtype: Any, content: Any) -> int:
    """A number of NumPy's."""
    if not isinstance(content, bytes) or not isinstance(dtype, pickles.PickledDtype):
        raise ValueError(pickles.NOT_NUMPYS)
    return int(np.frombuffer(content, _dtype(dtype), 1)[0])


NAMES = {**pickles.ARRAYS, "numpy.core.multiarray scalar": _scalar,
         "numpy._core.multiarray scalar": _scalar}
