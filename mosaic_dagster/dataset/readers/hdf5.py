"""HDF5 files as arrays and text: the only module that knows h5py.

Nothing outside the file is ever opened: links into other files, arrays stored in other files and
virtual arrays count as missing or are refused, whatever their author's machine had there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mosaic_dagster.errors import ReaderError
from mosaic_dagster.extras import need

MAGIC = b"\x89HDF\r\n\x1a\n"
"""The bytes that every HDF5 file begins with."""

EXTRA = "hdf5"
"""The extra that installs h5py."""

_HARD_LINK = 0
"""What HDF5 calls a name for an object in the same file."""

_DAMAGED = "Copy or export the file again; a copy that broke off looks like this."


def is_hdf5(path: Path) -> bool:
    """Whether the file begins as HDF5 does; needs no optional package.

    Raises
    ------
    OSError
        The file cannot be opened.
    """
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def check_hdf5(path: Path) -> None:
    """Refuse a file that does not begin as HDF5 does; needs no optional package.

    Raises
    ------
    ReaderError
        It cannot be opened, is empty, or begins in another way.
    """
    try:
        begins, size = is_hdf5(path), path.stat().st_size
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}."
        raise ReaderError(msg, "Check that the file is there and that you may read it.") from error
    if not size:
        msg = f"{path} is empty (0 bytes)."
        raise ReaderError(msg, "Export it again, or take it out of the folder.")
    if not begins:
        msg = f"{path} is not an HDF5 file: it does not begin with the bytes of one."
        raise ReaderError(msg, "Is it complete, and in the format that was asked for?")


@contextmanager
def open_hdf5(path: Path, what: str) -> Iterator[Any]:
    """Open a file for reading, and close it.

    Parameters
    ----------
    path
        The file.
    what
        What reads it, as the subject of a sentence; for the error about a missing package.

    Yields
    ------
    h5py.File
        The open file.

    Raises
    ------
    ReaderError
        The file cannot be opened, is empty, is not HDF5 or is damaged. What h5py finds to be
        damaged while the file is read is told in the same way.
    MissingExtraError
        h5py is not installed.
    """
    check_hdf5(path)
    h5py = need("h5py", EXTRA, what)
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, RuntimeError, KeyError) as error:
        msg = f"{path} is a damaged or incomplete HDF5 file ({error})."
        raise ReaderError(msg, _DAMAGED) from error


def sniff_hdf5(path: Path, what: str, *names: str) -> bool:
    """Whether the file is HDF5 and has all these groups or arrays.

    Raises
    ------
    MissingExtraError
        The file is HDF5 and h5py is not installed, so nobody can tell.
    ReaderError
        The file is HDF5 and damaged.
    OSError
        The file cannot be opened.
    """
    if not is_hdf5(path):
        return False
    with open_hdf5(path, what) as file:
        return all(find(file, name) is not None for name in names)


def find(group: Any, name: str) -> Any | None:
    """Return the group or array of this name (``a/b`` for one within another), or None.

    Links by name, which may lead into other files, are not followed: what they name counts as
    missing.
    """
    node = group
    for part in name.split("/"):
        links = getattr(node.id, "links", None)
        if links is None or not links.exists(part.encode()):
            return None
        if links.get_info(part.encode()).type != _HARD_LINK:
            return None
        node = node[part]
    return node


def read_array(group: Any, name: str, ndim: int | None = None) -> NDArray[Any]:
    """Read a whole array.

    Parameters
    ----------
    group
        An open file, or a group in it.
    name
        Name of the array.
    ndim
        Number of axes that it must have; None takes any.

    Raises
    ------
    ReaderError
        It is not there, is no array, has another number of axes, or keeps its values in
        another file.
    """
    node = find(group, name)
    place = group.file.filename
    if node is None or not hasattr(node, "dtype"):
        msg = f"{place} has no array {name!r}."
        raise ReaderError(msg, "Is it in the format that was asked for?")
    if node.is_virtual or node.external:
        msg = f"{place}: the values of {name!r} lie in another file."
        raise ReaderError(msg, "Save the recording as one file.")
    if ndim is not None and node.ndim != ndim:
        msg = f"{place}: {name!r} has the shape {node.shape}, not {ndim} axes."
        raise ReaderError(msg, "Is it in the format that was asked for?")
    stored = node.attrs.get("shape")
    if stored is not None and 0 in np.atleast_1d(stored):
        # An empty array, for which PyTables leaves one value and the shape it stands for.
        return np.empty(tuple(int(n) for n in np.atleast_1d(stored)), np.float64)
    return np.asarray(node[()])


def read_texts(group: Any, name: str) -> tuple[str, ...]:
    """Read an array of text.

    Raises
    ------
    ReaderError
        It is not there, or holds something else than text.
    """
    values = read_array(group, name).ravel()
    if values.dtype.kind not in "SOU" and values.size:
        msg = f"{group.file.filename}: {name!r} holds {values.dtype}, not text."
        raise ReaderError(msg, "Is it in the format that was asked for?")
    return tuple(as_text(value) for value in values)


def as_text(value: Any) -> str:
    """Return bytes or text as text; bytes that are no UTF-8 keep a mark."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def attribute(node: Any, name: str) -> Any | None:
    """Return an attribute as text, a plain number or an array; None when absent or empty."""
    if name not in node.attrs:
        return None
    value = node.attrs[name]
    if isinstance(value, bytes | str):
        return as_text(value)
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, np.ndarray) else None


def number_attribute(node: Any, name: str) -> float | None:
    """Return an attribute that is one finite number; None when it is not there or is not that."""
    value = attribute(node, name)
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0].item()
    known = isinstance(value, int | float) and math.isfinite(value)
    return float(value) if known and value is not None else None
