"""Speed, heading, size, posture and cleaned trajectories beside pandas, animal by animal."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd  # noqa: TID251
import polars as pl
from scipy.signal import savgol_filter

from benchmarks.features.case import Case, Columns

_KEYPOINTS = 7
_WINDOW = 7
_LIMIT = 400.0

Animal = pd.DataFrame


def _frame_of(tracks: pl.DataFrame) -> Animal:
    return pd.DataFrame({name: tracks[name].to_numpy() for name in tracks.columns})


def _in_row_order(parts: list[Animal]) -> Columns:
    result = pd.concat(parts).sort_index()
    return {name: result[name].to_numpy() for name in result.columns}


def _wrap(angle: Any) -> Any:
    return (angle + np.pi) % (2 * np.pi) - np.pi


def _smooth(values: pd.Series[float], frame: pd.Series[int], window: int) -> pd.Series[float]:
    """A line fitted to each window, over stretches of successive frames with a value."""
    known = values.notna()
    stretch = ((frame.diff() != 1) | (known != known.shift())).cumsum()
    smooth = values.copy()
    for _, part in values[known].groupby(stretch[known]):
        if len(part) >= window:
            smooth[part.index] = savgol_filter(part, window, 1)
    return smooth


def speeds(tracks: pl.DataFrame) -> Columns:
    table = _frame_of(tracks)
    parts = []
    for _, animal in table.groupby("id"):
        animal = animal.sort_values("frame")
        made = {}
        for step, suffix in ((1, ""), (5, "_step")):
            seconds = animal["frame"].diff(step) / animal["fps"]
            vx, vy = (animal[axis].diff(step) / seconds for axis in "XY")
            made[f"speed{suffix}"] = np.hypot(vx, vy)
            made[f"angvel{suffix}"] = _wrap(animal["ANGLE"].diff(step)) / seconds
            if step == 1:
                made |= {"vx": vx, "vy": vy}
        made["speed_smooth"] = _smooth(made["speed"], animal["frame"], _WINDOW)
        parts.append(pd.DataFrame(made))
    return _in_row_order(parts)


def two_point_heading(tracks: pl.DataFrame) -> Columns:
    table = _frame_of(tracks)
    dx, dy = (table[f"pose{axis}0"] - table[f"pose{axis}1"] for axis in "XY")
    return {"ANGLE": np.arctan2(dy, dx).to_numpy()}


def axis_heading(tracks: pl.DataFrame) -> Columns:
    """The eigenvector of the larger eigenvalue, row by row."""
    angles = []
    for points in _points(tracks):
        centered = points[np.isfinite(points).all(axis=1)]
        centered = centered - centered.mean(axis=0)
        vector = np.linalg.eigh(centered.T @ centered)[1][:, 1]
        if vector[1] < 0:
            vector = -vector
        angles.append(np.arctan2(vector[1], vector[0]))
    return {"ANGLE": np.array(angles)}


def _points(tracks: pl.DataFrame) -> np.ndarray:
    names = [f"pose{axis}{k}" for k in range(_KEYPOINTS) for axis in "XY"]
    return _frame_of(tracks)[names].to_numpy().reshape(-1, _KEYPOINTS, 2)


def body_scale(tracks: pl.DataFrame) -> Columns:
    points = _points(tracks)
    distances = [
        np.linalg.norm(points[:, i] - points[:, j], axis=1)
        for i in range(_KEYPOINTS)
        for j in range(i)
    ]
    return {"scale": np.nanmedian(np.stack(distances, axis=1), axis=1)}


def posture(tracks: pl.DataFrame) -> Columns:
    points = _points(tracks)
    made: dict[str, np.ndarray] = {}
    segments = [points[:, k + 1] - points[:, k] for k in range(_KEYPOINTS - 1)]
    lengths = [np.linalg.norm(segment, axis=1) for segment in segments]
    angles = [np.arctan2(segment[:, 1], segment[:, 0]) for segment in segments]
    bends = [_wrap(b - a) for a, b in pairwise(angles)]
    made |= {f"length_{k}": length for k, length in enumerate(lengths)}
    made |= {f"bend_{k}": bend for k, bend in enumerate(bends)}
    made["body_length"] = np.sum(lengths, axis=0)
    made["total_bend"] = np.sum(bends, axis=0)
    made["curvature"] = made["total_bend"] / made["body_length"]
    return made


def cleaned(tracks: pl.DataFrame) -> Columns:
    table = _frame_of(tracks)
    names = [name for name in tracks.columns if name in "XY" or name.startswith("pose")]
    parts = []
    for _, animal in table.groupby("id"):
        animal = animal.sort_values("frame")
        distance = np.hypot(animal["X"].diff(), animal["Y"].diff())
        jump = distance / animal["frame"].diff() > _LIMIT / animal["fps"]
        bad = jump.rolling(5, center=True, min_periods=1).max() > 0
        rows = animal.assign(bad_frame=bad).set_index("frame")
        for name in names:
            filled = rows[name].mask(rows["bad_frame"]).interpolate(method="index").bfill()
            filled.index = animal.index
            animal[name] = _smooth_square(filled, animal["frame"])
        parts.append(animal[names].assign(bad_frame=bad.astype(float)))
    return _in_row_order(parts)


def _smooth_square(values: pd.Series[float], frame: pd.Series[int]) -> pd.Series[float]:
    smooth = values.copy()
    for _, part in values.groupby((frame.diff() != 1).cumsum()):
        if len(part) >= _WINDOW:
            smooth[part.index] = savgol_filter(part, _WINDOW, 2)
    return smooth


CASES: tuple[Case, ...] = (
    Case("speed-angvel", speeds, {"step_size": 5, "smooth_window": _WINDOW}),
    Case("heading", two_point_heading),
    Case("heading", axis_heading, {"method": "pca"}),
    Case("body-scale", body_scale),
    Case("posture", posture),
    Case(
        "trajectory-smooth",
        cleaned,
        {"speed_threshold": _LIMIT, "interpolate_pose": True, "savgol_window": _WINDOW},
    ),
)
