"""pair-posedistance-pca: components that differ between fits make postures incomparable."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import FeatureError, FitError, MissingColumnError, ParamsError
from mosaic_dagster.features import DatasetFacts
from mosaic_dagster.features.inputs import InputStream, join_inputs
from mosaic_dagster.features.library.pairs.pair_egocentric import PairEgocentric
from mosaic_dagster.features.library.pairs.pair_posedistance_pca import PairPosedistancePca
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.content.codecs import save_arrays
from mosaic_dagster.testing import check_feature, make_ready, toy_stream, toy_tracks

KEY = EntryKey("g", "s")
INSIDE = {"pose": {"pose_n": 2}, "include_inter": False, "n_components": 1}


def lines(lengths: list[float], other: float = 5.0) -> pl.DataFrame:
    """Two animals of two keypoints; animal 0 has these lengths, animal 1 always the same."""
    table = toy_tracks(len(lengths), n_keypoints=2)
    length = np.where(table["id"] == 0, np.repeat(lengths, 2), other)
    return table.with_columns(poseX1=pl.col("poseX0") - pl.Series(length))


def noisy(n: int = 40, n_ids: int = 2, seed: int = 0, n_keypoints: int = 3) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    table = toy_tracks(n, n_ids=n_ids, n_keypoints=n_keypoints)
    return table.with_columns(
        pl.Series(name, table[name].to_numpy() + rng.normal(size=table.height))
        for name in table.columns
        if name.startswith("pose")
    )


def fitted(tables: dict[EntryKey, pl.DataFrame] | pl.DataFrame, **params) -> PairPosedistancePca:
    tables = {KEY: tables} if isinstance(tables, pl.DataFrame) else tables
    feature = PairPosedistancePca(params={"pose": {"pose_n": 3}, "n_components": 4} | params)
    make_ready(feature, toy_stream(tables))
    return feature


def test_contract():
    tables = {KEY: noisy(), EntryKey("g", "alone"): noisy(n_ids=1)}
    params = {"pose": {"pose_n": 3}, "n_components": 4, "batch_size": 30}
    result = check_feature(PairPosedistancePca, noisy(), params, state_from=toy_stream(tables))
    keys = ["frame", "time", "id1", "id2", "perspective"]
    assert result.columns == [*keys, "PC0", "PC1", "PC2", "PC3", "fps", "group", "sequence"]
    assert result.schema["PC0"] == pl.Float32


def test_scores_by_hand():
    """Rows (1, 5) to (4, 5): mean (2.5, 5), all variance along the first distance, ddof 1: 5/3."""
    table = lines([1, 2, 3, 4])
    feature = fitted(table, **INSIDE, duplicate_perspective=False)
    result = feature.apply(table).table
    assert result.select("id1", "id2", "perspective").unique().rows() == [(0, 1, 0)]
    np.testing.assert_allclose(result["PC0"], [-1.5, -0.5, 0.5, 1.5], rtol=1e-6)
    notes = feature.state_notes()
    np.testing.assert_allclose(notes["explained_variance"], [5 / 3])
    np.testing.assert_allclose(notes["explained_variance_ratio"], [1.0])
    assert notes["n_rows"] == 4


def test_perspective_1_is_fitted_and_swaps_the_ids():
    """Rows (1, 5), (3, 5) and (5, 1), (5, 3): mean (3.5, 3.5), first axis (1, -1)/√2 or its
    negative. Scores (d_A - d_B)/√2 of ±(-4, -2), the same with the other sign when swapped.
    """
    table = lines([1, 3])
    result = fitted(table, **INSIDE).apply(table).table
    ids = result.select("frame", "id1", "id2", "perspective").rows()
    assert ids == [(0, 0, 1, 0), (0, 1, 0, 1), (1, 0, 1, 0), (1, 1, 0, 1)]
    scores = np.array([-4, 4, -2, 2]) / np.sqrt(2)
    np.testing.assert_allclose(result["PC0"] * np.sign(-result["PC0"][0]), scores, rtol=1e-6)


def test_one_batch_is_the_plain_decomposition():
    """Against numpy's singular vectors of all distances written out, both perspectives."""
    table = noisy()
    points = table.sort("frame", "id").select(f"pose{a}{k}" for k in range(3) for a in "XY")
    points = points.to_numpy().reshape(-1, 2, 3, 2)
    rows = []
    for pair in (points, points[:, ::-1]):
        inside = [
            np.linalg.norm(pair[:, side, i] - pair[:, side, j], axis=1)
            for side in (0, 1)
            for i, j in ((1, 0), (2, 0), (2, 1))
        ]
        across = [
            np.linalg.norm(pair[:, 0, i] - pair[:, 1, j], axis=1)
            for i in range(3)
            for j in range(3)
        ]
        rows.append(np.stack([*inside, *across], axis=1))
    values = np.concatenate(rows)
    centred = values - values.mean(axis=0)
    _, singular, axes = np.linalg.svd(centred, full_matrices=False)
    feature = fitted(table)
    components = feature.fitted()["components"]
    largest = np.abs(components).argmax(axis=1)
    assert (components[np.arange(4), largest] > 0).all()
    np.testing.assert_allclose(np.abs(np.sum(components * axes[:4], axis=1)), 1, rtol=1e-9)
    ratio = singular[:4] ** 2 / (singular**2).sum()
    np.testing.assert_allclose(feature.state_notes()["explained_variance_ratio"], ratio)
    result = feature.apply(table).table
    scores = (values - values.mean(axis=0)) @ components.T
    for perspective, expected in enumerate(np.split(scores, 2)):
        made = result.filter(perspective=perspective).select(f"PC{k}" for k in range(4))
        np.testing.assert_allclose(made.to_numpy(), expected, rtol=1e-4, atol=1e-5)


