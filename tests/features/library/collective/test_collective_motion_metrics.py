"""collective-motion-metrics: the order of a group is what such studies are about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features import DatasetFacts
from mosaic_dagster.features.library.collective.collective_motion_metrics import (
    CollectiveMotionMetrics,
)
from mosaic_dagster.testing import check_feature

LARVAE = Path(__file__).parents[5] / "shared/data/from_registry/larva_dishes"
NAN = np.nan
CORNERS = [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)]


def scene(
    points: list[tuple[float, float]], headings: list[float] | None = None, **columns: Any
) -> pl.DataFrame:
    """One frame; ids count from 0."""
    x, y = zip(*points, strict=True)
    angle = {} if headings is None else {"ANGLE": headings}
    table = pl.DataFrame({"id": range(len(x)), "X": x, "Y": y, **angle, **columns})
    return table.select(pl.lit(0, dtype=pl.Int64).alias("frame"), pl.all())


def measure(table: pl.DataFrame, **params: Any) -> dict[str, Any]:
    return CollectiveMotionMetrics(params=params).apply(table).row(0, named=True)


def turning_drift(frames: list[int], angle: float = 0.2) -> pl.DataFrame:
    """Four animals turn by 0.2 rad per frame about a centre that moves by (3, 4); 10 fps."""
    rows = []
    for frame in frames:
        turn = angle * frame
        for i, (x, y) in enumerate(CORNERS):
            rows.append(
                {
                    "frame": frame,
                    "time": frame / 10,
                    "id": i,
                    "X": 3.0 * frame + x * np.cos(turn) - y * np.sin(turn),
                    "Y": 4.0 * frame + x * np.sin(turn) + y * np.cos(turn),
                }
            )
    origin = {"fps": 10.0, "group": "toy", "sequence": "ring"}
    return pl.DataFrame(rows).with_columns(pl.lit(v).alias(c) for c, v in origin.items())


@pytest.mark.parametrize(
    ("headings", "polarization", "rotation", "state"),
    [
        ([np.pi / 2, np.pi, -np.pi / 2, 0.0], 0.0, 1.0, "Milling"),
        ([-np.pi / 2, 0.0, np.pi / 2, np.pi], 0.0, -1.0, "Milling"),
        ([0.3] * 4, 1.0, 0.0, "Polarized"),
        ([0.0, np.pi / 2, np.pi, -np.pi / 2], 0.0, 0.0, "Swarm"),
        ([0.0, 0.0, 0.0, np.pi], 0.5, -0.5, "Transitional"),
        ([0.3, NAN, NAN, NAN], NAN, NAN, "Undefined"),
    ],
)
def test_order_and_state(headings, polarization, rotation, state):
    """Animals at the corners of a square: along the circle, alike, outwards, three of four alike.

    The last but one: sum of u is (2, 0); e × u is 0, -1, 0, -1: sum -2 of 4.
    """
    found = measure(scene(CORNERS, headings))
    np.testing.assert_allclose(found["polarization"], polarization, atol=1e-12)
    np.testing.assert_allclose(found["rotation_signed"], rotation, atol=1e-12)
    np.testing.assert_allclose(found["rotation"], abs(rotation), atol=1e-12)
    assert found["state"] == state
    assert found["heading_source"] == "orientation"
    assert found["n_ids_heading"] == 4 - np.isnan(headings).sum()


def test_mean_heading_crosses_the_seam_and_is_missing_where_headings_cancel():
    """3.1, -3.1 and pi point to pi; two and two opposite ones nowhere."""
    found = measure(scene(CORNERS[:3], [3.1, -3.1, np.pi]))
    np.testing.assert_allclose(abs(found["mean_heading"]), np.pi)
    assert np.isnan(measure(scene(CORNERS, [0.0, np.pi, 0.0, np.pi]))["mean_heading"])


def test_shape_of_a_cross():
    """(±2, 0), (0, ±1): variances 8/4 and 2/4; ratio 2 along x; hull 4 * 2 / 2 = 4."""
    found = measure(scene([(2, 0), (-2, 0), (0, 1), (0, -1)]))
    expected = {"sd_major": 2**0.5, "sd_minor": 0.5**0.5, "elongation": 2.0, "area": 4.0}
    expected |= {"density": 1.0, "principal_axis_angle": 0.0, "centroid_x": 0.0, "n_ids": 4}
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    tilted = measure(scene([(2, 2), (-2, -2), (1, -1), (-1, 1)]))
    assert tilted["principal_axis_angle"] == pytest.approx(np.pi / 4)
    assert np.isnan(measure(scene(CORNERS))["principal_axis_angle"])


def test_a_line_is_endlessly_long_and_a_point_has_no_shape():
    """The line's points are off by rounding (0.1 k, 0.3 k), which is no width."""
    line = measure(scene([(0.1 * k, 0.3 * k) for k in range(5)]))
    assert (line["sd_minor"], line["elongation"]) == (0.0, np.inf)
    assert np.isnan(line["area"])
    assert np.isnan(line["density"])
    point = measure(scene([(1.0, 2.0)] * 3))
    assert point["sd_major"] == point["sd_minor"] == 0.0
    assert np.isnan(point["elongation"])
    assert point["n_at_centroid"] == 3


