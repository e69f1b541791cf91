"""Columns of a tracks table: their names, their types and their order.

One row is one animal in one frame. Required are ``frame``, ``time`` (s), ``id``, the centre
``X``, ``Y`` and what closes each row: ``fps``, ``group``, ``sequence``. Keypoint ``k`` is
``poseX{k}``, ``poseY{k}`` and, where the tracker gives one, its confidence ``poseP{k}``. A
heading that the file carries is ``ANGLE`` (rad, from +x towards +y). Anything else is an extra.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import polars as pl

from mosaic_dagster.errors import TracksError

LEADING = ("frame", "time", "id", "X", "Y")
"""Columns that open a tracks table."""

CLOSING = ("fps", "group", "sequence")
"""Columns that close a tracks table; constant within an entry."""

FORBIDDEN = frozenset({"VX", "VY", "AX", "AY", "SPEED", "ANGULAR_V", "ANGULAR_A", "X#wcentroid"})
"""Derived columns; velocity and acceleration are features, computed one way for every format."""

TYPES = {
    "frame": pl.Int64,
    "time": pl.Float64,
    "id": pl.Int64,
    "X": pl.Float64,
    "Y": pl.Float64,
    "ANGLE": pl.Float64,
    "fps": pl.Float64,
    "group": pl.String,
    "sequence": pl.String,
}
"""Types of the named columns; keypoint columns are Float64."""

_POSE = re.compile(r"pose([XYP])(0|[1-9][0-9]*)")


def pose_indices(columns: Iterable[str]) -> list[int]:
    """Numbers of the keypoints that have coordinates, ascending (2 before 10)."""
    found = (_POSE.fullmatch(column) for column in columns)
    return sorted({int(match[2]) for match in found if match and match[1] != "P"})


def is_number_column(column: str) -> bool:
    """Whether the column holds coordinates, confidences or another named Float64."""
    return TYPES.get(column) == pl.Float64 or _POSE.fullmatch(column) is not None


def column_order(columns: Iterable[str]) -> list[str]:
    """Put columns in the order of a tracks table; extras keep their order among themselves."""
    present = list(columns)
    pose = [f"pose{part}{k}" for k in pose_indices(present) for part in "XYP"]
    named = [*LEADING, *pose, "ANGLE"]
    extras = [column for column in present if column not in {*named, *CLOSING}]
    return [column for column in [*named, *extras, *CLOSING] if column in present]


def check_columns(columns: Iterable[str], where: str) -> None:
    """Refuse a set of columns that cannot become a tracks table.

    Raises
    ------
    TracksError
        ``frame`` or ``id`` is missing, no coordinates are there, a coordinate has no partner,
        a confidence has no coordinates, or a column of velocities is there.
    """
    present = set(columns)
    forbidden = sorted(present & FORBIDDEN)
    if forbidden:
        msg = f"{where}: tracks may not have the column {forbidden[0]!r}."
        raise TracksError(msg, "Drop it; velocities and accelerations are computed as features.")
    for column in ("frame", "id"):
        if column not in present:
            msg = f"{where}: the column {column!r} is missing."
            raise TracksError(msg, "One row is one animal (id) in one frame.")
    for column in sorted(present):
        for partner in _partners(column):
            if partner not in present:
                msg = f"{where}: the column {column!r} is there without {partner!r}."
                raise TracksError(msg, "Give both coordinates, or neither.")
    if "X" not in present and not pose_indices(present):
        msg = f"{where}: there are no coordinates."
        raise TracksError(msg, "Give X and Y, or poseX0 and poseY0 and so on.")


def _partners(column: str) -> tuple[str, ...]:
    if column in {"X", "Y"}:
        return ("Y",) if column == "X" else ("X",)
    match = _POSE.fullmatch(column)
    if match is None:
        return ()
    partners = {"X": "Y", "Y": "X", "P": "XY"}[match[1]]
    return tuple(f"pose{partner}{match[2]}" for partner in partners)