def test_where_recordings_are_cut_does_not_matter():
    """Batches are filled across entries: cutting one recording in two gives the same bytes."""
    table = noisy(50)
    params = {"batch_size": 20, "duplicate_perspective": False}
    cut = {
        EntryKey("g", "a"): table.filter(pl.col("frame") < 33),
        EntryKey("g", "b"): table.filter(pl.col("frame") >= 33),
    }
    whole, parts = fitted(table, **params).fitted(), fitted(cut, **params).fitted()
    assert {k: v.tobytes() for k, v in whole.items()} == {k: v.tobytes() for k, v in parts.items()}


def test_batches_of_the_fit_follow_the_size():
    """Smaller batches forget what lies beyond the components kept, so results differ a little."""
    table = noisy(60)
    large, small = fitted(table), fitted(table, batch_size=10)
    assert large.fitted()["components"].tobytes() != small.fitted()["components"].tobytes()
    first = np.abs(large.fitted()["components"][0] @ small.fitted()["components"][0])
    assert first > 0.7


def test_entries_are_read_once_in_the_order_of_their_keys():
    """Reading is what a fit on a large study waits for."""
    tables = {EntryKey("g", name): noisy(10, seed=i) for i, name in enumerate("cab")}
    loaded = []

    def load(key: EntryKey) -> pl.DataFrame:
        loaded.append(key.sequence)
        return tables[key]

    feature = PairPosedistancePca(params={"pose": {"pose_n": 3}, "n_components": 2})
    feature.fit(InputStream(tuple(sorted(tables)), load))
    assert loaded == ["a", "b", "c"]


def test_a_row_does_not_depend_on_the_others():
    """Also not where it falls in a block of rows: scores are stored by their bytes."""
    table = noisy(1500)
    feature = fitted(table[:200])
    whole = feature.apply(table).table
    part = feature.apply(table.filter(pl.col("frame").is_between(700, 1203))).table
    assert whole.filter(pl.col("frame").is_between(700, 1203)).equals(part)


