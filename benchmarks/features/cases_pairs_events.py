"""Pairs that face, chase and meet each other: the features beside loops over frames."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise, permutations
from typing import Any

import numpy as np
import polars as pl
from scipy.ndimage import binary_closing, binary_opening

from benchmarks.features.case import Case, Columns
from mosaic_dagster.features.registry import get_feature

FACING = {"pose_head_index": 0, "pose_abdomen_index": 6, "dist_thresh": 100.0}
APPROACH = {
    "approacher_velocity_threshold": 0.1,
    "avoider_velocity_threshold": 0.1,
    "distance_threshold": 1000.0,
    "cos_approacher_threshold": 0.0,
    "cos_avoider_threshold": 0.0,
    "min_event_count": 2,
    "orientation_gate_cos": 0.0,
}
MEETING = {"max_dist": 150.0, "min_run_frames": 20, "morphological_structure_size": 5}

Row = dict[str, Any]
Array = np.ndarray[Any, Any]


def with_heading(tracks: pl.DataFrame) -> pl.DataFrame:
    """Tracks with ANGLE from keypoint 6 to keypoint 0."""
    dx, dy = pl.col("poseX0") - pl.col("poseX6"), pl.col("poseY0") - pl.col("poseY6")
    return tracks.with_columns(ANGLE=pl.arctan2(dy, dx))


def facing_pairs(tracks: pl.DataFrame) -> pl.DataFrame:
    made = get_feature("pair-facing")(params=FACING).apply(tracks)
    assert isinstance(made, pl.DataFrame)
    return made


def each_frame(tracks: pl.DataFrame, columns: list[str]) -> Iterator[tuple[int, list[Row]]]:
    """The frames in order, and the rows of each in the order of ids."""
    frames: dict[int, list[Row]] = {}
    for row in tracks.select("frame", "id", *columns).sort("frame", "id").iter_rows(named=True):
        frames.setdefault(row["frame"], []).append(row)
    yield from frames.items()


def in_columns(rows: list[Row]) -> Columns:
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def wrap(angle: float) -> float:
    return (angle + np.pi) % (2 * np.pi) - np.pi


def pair_facing(tracks: pl.DataFrame) -> Columns:
    made = []
    for _, rows in each_frame(tracks, ["poseX0", "poseY0", "poseX6", "poseY6"]):
        for focal, target in permutations(rows, 2):
            axis = np.arctan2(focal["poseY6"] - focal["poseY0"], focal["poseX6"] - focal["poseX0"])
            dx, dy = target["poseX0"] - focal["poseX0"], target["poseY0"] - focal["poseY0"]
            body, bearing = np.degrees(axis), np.degrees(np.arctan2(dy, dx))
            off = abs((bearing - body + 180) % 360 - 180)
            distance = np.hypot(dx, dy)
            row = {"body_angle_deg": body, "bearing_deg": bearing, "angle_diff_deg": off}
            facing = off < 45 and distance < FACING["dist_thresh"]
            made.append({**row, "distance": distance, "is_facing": facing})
    return in_columns(made)


def attention_target(pairs: pl.DataFrame) -> Columns:
    best: dict[tuple[int, int], tuple[float, float]] = {}
    columns = ["frame", "focal_id", "target_id", "angle_diff_deg", "is_facing"]
    for frame, focal, target, angle, facing in pairs.select(columns).iter_rows():
        found = best.setdefault((frame, focal), (np.inf, np.nan))
        if facing:
            best[frame, focal] = min(found, (angle, target))
    chosen = [best[key] for key in sorted(best)]
    return {
        "attention_target_id": np.array([target for _, target in chosen]),
        "attention_target_angle_diff_deg": np.array(
            [angle if np.isfinite(angle) else np.nan for angle, _ in chosen]
        ),
    }


def body_of(row: Row) -> Array:
    points = np.array([[row[f"poseX{k}"], row[f"poseY{k}"]] for k in range(7)])
    return np.asarray(points[np.isfinite(points).all(axis=1)])


def orientation_rel(tracks: pl.DataFrame) -> Columns:
    poses = [f"pose{axis}{k}" for k in range(7) for axis in "XY"]
    made = []
    for _, rows in each_frame(tracks, ["ANGLE", *poses]):
        bodies = [body_of(row) for row in rows]
        for i, j in permutations(range(len(rows)), 2):
            made.append(relative(bodies[i], bodies[j], rows[i]["ANGLE"], rows[j]["ANGLE"]))
    return in_columns(made)


def relative(own: Array, other: Array, heading: float, other_heading: float) -> Row:
    names = ("min", "median", "max")
    percents = (25, 50, 75)
    row = {"dtheta": wrap(other_heading - heading)}
    if min(len(own), len(other)) < 2 or not np.isfinite(heading):
        empty = [f"{what}_{name}" for what in ("dist", "x", "y") for name in names]
        empty += ["dx", "dy", *(f"dist_q{q}" for q in percents), *(f"near_{k}" for k in range(3))]
        return row | dict.fromkeys(empty, np.nan)
    scale = np.median([np.hypot(*(a - b)) for a, b in combinations(own, 2)])
    cos, sin = np.cos(heading), np.sin(heading)
    seen = (other - own.mean(axis=0)) @ np.array([[cos, -sin], [sin, cos]]) / scale
    row["dx"], row["dy"] = seen.mean(axis=0)
    distance = np.hypot(seen[:, 0], seen[:, 1])
    for what, values in (("dist", distance), ("x", seen[:, 0]), ("y", seen[:, 1])):
        row |= {f"{what}_{name}": getattr(np, name)(values) for name in names}
    row |= {f"dist_q{q}": np.quantile(distance, q / 100) for q in percents}
    nearest = [*np.sort(distance)[:3], np.nan, np.nan, np.nan]
    return row | {f"near_{k}": nearest[k] for k in range(3)}


def fill(values: Array, frames: Array) -> Array:
    """Lines across holes of at most ten frames, and three frames at the edges."""
    known = np.flatnonzero(np.isfinite(values))
    filled = values.copy()
    for a, b in pairwise(known):
        if b > a + 1 and frames[b] - frames[a] <= 11:
            share = (frames[a + 1 : b] - frames[a]) / (frames[b] - frames[a])
            filled[a + 1 : b] = values[a] + share * (values[b] - values[a])
    first, last = known[0], known[-1]
    filled[(frames < frames[first]) & (frames >= frames[first] - 3)] = values[first]
    filled[(frames > frames[last]) & (frames <= frames[last] + 3)] = values[last]
    return filled


def clean(track: pl.DataFrame) -> dict[int, Row]:
    """Position, velocity and heading by frame."""
    frames = track["frame"].to_numpy()
    angle = track["ANGLE"].to_numpy().copy()
    angle[np.isfinite(angle)] = np.unwrap(angle[np.isfinite(angle)])
    filled = [fill(v, frames) for v in (track["X"].to_numpy(), track["Y"].to_numpy(), angle)]
    rows: dict[int, Row] = {}
    for frame, x, y, theta in zip(frames.tolist(), *filled, strict=True):
        if np.isfinite([x, y, theta]).all():
            before = rows.get(frame - 1, {"at": np.array([np.nan, np.nan])})
            at = np.array([x, y])
            facing = np.array([np.cos(theta), np.sin(theta)])
            rows[frame] = {"at": at, "v": at - before["at"], "heading": facing}
    return rows


def approaches(one: Row, two: Row) -> bool:
    """Whether the first moves towards the second, which moves away, in this frame."""
    offset = two["at"] - one["at"]
    distance = np.hypot(*offset)
    fast, other = np.hypot(*one["v"]), np.hypot(*two["v"])
    if not (0 < distance <= 1000 and fast >= 0.1 and other >= 0.1):
        return False
    cosines = one["v"] @ offset, two["v"] @ offset, one["v"] @ one["heading"]
    return all(cosine >= 0 for cosine in cosines)


def events(candidates: dict[int, bool]) -> dict[int, bool]:
    """Candidates with at least two candidates in the last ten frames."""
    recent: list[int] = []
    found = {}
    for frame, candidate in sorted(candidates.items()):
        recent = [f for f in recent if f > frame - 10] + [frame] * candidate
        found[frame] = candidate and len(recent) >= 2
    return found


def approach_avoidance(tracks: pl.DataFrame) -> Columns:
    ids = sorted(tracks["id"].unique())
    animals = {who: clean(tracks.filter(id=who).sort("frame")) for who in ids}
    made: dict[tuple[int, int, int], tuple[bool, bool]] = {}
    for a, b in combinations(ids, 2):
        one, two = animals[a], animals[b]
        both = sorted(one.keys() & two.keys())
        forth = events({f: approaches(one[f], two[f]) for f in both})
        back = events({f: approaches(two[f], one[f]) for f in both})
        made |= {(f, a, b): (forth[f], back[f]) for f in both}
    flags = np.array([made[key] for key in sorted(made)], dtype=np.int8)
    either = flags.max(axis=1)
    names = {"aa_event_12": flags[:, 0], "aa_event_21": flags[:, 1]}
    return {"label_id": either, "aa_event": either, **names}


def meets(one: Row, two: Row) -> bool:
    points = [
        (row["X"] + 15 * np.cos(row["ANGLE"]), row["Y"] + 15 * np.sin(row["ANGLE"]))
        for row in (one, two)
    ]
    opposed = np.pi - abs(wrap(one["ANGLE"] - two["ANGLE"])) < np.radians(80)
    near = np.hypot(points[0][0] - points[1][0], points[0][1] - points[1][1]) < 150
    return bool(opposed and near)


def runs_of(line: Array, first: int) -> list[tuple[int, int]]:
    """Padded runs of at least twenty frames, as first and last frame; overlaps joined."""
    edges = np.flatnonzero(np.diff(line.astype(int), prepend=0, append=0))
    found: list[tuple[int, int]] = []
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        if stop - start < 20:
            continue
        padded = max(start - 10, 0), min(stop + 9, len(line) - 1)
        if found and padded[0] <= found[-1][1] - first:
            padded = found.pop()[0] - first, padded[1]
        found.append((padded[0] + first, padded[1] + first))
    return found


def pair_interaction_filter(tracks: pl.DataFrame) -> Columns:
    frames = tracks["frame"].to_numpy()
    first, last = int(frames.min()), int(frames.max())
    lines: dict[tuple[int, int], Array] = {}
    present: dict[tuple[int, int], list[int]] = {}
    for frame, rows in each_frame(tracks, ["X", "Y", "ANGLE"]):
        for one, two in combinations(rows, 2):
            pair = one["id"], two["id"]
            line = lines.setdefault(pair, np.zeros(last - first + 1, dtype=bool))
            line[frame - first] = meets(one, two)
            present.setdefault(pair, []).append(frame)
    made = []
    for pair, line in lines.items():
        closed = binary_closing(np.pad(line, 10, constant_values=True), np.ones(5, dtype=bool))[
            10:-10
        ]
        opened = binary_opening(closed, np.ones(5, dtype=bool))
        for number, (start, end) in enumerate(runs_of(opened, first)):
            inside = [f for f in present[pair] if start <= f <= end]
            made += [(f, *pair, number, start, end) for f in inside]
    columns = np.array(sorted(made)).T[3:]
    names = ("interaction_id", "interaction_start", "interaction_end")
    return dict(zip(names, columns, strict=True))


CASES = (
    Case("pair-facing", pair_facing, FACING, speedup=5),
    Case("attention-target", attention_target, prepare=facing_pairs, speedup=5),
    Case("orientation-rel", orientation_rel, prepare=with_heading, speedup=5),
    Case("approach-avoidance", approach_avoidance, APPROACH, prepare=with_heading, speedup=5),
    Case(
        "pair-interaction-filter",
        pair_interaction_filter,
        MEETING,
        prepare=with_heading,
        speedup=5,
    ),
)
"""Cases of this topic."""
