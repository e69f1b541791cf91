"""Pickled npy files, read without running what they contain.

A pickle is a program: loading one in the usual way runs whatever its author, or whoever changed
it, put in. Here only dicts, lists, tuples, text, numbers and numpy arrays of such are built, and
arrays are made by this module from their bytes; anything else that a file asks for is refused.
Even so a file is opened only when a parameter allows it.
"""

from __future__ import annotations

import math
import pickle  # noqa: TID251 - the Unpickler below admits no global but its own
import pickletools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mosaic_dagster.errors import ReaderError

_PREFIX = 1 << 20
_OPCODES = 20_000
_LONGEST_KEY = 200
_PLAIN_TYPE = re.compile(r"(?:[biufc][0-9]+|[SU][0-9]+)")
_SCALARS = (str, bytes, int, float, complex, type(None))


def load_pickled(path: Path, *, allow_pickle: bool) -> Any:
    """Read the one object in a pickled npy file.

    Parameters
    ----------
    path
        An npy file that holds one Python object.
    allow_pickle
        Whether the user said that pickles may be opened.

    Returns
    -------
    Any
        Dicts, lists, tuples, text, numbers and arrays, nested as in the file.

    Raises
    ------
    ReaderError
        It is not allowed, the file is no such file, is damaged, or asks for anything besides
        plain values and arrays; nothing of it is run then.
    """
    check_allowed(path, allow_pickle=allow_pickle)
    try:
        with path.open("rb") as file:
            if not _is_object(file):
                msg = f"{path} is an array of numbers, not a pickled dict."
                raise ReaderError(msg, "Name another format, or export the file again.")
            value = _plain(_Unpickler(file, encoding="latin1").load(), {})
    except ReaderError:
        raise
    except _Forbidden as error:
        msg = f"{path} is a pickle that asks for {error}, so it was not loaded."
        raise ReaderError(
            msg, "Tracks need dicts, lists, numbers and arrays only. Do you trust its source?"
        ) from error
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}."
        raise ReaderError(msg, "Check that the file is there and that you may read it.") from error
    except Exception as error:  # damaged bytes fail in any way that bytes can
        msg = f"{path} is not a readable pickled npy file ({type(error).__name__}: {error})."
        raise ReaderError(msg, "Is it complete? Copy or export it again.") from error
    if isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
        return value.reshape(-1)[0]
    return value


def check_allowed(path: Path, *, allow_pickle: bool) -> None:
    """Refuse a pickled file unless the user allowed it.

    Raises
    ------
    ReaderError
        It is not allowed; says what to set.
    """
    if not allow_pickle:
        msg = f"{path} holds a pickle, and a pickle can run code."
        raise ReaderError(
            msg, "If you trust where it comes from, set the reader's parameter allow_pickle=true."
        )


def pickled_keys(path: Path) -> tuple[tuple[int, str], ...]:
    """Short texts at the start of a pickled npy file, each with the number of dicts it is in.

    For recognising files: the pickle is only looked at. Empty for every other file.
    """
    with path.open("rb") as file:
        try:
            if not _is_object(file):
                return ()
        except ValueError:
            return ()
        return tuple(_texts(file.read(_PREFIX)))


def _is_object(file: BinaryIO) -> bool:
    """Read the header of an npy file; whether Python objects follow."""
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        msg = f"version {version} of the npy format is not known"
        raise ValueError(msg)
    _, _, dtype = read(file)
    return bool(dtype.hasobject)


def _texts(data: bytes) -> Iterator[tuple[int, str]]:
    depth = 0
    try:
        for opcode, argument, _ in islice(pickletools.genops(BytesIO(data)), _OPCODES):
            if opcode.name == "EMPTY_DICT":
                depth += 1
            elif opcode.name in ("SETITEM", "SETITEMS"):
                depth -= 1
            elif isinstance(argument, str) and len(argument) <= _LONGEST_KEY:
                yield depth, argument
    except (ValueError, IndexError):  # the end of what was read, within an opcode
        return


class _Forbidden(Exception):  # noqa: N818 - never leaves this module
    """A pickle asks for something that is not built here."""


