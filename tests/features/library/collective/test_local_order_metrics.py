"""local-order-metrics: order around an animal must not come from others than its neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.errors import FeatureError, ParamsError
from mosaic_dagster.features import StepRef
from mosaic_dagster.features.library.collective.local_order_metrics import LocalOrderMetrics
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.content.codecs import encode_table
from mosaic_dagster.testing import check_feature, toy_tracks

NAN = np.nan
LOCAL = ("local_heading_x", "local_heading_y", "local_polarization", "local_rotation")


def on_a_line(x: list[float], headings: list[float | None], **columns: Any) -> pl.DataFrame:
    """One frame of animals 0, 1, … on the x axis."""
    table = pl.DataFrame({"id": range(len(x)), "X": x, "ANGLE": headings, **columns})
    frame = pl.lit(0, dtype=pl.Int64).alias("frame")
    return table.select(frame, pl.all(), Y=pl.lit(0.0))


def measure(table: pl.DataFrame, **params: Any) -> dict[str, list[Any]]:
    feature = LocalOrderMetrics(params={"radius": 3.0, **params})
    return feature.apply(table).to_dict(as_series=False)


def test_disc_centre_and_shells_of_four_animals():
    """Animals at 0, 3, 4 and 9: the centre is 4. Headings 0, pi/2, pi/2, -pi/2; radius 3.

    Discs: {0, 1}, {0, 1, 2}, {1, 2}, {3}. Mean headings: (1, 1)/2, (1, 2)/3, (0, 1), none (no
    neighbour). Spins e × u with e = -x, -x, none at the centre, +x: 0, -1, none, -1; means over
    the discs: -1/2, -1/2, -1. Distances 4, 1, 0, 5; the 2 largest have the median 4.5; shells of
    1.5: 2, 0, 0, 2 (5 / 1.5 = 3 is cut to 2). Shell 2: (0 - 1) / 2; shell 0: -1.
    """
    up = np.pi / 2
    found = measure(on_a_line([0, 3, 4, 9], [0.0, up, up, -up]), n_shells=3, n_peripheral=2)
    assert found["n_local_neighbors"] == [1, 2, 1, 0]
    assert found["n_local_headings"] == [1, 2, 1, 0]
    np.testing.assert_allclose(found["local_heading_x"], [0.5, 1 / 3, 0, NAN], atol=1e-12)
    np.testing.assert_allclose(found["local_heading_y"], [0.5, 2 / 3, 1, NAN], atol=1e-12)
    np.testing.assert_allclose(found["local_polarization"], [0.5**0.5, 5**0.5 / 3, 1, NAN])
    np.testing.assert_allclose(found["radial_rotation_self"], [0, -1, NAN, -1], atol=1e-12)
    np.testing.assert_allclose(found["local_rotation"], [-0.5, -0.5, -1, NAN])
    np.testing.assert_allclose(found["dist_to_group_center"], [4, 1, 0, 5])
    np.testing.assert_allclose(found["group_outer_radius"], [4.5] * 4)
    assert found["shell_index"] == [2, 0, 0, 2]
    assert found["shell_n"] == [2, 2, 2, 2]
    np.testing.assert_allclose(found["shell_radial_rotation"], [-0.5, -1, -1, -0.5])


def test_contract_on_walking_animals_with_velocity_headings():
    """All walk along (3, 4): from frame 1 on order is complete for those with a neighbour."""
    result = check_feature(LocalOrderMetrics, toy_tracks(n_ids=4), {"radius": 150.0})
    moving = result.filter(pl.col("frame") > 0)
    np.testing.assert_allclose(moving["local_polarization"], 1.0)
    np.testing.assert_allclose(moving["local_heading_x"], 0.6)
    assert moving["n_local_neighbors"].unique().sort().to_list() == [1, 2]
    first = result.filter(pl.col("frame") == 0)
    assert first["n_local_headings"].unique().to_list() == [0]
    assert first.select(LOCAL).to_numpy().dtype == np.float64
    assert np.isnan(first.select(LOCAL).to_numpy()).all()


@pytest.mark.parametrize("lost", [NAN, np.inf, None])
def test_a_missing_animal_is_nobodys_neighbour(lost):
    """Without a position: counts -1, values NaN, and the others as if it were not there."""
    full = on_a_line([0.0, 1.0, 2.0], [0.1, 0.2, 0.3])
    more = on_a_line([0.0, 1.0, 2.0, lost], [0.1, 0.2, 0.3, 2.0])
    found, alone = measure(more), measure(full)
    for name, values in alone.items():
        np.testing.assert_array_equal(found[name][:3], values)
    assert [found[n][3] for n in ("n_local_neighbors", "shell_index", "shell_n")] == [-1, -1, -1]
    assert np.isnan([found[n][3] for n in (*LOCAL, "dist_to_group_center")]).all()


def test_a_neighbour_without_heading_counts_but_adds_nothing():
    found = measure(on_a_line([0.0, 1.0, 2.0], [0.0, None, 0.0]))
    assert found["n_local_neighbors"] == [2, 2, 2]
    assert found["n_local_headings"] == [1, 2, 1]
    np.testing.assert_allclose(found["local_polarization"], [1, 1, 1])
    strict = measure(on_a_line([0.0, 1.0, 2.0], [0.0, None, 0.0]), min_neighbors=2)
    np.testing.assert_allclose(strict["local_polarization"], [NAN, 1, NAN])


def test_one_animal_alone_has_no_shells():
    found = measure(on_a_line([5.0], [0.0]), min_neighbors=0)
    assert (found["n_local_neighbors"], found["shell_index"], found["shell_n"]) == ([0], [-1], [-1])
    assert found["local_polarization"] == [1.0]
    assert found["group_outer_radius"] == [0.0]
    assert np.isnan(found["shell_radial_rotation"][0])


def test_subgroups_are_apart_and_strangers_are_skipped():
    """Subgroup 0: animals 0 and 1; animals 2 (-1) and 3 (null) are skipped though near."""
    table = on_a_line([0.0, 1.0, 1.5, 0.5], [0.0] * 4, part=[0, 0, -1, None])
    found = measure(table, subgroup_col="part")
    assert found["n_local_neighbors"] == [1, 1, -1, -1]
    np.testing.assert_allclose(found["dist_to_group_center"], [0.5, 0.5, NAN, NAN])
    text = table.with_columns(part=pl.Series(["a", "a", "b", None]))
    assert measure(text, subgroup_col="part")["n_local_neighbors"] == [1, 1, 0, -1]


def test_rows_taken_out_by_conditions_are_absent():
    table = on_a_line([0.0, 1.0, 2.0], [0.0] * 3, flag=[0, 0, 1])
    assert measure(table, filter_expr="X < 1.5")["n_local_neighbors"] == [1, 1]
    assert measure(table, exclude_cols=["flag"])["n_local_neighbors"] == [1, 1]


def scaled(tmp_path, scales: list[float]) -> tuple[LocalOrderMetrics, bool]:
    path = tmp_path / "scale.parquet"
    path.write_bytes(encode_table(pl.DataFrame({"scale": scales})))
    params = {"radius": 1.5, "radius_units": "body_scale", "body_scale": StepRef("scale")}
    feature = LocalOrderMetrics(params=params)
    return feature, feature.load_state(None, {}, {"body_scale": {EntryKey("g", "one"): path}})


def test_a_radius_in_body_lengths_uses_the_recordings_own_scale(tmp_path):
    """Scales 1, 3 and NaN: mean 2, so the radius is 3: 0 and 3 are neighbours, 3.5 is not."""
    feature, is_ready = scaled(tmp_path, [1.0, 3.0, NAN])
    assert is_ready
    table = on_a_line([0.0, 3.0, 6.5], [0.0] * 3)
    origin = {"group": pl.lit("g"), "sequence": pl.lit("one")}
    assert feature.apply(table.with_columns(**origin))["n_local_neighbors"].to_list() == [1, 1, 0]
    with pytest.raises(FeatureError, match="g/two"):
        feature.apply(table.with_columns(group=pl.lit("g"), sequence=pl.lit("two")))
    nothing, _ = scaled(tmp_path, [NAN])
    with pytest.raises(FeatureError, match="no finite value"):
        nothing.apply(table.with_columns(**origin))


def test_what_cannot_work_is_refused():
    for wrong in (
        {},
        {"radius": 0},
        {"radius": 1, "radius_units": "body_scale"},
        {"radius": 1, "body_scale": StepRef("scale")},
        {"radius": 1, "radius_units": "body_scale", "body_scale": StepRef("scale", "a.npz")},
        {"radius": 1, "subgroup_col": "shell_n"},
    ):
        with pytest.raises(ParamsError):
            LocalOrderMetrics(params=wrong)
    table = on_a_line([0.0], [0.0])
    with pytest.raises(FeatureError, match="more than one row"):
        measure(pl.concat([table, table]))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_agrees_with_looking_at_each_animal(seed, n):
    """Disc sums of every animal by themselves, in one frame of up to 40 animals."""
    rng = np.random.default_rng(seed)
    x, y, angle = rng.uniform(0, 10, (3, n))
    angle[rng.random(n) < 0.2] = NAN
    frame = pl.lit(3, dtype=pl.Int64).alias("frame")
    table = pl.DataFrame({"id": rng.permutation(n), "X": x, "Y": y, "ANGLE": angle}).select(
        frame, pl.all()
    )
    found = measure(table, min_neighbors=0)
    near = np.hypot(x - x[:, None], y - y[:, None]) <= 3
    assert found["n_local_neighbors"] == (near.sum(axis=1) - 1).tolist()
    for i in range(n):
        known = angle[near[i]][~np.isnan(angle[near[i]])]
        mean = np.exp(1j * known).mean() if len(known) else NAN
        np.testing.assert_allclose(found["local_polarization"][i], np.abs(mean), atol=1e-12)
