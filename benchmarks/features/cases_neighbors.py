"""Features about neighbours beside plain numpy scripts."""

from __future__ import annotations

import numpy as np
import polars as pl

from benchmarks.features.case import Case, Columns
from mosaic_dagster.features import get_feature

_OFFSETS = ("nn_delta_x", "nn_delta_y", "nn_dist", "nn_delta_angle")
_OFFSETS += ("nn_delta_x_ego", "nn_delta_y_ego")
_MANY = 15
_LAG = 4


def with_heading(tracks: pl.DataFrame) -> pl.DataFrame:
    """Tracks that look from keypoint 1 to keypoint 0."""
    dy, dx = pl.col("poseY0") - pl.col("poseY1"), pl.col("poseX0") - pl.col("poseX1")
    return tracks.with_columns(ANGLE=pl.arctan2(dy, dx))


def thirty_animals(tracks: pl.DataFrame) -> pl.DataFrame:
    """Each animal 15 times, at other places and times, in a tenth of the frames."""
    few = with_heading(tracks).filter(pl.col("frame") < pl.col("frame").max() // 10)
    n = few.height
    copies = [
        few.with_columns(
            pl.col("X", "Y", "ANGLE").shift(2 * k).fill_null(strategy="backward"),
            id=pl.col("id") + 2 * k,
        ).with_columns(X=pl.col("X") + 20 * np.cos(k), Y=pl.col("Y") + 20 * np.sin(k))
        for k in range(_MANY)
    ]
    assert all(copy.height == n for copy in copies)
    return pl.concat(copies).sort("frame", "id")


def with_neighbors(tracks: pl.DataFrame) -> pl.DataFrame:
    """Tracks with heading, speed and nearest neighbour."""
    table = with_heading(tracks)
    speed = get_feature("speed-angvel")().apply(table)["speed"]
    found = get_feature("nearest-neighbor")().apply(table)
    table = table.with_columns(speed, found["nn_id"], *(found[column] for column in _OFFSETS))
    return table.with_columns(group_membership=pl.lit(0), group_size=pl.len().over("frame"))


def responses(tracks: pl.DataFrame) -> pl.DataFrame:
    """What nn-delta-response makes."""
    return get_feature("nn-delta-response")().apply(with_neighbors(tracks))


def nearest_neighbor(table: pl.DataFrame) -> Columns:
    out = {name: np.full(table.height, np.nan) for name in ("nn_id", *_OFFSETS)}
    for group in table.with_row_index("row").partition_by("frame"):
        row, identity, x, y, heading = _arrays(group, "row", "id", "X", "Y", "ANGLE")
        there = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        there = there[np.argsort(identity[there])]
        if len(there) < 2:
            continue
        distance = (x[there] - x[there][:, None]) ** 2 + (y[there] - y[there][:, None]) ** 2
        np.fill_diagonal(distance, np.inf)
        nearest = there[distance.argmin(axis=1)]
        dx, dy = x[nearest] - x[there], y[nearest] - y[there]
        cos, sin = np.cos(heading[there]), np.sin(heading[there])
        at = row[there].astype(np.int64)
        out["nn_id"][at] = identity[nearest]
        out["nn_delta_x"][at] = dx
        out["nn_delta_y"][at] = dy
        out["nn_dist"][at] = np.sqrt(dx**2 + dy**2)
        out["nn_delta_angle"][at] = _wrap(heading[nearest] - heading[there])
        out["nn_delta_x_ego"][at] = dx * cos + dy * sin
        out["nn_delta_y_ego"][at] = dy * cos - dx * sin
    return out


def nn_delta_response(table: pl.DataFrame) -> Columns:
    frame, identity, fps = _arrays(table, "frame", "id", "fps")
    x, y, heading, speed = _arrays(table, "X", "Y", "ANGLE", "speed")
    names = ("dx", "dy", "dt", "dangle", "dspeed", "dx_back", "dy_back")
    out = {name: np.full(len(x), np.nan) for name in names}
    kept = np.zeros(len(x), dtype=bool)
    for animal in np.unique(identity):
        rows = np.flatnonzero(identity == animal)
        rows = rows[np.argsort(frame[rows], kind="stable")]
        valid = frame[rows[_LAG:]] - frame[rows[:-_LAG]] == _LAG
        now, later = rows[:-_LAG][valid], rows[_LAG:][valid]
        kept[now] = True
        out["dx"][now] = x[later] - x[now]
        out["dy"][now] = y[later] - y[now]
        out["dt"][now] = _LAG
        out["dangle"][now] = _wrap(heading[later] - heading[now]) / _LAG * fps[now]
        out["dspeed"][now] = speed[later] - speed[now]
        out["dx_back"][later] = x[later] - x[now]
        out["dy_back"][later] = y[later] - y[now]
    nn_id, ahead, aside = _arrays(table, "nn_id", "nn_delta_x_ego", "nn_delta_y_ego")
    out |= {"nn_id": nn_id, "neighbor_x": ahead, "neighbor_y": aside}
    out["group_size"] = _arrays(table, "group_size")[0]
    out["neighbor_group_size"] = _of_neighbor(frame, identity, nn_id, out["group_size"])
    return {name: values[kept] for name, values in out.items()}


def nn_delta_bins(table: pl.DataFrame) -> Columns:
    x, y, turn, speed = _arrays(table, "neighbor_x", "neighbor_y", "dangle", "dspeed")
    there = np.isfinite(x) & np.isfinite(y) & np.isfinite(turn) & np.isfinite(speed)
    x, y, turn, speed = x[there], y[there], turn[there], speed[there]
    edges, aside = np.linspace(-14, 14, 45), np.linspace(-14, 14, 46)
    ahead, beside = (x >= 0) & (x <= 5), np.abs(y) <= 2.5
    both_y = np.concatenate([y, -y])
    both_x = np.concatenate([x, x])
    near_y = np.concatenate([y[ahead], -y[ahead]])
    near_turn = np.concatenate([turn[ahead], -turn[ahead]])
    sums, counts = [], []
    for places, bins, values in (
        ((x[beside],), (edges,), speed[beside]),
        ((near_y,), (edges,), near_turn),
        ((both_x, both_y), (edges, aside), np.concatenate([speed, speed])),
        ((both_x, both_y), (edges, aside), np.concatenate([turn, -turn])),
    ):
        sums.append(np.histogramdd(places, bins, weights=values)[0].ravel())
        counts.append(np.histogramdd(places, bins)[0].ravel())
    total, n = np.concatenate(sums), np.concatenate(counts)
    value = np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0)
    return {"value": value, "sum_value": total, "count": n}


