"""Clusters against labels."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.dataset import Labels
from mosaic_dagster.errors import AlignmentError, MissingColumnError, ParamsError
from mosaic_dagster.hashing import canonical_json
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.models import cluster_agreement
from mosaic_dagster.models.agreement import Contingency, compare

A, B = EntryKey("", "a"), EntryKey("", "b")
NAMES = {0: "rest", 1: "walk", 2: "rear"}


def clusters(values: list[int | None], first: int = 0) -> pl.DataFrame:
    column = pl.Series("cluster", values, dtype=pl.Int64)
    frames = pl.int_range(first, first + len(values), eager=True)
    return pl.DataFrame({"frame": frames, "id": 0, "cluster": column})


def labels(values: list[int | None]) -> Labels:
    return Labels.per_frame(values, NAMES, id1=0)


def test_agreement_by_hand() -> None:
    """Classes 0 0 0 1 1 1 in clusters 7 7 8 8 8 9: counts [[2, 1, 0], [0, 2, 1]].

    Purity: 2 of cluster 7, 2 of 8, 1 of 9, 5/6. Best one-to-one: 0 → 7, 1 → 8, 4/6.
    Rand index adjusted: Σ C(n_ij, 2) = 1 + 1 = 2; classes 3 + 3 = 6; clusters 1 + 3 + 0 = 4; of
    15 pairs; expected 6 · 4 / 15 = 1.6; (2 − 1.6) / ((6 + 4) / 2 − 1.6) = 0.4 / 3.4.
    """
    found = cluster_agreement({A: clusters([7, 7, 8, 8, 8, 9])}, {A: labels([0, 0, 0, 1, 1, 1])})
    assert (found["n_samples"], found["n_classes"], found["n_clusters"]) == (6, 2, 3)
    assert found["purity"] == pytest.approx(5 / 6)
    assert found["hungarian_accuracy"] == pytest.approx(4 / 6)
    assert found["mapping"] == {"0": 7, "1": 8}
    assert found["ari"] == pytest.approx(0.4 / 3.4)
    assert found["confusion"]["counts"] == [[2, 1, 0], [0, 2, 1]]


def test_entropies_by_hand() -> None:
    """Classes 0 0 1 1, clusters 0 0 1 2: each cluster is pure, so homogeneity is 1.

    H(K) = 1.5 bits, H(K|C) = ½ · 0 + ½ · 1 = .5, completeness 1 − .5/1.5 = 2/3,
    V = 2 · 1 · ⅔ / (1 + ⅔) = .8.
    """
    found = compare(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2]))
    assert found["homogeneity"] == pytest.approx(1.0)
    assert found["completeness"] == pytest.approx(2 / 3)
    assert found["v_measure"] == pytest.approx(0.8)


def test_rows_find_their_labels_by_frame_not_by_position() -> None:
    """Clusters begin at frame 2; by position they would be compared with frames 0 and 1."""
    found = cluster_agreement({A: clusters([4, 5], first=2)}, {A: labels([0, 0, 1, 2])})
    assert found["confusion"] == {
        "classes": [1, 2],
        "clusters": [4, 5],
        "counts": [[1, 0], [0, 1]],
    }


def test_unlabelled_and_unclustered_frames_never_count() -> None:
    """Of four frames one is unlabelled and one in no cluster: two are left."""
    found = cluster_agreement({A: clusters([1, None, 2, 2])}, {A: labels([0, 0, None, 1])})
    assert found["n_samples"] == 2
    assert found["purity"] == 1.0


def test_labels_belong_to_individuals() -> None:
    """What animal 0 did says nothing about animal 1."""
    both = pl.concat([clusters([1, 1]), clusters([2, 2]).with_columns(id=pl.lit(1))])
    found = cluster_agreement({A: both}, {A: labels([0, 0])})
    assert found["confusion"]["clusters"] == [1]


def test_without_anything_to_compare_scores_are_null() -> None:
    """0 would say that the clusters disagree with labels that do not exist."""
    for given_labels in ({}, {A: labels([None])}):
        found = cluster_agreement({A: clusters([1])}, given_labels)
        assert found["n_samples"] == 0
        assert found["ari"] is None
        assert found["purity"] is None
        assert found["hungarian_accuracy"] is None
        assert json.loads(canonical_json(found))["confusion"]["counts"] == []
    assert cluster_agreement({}, {})["v_measure"] is None


def test_recordings_can_be_compared_by_themselves() -> None:
    """a: one cluster per class (1); b: one cluster for both (purity 1/2)."""
    found = cluster_agreement(
        [(A, clusters([1, 2])), (B, clusters([1, 1]))],
        {A: labels([0, 1]), B: labels([0, 1])}.get,
        include_per_sequence=True,
    )
    assert found["per_sequence"]["/a"]["ari"] == 1.0
    assert found["per_sequence"]["/b"]["purity"] == 0.5
    assert found["purity"] == pytest.approx(3 / 4)


def test_a_sample_is_drawn_over_all_recordings_and_always_the_same() -> None:
    tables = {A: clusters([1] * 50), B: clusters([2] * 50)}
    given_labels = {A: labels([0] * 50), B: labels([1] * 50)}
    found = cluster_agreement(tables, given_labels, max_frames=20)
    assert found["n_samples"] == 20
    assert found["n_classes"] == 2
    assert found == cluster_agreement(tables, given_labels, max_frames=20)
    other = cluster_agreement(tables, given_labels, max_frames=20, random_state=1)
    assert found["confusion"] != other["confusion"]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=60),
    st.permutations(range(5)),
)
@settings(max_examples=80, deadline=None)
def test_names_of_clusters_do_not_matter(rows: list[tuple[int, int]], renamed: list[int]) -> None:
    """All shares lie between 0 and 1; who numbers clusters otherwise gets the same scores."""
    label, cluster = (np.array(part) for part in zip(*rows, strict=True))
    found = compare(label, cluster)
    other = compare(label, np.array(renamed)[cluster])
    for name in ("homogeneity", "completeness", "v_measure", "purity", "hungarian_accuracy"):
        assert -1e-12 <= found[name] <= 1 + 1e-12
        assert other[name] == pytest.approx(found[name])
    assert other["ari"] == pytest.approx(found["ari"])
    assert other["ami"] == pytest.approx(found["ami"])
    assert found["hungarian_accuracy"] <= found["purity"] + 1e-12
    assert Contingency.of(label, cluster).counts.sum() == len(label)


@pytest.mark.parametrize(
    ("table", "error", "words"),
    [
        (clusters([1]).drop("frame"), MissingColumnError, "no column 'frame'"),
        (clusters([1]).drop("cluster"), MissingColumnError, "no column 'cluster'"),
        (clusters([1]).cast({"cluster": pl.Float64}), ParamsError, "whole numbers"),
        (pl.concat([clusters([1])] * 2).drop("id"), AlignmentError, "Frame 0"),
    ],
)
def test_what_cannot_be_compared_says_why(table: Any, error: type[Exception], words: str) -> None:
    """Rows without an identity would each be given the labels of all animals."""
    with pytest.raises(error, match=words):
        cluster_agreement({A: table}, {A: labels([0])})


def test_a_sample_of_nothing_is_refused() -> None:
    with pytest.raises(ParamsError, match="max_frames is 0"):
        cluster_agreement({}, {}, max_frames=0)


def test_a_background_is_for_recordings_that_somebody_labelled():
    """Else 90 recordings that nobody looked at would count as 90 in which nothing happened."""
    table = pl.DataFrame({"frame": [0, 1], "id": [0, 0], "cluster": [0, 1]})
    labels = Labels.from_spans([(0, 1, 0, -1, 1)], {1: "walk"})
    clusters = {EntryKey("g", "a"): table, EntryKey("g", "b"): table}
    told = cluster_agreement(clusters, {EntryKey("g", "a"): labels}, background=9)
    assert told["n_samples"] == 2


def test_labels_under_texts_are_refused() -> None:
    """They would be found for no recording, and the agreement would be of no row at all."""
    with pytest.raises(ParamsError, match=r"given for '/a'.*EntryKey\.parse"):
        cluster_agreement({A: clusters([1])}, {str(A): labels([1])})  # type: ignore[dict-item]