def test_entries_without_a_pair_are_left_out_and_named():
    """The second has two animals that are never there together."""
    apart = noisy().filter((pl.col("id") == 0) == (pl.col("frame") < 20))
    tables = {
        KEY: noisy(),
        EntryKey("g", "apart"): apart,
        EntryKey("", "one"): noisy(n_ids=1),
        EntryKey("g", "none"): noisy().clear(),
    }
    feature = fitted(tables)
    assert feature.state_notes()["skipped"] == {
        "/one": "fewer than two animals",
        "g/apart": "no frame with two complete animals",
        "g/none": "fewer than two animals",
    }
    alone = fitted(noisy()).fitted()
    np.testing.assert_array_equal(feature.fitted()["components"], alone["components"])
    assert feature.apply(tables[EntryKey("", "one")]).table.height == 0


def test_rows_join_with_the_egocentric_ones_in_both_perspectives():
    """If the perspectives named other ids, the join would mix them or lose every second row."""
    table = noisy(30, n_ids=3)
    posture = fitted(table).apply(table).table
    params = {"pose": {"pose_n": 3}, "neck_idx": 0, "tail_base_idx": 2}
    ego = PairEgocentric(params=params).apply(table).table
    joined = join_inputs([ego, posture], ["ego", "posture"])
    assert joined.height == ego.height == posture.height == 30 * 6
    assert joined["perspective"].value_counts(sort=True)["count"].to_list() == [90, 90]
    np.testing.assert_array_equal(joined["PC0"], posture["PC0"])


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({}, r"4 component\(s\) in 0 row\(s\)"),
        ({KEY: noisy(n_ids=1)}, r"in 0 row\(s\)"),
        ({KEY: noisy(1)}, r"in 2 row\(s\)"),
        ({KEY: toy_tracks(20)}, "the same in all 40 rows"),
    ],
)
def test_too_little_to_fit_on_is_refused(tables, said):
    with pytest.raises(FitError, match=said):
        fitted(tables)


def test_a_fit_can_be_repeated_after_one_that_failed():
    """A notebook user who corrects the input must not fit on the rows of the failed attempt."""
    feature = PairPosedistancePca(params={"pose": {"pose_n": 3}, "n_components": 4})
    with pytest.raises(FitError):
        feature.fit(toy_stream({KEY: noisy(1, seed=9)}))
    broken = {EntryKey("g", "a"): noisy(seed=9), KEY: noisy().drop("poseX2")}
    with pytest.raises(MissingColumnError):
        feature.fit(toy_stream(broken))
    feature.fit(toy_stream({KEY: noisy()}))
    assert feature.state_notes() == fitted(noisy()).state_notes()


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (
            dict.fromkeys(("include_intra_A", "include_intra_B", "include_inter"), False),
            "all false",
        ),
        ({"n_components": 92}, r"n_components is 92 and there are 91 distance\(s\)"),
        ({"batch_size": 5}, "n_components 6 is above batch_size 5"),
        ({"pose": {"pose_n": 1}, "include_inter": False}, r"there are 0 distance\(s\)"),
    ],
)
def test_what_cannot_work_is_refused(params, said):
    with pytest.raises(ParamsError, match=said):
        PairPosedistancePca(params=params)


def test_an_unfitted_or_foreign_state_is_refused(tmp_path):
    with pytest.raises(FeatureError, match="not fitted"):
        PairPosedistancePca().apply(noisy())
    save_arrays(tmp_path / "pca.npz", components=np.zeros(1))
    with pytest.raises(ParamsError, match="no array 'explained_variance'"):
        PairPosedistancePca().load_state(tmp_path, {}, {})


def test_keypoints_by_name():
    params = PairPosedistancePca.Params.from_overrides(
        {"pose": {"pose_indices": ["tail", "neck"]}, "n_components": 3, "batch_size": 100}
    )
    resolved = params.resolve(DatasetFacts(keypoints=("neck", "nose", "tail")))
    assert resolved.pose.pose_indices == (2, 0)
    assert (resolved.n_components, resolved.batch_size) == (3, 100)
    assert PairPosedistancePca(params=resolved).input_columns()[2:] == (
        "poseX2", "poseY2", "poseX0", "poseY0",
    )  # fmt: skip
