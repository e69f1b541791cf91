"""Full-frame evaluation: what counts, what does not, pooled and for each recording."""

from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.errors import FitError, MissingColumnError, ParamsError
from mosaic_dagster.hashing import canonical_json
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.models import evaluate
from mosaic_dagster.models.evaluation import score_entry

A, B = EntryKey("g", "a"), EntryKey("g", "b")
NAMES = {0: "rest", 1: "walk", 5: "rear"}


def table(truth: list[int | None], predicted: list[int], **columns: list[float]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "frame": range(len(truth)),
            "id": 0,
            "label": pl.Series(truth, dtype=pl.Int64),
            "predicted_label": pl.Series(predicted, dtype=pl.Int64),
            **columns,
        }
    )


TABLES = {
    A: table([0, 0, 1, 1, None, None], [0, 1, 1, 1, 5, 5]),
    B: table([1, 1, 0, 0], [1, 1, 0, 1]),
}


def test_unlabelled_frames_never_count() -> None:
    """A: 4 labelled of 6, both predictions of class 5 lie on unlabelled frames.

    Pooled: 0 is found 1 + 1 of 4 times, 1 is found 2 + 2 of 4 times and claimed 6 times. So class
    5 was never predicted, F1 of 0 is 2·2 / (4 + 2) = 2/3, of 1 2·4 / (4 + 6) = 4/5, macro 11/15.
    """
    found = evaluate(TABLES, NAMES)
    assert found.scores["rows"] == 10
    assert found.scores["labelled"] == 8
    assert found.scores["accuracy"] == pytest.approx(6 / 8)
    assert found.scores["f1_macro"] == pytest.approx(11 / 15)
    rear = found.per_class.filter(pl.col("class") == 5).row(0, named=True)
    assert (rear["support"], rear["predicted"], rear["bouts_predicted"]) == (0, 0, 0)
    assert [rear[n] for n in ("precision", "recall", "f1", "average_precision", "bout_f1")] == [
        None
    ] * 5


def test_each_recording_has_its_own_row() -> None:
    """A: 3 of 4 right, F1 of 0 2/3 and of 1 4/5; B: 3 of 4 right as well."""
    found = evaluate(TABLES, NAMES).per_entry
    assert found["sequence"].to_list() == ["a", "b"]
    assert found["labelled"].to_list() == [4, 4]
    assert found["accuracy"].to_list() == [0.75, 0.75]
    assert found["f1_macro"].to_list() == pytest.approx([11 / 15, 11 / 15])
    by_class = evaluate(TABLES, NAMES).per_entry_class
    assert by_class.height == 6
    assert by_class.filter(sequence="a", name="walk")["recall"].item() == 1.0


def test_bouts_end_where_labels_do() -> None:
    """Truth 1 1 . 1 1 and prediction 1 throughout: two bouts of either, both found."""
    found = evaluate({A: table([1, 1, None, 1, 1], [1] * 5)}, NAMES).per_class
    walk = found.filter(pl.col("class") == 1).row(0, named=True)
    assert (walk["bouts"], walk["bouts_predicted"], walk["bouts_matched"]) == (2, 2, 2)


def test_pairs_are_told_apart() -> None:
    """Two pairs, interleaved by frame, each walking for 3 frames: two bouts, not six."""
    rows = pl.DataFrame(
        {
            "frame": [0, 0, 1, 1, 2, 2],
            "id1": [0, 1] * 3,
            "id2": [1, 0] * 3,
            "perspective": [0, 1] * 3,
            "label": [1] * 6,
            "predicted_label": [1] * 6,
        }
    )
    assert evaluate({A: rows}, NAMES).bouts.matched.tolist() == [0, 2, 0]


def test_average_precision_is_pooled_over_recordings() -> None:
    """Class 1 ranked yes (.9, A), no (.8, B), yes (.7, A): 1/2 · 1 + 1/2 · 2/3 = 5/6.

    By itself A is perfect, so a mean over recordings would hide that B outranks it.
    """
    tables = {
        A: table([1, 1], [1, 1], prob_1=[0.9, 0.7]),
        B: table([0], [0], prob_1=[0.8]),
    }
    found = evaluate(tables, NAMES)
    walk = found.per_class.filter(pl.col("class") == 1)["average_precision"].item()
    assert walk == pytest.approx(5 / 6)
    assert found.scores["average_precision_macro"] == pytest.approx(5 / 6)


def test_a_report_is_json_and_says_null_where_nothing_is_known() -> None:
    """A recording without labels has no accuracy; 0 would say that all was wrong."""
    report = evaluate({A: table([None], [1])}, NAMES).report()
    again = json.loads(canonical_json(report))
    assert again["accuracy"] is None
    assert again["classes"]["0"]["f1"] is None
    assert again["entries"][0]["f1_macro"] is None
    assert again["confusion"] == {"classes": [0, 1, 5], "counts": [[0] * 3] * 3}


def test_no_recordings_give_tables_with_their_columns() -> None:
    found = evaluate({}, NAMES)
    assert found.per_entry.columns == evaluate(TABLES, NAMES).per_entry.columns
    assert found.per_entry_class.schema == evaluate(TABLES, NAMES).per_entry_class.schema
    assert found.arrays()[2].shape == (0, 3)


def test_a_table_that_cannot_be_scored_says_why() -> None:
    """Leaving out rows that were not predicted would flatter a model."""
    with pytest.raises(MissingColumnError, match="no column 'label'"):
        evaluate({A: TABLES[A].drop("label")}, NAMES)
    silent = TABLES[B].with_columns(pl.lit(None, pl.Int64).alias("predicted_label"))
    with pytest.raises(ParamsError, match="4 labelled rows of g/b have no prediction"):
        evaluate({B: silent}, NAMES)
    with pytest.raises(ParamsError, match="class 1"):
        evaluate(TABLES, {0: "rest"})
    with pytest.raises(ParamsError, match="two rows"):
        evaluate({A: pl.concat([TABLES[A], TABLES[A]])}, NAMES)
    with pytest.raises(FitError, match="without any class"):
        evaluate(TABLES, {})


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 5, None]), st.sampled_from([0, 1, 5])),
        max_size=30,
    ),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_the_order_of_rows_does_not_matter(rows: list[tuple[int | None, int]], seed: int) -> None:
    """Tables come sorted by frame or by animal; scores must be the same."""
    given_rows = table([t for t, _ in rows], [p for _, p in rows])
    shuffled = given_rows.sample(fraction=1.0, shuffle=True, seed=seed)
    one, other = evaluate({A: given_rows}, NAMES), evaluate({A: shuffled}, NAMES)
    assert one.report() == other.report()
    positions = score_entry(A, shuffled, sorted(NAMES)).positions
    assert shuffled["label"][positions].null_count() == 0
