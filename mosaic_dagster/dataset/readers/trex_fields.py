"""The arrays in a TRex file: which are by frame, which are lengths, which are derived."""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mosaic_dagster.dataset.readers.pose_arrays import Floats
from mosaic_dagster.errors import ReaderError

_POSE = re.compile(r"pose[XYP][0-9]+")
_LENGTHS = frozenset(
    {"X", "Y", "midline_x", "midline_y", "segment_length", "BORDER_DISTANCE", "NEIGHBOR_DISTANCE"}
)
_DERIVED = frozenset(
    {"VX", "VY", "AX", "AY", "SPEED", "ACCELERATION", "ANGULAR_V", "ANGULAR_A", "v_direction"}
)
_OTHERS = frozenset(
    {"frame", "time", "timestamp", "id", "missing", "ANGLE", "num_pixels", "midline_length"}
    | {"normalized_midline", "MIDLINE_OFFSET", "detection_p", "category", "consecutive"}
)
_SCALARS = ("cm_per_pixel", "frame_rate")


@dataclass(frozen=True)
class TrexFile:
    """What a file holds by frame, and once.

    Attributes
    ----------
    path
        The file.
    length
        Number of frames.
    fields
        Values by frame; infinite where the animal was not found, NaN beyond the end of an array
        that is too short.
    scalars
        Numbers that hold for the whole file.
    """

    path: Path
    length: int
    fields: dict[str, Floats]
    scalars: dict[str, float]


def array_names(path: Path) -> set[str]:
    """Names of the arrays in an npz file, without reading them; empty for every other file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except zipfile.BadZipFile:
        return set()


def is_derived(name: str) -> bool:
    """Whether a field is computed from positions over time, at whatever point of the body."""
    return name.partition("#")[0] in _DERIVED


def read_fields(path: Path, ignore: Sequence[str] = ()) -> TrexFile:
    """Read the arrays of numbers in a file.

    There are as many frames as ``time`` has values, else as most arrays have. Of arrays with
    another length only the known fields by frame are taken, cut or filled with NaN; lists of
    other things, such as ``frame_segments``, are left out. A table of several values by frame
    becomes columns ``name_0``, ``name_1``, ….

    Raises
    ------
    ReaderError
        The file is damaged, holds Python objects, or has no array by frame.
    """
    arrays = _load(path, ignore)
    lengths = Counter(len(array) for array in arrays.values() if array.ndim and array.size > 1)
    length = _length(arrays, lengths, path)
    scalars = {
        name: float(array.reshape(-1)[0])
        for name, array in arrays.items()
        if array.size == 1 and (length > 1 or name in _SCALARS or not array.ndim)
    }
    fields: dict[str, Floats] = {}
    for name, array in arrays.items():
        if name not in scalars:
            fields |= _columns(name, array.astype(np.float64), length)
    for name, value in scalars.items():
        if name not in (*_SCALARS, "id"):
            fields[name] = np.full(length, value)
    return TrexFile(path, length, fields, scalars)


def scaled(file: TrexFile, factor: float) -> dict[str, Floats]:
    """Multiply lengths; everything else stays.

    Raises
    ------
    ReaderError
        A field is not known to be a length or to be none.
    """
    fields = {}
    for name, values in file.fields.items():
        base = name.partition("#")[0]
        is_length = base in _LENGTHS or (_POSE.fullmatch(base) is not None and base[4] != "P")
        if not is_length and base not in _OTHERS | _DERIVED and not _POSE.fullmatch(base):
            msg = f"{file.path}: it is not known whether the field {name!r} is a length."
            raise ReaderError(msg, f"Leave it out with ignore=[{name!r}], or read in cm.")
        fields[name] = values * factor if is_length else values
    return fields


def _load(path: Path, ignore: Sequence[str]) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files if name not in ignore}
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}."
        raise ReaderError(msg, "Check that it is a complete npz file.") from error
    except (ValueError, EOFError, zipfile.BadZipFile, AttributeError, TypeError) as error:
        msg = f"{path} is not a readable npz file of plain arrays ({error})."
        raise ReaderError(msg, "Is it complete? Export it again; leave objects out.") from error
    return {name: array for name, array in arrays.items() if array.dtype.kind in "biuf"}


def _length(arrays: dict[str, NDArray[Any]], lengths: Counter[int], path: Path) -> int:
    time = arrays.get("time")
    if time is not None and time.ndim == 1:
        return len(time)
    if lengths:
        return lengths.most_common(1)[0][0]
    if _is_any_known(arrays):
        return 1
    msg = f"{path} has no values by frame."
    raise ReaderError(msg, "Is it a file of tracks that TRex exported?")


def _is_any_known(names: Iterable[str]) -> bool:
    return any(_is_known(name) for name in names)


def _is_known(name: str) -> bool:
    base = name.partition("#")[0]
    return base in _LENGTHS | _DERIVED | _OTHERS or _POSE.fullmatch(base) is not None


def _columns(name: str, array: Floats, length: int) -> dict[str, Floats]:
    if array.ndim == 1 and len(array) == length:
        return {name: array}
    if array.ndim == 1 and _is_known(name):
        padded = np.full(length, np.nan)
        padded[: min(length, len(array))] = array[:length]
        return {name: padded}
    if array.ndim > 1 and len(array) == length:
        flat = array.reshape(length, -1)
        return {f"{name}_{i}": flat[:, i] for i in range(flat.shape[1])}
    return {}
