"""Several tables become one, row by row, or the error names the row that does not fit."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mosaic_dagster.errors import AlignmentError, ParamsError
from mosaic_dagster.features import Inputs, InputStream, Result, join_inputs
from mosaic_dagster.keys import EntryKey


class TracksOnly(Inputs):
    accepts = frozenset({"tracks"})


class Nothing(Inputs):
    require = "empty"


class Anything(Inputs):
    require = "any"


RESULT = Result(feature="speed")


@pytest.mark.parametrize(
    ("kind", "items", "said"),
    [
        (Inputs, (), "at least one input"),
        (Inputs, ("tracks", "tracks"), "given twice"),
        (Inputs, (RESULT, RESULT), "given twice"),
        (Inputs, ("speed",), "'speed' is not an input"),
        (TracksOnly, (RESULT,), "does not read Result"),
        (Nothing, ("tracks",), "takes no input"),
    ],
)
def test_inputs_that_a_feature_does_not_take_are_refused(kind, items, said):
    with pytest.raises(ParamsError, match=said):
        kind(items)


def test_inputs_keep_their_order():
    """Order decides the names of columns that clash."""
    assert tuple(Inputs(("tracks", RESULT))) == ("tracks", RESULT)
    assert tuple(Inputs((RESULT, "tracks"))) == (RESULT, "tracks")
    assert tuple(Anything()) == ()
    assert tuple(Nothing()) == ()


def test_a_stream_can_be_read_twice_one_table_at_a_time():
    loaded = []

    def load(key):
        loaded.append(key.sequence)
        return pl.DataFrame({"frame": [0]})

    stream = InputStream((EntryKey("g", "a"), EntryKey("g", "b")), load)
    first = stream()
    assert next(first)[0] == EntryKey("g", "a")
    assert loaded == ["a"]
    assert [key.sequence for key, _ in stream()] == ["a", "b"]
    assert stream.n_entries == 2


def rows(identity: dict[str, list[int]], frames: list[int], **values: list[float]) -> pl.DataFrame:
    return pl.DataFrame({"frame": frames, "time": [f / 10 for f in frames], **identity, **values,
                         "group": "g", "sequence": "s"})  # fmt: skip


SINGLE = {"id": [0, 1, 0, 1]}
FRAMES = [0, 0, 1, 1]


def test_rows_of_one_individual_and_frame_are_joined():
    left = rows(SINGLE, FRAMES, a=[1.0, 2.0, 3.0, 4.0])
    right = rows({"id": [1, 0]}, [1, 0], a=[40.0, 10.0], b=[0.4, 0.1])
    joined = join_inputs([left, right], ["x", "y"])
    assert joined.columns == ["frame", "time", "id", "a", "a__1", "b", "group", "sequence"]
    assert joined.select("frame", "id", "a", "a__1", "b").rows() == [
        (0, 0, 1.0, 10.0, 0.1), (1, 1, 4.0, 40.0, 0.4),
    ]  # fmt: skip


@pytest.mark.parametrize("frame_table_first", [True, False])
def test_a_table_per_frame_is_repeated_over_individuals(frame_table_first):
    each = rows(SINGLE, FRAMES, a=[1.0, 2.0, 3.0, 4.0])
    per_frame = rows({}, [0, 1, 2], light=[0.5, 0.7, 0.9])
    tables = [per_frame, each] if frame_table_first else [each, per_frame]
    joined = join_inputs(tables, ["x", "y"])
    assert sorted(joined.select("frame", "id", "a", "light").rows()) == [
        (0, 0, 1.0, 0.5), (0, 1, 2.0, 0.5), (1, 0, 3.0, 0.7), (1, 1, 4.0, 0.7),
    ]  # fmt: skip
    assert joined["sequence"].unique().to_list() == ["s"]
    assert joined.columns[:3] == ["frame", "time", "id"]
    assert joined.columns[-2:] == ["group", "sequence"]


def test_times_are_not_compared():
    """Two files may round the same moment differently; the frame is what counts."""
    left = rows({"id": [0]}, [3], a=[1.0])
    right = rows({"id": [0]}, [3], b=[2.0]).with_columns(time=pl.lit(0.30000000001))
    joined = join_inputs([left, right], ["x", "y"])
    assert joined["time"].to_list() == [0.3]
    assert joined["b"].to_list() == [2.0]


def test_pairs_join_on_both_ids_and_the_perspective():
    """Mixed perspectives would describe one animal by the other's movement."""
    pair = {"id1": [0, 1], "id2": [1, 0], "perspective": [0, 1]}
    left = rows(pair, [0, 0], a=[1.0, 2.0])
    right = rows({name: values[::-1] for name, values in pair.items()}, [0, 0], b=[20.0, 10.0])
    assert join_inputs([left, right], ["x", "y"])["b"].to_list() == [10.0, 20.0]


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ([rows(SINGLE, FRAMES), rows({"id1": [0], "id2": [1]}, [0])], "'y' is keyed by id1, id2"),
        ([rows(SINGLE, FRAMES), rows({"id": [0, 0]}, [5, 5])],
         r"'y' has more than one row for {'frame': 5, 'id': 0}"),
        ([rows(SINGLE, FRAMES), pl.DataFrame({"mean": [1.0]})], "'y' has no column 'frame'"),
    ],
)  # fmt: skip
def test_what_cannot_be_aligned_is_refused_with_an_example(tables, said):
    with pytest.raises(AlignmentError, match=said):
        join_inputs(tables, ["x", "y"])


def test_one_table_is_given_as_it_is():
    table = pl.DataFrame({"mean": [1.0]})
    assert join_inputs([table], ["x"]) is table


KEYS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), unique=True, max_size=10)


@given(KEYS, KEYS)
def test_a_join_keeps_exactly_the_rows_that_both_have(first, second):
    def build(keys, name):
        return pl.DataFrame(
            {"frame": [k[0] for k in keys], "id": [k[1] for k in keys],
             name: [10.0 * k[0] + k[1] for k in keys]},
            schema={"frame": pl.Int64, "id": pl.Int64, name: pl.Float64},
        )  # fmt: skip

    joined = join_inputs([build(first, "a"), build(second, "b")], ["x", "y"])
    kept = [key for key in first if key in set(second)]
    assert joined.select("frame", "id").rows() == kept
    assert joined["a"].to_list() == joined["b"].to_list()


def test_empty_tables_join_to_an_empty_table_with_all_columns():
    left, right = rows(SINGLE, FRAMES, a=[1.0] * 4), rows(SINGLE, FRAMES, b=[1.0] * 4)
    joined = join_inputs([left.clear(), right], ["x", "y"])
    assert_frame_equal(joined, join_inputs([left, right], ["x", "y"]).clear())


def test_individuals_join_pairs_only_by_the_animal_that_is_named():
    """Else a body length would be given to the wrong animal of a pair, or to both."""
    pairs = pl.DataFrame(
        {"frame": [0, 0], "id1": [3, 7], "id2": [7, 3], "perspective": [0, 1], "d": [1.0, 1.0]}
    )
    single = pl.DataFrame({"frame": [0, 0], "id": [3, 7], "size": [30.0, 70.0]})
    with pytest.raises(AlignmentError, match="join_on"):
        join_inputs([pairs, single], ["pairs", "single"])
    first = join_inputs([pairs, single], ["pairs", "single"], "id1")
    assert first["size"].to_list() == [30.0, 70.0]
    second = join_inputs([single, pairs], ["single", "pairs"], "id2")
    assert second.select("id1", "id2", "size").rows() == [(7, 3, 30.0), (3, 7, 70.0)]
