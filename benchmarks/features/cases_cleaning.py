"""Cleaning, units and summaries beside plain pandas and numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd  # noqa: TID251
import polars as pl
from scipy.interpolate import interp1d
from scipy.signal import savgol_filter
from sklearn.cluster import KMeans

from benchmarks.features.case import Case, Columns

Animal = pd.DataFrame


def to_pandas(tracks: pl.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({name: tracks[name].to_numpy() for name in tracks.columns})


def coordinates(tracks: pl.DataFrame) -> list[str]:
    return [name for name in tracks.columns if name in "XY" or name.startswith(("poseX", "poseY"))]


def with_confidence(tracks: pl.DataFrame) -> pl.DataFrame:
    """A confidence for every keypoint, low in every seventh row or so."""
    numbers = np.random.default_rng(7)
    n_keypoints = sum(name.startswith("poseX") for name in tracks.columns)
    confidence = {
        f"poseP{k}": np.clip(numbers.normal(0.85, 0.2, tracks.height), 0, 1)
        for k in range(n_keypoints)
    }
    return tracks.with_columns(pl.Series(name, values) for name, values in confidence.items())


def with_angle(tracks: pl.DataFrame) -> pl.DataFrame:
    dx, dy = (pl.col(f"pose{a}0") - pl.col(f"pose{a}1") for a in "XY")
    return tracks.with_columns(pl.arctan2(dy, dx).alias("ANGLE"))


def per_animal(tracks: pl.DataFrame, change: Any) -> Columns:
    """Apply ``change(rows of one animal over all its frames)`` and give the rows back."""
    table = to_pandas(tracks)
    names = coordinates(tracks)
    parts = []
    for _, animal in table.groupby("id"):
        rows = animal.sort_values("frame")
        frames = np.arange(rows["frame"].min(), rows["frame"].max() + 1)
        grid = rows.set_index("frame").reindex(frames)
        changed = change(grid, names).loc[rows["frame"], names]
        parts.append(changed.set_index(rows.index))
    result = pd.concat(parts).sort_index()
    return {name: result[name].to_numpy() for name in names}


def filter_interpolate(tracks: pl.DataFrame, kind: str, max_gap: int) -> Columns:
    def change(grid: Animal, names: list[str]) -> Animal:
        grid = grid.copy()
        for name in names:
            values = grid[name].to_numpy().copy()
            if name.startswith("pose"):
                values[~(grid[f"poseP{name[5:]}"].to_numpy() >= 0.6)] = np.nan
            known = np.flatnonzero(np.isfinite(values))
            found = interp1d(known, values[known], kind=kind, bounds_error=False)
            rows = np.arange(len(values))
            filled = np.where(np.isfinite(values), values, found(rows))
            before = np.maximum.accumulate(np.where(np.isfinite(values), rows, -1))
            after = np.where(np.isfinite(values), rows, len(rows))
            after = np.minimum.accumulate(after[::-1])[::-1]
            grid[name] = np.where(after - before - 1 <= max_gap, filled, values)
        return grid

    return per_animal(tracks, change)


def savgol(tracks: pl.DataFrame) -> Columns:
    def change(grid: Animal, names: list[str]) -> Animal:
        return grid.assign(
            **{c: savgol_filter(grid[c].to_numpy(), 5, 2, mode="nearest") for c in names}
        )

    return per_animal(tracks, change)


def rolling(tracks: pl.DataFrame, statistic: str, window: int) -> Columns:
    def change(grid: Animal, names: list[str]) -> Animal:
        windows = grid[names].rolling(window, center=True, min_periods=3)
        return getattr(windows, statistic)()

    return per_animal(tracks, change)


def scale(tracks: pl.DataFrame) -> Columns:
    table = to_pandas(tracks)
    return {f"{name}_cm": table[name].to_numpy() * 0.03 for name in coordinates(tracks)}


def frame_statistic(tracks: pl.DataFrame, agg: str) -> Columns:
    found = to_pandas(tracks).groupby("frame")["X"].agg(agg)
    return {f"X_{agg}": found.to_numpy()}


def share_above(tracks: pl.DataFrame) -> Columns:
    table = to_pandas(tracks)
    table = table[(table["Y"] > 0) & table["id"].isin([0, 1])]
    above = (table["X"].abs() > 10).astype(float).where(table["X"].notna())
    return {"X_mean": above.groupby(table["frame"]).mean().to_numpy()}


def subsample(tracks: pl.DataFrame) -> Columns:
    table = to_pandas(tracks)
    n_keypoints = sum(name.startswith("poseX") for name in tracks.columns)
    kept = []
    for _, animal in table.groupby("id"):
        rows = animal.sort_values("frame")
        cos, sin = np.cos(rows["ANGLE"]), np.sin(rows["ANGLE"])
        ahead, side = [], []
        for k in range(n_keypoints):
            dx, dy = rows[f"poseX{k}"] - rows["X"], rows[f"poseY{k}"] - rows["Y"]
            ahead.append(dx * cos + dy * sin)
            side.append(-dx * sin + dy * cos)
        points = np.column_stack([*ahead, *side])
        complete = np.isfinite(points).all(axis=1)
        points, index = points[complete], rows.index[complete]
        kmeans = KMeans(40, random_state=42, n_init="auto").fit(points)
        distance = np.linalg.norm(points - kmeans.cluster_centers_[kmeans.labels_], axis=1)
        for cluster in range(40):
            members = np.flatnonzero(kmeans.labels_ == cluster)
            kept.append(index[members[distance[members].argmin()]])
    chosen = table.loc[sorted(kept)]
    return {name: chosen[name].to_numpy() for name in coordinates(tracks)}


def _interpolated(kind: str) -> Case:
    return Case(
        feature="movement-filter-interpolate",
        reference=lambda tracks: filter_interpolate(tracks, kind, 20),
        params={"interpolation_method": kind, "max_gap": 20},
        prepare=with_confidence,
    )


def _rolling(statistic: str, window: int) -> Case:
    return Case(
        feature="movement-smooth",
        reference=lambda tracks: rolling(tracks, statistic, window),
        params={
            "method": "rolling",
            "statistic": statistic,
            "window": window,
            "min_periods": 3,
        },
    )


def _aggregated(agg: str) -> Case:
    return Case(
        feature="frame-aggregate",
        reference=lambda tracks: frame_statistic(tracks, agg),
        params={"column": "X", "agg": agg},
    )


CASES: tuple[Case, ...] = (
    Case(feature="scale-to-cm", reference=scale, params={"cm_per_pixel": 0.03}),
    *(_interpolated(kind) for kind in ("linear", "nearest", "quadratic", "cubic")),
    Case(feature="movement-smooth", reference=savgol),
    *(_rolling(statistic, 5) for statistic in ("median", "mean", "max", "min")),
    _rolling("median", 31),
    Case(
        feature="track-subsample",
        reference=subsample,
        params={"target_frames": 40},
        prepare=with_angle,
        # Nearly all of the time is scikit-learn's on both sides, so the ratio is 1 but for noise.
        speedup=0.9,
    ),
    *(_aggregated(agg) for agg in ("mean", "median", "min", "max", "std", "sum", "count")),
    Case(
        feature="frame-aggregate",
        reference=share_above,
        params={
            "column": "X",
            "threshold": 10,
            "transform": "abs",
            "filter_expr": "Y > 0 and id in [0, 1]",
        },
    ),
)
