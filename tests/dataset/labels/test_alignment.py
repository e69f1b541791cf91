"""Which label belongs to which row."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.dataset.labels import Labels, align_labels
from mosaic_dagster.errors import LabelsError

NAMES = {0: "none", 1: "groom", 2: "attack"}


def labels(*rows: tuple[int, int, int, int]) -> Labels:
    """Rows of (frame, id1, id2, label)."""
    return Labels.from_spans([(f, f + 1, *rest) for f, *rest in rows], NAMES)  # type: ignore[misc]


def individuals(frames: int = 1) -> pl.DataFrame:
    """Ids 0 and 1 in every frame, id 0 first."""
    return pl.DataFrame({"frame": [f for _ in (0, 1) for f in range(frames)]}).with_columns(
        id=pl.Series([i for i in (0, 1) for _ in range(frames)])
    )


def pairs() -> pl.DataFrame:
    """Frame 0: (0, 1), (1, 0), (0, 2), (2, 0)."""
    return pl.DataFrame({"frame": 0, "id1": [0, 1, 0, 2], "id2": [1, 0, 2, 0]})


def found(table: pl.DataFrame, given_labels: Labels | None, **kwargs: object) -> list[int | None]:
    return align_labels(table, given_labels, **kwargs).labels.to_list()  # type: ignore[arg-type]


def test_an_event_of_an_individual_is_not_lost() -> None:
    """(1, -1) holds for id 1; asking for id1 <= id2 would discard every such event."""
    assert found(individuals(), labels((0, 1, -1, 2))) == [None, 2]


def test_an_event_of_an_individual_holds_for_pairs_that_begin_with_it() -> None:
    assert found(pairs(), labels((0, 0, -1, 2))) == [2, None, 2, None]


def test_an_event_of_a_pair_holds_for_both_orders() -> None:
    assert found(pairs(), labels((0, 1, 0, 2))) == [2, 2, None, None]


def test_a_directed_event_holds_for_its_own_order() -> None:
    """Who attacks whom: (1, 0) says nothing about (0, 1)."""
    assert found(pairs(), labels((0, 1, 0, 2)), directed=True) == [None, 2, None, None]


def test_an_event_of_a_pair_is_not_of_an_individual() -> None:
    assert found(individuals(), labels((0, 0, 1, 2))) == [None, None]


def test_an_event_of_the_scene_holds_for_every_row_of_its_frame() -> None:
    scene = labels((0, -1, -1, 1))
    assert found(individuals(2), scene) == [1, None, 1, None]
    assert found(pairs(), scene) == [1] * 4
    assert found(pl.DataFrame({"frame": [1, 0]}), scene) == [None, 1]


def test_rows_per_frame_take_events_of_the_scene_only() -> None:
    """What one individual does is not what the scene does."""
    assert found(pl.DataFrame({"frame": [0]}), labels((0, 0, -1, 1), (0, 0, 1, 1))) == [None]


def test_unlabelled_is_not_class_zero() -> None:
    """A classifier trained on unlabelled frames as 'attack' or 'none' learns what nobody said."""
    assert found(individuals(2), labels((1, 0, -1, 0))) == [None, 0, None, None]
    assert found(individuals(2), labels((1, 0, -1, 2)), background=0) == [0, 2, 0, 0]
    assert found(individuals(), None) == [None, None]
    assert found(individuals(), None, background=1) == [1, 1]
    assert found(individuals(), labels()) == [None, None]


def test_of_several_classes_the_later_counts_and_is_counted() -> None:
    """In the order of the events, also across events of the scene, a pair and an individual."""
    given_labels = labels((0, 0, 1, 2), (0, -1, -1, 0), (0, 2, -1, 1), (0, -1, -1, 0))
    aligned = align_labels(pairs(), given_labels)
    assert aligned.labels.to_list() == [0, 0, 0, 0]
    assert aligned.conflicts == 3, "(0, 1), (1, 0) and (2, 0) were given two classes"
    turned = labels((0, -1, -1, 0), (0, 0, 1, 2))
    assert found(pairs(), turned) == [2, 2, 0, 0]


def test_one_class_twice_is_no_conflict() -> None:
    aligned = align_labels(individuals(), labels((0, 0, -1, 1), (0, -1, -1, 1)))
    assert (aligned.labels.to_list(), aligned.conflicts) == ([1, 1], 0)


def test_rows_keep_their_place_and_are_joined_by_frame() -> None:
    """Tracks need not begin at frame 0, nor be sorted; a row number is no frame."""
    table = pl.DataFrame({"frame": [12, 10, 11], "id": 0}, schema={"frame": pl.Float64, "id": int})
    aligned = align_labels(table, labels((10, 0, -1, 1), (12, 0, -1, 2), (0, 0, -1, 0)))
    assert aligned.labels.to_list() == [2, 1, None]
    assert aligned.labels.dtype == pl.Int64


def test_an_empty_table_and_one_without_frames() -> None:
    empty = individuals().clear()
    assert align_labels(empty, labels((0, 0, -1, 1))).labels.dtype == pl.Int64
    with pytest.raises(LabelsError, match="without a column 'frame' cannot be labelled"):
        align_labels(pl.DataFrame({"id": [0]}), None)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1), st.integers(0, 2)), max_size=15))
def test_it_is_what_a_loop_over_the_events_gives(events: list[tuple[int, int, int]]) -> None:
    table = individuals(6)
    told: dict[tuple[int, int], int] = {}
    for frame, individual, label in events:
        told[frame, individual] = label
    expected = [told.get((f, i)) for f, i in table.iter_rows()]
    assert found(table, labels(*((f, i, -1, c) for f, i, c in events))) == expected


def test_ids_that_are_no_numbers_say_which() -> None:
    """Names of animals would end in an error of a package that nobody called; 1.5 would be 1."""
    table = individuals().with_columns(id=pl.Series(["0", "mouse"]))
    with pytest.raises(LabelsError, match="has id 'mouse' in row 1"):
        found(table, labels((0, 1, -1, 2)))
    with pytest.raises(LabelsError, match=r"has id 1\.5 in row 1"):
        found(individuals().with_columns(id=pl.Series([0.0, 1.5])), labels((0, 1, -1, 2)))
    assert found(table.with_columns(id=pl.Series(["0", "1"])), labels((0, 1, -1, 2))) == [None, 2]
    assert found(table.with_columns(id=pl.Series([None, 1.0])), labels((0, 1, -1, 2))) == [None, 2]
