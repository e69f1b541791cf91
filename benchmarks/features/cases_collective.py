"""Features of groups; the animals are the keypoints of both animals of the benchmark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd  # noqa: TID251
import polars as pl
from scipy.sparse.csgraph import connected_components
from scipy.spatial import ConvexHull, QhullError

from benchmarks.features.case import Case, Columns

_N_FRAMES = 3000


def keypoints_as_animals(tracks: pl.DataFrame) -> pl.DataFrame:
    """One animal per individual and keypoint, in the first frames, with a speed column."""
    tracks = tracks.filter(pl.col("frame") < tracks["frame"].min() + _N_FRAMES)  # type: ignore[operator]
    n_keypoints = sum(name.startswith("poseX") for name in tracks.columns)
    kept = [c for c in ("frame", "time", "fps", "group", "sequence") if c in tracks.columns]
    parts = [
        tracks.select(
            *kept,
            (pl.col("id").cast(pl.Int64) * n_keypoints + k).alias("id"),
            pl.col(f"poseX{k}").cast(pl.Float64).alias("X"),
            pl.col(f"poseY{k}").cast(pl.Float64).alias("Y"),
        )
        for k in range(n_keypoints)
    ]
    herd = pl.concat(parts).sort("frame", "id")
    return herd.with_columns(speed=(pl.col("X") * 0.01).sin().abs())


def herd_in_groups(tracks: pl.DataFrame) -> pl.DataFrame:
    """The herd with events and group sizes, by a coarse grid of places."""
    herd = keypoints_as_animals(tracks)
    place = (pl.col("id") // 3 + pl.col("frame") // 50) % 4
    event = pl.when(pl.col("X").is_nan()).then(-1).otherwise(place)
    herd = herd.with_columns(event=event.cast(pl.Int64))
    size = pl.when(pl.col("event") >= 0).then(pl.len().over("frame", "event"))
    return herd.with_columns(group_size=size.cast(pl.Int64))


def _wide(herd: pd.DataFrame, column: str) -> pd.DataFrame:
    return herd.pivot(index="frame", columns="id", values=column).sort_index()


def ffgroups(table: pl.DataFrame) -> Columns:
    """Frame by frame over the whole grid of frames."""
    herd = table.to_pandas()
    wide_x, wide_y = _wide(herd, "X"), _wide(herd, "Y")
    frames = wide_x.index.to_numpy()
    everything = np.arange(frames[0], frames[-1] + 1)
    x, y = (w.reindex(everything).to_numpy() for w in (wide_x, wide_y))
    distance = np.hypot(x[:, :, None] - x[:, None], y[:, :, None] - y[:, None])
    n_ids = x.shape[1]
    member = np.full(x.shape, np.nan)
    size = np.full(x.shape, np.nan)
    sets: list[dict[tuple[int, ...], None]] = []
    for frame in range(len(x)):
        window = distance[max(0, frame - 2) : frame + 3]
        known = np.isfinite(window)
        count = known.sum(axis=0)
        mean = np.where(known, window, 0).sum(axis=0) / np.where(count == 0, np.nan, count)
        here = np.flatnonzero(np.isfinite(x[frame]) & np.isfinite(y[frame]))
        _, label = connected_components((mean < 50.0)[np.ix_(here, here)], directed=False)
        groups: dict[tuple[int, ...], None] = {}
        for number in range(label.max(initial=-1) + 1):
            members = here[label == number]
            member[frame, members], size[frame, members] = number, len(members)
            groups[tuple(members.tolist())] = None
        sets.append(groups)
    rows = np.searchsorted(everything, frames)
    events = _events(sets, frames, rows, n_ids)
    flat = {"group_membership": member[rows], "group_size": size[rows], "event": events}
    return {name: value.ravel() for name, value in flat.items()}


def _events(
    sets: list[dict[tuple[int, ...], None]], frames: np.ndarray, rows: np.ndarray, n_ids: int
) -> np.ndarray:
    run = np.cumsum(np.diff(frames, prepend=frames[0]) != 1)
    found, going = [], {}
    for position, row in enumerate(rows):
        fresh = position > 0 and run[position] != run[position - 1]
        for members in list(going):
            if fresh or members not in sets[row]:
                start = going.pop(members)
                found.append((run[start], members, start, position - 1))
        for members in sets[row]:
            going.setdefault(members, position)
    found += [(run[start], members, start, len(rows) - 1) for members, start in going.items()]
    events = np.full((len(rows), n_ids), -1)
    kept = sorted(span for span in found if frames[span[3]] - frames[span[2]] >= 1)
    for number, (_, members, start, last) in enumerate(kept):
        events[start : last + 1, list(members)] = number
    return events


def ffgroups_metrics(table: pl.DataFrame) -> Columns:
    """Group by in pandas."""
    herd = table.to_pandas().sort_values(["id", "frame"]).reset_index(drop=True)
    herd = herd[herd.group_size.notna()]
    inside = herd[herd.event >= 0].copy()
    group = inside.groupby(["frame", "event"])
    inside["offset_x"] = inside.X - group.X.transform("mean")
    inside["offset_y"] = inside.Y - group.Y.transform("mean")
    inside["distance_from_centroid"] = np.hypot(inside.offset_x, inside.offset_y).round(9)
    inside["dev_speed_to_mean"] = inside.speed - group.speed.transform("mean")
    rank = inside.groupby(["frame", "event"]).distance_from_centroid.rank(method="max")
    inside["ftime_periphery"] = (rank == inside.group_size).astype(float)
    herd = herd.join(inside[_PLACES])
    change = (herd.frame.diff() != 1) | (herd.group_size.diff() != 0) | (herd.id.diff() != 0)
    stretch = herd.groupby(change.cumsum())
    spans = pd.DataFrame(
        {
            "id": stretch.id.first(),
            "group_size": stretch.group_size.first(),
            "duration": stretch.frame.last() - stretch.frame.first() + 1,
        }
    )
    by = ["id", "group_size"]
    summary = herd.groupby(by)[_PLACES].mean()
    n_rows = herd.groupby(by).size()
    summary["fractime_norm2"] = n_rows / n_rows.groupby("id").transform("sum")
    durations = spans.groupby(by).duration
    summary["avg_duration_frame"] = durations.mean()
    summary["med_duration_frame"] = durations.median()
    sizes = summary.index.get_level_values("group_size")
    summary["ftime_periphery_norm"] = summary.ftime_periphery * sizes
    return {name: summary[name].to_numpy() for name in summary.columns}


_PLACES = ["distance_from_centroid", "offset_x", "offset_y", "dev_speed_to_mean", "ftime_periphery"]


def _with_steps(table: pl.DataFrame) -> pd.DataFrame:
    """Displacements and velocities per individual, then sorted by frame."""
    herd = table.to_pandas().sort_values(["id", "frame"])
    animal = herd.groupby("id")
    herd["dx"], herd["dy"] = animal.X.diff(), animal.Y.diff()
    length = np.hypot(herd.dx, herd.dy).replace(0, np.nan)
    herd["ux"], herd["uy"] = herd.dx / length, herd.dy / length
    dt = animal.frame.diff() / herd.fps
    herd["vx"], herd["vy"] = herd.dx / dt, herd.dy / dt
    return herd.sort_values(["frame", "id"])


def collective_motion(table: pl.DataFrame) -> Columns:
    """Frame by frame, with the general convex hull."""
    herd = _with_steps(table)
    columns = herd[["X", "Y", "ux", "uy", "vx", "vy"]].to_numpy()
    cuts = np.flatnonzero(np.diff(herd.frame.to_numpy())) + 1
    rows = [
        _one_frame(part[np.isfinite(part[:, :2]).all(axis=1)]) for part in np.split(columns, cuts)
    ]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _one_frame(animals: np.ndarray) -> dict[str, float]:
    x, u, v = animals[:, :2], animals[:, 2:4], animals[:, 4:]
    n, turned, moved = len(x), np.isfinite(u[:, 0]), np.isfinite(v[:, 0])
    row: dict[str, float] = {"n_ids": n, "n_ids_heading": turned.sum()}
    row["n_centroid_common"] = moved.sum()
    row |= dict.fromkeys(_ORDER + _MOTION + _SHAPE, np.nan)
    if n < 3:
        return row
    r = x - x.mean(axis=0)
    distance = np.hypot(r[:, 0], r[:, 1])
    if turned.sum() >= 3:
        total = u[turned].sum(axis=0)
        spin = ((r[:, 0] * u[:, 1] - r[:, 1] * u[:, 0]) / distance)[turned].sum() / turned.sum()
        values = (np.hypot(*total) / turned.sum(), np.arctan2(total[1], total[0]), spin, abs(spin))
        row |= dict(zip(_ORDER, values, strict=True))
    if moved.any():
        mean = v[moved].mean(axis=0)
        w, q = (v - mean)[moved], r[moved]
        around = (q[:, 0] * w[:, 1] - q[:, 1] * w[:, 0]) / distance[moved] ** 2
        values = (np.hypot(*mean), np.arctan2(mean[1], mean[0]), around.mean())
        row |= dict(zip(_MOTION, values, strict=True))
    moments = r.T @ r / n
    minor, major = np.sqrt(np.linalg.eigvalsh(moments))
    axis = 0.5 * np.arctan2(2 * moments[0, 1], moments[0, 0] - moments[1, 1])
    try:
        area = ConvexHull(x).volume
    except QhullError:
        area = np.nan
    return row | dict(zip(_SHAPE, (major, minor, major / minor, axis, area, n / area), strict=True))


_ORDER = ["polarization", "mean_heading", "rotation_signed", "rotation"]
_MOTION = ["centroid_speed", "centroid_heading", "group_angvel"]
_SHAPE = ["sd_major", "sd_minor", "elongation", "principal_axis_angle", "area", "density"]


def local_order(table: pl.DataFrame) -> Columns:
    """Frame by frame with matrices of all pairs."""
    herd = _with_steps(table)
    columns = herd[["X", "Y", "ux", "uy"]].to_numpy()
    cuts = np.flatnonzero(np.diff(herd.frame.to_numpy())) + 1
    made = [_one_neighbourhood(part) for part in np.split(columns, cuts)]
    values = np.full((len(herd), len(_LOCAL)), np.nan)
    values[herd.index.to_numpy()] = np.concatenate(made)
    return dict(zip(_LOCAL, values.T, strict=True))


def _one_neighbourhood(animals: np.ndarray) -> np.ndarray:
    out = np.full((len(animals), len(_LOCAL)), np.nan)
    out[:, [_LOCAL.index(name) for name in _LOCAL_COUNTS]] = -1
    there = np.isfinite(animals[:, :2]).all(axis=1)
    x, u = animals[there, :2], animals[there, 2:]
    if not len(x):
        return out
    near = np.hypot(x[:, None, 0] - x[:, 0], x[:, None, 1] - x[:, 1]) <= _RADIUS
    turned = np.isfinite(u[:, 0])
    r = x - x.mean(axis=0)
    distance = np.hypot(r[:, 0], r[:, 1])
    distance[distance < 1e-9] = 0
    spin = (r[:, 0] * u[:, 1] - r[:, 1] * u[:, 0]) / np.where(distance == 0, np.nan, distance)
    others = near @ turned.astype(int) - turned
    heading = _mean_of_near(near, u[:, 0]), _mean_of_near(near, u[:, 1])
    outer = np.median(np.sort(distance)[-5:])
    shell = np.full(len(x), -1.0)
    if outer > 0:
        shell = np.minimum(np.floor(distance / (outer / 6)), 5)
    alike = (shell[:, None] == shell) & (shell >= 0)
    local = np.stack([*heading, np.hypot(*heading), _mean_of_near(near, spin)])
    local[:, others < 1] = np.nan
    counts = np.where(shell < 0, -1, alike.sum(axis=1))
    columns = [near.sum(axis=1) - 1, others, *local, distance, spin, np.full(len(x), outer)]
    out[there] = np.stack([*columns, shell, counts, _mean_of_near(alike, spin)], axis=1)
    return out


def _mean_of_near(near: np.ndarray, values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    count = (near & known).sum(axis=1)
    total = np.where(near, np.where(known, values, 0), 0).sum(axis=1)
    return total / np.where(count == 0, np.nan, count)


_RADIUS = 60.0
_LOCAL_COUNTS = ["n_local_neighbors", "n_local_headings", "shell_index", "shell_n"]
_LOCAL = [
    "n_local_neighbors",
    "n_local_headings",
    "local_heading_x",
    "local_heading_y",
    "local_polarization",
    "local_rotation",
    "dist_to_group_center",
    "radial_rotation_self",
    "group_outer_radius",
    "shell_index",
    "shell_n",
    "shell_radial_rotation",
]


def _case(
    feature: str,
    reference: Callable[[pl.DataFrame], Columns],
    prepare: Callable[[pl.DataFrame], pl.DataFrame] = keypoints_as_animals,
    **params: Any,
) -> Case:
    return Case(feature=feature, reference=reference, params=params, prepare=prepare)


CASES: tuple[Case, ...] = (
    _case("ffgroups", ffgroups),
    _case("ffgroups-metrics", ffgroups_metrics, herd_in_groups),
    _case("collective-motion-metrics", collective_motion),
    _case("local-order-metrics", local_order, radius=_RADIUS),
)
