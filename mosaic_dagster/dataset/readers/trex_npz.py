"""TRex tracks: one npz file of plain arrays per animal; the files of a video make one recording.

``X``, ``Y`` of the file are the head and become ``X#head``, ``Y#head``; the centre is
``X#wcentroid``, ``Y#wcentroid``. Where an animal was not found all fields are infinite. What is
derived from positions, such as speed, is left out. Lengths are cm, or pixels with ``unit="px"``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import polars as pl

from mosaic_dagster.dataset.readers.base import Names, ReaderParams, Recording
from mosaic_dagster.dataset.readers.pose_arrays import Floats, NamedParams, keypoint_names
from mosaic_dagster.dataset.readers.trex_fields import (
    TrexFile,
    array_names,
    is_derived,
    read_fields,
    scaled,
)
from mosaic_dagster.errors import ReaderError

_ANIMAL = re.compile(r"(.+)_(?:id|fish|bee|animal|ind)([0-9]+)")
_TAKEN = frozenset({"X", "Y", "X#wcentroid", "Y#wcentroid", "frame", "id", "missing"})
_PIXELS: Literal["px"] = "px"


class TrexParams(NamedParams):
    """Parameters of :class:`TrexNpz`.

    Attributes
    ----------
    unit
        ``cm``, as the files are, or ``px``: lengths are then divided by ``cm_per_pixel``. None is
        ``cm``, or ``px`` where the file says that one pixel is 1 cm, that is, was not calibrated.
    cm_per_pixel
        Where the file does not tell it.
    ignore
        Fields that are left out.
    """

    unit: Literal["cm", "px"] | None = None
    cm_per_pixel: float | None = None
    ignore: tuple[str, ...] = ()


class TrexNpz:
    """Reads ``<video>_fish<k>.npz`` or ``<video>_id<k>.npz``."""

    name: ClassVar[str] = "trex_npz"
    version: ClassVar[str] = "1"
    extensions: ClassVar[tuple[str, ...]] = (".npz",)
    merges: ClassVar[bool] = True
    params: ClassVar[type[ReaderParams]] = TrexParams

    def sniff(self, path: Path) -> bool:
        """Whether the file has a centre, or a head with times, as TRex names them."""
        names = array_names(path)
        head = {"X", "Y"} <= names and bool(names & {"time", "frame"})
        return "X#wcentroid" in names or (head and any("#" in name for name in names))

    def sequences(self, path: Path) -> list[Names]:
        """One recording, called as the file without its ending for the animal."""
        match = _ANIMAL.fullmatch(path.stem)
        return [(None, match[1] if match else path.stem)]

    def keypoints(self, path: Path, params: ReaderParams) -> tuple[str, ...]:
        """Names of the pose points; most files have none, only a centre."""
        return _keypoints(array_names(path), params, path)

    def read(self, path: Path, params: ReaderParams) -> list[Recording]:
        """Read one animal of a recording.

        Raises
        ------
        ReaderError
            The file is damaged or has no centre; or pixels are asked for and the scale is
            unknown, or a field is of a kind that is not known to be a length or not.
        """
        given = params if isinstance(params, TrexParams) else TrexParams()
        file = read_fields(path, given.ignore)
        for name in ("X#wcentroid", "Y#wcentroid"):
            if name not in file.fields:
                msg = f"{path} has no {name!r}, the centre of the animal."
                raise ReaderError(msg, "Export X and Y of the weighted centroid, too.")
        unit, fields = _in_unit(file, given)
        table = pl.DataFrame(_columns(file, fields))
        names = _keypoints(fields.keys(), given, path)
        [(group, sequence)] = self.sequences(path)
        return [Recording(sequence, group, table, names, fps=_rate(file), unit=unit)]


def _in_unit(file: TrexFile, params: TrexParams) -> tuple[str, dict[str, Floats]]:
    scale = file.scalars.get("cm_per_pixel", params.cm_per_pixel)
    if scale is not None and not 0 < scale < np.inf:
        msg = f"{file.path}: cm_per_pixel is {scale}."
        raise ReaderError(msg, "It must be positive; correct the calibration in TRex.")
    if params.unit != _PIXELS:
        return ("px" if scale == 1 and params.unit is None else "cm"), file.fields
    if scale is None:
        msg = f"{file.path} does not tell cm_per_pixel, so its lengths cannot become pixels."
        raise ReaderError(msg, "Give cm_per_pixel as a parameter, or read it in cm.")
    return _PIXELS, file.fields if scale == 1 else scaled(file, 1 / scale)


def _columns(file: TrexFile, fields: dict[str, Floats]) -> dict[str, Floats | pl.Series]:
    gone = fields.get("missing", np.zeros(file.length)) == 1
    columns: dict[str, Floats | pl.Series] = {
        "frame": fields.get("frame", np.arange(file.length, dtype=np.float64)),
        "id": pl.Series([_animal(file)] * file.length, dtype=pl.Int64),
    }
    for axis in "XY":
        columns[axis] = np.where(gone, np.inf, fields[f"{axis}#wcentroid"])
    for axis in "XY":
        if axis in fields:
            columns[f"{axis}#head"] = fields[axis]
    extras = sorted(name for name in fields if name not in _TAKEN and not is_derived(name))
    return columns | {name: fields[name] for name in extras}


def _animal(file: TrexFile) -> int:
    """Number of the animal: the file's own, else that of its name, else 0."""
    if "id" in file.scalars or "id" in file.fields:
        told = file.fields.get("id", np.array([file.scalars.get("id", np.nan)]))
        numbers = np.unique(told[np.isfinite(told)])
        if len(numbers) != 1 or numbers[0] < 0 or numbers[0] != round(numbers[0]):
            msg = f"{file.path}: the field 'id' holds {numbers[:3].tolist()}, not one whole number."
            raise ReaderError(msg, "A file is one animal; leave the field out with ignore=['id'].")
        return int(numbers[0])
    match = _ANIMAL.fullmatch(file.path.stem)
    return int(match[2]) if match else 0


def _rate(file: TrexFile) -> float | None:
    """Frames per second: 1 / median time between frames, to three decimals; None if not told.

    Times are stored in single precision, which late in a long video is too coarse for one frame;
    the mean over the whole video is taken where it agrees with the median within 1 %.
    """
    time = file.fields.get("time")
    if time is not None:
        frame = file.fields.get("frame", np.arange(file.length, dtype=np.float64))
        known = np.isfinite(time) & np.isfinite(frame)
        steps, times = np.diff(frame[known]), np.diff(time[known])
        usual = float(np.median(times / steps)) if len(steps) and (steps > 0).all() else 0.0
        if usual > 0:
            mean = float(times.sum() / steps.sum())
            return round(1 / (mean if abs(mean - usual) < 0.01 * usual else usual), 3)
    rate = file.scalars.get("frame_rate")
    return rate if rate is not None and 0 < rate < np.inf else None


def _keypoints(fields: Iterable[str], params: ReaderParams, path: Path) -> tuple[str, ...]:
    points = [name for name in fields if re.fullmatch(r"poseX[0-9]+", name)]
    wanted = params.names if isinstance(params, NamedParams) else ()
    return keypoint_names(len(points), wanted, str(path)) if points else ()
