"""`.caffemodel` files: the layers of Caffe's NetParameter, read from the wire format by hand.

Field numbers are those of caffe.proto: a net's layers 100 (until 2014: 2); a layer's name 1 (4),
blobs 7 (6), in the first files a layer 1 inside it with name 1, blobs 50; a blob's data 5, shape 7,
and before there was a shape num, channels, height, width 1 to 4.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .strided import contiguous

MAX_LAYERS = 10_000
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5            # wire types


class Layer(NamedTuple):
    name: str
    blobs: list[np.ndarray]


def read(path: str) -> list[Layer]:
    """The layers in the order of computation.

    Raises ValueError for a file that is not a whole NetParameter.
    """
    layers = []
    data = memoryview(np.memmap(path, np.uint8, "r"))     # type: ignore[arg-type]
    for number, value in fields(data):
        if number == 100 and isinstance(value, memoryview):
            layers.append(_layer(value, name_field=1, blob_field=7))
        elif number == 2 and isinstance(value, memoryview):
            layers.append(_old_layer(value))
        if len(layers) > MAX_LAYERS:
            raise ValueError("it has more layers than networks have")
    return layers


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(field number, value) of a message: a number for varints, the bytes for everything else.

    Raises ValueError where it is cut off.
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        if kind == BYTES:
            size, position = _varint(message, position)
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
        else:
            raise ValueError("it is not a .caffemodel, or is damaged")
        if size > len(message) - position:
            raise ValueError("it is cut off, or is not a .caffemodel")
        yield number, message[position:position + size]
        position += size


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """(a number of seven bits a byte, the lowest first, and the position behind it)."""
    number = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise ValueError("it is cut off, or is not a .caffemodel")
        byte = message[position]
        number, position = number | (byte & 127) << shift, position + 1
        if byte < 128:
            return number, position
    raise ValueError("it is not a .caffemodel, or is damaged")


def _old_layer(message: memoryview) -> Layer:
    for number, value in fields(message):
        if number == 1 and isinstance(value, memoryview):
            return _layer(value, name_field=1, blob_field=50)
    return _layer(message, name_field=4, blob_field=6)


def _layer(message: memoryview, name_field: int, blob_field: int) -> Layer:
    name, blobs = "", []
    for number, value in fields(message):
        if number == name_field and isinstance(value, memoryview):
            name = bytes(value[:100]).decode(errors="replace")
        elif number == blob_field and isinstance(value, memoryview):
            blobs.append(_blob(value))
        if len(blobs) > 10:
            raise ValueError("one of its layers has more blobs than layers have")
    return Layer(name, blobs)


def _blob(message: memoryview) -> np.ndarray:
    """float32, in its shape; what has none is (num, channels, height, width)."""
    data, shape, old = memoryview(b""), None, [0, 0, 0, 0]
    for number, value in fields(message):
        if number == 5 and isinstance(value, memoryview):
            data = value
        elif number == 7 and isinstance(value, memoryview):
            shape = _dimensions(value)
        elif 1 <= number <= 4 and isinstance(value, int):
            old[number - 1] = value
    return contiguous(data, np.dtype("<f4"), old if shape is None else shape)


def _dimensions(message: memoryview) -> list[int]:
    """BlobShape: the varints of field 1, packed into one value or each by itself."""
    dimensions = []
    for number, value in fields(message):
        if number == 1 and isinstance(value, int):
            dimensions.append(value)
        elif number == 1 and isinstance(value, memoryview):
            position = 0
            while position < len(value) and len(dimensions) < 10:
                dimension, position = _varint(value, position)
                dimensions.append(dimension)
    return dimensions
