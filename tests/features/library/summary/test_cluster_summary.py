"""cluster-summary: the numbers that end up in the paper."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features.library.summary.cluster_summary import (
    ClusterSummary,
    cluster_rows,
    transition_rows,
)
from mosaic_dagster.testing import check_feature, toy_values


def diary() -> pl.DataFrame:
    """At 10 fps: 0 0 1 1 1 0 2 2 - 0.

    9 labelled frames. Bouts of 0: 2, 1, 1 frames; of 1: 3; of 2: 2. Transitions: 0→1, 1→0, 0→2;
    the null hides what followed 2, and the end what followed the last 0.
    """
    return toy_values({"cluster": [0, 0, 1, 1, 1, 0, 2, 2, None, 0]}, fps=10.0)


def test_shares_and_bouts():
    clusters = cluster_rows(check_feature(ClusterSummary, diary()))
    assert clusters.columns[:6] == [
        "id",
        "cluster",
        "share",
        "n_bouts",
        "mean_bout_s",
        "median_bout_s",
    ]
    assert clusters["cluster"].to_list() == [0, 1, 2]
    np.testing.assert_allclose(clusters["share"], [4 / 9, 3 / 9, 2 / 9])
    assert clusters["n_bouts"].to_list() == [3, 1, 1]
    np.testing.assert_allclose(clusters["mean_bout_s"], [0.4 / 3, 0.3, 0.2])
    np.testing.assert_allclose(clusters["median_bout_s"], [0.1, 0.3, 0.2])


def test_transitions_and_their_probabilities():
    steps = transition_rows(ClusterSummary().apply(diary()))
    found = steps.select("cluster", "next_cluster", "count", "probability").rows()
    assert found == [(0, 1, 1, 0.5), (0, 2, 1, 0.5), (1, 0, 1, 1.0)]


def test_a_gap_in_the_frames_ends_a_bout_and_hides_the_transition():
    """Frames 0, 1 | 5, 6 all in cluster 3, then 4: two bouts of 3, one transition."""
    table = pl.DataFrame(
        {"frame": [0, 1, 5, 6, 7], "id": 0, "cluster": [3, 3, 3, 3, 4], "fps": 1.0}
    )
    summary = ClusterSummary().apply(table)
    assert cluster_rows(summary)["n_bouts"].to_list() == [2, 1]
    assert transition_rows(summary)["count"].to_list() == [1]


def test_individuals_are_apart_and_interleaved_rows_do_not_matter():
    """Individual 0 stays in a, individual 1 changes from a to b; one more is never labelled."""
    table = pl.DataFrame(
        {
            "frame": [0, 0, 0, 1, 1, 1],
            "id": [0, 1, 2, 0, 1, 2],
            "state": ["a", "a", None, "a", "b", None],
            "fps": 2.0,
        }
    )
    summary = check_feature(ClusterSummary, table, {"cluster_col": "state"})
    clusters = cluster_rows(summary).select("id", "cluster", "share", "mean_bout_s").rows()
    assert clusters == [(0, "a", 1.0, 1.0), (1, "a", 0.5, 0.5), (1, "b", 0.5, 0.5)]
    assert transition_rows(summary)["id"].to_list() == [1]


def test_pairs_keep_their_ids():
    identity = {"id1": 4, "id2": 5, "perspective": 0}
    summary = ClusterSummary().apply(toy_values({"cluster": [1]}, identity=identity))
    assert summary.columns[:3] == ["id1", "id2", "perspective"]


def test_nothing_labelled_gives_no_rows():
    table = toy_values({"cluster": pl.Series([None, None], dtype=pl.Int32)})
    assert ClusterSummary().apply(table).height == 0


def test_what_cannot_work_is_refused():
    with pytest.raises(FeatureError, match="frame rate"):
        ClusterSummary().apply(diary().drop("fps"))
    with pytest.raises(MissingColumnError, match="cluster"):
        ClusterSummary().apply(diary().drop("cluster"))
    with pytest.raises(ParamsError, match="key column"):
        ClusterSummary(params={"cluster_col": "id"})