def test_contract_and_motion_of_a_turning_drifting_ring():
    """Drift 5 per frame: 50/s towards atan2(4, 3).

    Chord of a turn by d: r × (r - r turned back by d) = r² sin d, so 10 sin(0.2) rad/s.
    """
    result = check_feature(CollectiveMotionMetrics, turning_drift([0, 1, 2, 4]))
    assert result["frame"].to_list() == [0, 1, 2, 4]
    assert result["n_centroid_common"].to_list() == [0, 4, 4, 4]
    np.testing.assert_allclose(result["centroid_speed"], [NAN, 50, 50, 50])
    np.testing.assert_allclose(result["centroid_heading"], [NAN, *[np.arctan2(4, 3)] * 3])
    turn = 10 * np.sin(0.2)
    np.testing.assert_allclose(result["group_angvel"], [NAN, turn, turn, 5 * np.sin(0.4)])
    assert result["heading_source"].unique().to_list() == ["velocity"]
    assert "mean_speed" not in result.columns


def test_a_gap_counts_only_up_to_the_limit_and_a_slow_group_has_no_heading():
    limited = CollectiveMotionMetrics(params={"max_frame_gap": 1})
    assert limited.apply(turning_drift([0, 1, 3]))["n_centroid_common"].to_list() == [0, 4, 0]
    slow = CollectiveMotionMetrics(params={"min_group_speed": 50.1}).apply(turning_drift([0, 1]))
    assert np.isnan(slow["centroid_heading"][1])
    assert slow["centroid_speed"][1] == pytest.approx(50)


def test_without_frame_rate_time_counts_and_without_time_frames():
    table = turning_drift([0, 2]).drop("fps").with_columns(time=pl.col("time") * 2)
    assert measure_speed(table) == pytest.approx(25)
    assert measure_speed(table.drop("time")) == pytest.approx(5)
    resolved = CollectiveMotionMetrics.Params().resolve(DatasetFacts(fps=100.0))
    assert measure_speed(table, resolved) == pytest.approx(500)


def measure_speed(table: pl.DataFrame, params: Any = None) -> float:
    return CollectiveMotionMetrics(params=params).apply(table)["centroid_speed"][1]


def test_a_missing_animal_spoils_nobody():
    """A fifth animal without a position: everything is as without it."""
    full = scene(CORNERS, [0.3] * 4)
    for lost in (NAN, np.inf, None):
        fifth = pl.DataFrame({"frame": [0], "id": [4], "X": [lost], "Y": [0.0], "ANGLE": [2.0]})
        with_fifth = pl.concat([full, fifth.cast(full.schema)])
        assert measure(with_fifth) == pytest.approx(measure(full), nan_ok=True)


def test_too_few_animals_have_counts_only():
    found = measure(scene(CORNERS[:2], [0.0, 0.0], v=[1.0, 3.0]), speed_col="v")
    counts = ("n_ids", "n_ids_heading", "n_at_centroid", "n_centroid_common")
    assert [found.pop(name) for name in counts] == [2, 2, 0, 0]
    assert (found.pop("heading_source"), found.pop("state")) == ("orientation", "Undefined")
    assert found.pop("frame") == 0
    assert np.isnan(list(found.values())).all()
    pair = measure(scene(CORNERS[:2], [0.0, 0.0], v=[1.0, 3.0]), speed_col="v", min_individuals=2)
    assert (pair["polarization"], pair["mean_speed"]) == (1.0, 2.0)


def test_subgroups_are_looked_at_by_themselves_and_strangers_are_none():
    """Two pairs of opposite headings; -1 and null are no subgroup and give no row."""
    points = [(0.0, 0.0), (2.0, 0.0), (10.0, 0.0), (12.0, 0.0), (50.0, 0.0), (90.0, 0.0)]
    table = scene(points, [0.0, 0.0, np.pi, np.pi, 1.0, 1.0], part=[0, 0, 1, 1, -1, None])
    params = {"subgroup_col": "part", "min_individuals": 2}
    result = check_feature(CollectiveMotionMetrics, table, params)
    assert result.columns[:3] == ["frame", "part", "n_ids"]
    assert result["part"].to_list() == [0, 1]
    np.testing.assert_allclose(result["polarization"], [1, 1])
    np.testing.assert_allclose(result["centroid_x"], [1, 11])
    assert result["n_at_centroid"].to_list() == [0, 0]


