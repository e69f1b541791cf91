"""Values on their way into columns: strict JSON, text, numbers, identifiers; nothing is guessed."""

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

from mosaic_dagster.errors import StoreTypeError, StoreValueError, UnknownIdError
from mosaic_dagster.store.database.bulk import INTEGER, TEXT
from mosaic_dagster.store.database.journal.kinds import COLUMNS

_WIDE = {"duration_ms", "size_bytes", "seq"}
"""Columns of 64 bits; other whole numbers have 32."""

_REQUIRED = {
    "artifact_id", "artifact_path", "content_hash", "dataset_name", "event", "fold_id", "job_id",
    "metric", "model_class", "model_name", "partition", "pipeline_id", "step_type", "task_type",
}  # fmt: skip


_CHECKS = {
    kind: tuple(
        (place, name, name in _REQUIRED, (64 if name in _WIDE else 32) * (column is INTEGER))
        for place, (name, column) in enumerate(columns.items())
        if column in (TEXT, INTEGER)
    )
    for kind, columns in COLUMNS.items()
}
"""Place, name, whether it must be given, and bits (0 for text) of the columns to check."""

_JSON = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))

_AS_THEY_ARE = {bool, str, type(None)}

_SAFE = 2**31 - 1


def to_json(value: Any, name: str) -> str | None:
    """JSON text of a value; None stays None, and numbers that are not finite become null.

    Numpy values, tuples, sets (sorted), paths, dates, enums and pydantic models are converted.

    Raises
    ------
    StoreTypeError
        A value in it has another type; says under which key.
    StoreValueError
        Two keys of a mapping have the same text, a text is not valid unicode, a whole number has
        more digits than Python converts, or the value contains itself.
    """
    if value is None:
        return None
    try:
        encoded = _JSON.encode(_plain(value, name))
    except RecursionError as error:
        msg = f"{name} is nested too deeply, or contains itself."
        raise StoreValueError(msg, "Give a flatter value.") from error
    return text(encoded, name)


def from_json(text: str | None) -> Any:
    """Value of a JSON column."""
    return None if text is None else json.loads(text)


def finite(value: Any) -> float | None:
    """Float value of a score; None for what is missing or not finite.

    Raises
    ------
    StoreTypeError
        The value is no number.
    """
    if value is None:
        return None
    remedy = "Give a float, or None where there is no score."
    if isinstance(value, str):
        msg = f"The score {told(value)} is text."
        raise StoreTypeError(msg, remedy)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        msg = f"The score {told(value)} is no number."
        raise StoreTypeError(msg, remedy) from error
    return number if math.isfinite(number) else None


