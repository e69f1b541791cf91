"""The formats 'npy' and 'json': one array, or plain facts. Neither can run code."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np

from mosaic_dagster.errors import StoreValueError

Array = np.ndarray[Any, np.dtype[Any]]

_FOREIGN_HEADER = 10_000
_OWN_HEADER = 1 << 20


def dump_array(array: Any) -> bytes:
    """Npy bytes of an array of any shape; NaN, byte order and memory order are kept.

    Raises
    ------
    StoreValueError
        Not an array, an array of Python objects, or a subclass that npy would flatten (masked
        arrays lose their mask).
    """
    if type(array) not in (np.ndarray, np.memmap):
        msg = f"A {type(array).__name__} is not an array, so it cannot be stored as 'npy'."
        raise StoreValueError(msg, "Pass a numpy array, or choose another format.")
    if array.dtype.hasobject:
        msg = "An array of Python objects cannot be stored as 'npy'."
        raise StoreValueError(msg, "Give it a type of numbers or text, or use format 'joblib'.")
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, _without_padding(array), allow_pickle=False)
    return buffer.getvalue()


def load_array(data: bytes, *, trusted: bool = True) -> Array:
    """Array of npy bytes; pickled content is refused.

    Raises
    ------
    StoreValueError
        There are bytes after the array.
    ValueError, EOFError, MemoryError
        The bytes are not a whole npy file.
    """
    buffer = io.BytesIO(data)
    # The header is parsed as Python text: a very long one from outside could exhaust the parser.
    header = _OWN_HEADER if trusted else _FOREIGN_HEADER
    array: Array = np.lib.format.read_array(buffer, allow_pickle=False, max_header_size=header)
    if buffer.read(1):
        msg = "There are bytes after the end of the array."
        raise StoreValueError(msg, "Store the array again.")
    return array


def dump_json(value: Any) -> bytes:
    """JSON bytes with sorted keys; equal values give equal bytes, tuples become lists.

    Raises
    ------
    StoreValueError
        A key is not text (it would come back as text), or a number is not finite.
    TypeError
        A value of another type is in it.
    """
    _check_keys(value, "value")
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        msg = f"The value has no JSON: {error}."
        raise StoreValueError(msg, "Replace NaN and infinities by None, and cut loops.") from error
    return text.encode()


def load_json(data: bytes) -> Any:
    """Value of JSON bytes."""
    return json.loads(data)


def _without_padding(array: Array) -> Array:
    """The array with zeros between its named fields, where memory holds what was there before."""
    if array.dtype.names is None:
        return array
    clean = np.zeros(array.shape, array.dtype)
    _copy_fields(array, clean)
    return clean


def _copy_fields(source: Array, target: Array) -> None:
    names = source.dtype.names
    if names is None:
        target[...] = source
    for name in names or ():
        _copy_fields(source[name], target[name])


def _check_keys(value: Any, where: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                msg = f"{where} has the key {key!r}, which JSON would turn into text."
                raise StoreValueError(msg, "Use text keys, or the format 'joblib'.")
            _check_keys(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            _check_keys(item, f"{where}[{position}]")
