"""The bytes of a journal: records one after the other, each checked by itself.

``magic | length | JSON length | crc32 | JSON | raw arrays``, all numbers little-endian and 32
bits wide; *length* counts what follows the header, and the checksum is over both lengths and all
that follows. The JSON is ``[kind, values, arrays]`` where *arrays* lists ``[name, type, shape]``
of the raw bytes that follow it.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_MAGIC = b"MJ1\n"
_HEADER = struct.Struct("<4sIII")
_LENGTHS = struct.Struct("<II")
_TYPES = {"f": np.dtype("<f8"), "i": np.dtype("<i8")}

_JSON = json.JSONEncoder(separators=(",", ":"), allow_nan=False)

LARGEST = 1 << 23
"""Bytes of arrays above which a row is better written to the tables at once."""


@dataclass(frozen=True, slots=True)
class Record:
    """One row, and the arrays that are saved with it.

    Parameters
    ----------
    kind
        What the row is; it decides the table.
    values
        The values of its columns, plain JSON.
    arrays
        Float or integer arrays by name.
    """

    kind: str
    values: Sequence[Any]
    arrays: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scan:
    """What reading some bytes of a journal gave.

    Parameters
    ----------
    records
        Whole records, in the order of writing.
    end
        Bytes that they take; what follows is nothing, a torn record, or damage.
    damaged
        Whether a whole record follows one that cannot be read.
    """

    records: list[Record]
    end: int
    damaged: bool


def encode(record: Record) -> list[bytes | memoryview]:
    """Bytes of a record, in pieces, so that arrays are not copied."""
    arrays = [
        (name, "i" if array.dtype.kind in "iu" else "f", array)
        for name, array in record.arrays.items()
    ]
    head = [record.kind, record.values, [[n, code, a.shape] for n, code, a in arrays]]
    text = _JSON.encode(head).encode()
    body: list[bytes | memoryview] = [text]
    body += [_bytes_of(array, _TYPES[code]) for _, code, array in arrays]
    length = sum(len(piece) for piece in body)
    crc = zlib.crc32(_LENGTHS.pack(length, len(text)))
    for piece in body:
        crc = zlib.crc32(piece, crc)
    return [_HEADER.pack(_MAGIC, length, len(text), crc), *body]


def _bytes_of(array: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> memoryview:
    return np.ascontiguousarray(array, dtype).reshape(-1).view("u1").data


def scan(
    data: bytes, complete: bool, understood: Callable[[Record], bool] = lambda _: True
) -> Scan:
    """Read the whole records at the start of some bytes.

    Parameters
    ----------
    data
        Bytes from the border of a record on.
    complete
        Whether these are all bytes up to the end of the file; only then can a record that is cut
        off be told from damage.
    understood
        Whether a record is one that this version knows; one that is not counts as damage, so
        that it is kept.
    """
    records = []
    offset = 0
    view = memoryview(data)
    unknown = False
    while (found := _record_at(view, offset)) is not None:
        record, end = found
        if unknown := not understood(record):
            break
        records.append(record)
        offset = end
    damaged = unknown or (complete and _whole_record_after(data, offset))
    return Scan(records, offset, damaged)


def _record_at(data: memoryview, offset: int) -> tuple[Record, int] | None:
    start = offset + _HEADER.size
    if start > len(data):
        return None
    magic, length, text_length, crc = _HEADER.unpack_from(data, offset)
    body = data[start : start + length]
    if magic != _MAGIC or text_length > length or len(body) < length:
        return None
    if zlib.crc32(body, zlib.crc32(_LENGTHS.pack(length, text_length))) != crc:
        return None
    kind, values, layout = json.loads(bytes(body[:text_length]))
    return Record(kind, values, _arrays(body[text_length:], layout)), start + length


def _arrays(raw: memoryview, layout: list[Any]) -> dict[str, np.ndarray[Any, Any]]:
    arrays = {}
    at = 0
    for name, code, shape in layout:
        count = math.prod(shape)
        arrays[name] = np.frombuffer(raw, _TYPES[code], count, at).reshape(shape)
        at += count * 8
    return arrays


def _whole_record_after(data: bytes, offset: int) -> bool:
    view = memoryview(data)
    at = data.find(_MAGIC, offset + 1)
    while at >= 0:
        if _record_at(view, at) is not None:
            return True
        at = data.find(_MAGIC, at + 1)
    return False