def social_motion_summary(table: pl.DataFrame) -> Columns:
    frame, identity, fps, speed = _arrays(table, "frame", "id", "fps", "speed")
    nn_id, size = _arrays(table, "nn_id", "group_size")
    angle, ahead, aside = _arrays(table, "nn_delta_angle", "nn_delta_x_ego", "nn_delta_y_ego")
    of_neighbor = _of_neighbor(frame, identity, nn_id, speed)
    known = np.isfinite(speed)
    _, in_frame = np.unique(frame, return_inverse=True)
    total = np.bincount(in_frame, weights=np.where(known, speed, 0))
    count = np.bincount(in_frame, weights=known)
    group = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)[in_frame]
    distance = np.hypot(ahead, aside)
    summaries: dict[str, list[float]] = {}
    for animal in np.unique(identity):
        rows = np.flatnonzero(identity == animal)
        rows = rows[np.argsort(frame[rows], kind="stable")]
        social = rows[np.isfinite(nn_id[rows]) & (size[rows] >= 2)]
        seconds = np.diff(frame[rows]) / fps[rows][1:]
        accel = np.diff(speed[rows]) / seconds
        jerk = np.diff(accel) / seconds[1:]
        seen = np.isfinite(ahead[social])
        found = {
            "nn_align": np.nanmean(np.cos(angle[social])),
            "frac_nn_ahead": np.mean(ahead[social][seen] > 0),
            "nn_bearing_x": np.nanmean(ahead[social] / distance[social]),
            "nn_bearing_y": np.nanmean(aside[social] / distance[social]),
            "speed_match_nn": np.nanmean(np.abs(speed[social] - of_neighbor[social])),
            "speed_match_group": np.nanmean(np.abs(speed[social] - group[social])),
            "speed_cv": np.nanstd(speed[rows]) / np.nanmean(speed[rows]),
            "speed_rcv": _iqr(speed[rows]) / np.nanmedian(speed[rows]),
        }
        for name, rate in (("accel", np.abs(accel)), ("jerk", np.abs(jerk))):
            found[f"{name}_mean"] = np.nanmean(rate)
            found[f"{name}_med"] = np.nanmedian(rate)
            found[f"{name}_cv"] = np.nanstd(rate) / np.nanmean(rate)
            found[f"{name}_rcv"] = _iqr(rate) / np.nanmedian(rate)
        for name, value in found.items():
            summaries.setdefault(name, []).append(float(value))
    return {name: np.array(values) for name, values in summaries.items()}


def _arrays(table: pl.DataFrame, *columns: str) -> list[np.ndarray]:
    return [table[column].cast(pl.Float64).to_numpy() for column in columns]


def _of_neighbor(
    frame: np.ndarray, identity: np.ndarray, nn_id: np.ndarray, values: np.ndarray
) -> np.ndarray:
    keys = zip(frame.tolist(), identity.tolist(), strict=True)
    known = dict(zip(keys, values.tolist(), strict=True))
    wanted = zip(frame.tolist(), nn_id.tolist(), strict=True)
    return np.array([known.get(key, np.nan) for key in wanted])


def _wrap(angle: np.ndarray) -> np.ndarray:
    return (angle + np.pi) % (2 * np.pi) - np.pi


def _iqr(values: np.ndarray) -> float:
    low, high = np.nanpercentile(values, [25, 75])
    return float(high - low)


CASES: tuple[Case, ...] = (
    Case("nearest-neighbor", nearest_neighbor, prepare=with_heading, speedup=5.0),
    Case("nearest-neighbor", nearest_neighbor, prepare=thirty_animals, speedup=5.0),
    Case(
        "nn-delta-response",
        nn_delta_response,
        params={"emit_backward": True, "tag_cols": ("group_size",)},
        prepare=with_neighbors,
    ),
    Case("nn-delta-bins", nn_delta_bins, prepare=responses),
    Case("social-motion-summary", social_motion_summary, prepare=with_neighbors),
)