class _Maker:
    """Something that a pickle may call, and do nothing else with."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)

    def __setstate__(self, state: Any) -> None:
        msg = "a change of a function"
        raise _Forbidden(msg)


class _Type:
    """The type of an array, as a pickle describes it."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = code
        self.order = "|"

    def __setstate__(self, state: Any) -> None:
        if any(part is not None for part in state[2:5]):
            msg = "an array of records"
            raise _Forbidden(msg)
        self.order = state[1]

    def numpy(self) -> np.dtype[Any]:
        """Return the numpy type, for plain numbers and text only."""
        if not isinstance(self.code, str) or not _PLAIN_TYPE.fullmatch(self.code):
            msg = f"an array of type {str(self.code)[:20]!r}"
            raise _Forbidden(msg)
        order = self.order if self.order in ("<", ">", "|", "=") else "|"
        return np.dtype(order + self.code)


@dataclass
class _Array:
    """An array while a pickle is being read: its values, or a list of them with a shape."""

    values: Any = None
    shape: tuple[int, ...] = ()

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        self.shape = _shape(shape)
        if isinstance(kind, _Type) and isinstance(kind.code, str) and kind.code.startswith("O"):
            if not isinstance(data, list) or len(data) != math.prod(self.shape):
                msg = "an array with another number of values than its shape"
                raise _Forbidden(msg)
            self.values = data
        else:
            self.values = _numbers(data, kind, self.shape, "F" if fortran else "C")


def _shape(value: Any) -> tuple[int, ...]:
    sizes = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(size, int) and size >= 0 for size in sizes):
        msg = f"an array of shape {str(value)[:40]}"
        raise _Forbidden(msg)
    return sizes


def _numbers(data: Any, kind: Any, shape: tuple[int, ...], order: Any) -> np.ndarray[Any, Any]:
    if not isinstance(kind, _Type):
        msg = "an array without a type"
        raise _Forbidden(msg)
    raw = data.encode("latin1") if isinstance(data, str) else data
    values = np.frombuffer(raw, dtype=kind.numpy()) if len(raw) else np.empty(0, kind.numpy())
    return values.reshape(shape, order="F" if order == "F" else "C").copy()


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _frombuffer(data: Any, kind: Any, shape: Any, order: Any) -> _Array:
    return _Array(_numbers(data, kind, _shape(shape), order))


def _scalar(kind: Any, data: Any) -> Any:
    return _numbers(data, kind, (), "C").item()


def _encode(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        msg = f"the encoding {str(encoding)[:20]!r}"
        raise _Forbidden(msg)
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""  # how old protocols write the content of an empty array


_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_GLOBALS: dict[tuple[str, str], Callable[..., Any]] = {
    **{(module, "_reconstruct"): _reconstruct for module in _ARRAY_MODULES},
    **{(module, "scalar"): _scalar for module in _ARRAY_MODULES},
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("numpy._core.numeric", "_frombuffer"): _frombuffer,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
    ("builtins", "bytes"): _no_bytes,
    ("__builtin__", "bytes"): _no_bytes,
}


class _Unpickler(pickle.Unpickler):
    """Builds plain values and arrays; every global of the pickle is one of ours, or refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "ndarray"):
            return None  # only ever the first argument of _reconstruct, which makes its own array
        make = _GLOBALS.get((module, name))
        if make is None:
            msg = f"{module}.{name}"
            raise _Forbidden(msg)
        return _Maker(make)


def _plain(value: Any, made: dict[int, Any]) -> Any:
    """Copy with arrays in place of stand-ins; each part once, however often it is referred to."""
    if isinstance(value, _SCALARS):
        return value
    if id(value) not in made:
        if isinstance(value, dict):
            made[id(value)] = result = {}
            result.update({_plain(k, made): _plain(v, made) for k, v in value.items()})
        elif isinstance(value, list):
            items: list[Any] = []
            made[id(value)] = items
            items.extend(_plain(item, made) for item in value)
        elif isinstance(value, tuple):
            made[id(value)] = tuple(_plain(item, made) for item in value)
        elif isinstance(value, _Array):
            made[id(value)] = _finished(value, made)
        else:
            msg = f"an object of type {type(value).__name__}"
            raise _Forbidden(msg)
    return made[id(value)]


def _finished(array: _Array, made: dict[int, Any]) -> Any:
    if not isinstance(array.values, list):
        return array.values
    flat = np.empty(len(array.values), dtype=object)
    for place, item in enumerate(array.values):
        flat[place] = _plain(item, made)
    return flat.reshape(array.shape)
