"""Canonical JSON and the digests made of it.

Equal values have equal digests on every machine: 30 and 30.0 are the same number, a tuple is a
list, keys are sorted, paths and enums count by value. What has no value of its own is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence, Set
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from pydantic import BaseModel

from mosaic_dagster.errors import HashingError

_CHUNK = 1 << 20


def canonical(value: Any, where: str = "value") -> Any:
    """Turn a value into plain JSON types with one form for equal values.

    Parameters
    ----------
    value
        Text, numbers, booleans, None, sequences, sets, mappings with text keys, paths, enums,
        numpy scalars and arrays, pydantic models, in any nesting.
    where
        Name of the value in the error.

    Raises
    ------
    HashingError
        A number is not finite, or a value of another type is in it.
    """
    value = _unwrapped(value)
    match value:
        case None | bool() | str():
            return value
        case int():
            return int(value)
        case float():
            return _canonical_number(value, where)
        case Mapping():
            return {_text_key(k, where): canonical(v, f"{where}.{k}") for k, v in value.items()}
        case Set():
            return sorted((canonical(v, where) for v in value), key=canonical_json)
        case Sequence() if not isinstance(value, bytes | bytearray):
            return [canonical(v, f"{where}[{i}]") for i, v in enumerate(value)]
    msg = f"{where} is a {type(value).__name__}, which has no canonical form."
    raise HashingError(msg, "Use text, numbers, booleans, lists or mappings.")


def _unwrapped(value: Any) -> Any:
    """The plain value inside an enum, a path, a numpy value or a pydantic model."""
    match value:
        case Enum():
            return _unwrapped(value.value)
        case PurePath():
            return value.as_posix()
        case np.generic() | np.ndarray():
            return value.tolist()
        case BaseModel():
            return value.model_dump()
    return value


def _canonical_number(value: float, where: str) -> int | float:
    if not math.isfinite(value):
        msg = f"{where} is {value}, which is not a finite number."
        raise HashingError(msg, "Leave the parameter out, or use None.")
    return int(value) if value.is_integer() else float(value)


def _text_key(key: Any, where: str) -> str:
    if isinstance(key, Enum):
        key = key.value
    if isinstance(key, str):
        return key
    if isinstance(key, int) and not isinstance(key, bool):
        return str(key)
    msg = f"{where} has the key {key!r}, which is neither text nor a whole number."
    raise HashingError(msg, "Use text for keys.")


def canonical_json(value: Any) -> str:
    """Canonical JSON text of a value: sorted keys, no spaces, ASCII only."""
    return json.dumps(canonical(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """sha256 (64 hex digits) of the canonical JSON of a value."""
    return digest_bytes(canonical_json(value).encode())


def digest_bytes(data: bytes | memoryview) -> str:
    """sha256 (64 hex digits) of some bytes."""
    return hashlib.sha256(data).hexdigest()


def digest_file(path: Path) -> str:
    """sha256 (64 hex digits) of the content of a file, read in pieces."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            hasher.update(piece)
    return hasher.hexdigest()
