"""pair-position, pair-egocentric and pair-posedistance-pca beside a script of the same formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd  # noqa: TID251  # what such a script is written with
import polars as pl

from benchmarks.features.case import Case, Columns
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.testing import toy_stream

_LIMIT, _EDGE, _MISSING = 10, 3, 0.1
_KEYPOINTS = 7
_POSE = [f"pose{axis}{k}" for k in range(_KEYPOINTS) for axis in "XY"]
_NECK, _TAIL = 3, 6

Floats = npt.NDArray[np.float64]

_fitted: dict[str, Floats] = {}


def _filled(values: pd.Series[float], *, is_angle: bool) -> pd.Series[float]:
    """Short holes of one column over all frames of a track."""
    if is_angle:
        known = values.dropna()
        values = pd.Series(np.unwrap(known), known.index).reindex(values.index)
    missing = values.isna()
    line = values.interpolate(method="index", limit_area="inside")
    ends = line.ffill(limit=_EDGE).bfill(limit=_EDGE)
    hole = (missing != missing.shift()).cumsum()
    length = missing.groupby(hole).transform("sum")
    filled = line.where(length <= _LIMIT, values)
    outside = line.isna()
    filled[outside] = ends[outside]
    if is_angle:
        wrapped = (filled + np.pi) % (2 * np.pi) - np.pi
        filled = wrapped.where(missing, filled)
    return filled


def _cleaned(tracks: pl.DataFrame, columns: list[str]) -> list[pd.DataFrame]:
    """Rows of each animal that are whole after filling, by frame."""
    table = tracks.select("frame", "id", *columns).to_pandas()
    cleaned = []
    for _, track in table.groupby("id"):
        rows = track.set_index("frame").sort_index()[columns]
        grid = rows.reindex(np.arange(rows.index[0], rows.index[-1] + 1))
        filled = grid.apply(lambda column: _filled(column, is_angle=column.name == "ANGLE"))
        filled = filled.loc[rows.index]
        filled = filled[filled.isna().mean(axis=1) <= _MISSING]
        cleaned.append(filled.dropna())
    return cleaned


def _rates(values: Floats, frames: npt.NDArray[np.int64], fps: float) -> Floats:
    parts = np.split(values, np.flatnonzero(np.diff(frames) != 1) + 1)
    slopes = [np.gradient(p) if len(p) > 1 else np.full(len(p), np.nan) for p in parts]
    return np.concatenate(slopes) * fps


def _turns(angle: Floats, frames: npt.NDArray[np.int64], fps: float) -> Floats:
    parts = np.split(angle, np.flatnonzero(np.diff(frames) != 1) + 1)
    return _rates(np.concatenate([np.unwrap(part) for part in parts]), frames, fps)


def _seen_by(
    a: tuple[Floats, Floats], b: tuple[Floats, Floats], frames: npt.NDArray[np.int64], fps: float
) -> dict[str, Floats]:
    """The egocentric columns of one perspective; centre (n, 2) and heading angle (n,) each."""
    columns: dict[str, Floats] = {}
    for name, (center, angle) in (("A", a), ("B", b)):
        velocity = np.stack([_rates(center[:, axis], frames, fps) for axis in (0, 1)], axis=1)
        ahead = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        beside = np.stack([-np.sin(angle), np.cos(angle)], axis=1)
        columns[f"{name}_speed"] = np.linalg.norm(velocity, axis=1)
        columns[f"{name}_v_para"] = (velocity * ahead).sum(axis=1)
        columns[f"{name}_v_perp"] = (velocity * beside).sum(axis=1)
        columns[f"{name}_ang_speed"] = _turns(angle, frames, fps)
        if name == "A":
            columns["A_heading_cos"], columns["A_heading_sin"] = ahead.T
            offset = b[0] - a[0]
            columns["AB_dist"] = np.linalg.norm(offset, axis=1)
            columns["AB_dx_egoA"] = (offset * ahead).sum(axis=1)
            columns["AB_dy_egoA"] = (offset * beside).sum(axis=1)
            columns["rel_heading_cos"] = np.cos(b[1] - a[1])
            columns["rel_heading_sin"] = np.sin(b[1] - a[1])
    return columns


def _interleaved(perspectives: list[dict[str, Floats]]) -> Columns:
    """Frame by frame, perspective 0 and then 1."""
    own, swapped = perspectives
    return {k: np.stack([own[k], swapped[k]], axis=1).ravel().astype(np.float32) for k in own}


def _both(
    first: tuple[Floats, Floats], second: tuple[Floats, Floats], index: pd.Index[int], fps: float
) -> Columns:
    frames = index.to_numpy()
    perspectives = [_seen_by(first, second, frames, fps), _seen_by(second, first, frames, fps)]
    return _interleaved(perspectives)


def position(tracks: pl.DataFrame) -> Columns:
    """Centre X, Y and heading ANGLE."""
    one, two = _cleaned(tracks, ["X", "Y", "ANGLE"])
    frames = one.index.intersection(two.index)
    sides = [(t.loc[frames, ["X", "Y"]].to_numpy(), t.loc[frames, "ANGLE"]) for t in (one, two)]
    first, second = ((center, angle.to_numpy()) for center, angle in sides)
    return _both(first, second, frames, tracks["fps"][0])


def egocentric(tracks: pl.DataFrame) -> Columns:
    """Mean of the keypoints, and the direction from tail base to neck."""
    one, two = _cleaned(tracks, _POSE)
    frames = one.index.intersection(two.index)
    sides = []
    for table in (one, two):
        points = table.loc[frames].to_numpy().reshape(-1, _KEYPOINTS, 2)
        dx, dy = (points[:, _NECK] - points[:, _TAIL]).T
        sides.append((points.mean(axis=1), np.arctan2(dy, dx)))
    return _both(sides[0], sides[1], frames, tracks["fps"][0])


def _distances(a: Floats, b: Floats) -> Floats:
    """Inside a, inside b, and from a to b, shape (n_rows, 91)."""
    later, earlier = np.tril_indices(_KEYPOINTS, k=-1)
    inside = [np.linalg.norm(p[:, later] - p[:, earlier], axis=2) for p in (a, b)]
    across = np.linalg.norm(a[:, :, None] - b[:, None, :], axis=3)
    return np.concatenate([*inside, across.reshape(len(a), -1)], axis=1)


def posture(tracks: pl.DataFrame) -> Columns:
    """Scores on the components that the feature was fitted with."""
    one, two = _cleaned(tracks, _POSE)
    frames = one.index.intersection(two.index)
    a, b = (t.loc[frames].to_numpy().reshape(-1, _KEYPOINTS, 2) for t in (one, two))
    perspectives = []
    for rows in (_distances(a, b), _distances(b, a)):
        scores = (rows - _fitted["mean"]) @ _fitted["components"].T
        perspectives.append({f"PC{k}": scores[:, k] for k in range(scores.shape[1])})
    return _interleaved(perspectives)


def fit_posture(feature: Any, tracks: pl.DataFrame) -> None:
    """Fit on the tracks themselves, and tell the reference what came out."""
    feature.fit(toy_stream({EntryKey("bench", "pair"): tracks}))
    _fitted.update(feature.fitted())


CASES: tuple[Case, ...] = (
    Case("pair-position", position, speedup=5.0),
    Case("pair-egocentric", egocentric, speedup=5.0),
    Case("pair-posedistance-pca", posture, ready=fit_posture, speedup=5.0),
)
