"""Small JSON files of the library: strict, indented, equal to what was given when read back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence, Set
from datetime import UTC, date, datetime
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from pydantic import BaseModel

from mosaic_dagster.errors import StoreTypeError, StoreValueError


def document_bytes(value: Any, where: str, *, missing_as_null: bool = False) -> bytes:
    """JSON of a value in UTF-8, indented, keys in their order.

    Whole floats stay floats, since for a model ``1`` and ``1.0`` may mean different things.
    Tuples, sets (sorted), numpy values, paths, dates, enums and pydantic models are converted.

    Parameters
    ----------
    value
        What to write.
    where
        Its name in messages.
    missing_as_null
        Write numbers that are not finite as ``null`` instead of refusing them.

    Raises
    ------
    StoreTypeError
        Something in it is of another type, or a key of a mapping is not a text.
    StoreValueError
        A number is not finite, or the value contains itself.
    """
    try:
        plain = _plain(value, where, missing_as_null)
    except RecursionError as error:
        msg = f"{where} is nested too deeply, or contains itself."
        raise StoreValueError(msg, "Give a flatter value.") from error
    try:
        return (json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    except UnicodeEncodeError:  # half a surrogate pair, which only an escape can write
        return (json.dumps(plain, indent=2, allow_nan=False) + "\n").encode()


def read_document(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises
    ------
    FileNotFoundError
        The file is not there.
    StoreValueError
        It is no JSON object.
    """
    remedy = "Save it again with overwrite=True, or delete it."
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{path} is not readable JSON: {error}"
        raise StoreValueError(msg, remedy) from error
    if not isinstance(content, dict):
        msg = f"{path} holds a {type(content).__name__}, not an object."
        raise StoreValueError(msg, remedy)
    return content


def now() -> str:
    """Return the time in UTC as ISO 8601 text, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _plain(value: Any, where: str, missing_as_null: bool) -> Any:
    value = _unwrapped(value)
    match value:
        case float() if not math.isfinite(value):
            if missing_as_null:
                return None
            msg = f"{where} is {value}, which is not a finite number."
            raise StoreValueError(msg, "Leave it out, or use None.")
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {
                _text_key(key, where): _plain(item, f"{where}.{key}", missing_as_null)
                for key, item in value.items()
            }
        case Set():
            items = [_plain(item, where, missing_as_null) for item in value]
            return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
        case Sequence() if not isinstance(value, bytes | bytearray):
            return [
                _plain(item, f"{where}[{index}]", missing_as_null)
                for index, item in enumerate(value)
            ]
    msg = f"{where} is a {type(value).__name__}, which cannot be written as JSON."
    raise StoreTypeError(msg, "Use text, numbers, booleans, lists or mappings.")


def _unwrapped(value: Any) -> Any:
    match value:
        case Enum():
            return _unwrapped(value.value)
        case PurePath():
            return value.as_posix()
        case date():
            return value.isoformat()
        case np.ndarray():
            return value.tolist()
        case np.floating():  # long doubles have no other plain form
            return float(value)
        case np.generic():
            return _unwrapped(value.item())
        case BaseModel():
            return value.model_dump()
    return value


def _text_key(key: Any, where: str) -> str:
    if isinstance(key, str):
        return key
    msg = f"{where} has the key {key!r}, which is a {type(key).__name__}."
    raise StoreTypeError(msg, "JSON knows keys of text alone: use a list of pairs.")