def test_a_change_of_subgroup_is_no_motion_of_the_group():
    """Animal 3 joins subgroup 0 in frame 1: its step is left out of the mean there."""
    joined = (pl.col("id") == 3) & (pl.col("frame") == 0)
    table = turning_drift([0, 1, 2]).with_columns(part=pl.when(joined).then(1).otherwise(0))
    result = CollectiveMotionMetrics(params={"subgroup_col": "part"}).apply(table)
    moving = result.filter(pl.col("part") == 0)
    assert moving["n_centroid_common"].to_list() == [0, 3, 4]


def test_conditions_take_rows_out_without_running_them():
    table = scene([*CORNERS, (99.0, 99.0)], bad=[False, False, None, False, True], q=[1.0] * 5)
    assert measure(table, exclude_cols=["bad"])["n_ids"] == 4
    assert measure(table, filter_expr="X < 50 and q == 1")["area"] == pytest.approx(2)
    with pytest.raises(ParamsError):
        CollectiveMotionMetrics(params={"filter_expr": "__import__('os').getcwd() == ''"})
    nothing = CollectiveMotionMetrics(params={"filter_expr": "q > 5"}).apply(table)
    assert nothing.height == 0


def test_alpha_shape_is_never_more_than_the_hull():
    """A square of side 2 and a point far to its right, whose triangle is too large."""
    points = [(0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0), (12.0, 1.0)]
    params = {"area_method": "alpha_shape", "alpha": 2.0}
    table = scene(points, group=["a"] * 5, sequence=["b"] * 5)
    result = check_feature(CollectiveMotionMetrics, table, params)
    assert result.select("area", "alpha_n_triangles", "density").row(0) == (4.0, 2, 1.25)
    assert "area" not in measure(table, area_method="none")


def test_what_cannot_work_is_refused():
    with pytest.raises(ParamsError, match="alpha is needed"):
        CollectiveMotionMetrics(params={"area_method": "alpha_shape"})
    for column in ("frame", "id", "group", "state", "density"):
        with pytest.raises(ParamsError, match=column):
            CollectiveMotionMetrics(params={"subgroup_col": column})
    table = scene(CORNERS)
    with pytest.raises(MissingColumnError, match="ANGLE"):
        measure(table, heading_source="orientation")
    with pytest.raises(FeatureError, match="more than one row"):
        measure(pl.concat([table, table]))
    with pytest.raises(MissingColumnError, match="speed"):
        measure(table, speed_col="speed")


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(-np.pi, np.pi), st.sampled_from([0.0, 1e3, -5e3]))
def test_turning_and_shifting_the_arena_changes_directions_only(seed, angle, shift):
    rng = np.random.default_rng(seed)
    table = turning_drift([0, 1, 2]).with_columns(
        X=pl.col("X") + rng.normal(size=12), Y=pl.col("Y") + rng.normal(size=12)
    )
    cos, sin = np.cos(angle), np.sin(angle)
    moved = table.with_columns(
        X=pl.col("X") * cos - pl.col("Y") * sin + shift, Y=pl.col("X") * sin + pl.col("Y") * cos
    )
    one, other = (CollectiveMotionMetrics().apply(t) for t in (table, moved))
    alike = ("polarization", "rotation_signed", "centroid_speed", "group_angvel")
    for name in (*alike, "sd_major", "sd_minor", "area", "density"):
        np.testing.assert_allclose(other[name], one[name], rtol=1e-6, atol=1e-8)
    turned = (other["mean_heading"] - one["mean_heading"] - angle)[1:].to_numpy()
    np.testing.assert_allclose(np.sin(turned / 2), 0, atol=1e-6)


@pytest.mark.skipif(not LARVAE.is_dir(), reason="needs the recordings of larvae")
def test_larvae_that_come_and_go():
    """Every value stays in its bounds, and a frame with three larvae or more has an area."""
    tracks = pl.read_parquet(LARVAE / "dish01.parquet").select("frame", "id", X="mid_x", Y="mid_y")
    result = CollectiveMotionMetrics().apply(tracks)
    assert result.height == tracks["frame"].n_unique()
    order = result.select("polarization", "rotation").fill_nan(None).drop_nulls()
    assert order.height
    assert ((order >= 0).min_horizontal() & (order <= 1).min_horizontal()).all()
    some = result.filter(pl.col("n_ids") >= 3)
    assert some["area"].is_finite().all()
    assert (some["sd_major"] >= some["sd_minor"]).all()
