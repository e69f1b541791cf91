"""Values in and out of JSON columns: strict JSON, nothing turned into text unasked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence, Set
from datetime import date
from enum import Enum
from pathlib import PurePath
from typing import Any

import numpy as np
from pydantic import BaseModel

from mosaic_dagster.errors import StoreTypeError


def to_json(value: Any, name: str) -> str | None:
    """JSON text of a value; None stays None, and numbers that are not finite become null.

    Numpy values, tuples, sets (sorted), paths, dates, enums and pydantic models are converted.

    Raises
    ------
    StoreTypeError
        A value in it has another type; says under which key.
    """
    if value is None:
        return None
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError):
        return json.dumps(_plain(value, name), allow_nan=False, separators=(",", ":"))


def from_json(text: str | None) -> Any:
    """Value of a JSON column."""
    return None if text is None else json.loads(text)


def finite(value: Any) -> float | None:
    """Float value of a score; None for what is missing or not finite."""
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _plain(value: Any, where: str) -> Any:
    value = _unwrapped(value)
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {_key(k, where): _plain(v, f"{where}.{k}") for k, v in value.items()}
        case Set():
            return sorted((_plain(v, where) for v in value), key=json.dumps)
        case Sequence() if not isinstance(value, bytes | bytearray):
            return [_plain(v, f"{where}[{i}]") for i, v in enumerate(value)]
    msg = f"{where} is a {type(value).__name__}, which JSON cannot hold."
    raise StoreTypeError(msg, "Use text, numbers, booleans, lists or mappings.")


def _unwrapped(value: Any) -> Any:
    """The plain value inside an enum, a numpy value, a model, a path or a date."""
    match value:
        case Enum():
            return _unwrapped(value.value)
        case np.generic() | np.ndarray():
            return value.tolist()
        case BaseModel():
            return value.model_dump()
        case PurePath():
            return value.as_posix()
        case date():
            return value.isoformat()
    return value


def _key(key: Any, where: str) -> str:
    plain = _plain(key, where)
    if isinstance(plain, str):
        return plain
    if isinstance(plain, int) and not isinstance(plain, bool):
        return str(plain)
    msg = f"{where} has the key {key!r}, which is neither text nor a whole number."
    raise StoreTypeError(msg)
