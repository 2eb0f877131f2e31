"""As much of MATLAB's file format, version 5, as tables of numbers and texts need.

ILSVRC's devkit describes its classes in such a file. Source: MathWorks, "MAT-File Format",
version 5: a header of 128 bytes, then elements: a tag of 8 bytes and data, compressed or not.
"""
from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

MATRIX, COMPRESSED = 14, 15
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8",
           13: "u8", 16: "u1"}          # 16: UTF-8
STRUCT, CHAR = 2, 4                     # classes of a matrix
MOST_BYTES = 1 << 28                    # of a variable; ILSVRC's takes one megabyte
BROKEN = (ValueError, KeyError, IndexError, TypeError, struct.error, zlib.error)

Element = tuple[int, bytes]             # type, payload


def read_structs(path: str | os.PathLike[str], variable: str,
                 fields: Sequence[str]) -> list[dict[str, Any]]:
    """The elements of the struct array called `variable`, as dicts by field.

    A value is a number, a text, an array, or None for what is none of these. Raises ValueError,
    with the path, for anything else than such a file.
    """
    with open(path, "rb") as file:
        content = file.read()
    try:
        if content[:10] != b"MATLAB 5.0" or content[126:128] != b"IM":
            raise ValueError("it has no header of a little-endian MAT-file, version 5")
        variables = map(_variable, _elements(content[128:]))
        found = [structs for name, structs in variables if name == variable]
        return [{field: values[field] for field in fields} for values in found[0]]
    except BROKEN as error:
        raise ValueError(f"{path} cannot be read as the MATLAB file with {variable!r} "
                         f"({type(error).__name__}: {error})") from error


def _elements(data: bytes) -> Iterator[Element]:
    """Generate the elements that lie one after the other in data."""
    place = 0
    while place < len(data):
        kind, size = struct.unpack_from("<II", data, place)
        start, step = place + 8, 8 + (size if kind == COMPRESSED else -(-size // 8) * 8)
        if kind >> 16:                  # the short form: size, type and up to 4 bytes in one tag
            kind, size, start, step = kind & 0xffff, kind >> 16, place + 4, 8
        if start + size > len(data):
            raise ValueError("it is truncated")
        yield kind, data[start:start + size]
        place += step


def _variable(element: Element) -> tuple[str, Any]:
    """-> name, value"""
    kind, payload = element
    if kind == COMPRESSED:
        decompressed = zlib.decompressobj().decompress(payload, MOST_BYTES)
        (kind, payload), = _elements(decompressed)
    if kind != MATRIX:
        raise ValueError(f"it has an element of type {kind} where a variable was expected")
    if not payload:
        return "", None
    (_, flags), (_, shape), (_, name), *rest = _elements(payload)
    return name.decode(), _value(flags[0], np.frombuffer(shape, "<i4"), rest)


def _value(kind: int, shape: np.ndarray, parts: list[Element]) -> Any:
    if kind == STRUCT:
        length, names = int.from_bytes(parts[0][1], "little"), parts[1][1]
        fields = [names[start:start + length].split(b"\0")[0].decode()
                  for start in range(0, len(names), length)]
        values = [_variable(part)[1] for part in parts[2:]]
        return [dict(zip(fields, values[start:start + len(fields)]))
                for start in range(0, len(values), len(fields))]
    if not parts or parts[0][0] not in NUMBERS:
        return None
    array = np.frombuffer(parts[0][1], "<" + NUMBERS[parts[0][0]])
    if kind == CHAR:
        return array.tobytes().decode() if array.itemsize == 1 else "".join(map(chr, array))
    return array[0] if array.size == 1 else array.reshape(shape, order="F")
