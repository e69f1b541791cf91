"""What the columns of tables mean, with their units, in the words of the field.

Only columns that mean the same wherever they stand are told; a feature's own docstring says the
rest. A scaler keeps the names of what it scales, so below one nothing is said to have a unit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg
import polars as pl

_UNIT = "unit of the tracks"
_POSE = re.compile(r"pose([XYP])(\d+)")


@dataclass(frozen=True)
class Recordings:
    """What columns of a dataset are measured in.

    Attributes
    ----------
    unit
        Unit of the coordinates.
    keypoints
        Names of the keypoints in the order of ``poseX0``, ``poseX1``, …
    """

    unit: str | None = None
    keypoints: Sequence[str] = ()


_ANYWHERE: Sequence[tuple[str, str]] = (
    ("frame", "number of the frame in the recording"),
    ("time", "time of the frame (s)"),
    ("id", "the individual; 0, 1, … within a recording"),
    ("id1", "the focal individual of the pair"),
    ("id2", "its partner"),
    ("perspective", "0: the lower id is the focal one; 1: the higher"),
    ("fps", "frames per second"),
    ("group", "group of the recording (arena, cohort, day)"),
    ("sequence", "name of the recording in its group"),
    ("cluster", "cluster of the row; empty where there is none"),
    (r"PC\d+", "score on a principal component"),
    ("(?:tsne|umap)_[xy]", "place on the map (no unit)"),
    ("predicted_label|label|label_id", "the behaviour, as a number of its class"),
    ("label_name|name", "the behaviour"),
    ("split", "train, test, or empty for rows that teach nothing"),
    ("prob_.*|p_.*", "probability of a class"),
    ("start_frame|start", "first frame of the event"),
    ("end_frame|stop|end", "frame after the last one of the event"),
    ("start_time|stop_time|end_time", "time (s)"),
    ("behavior|class", "the behaviour"),
)

_MEASURED: Sequence[tuple[str, str]] = (
    ("X|Y", "centre of the individual ({unit})"),
    ("ANGLE", "heading (rad, from +x towards +y)"),
    ("is_axis", "the heading is that of an axis, so it may be turned by half a turn"),
    ("bad_frame", "the position was taken for a tracking error"),
    ("speed|speed_smooth|speed_step", "speed ({unit}/s)"),
    ("vx|vy", "velocity along the axes of the image ({unit}/s)"),
    ("angvel|angvel_step", "turning rate (rad/s)"),
    ("body_length", "length of the midline ({unit})"),
    (r"length_\d+", "length of a segment of the midline ({unit})"),
    (r"bend_\d+|total_bend", "bend of the midline (rad)"),
    ("curvature", "bend per length of the midline (rad per {unit})"),
    ("scale", "size of the body ({unit})"),
    (r"[AB]_(?:speed|v_para|v_perp)", "motion of {which}, along and across its heading ({unit}/s)"),
    ("[AB]_ang_speed", "turning rate of {which} (rad/s)"),
    ("AB_(?:dist|dx_egoA|dy_egoA)", "where the partner is, seen from the focal animal ({unit})"),
    ("nn_id", "the nearest neighbour; empty for none"),
    ("nn_(?:dist|delta_.*)", "where the nearest neighbour is ({unit}; angles in rad)"),
)

_COMPILED = tuple(
    tuple((re.compile(pattern), words) for pattern, words in table)
    for table in (_ANYWHERE, _MEASURED)
)
_MOST_COLUMNS = 300


def column_words(column: str, of: Recordings | None = None) -> str | None:
    """What a column holds, or None where that depends on the feature.

    Parameters
    ----------
    column
        Its name.
    of
        What is known about the recordings; None where the column may have been scaled, so that
        nothing is said of what was measured.
    """
    found = _first(column, _COMPILED[0])
    if found is not None or of is None:
        return found
    length = of.unit or _UNIT
    pose = _POSE.fullmatch(column)
    if pose:
        number = int(pose[2])
        name = of.keypoints[number] if number < len(of.keypoints) else f"keypoint {number}"
        return f"{name}: confidence" if pose[1] == "P" else f"{name}: {pose[1].lower()} ({length})"
    words = _first(column, _COMPILED[1])
    which = "the focal animal" if column.startswith("A") else "its partner"
    return None if words is None else words.format(unit=length, which=which)


def _first(column: str, patterns: Sequence[tuple[re.Pattern[str], str]]) -> str | None:
    return next((words for pattern, words in patterns if pattern.fullmatch(column)), None)


def told_schema(schema: Mapping[str, pl.DataType], of: Recordings | None = None) -> dg.TableSchema:
    """Columns, types and meanings as Dagster shows them; the first few hundred of a wide table."""
    return dg.TableSchema(
        [
            dg.TableColumn(name, str(dtype), description=column_words(name, of))
            for name, dtype in list(schema.items())[:_MOST_COLUMNS]
        ]
    )