def text(value: Any, name: str) -> str:
    """Return a text that the database can hold.

    Raises
    ------
    StoreTypeError
        The value is no text.
    StoreValueError
        The text is not valid unicode.
    """
    if not isinstance(value, str):
        msg = f"{name} is {told(value)}, which is no text."
        raise StoreTypeError(msg, "Give a str.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        msg = f"{name} holds text that is not valid unicode: {told(value)}."
        raise StoreValueError(msg, "Decode names of files with errors='replace'.") from error
    return value


def text_or_none(value: Any, name: str) -> str | None:
    """As :func:`text`; None stays None."""
    return None if value is None else text(value, name)


def known_id(value: Any) -> str | None:
    """Return an identifier as a query takes it, or None when no row can have it.

    NULL equals nothing: a query for None finds no row, as one for any unknown identifier does.
    """
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return str.__str__(value)


def required_id(value: Any, noun: str) -> str:
    """As :func:`known_id`, for what acts on a row.

    Raises
    ------
    UnknownIdError
        No row can have this identifier.
    """
    found = known_id(value)
    if found is None:
        msg = f"There is no {noun} {told(value)}."
        raise UnknownIdError(msg, "Give an identifier as the store returned it.")
    return found


def told(value: Any) -> str:
    """Return a value as an error shows it, cut after 200 characters."""
    try:
        return f"{value!r:.200}"
    except ValueError:  # A whole number of more digits than Python converts.
        return f"<{type(value).__name__} too long to show>"


def readable(message: str) -> str:
    """Text of an error, with what is not valid unicode escaped: a failure is always recorded."""
    return str(message).encode("utf-8", "backslashreplace").decode()


def whole(value: Any, name: str, bits: int = 64) -> int | None:
    """Return a whole number that fits its column; None stays None, a fraction is rounded.

    Raises
    ------
    StoreTypeError
        The value is no finite number.
    StoreValueError
        It is too large for the column.
    """
    if value is None:
        return None
    if type(value) is int and -_SAFE <= value <= _SAFE:
        return value
    is_int = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_int and not (isinstance(value, float | np.floating) and math.isfinite(value)):
        msg = f"{name} is {told(value)}, which is no whole number."
        raise StoreTypeError(msg, "Give an int.")
    number = round(value)
    if not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
        msg = f"{name} is {told(number)}, which does not fit into {bits} bits."
        raise StoreValueError(msg, "Give a smaller number.")
    return int(number)


def check_row(kind: str, values: Sequence[Any]) -> None:
    """Check that the tables will take a row that is about to be journalled.

    A row that they refuse later could not be told to its caller, and would stop every lease.

    Raises
    ------
    StoreTypeError, StoreValueError
        As :func:`text` and :func:`whole`.
    """
    # Nearly all values are right, and each row pays for finding that out.
    for place, name, required, bits in _CHECKS.get(kind, ()):
        value = values[place]
        if bits:
            whole(value, name, bits)
        elif type(value) is str:
            if not value.isascii():
                text(value, name)
        elif value is not None or required:
            text(value, name)


def _plain(value: Any, where: str) -> Any:
    # Nearly all values are of these types, and asking for the others takes four times as long.
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind is int:
        return value if -_SAFE <= value <= _SAFE else _convertible(value, where)
    if kind is dict:
        return _plain_mapping(value, where)
    value = _unwrapped(value)
    match value:
        case None | bool() | str():
            return value
        case int():
            return _convertible(value, where)
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return _plain_mapping(value, where)
        case Set():
            return _in_order([_plain(v, where) for v in value])
        case Sequence() if not isinstance(value, bytes | bytearray | memoryview):
            return [_plain(v, f"{where}[{i}]") for i, v in enumerate(value)]
    msg = f"{where} is a {type(value).__name__}, which JSON cannot hold."
    raise StoreTypeError(msg, "Use text, numbers, booleans, lists or mappings.")


def _convertible(number: int, where: str) -> int:
    """Return a whole number that has a text; Python refuses one of thousands of digits."""
    try:
        int.__repr__(number)
    except ValueError as error:
        msg = f"{where} is a whole number of {number.bit_length()} bits, too long for JSON."
        raise StoreValueError(msg, "Give it as text, such as hex(number).") from error
    return number


def _plain_mapping(value: Mapping[Any, Any], where: str) -> dict[str, Any]:
    plain = {_key(k, where): _plain(v, f"{where}.{k}") for k, v in value.items()}
    if len(plain) < len(value):
        msg = f"Two keys of {where} have the same text: {', '.join(map(repr, value))}."
        raise StoreValueError(msg, "JSON has text keys only; give them different texts.")
    return plain


def _in_order(values: list[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=json.dumps)


def _unwrapped(value: Any) -> Any:
    """The plain value inside an enum, a numpy value, a model, a path or a date."""
    if type(value) in (float, list):
        return value
    match value:
        case Enum():
            return _unwrapped(value.value)
        case np.datetime64():
            return None if np.isnat(value) else value.astype("datetime64[us]").item().isoformat()
        case np.ndarray() if value.dtype.kind == "M":
            return list(value)
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
    if type(key) is str:
        return key
    plain = _plain(key, where)
    if isinstance(plain, str):
        return plain
    if plain is None or isinstance(plain, bool | int | float):
        return json.dumps(plain)
    msg = f"{where} has the key {key!r}, which is neither text nor a number."
    raise StoreTypeError(msg, "Use text for keys.")
