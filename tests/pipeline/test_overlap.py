"""What stands beside a recording is seen where it runs on, and never becomes part of it.

Most recordings here are pieces of one: one animal, 10 frames per second, X = 3 f² in frame f of
the whole. The mean of X over f - 1, f, f + 1 is then 3 f² + 2 wherever both neighbours are seen.
"""

from __future__ import annotations

import sys

import cloudpickle
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster import Dataset, EntryKey, FeatureStep, Pipeline
from mosaic_dagster.dataset import Scope
from mosaic_dagster.errors import (
    AlignmentError,
    FeatureError,
    PipelineDefinitionError,
    RunFailedError,
)
from mosaic_dagster.features import Feature, Params
from mosaic_dagster.features.output import values_schema, with_values
from mosaic_dagster.pipeline import DatasetRun
from mosaic_dagster.pipeline.overlap import cut, extend, order_neighbours
from mosaic_dagster.pipeline.why import explain

# Worker processes cannot import it by its name.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

ONE = {"overlap_frames": 1}


class MovingParams(Params):
    source: str = "X"
    half: int = 1


class Moving(Feature[MovingParams]):
    """Mean of a column over the frames at most ``half`` away, per animal."""

    name = "test-moving"
    version = "1"
    Params = MovingParams

    def output_schema(self, schema):
        return values_schema(schema, {"x": pl.Float64()})

    def apply(self, table):
        rows = table.select("id", "frame", value=self.params.source)
        known = {(i, f): value for i, f, value in rows.iter_rows()}
        half = self.params.half
        means = []
        for i, f, _ in rows.iter_rows():
            near = [known[i, g] for g in range(f - half, f + half + 1) if (i, g) in known]
            means.append(sum(near) / len(near))
        return with_values(table, {"x": pl.Series(means, dtype=pl.Float64)})


class Summed(Feature[Params]):
    """One row per recording, without a frame."""

    name = "test-summed"
    version = "1"

    def output_schema(self, schema):
        return pl.Schema({"sum": pl.Float64()})

    def apply(self, table):
        return table.select(sum=pl.col("X").sum())


def piece(first, last, *, begins=0, ids=(0,), fps=10.0, late=0.0, origin="whole"):
    """Frames ``first``..``last`` of the whole as a recording that counts from ``begins``."""
    rows = [
        (f - first + begins, f / fps + late, i, 3.0 * f * f + 1000 * i, 0.0)
        for i in ids
        for f in range(first, last + 1)
    ]
    columns = {"frame": pl.Int64, "time": pl.Float64, "id": pl.Int64, "X": pl.Float64,
               "Y": pl.Float64}  # fmt: skip
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        fps=pl.lit(fps), group=pl.lit("g"), sequence=pl.lit(origin)
    )


def made_of(path, *, continuous=True, **tables):
    dataset = Dataset.create(path, "pieces", fps=10.0, unit="mm", continuous=continuous)
    for sequence, table in tables.items():
        given = table.drop("group", "sequence")
        dataset.add_tracks(EntryKey("g", sequence), given)
    return dataset


@pytest.fixture
def pieces(tmp_path):
    """Four recordings of four frames that count from 0 each and whose times run on."""
    tables = {f"s{k + 1}": piece(4 * k, 4 * k + 3) for k in range(4)}
    return made_of(tmp_path / "pieces", **tables)


def moving(options=ONE, **params):
    step = FeatureStep("moving", Moving, params, run_kwargs=options)
    return Pipeline(name="p").add(step)


def edited(dataset, sequence, first, last, factor=2.0):
    table = piece(first, last).with_columns(pl.col("X") * factor).drop("group", "sequence")
    dataset.add_tracks(EntryKey("g", sequence), table, overwrite=True)


# Tables.


@settings(max_examples=40)
@given(
    st.integers(0, 6), st.integers(2, 4), st.integers(0, 6), st.integers(0, 8),
    st.sampled_from([0, 5]), st.booleans(),
)  # fmt: skip
def test_a_recording_that_was_split_is_put_together_again(n_before, n_own, n_after, n, begins, by):
    """What a feature sees is the whole recording from n frames before to n frames after."""
    last_before, last = n_before - 1, n_before + n_own - 1
    order = ["frame", "id"] if by else ["id", "frame"]
    before = piece(0, last_before, ids=(0, 1), origin="before").sort(order)
    own = piece(n_before, last, begins=begins, ids=(0, 1), origin="own").sort(order)
    after = piece(last + 1, last + n_after, ids=(0, 1), origin="after").sort(order)
    found = extend(before, own, after, n)
    low, high = max(0, n_before - n), min(last + n_after, last + n)
    wanted = piece(low, high, ids=(0, 1), origin="own").sort(order)
    shift = begins - n_before + low
    assert found.equals(wanted.with_columns(pl.col("frame") + shift))
    assert cut(found, own).equals(own)


@pytest.mark.parametrize(
    ("late", "seen"),
    [(-0.06, False), (-0.04, True), (0.0, True), (0.04, True), (0.06, False), (5.0, False)],
)
def test_what_does_not_abut_is_no_context(late, seen):
    """A frame is 0.1 s, half of it 0.05 s; across a gap, a mean would mix times far apart."""
    own = piece(4, 7)
    assert (extend(None, own, piece(8, 9, late=late), 1).height == 5) == seen
    assert (extend(piece(0, 3, late=late), own, None, 1).height == 5) == seen


def test_times_run_on_where_clocks_differ_a_little():
    """The next clock is 0.04 s late: its first time is 0.8 s, one frame after 0.7 s."""
    found = extend(piece(2, 3, late=0.04), piece(4, 7), piece(8, 9, late=0.04), 1)
    assert found["time"].to_list() == pytest.approx([0.3, 0.4, 0.5, 0.6, 0.7, 0.8])


def test_frames_are_counted_by_value_and_for_every_animal():
    """Animal 1 is not seen in the last frame: of two frames it gives one row, animal 0 two."""
    before = piece(0, 3, ids=(0, 1)).filter(~((pl.col("id") == 1) & (pl.col("frame") == 3)))
    found = extend(before, piece(4, 5, ids=(0, 1)), None, 2)
    rows = found.filter(pl.col("frame") < 0).select("id", "frame", "X").rows()
    assert rows == [(0, -2, 12.0), (0, -1, 27.0), (1, -2, 1012.0)]  # 3·4, 3·9, 1000 + 3·4


def test_a_neighbour_with_another_frame_rate_is_none():
    """Frames of another length beside one's own would count as equally long."""
    assert extend(None, piece(0, 3), piece(2, 5, fps=5.0), 2).height == 4  # at 0.4 s, too


def test_without_fps_the_times_tell_how_long_a_frame_is():
    own, after = (table.drop("fps") for table in (piece(0, 3), piece(4, 5)))
    assert extend(None, own, after, 1).height == 5
    assert extend(None, own.head(1), after.with_columns(pl.col("time") - 0.3), 1).height == 2
    with pytest.raises(FeatureError, match="how long a frame is"):
        extend(None, own.head(1), after.head(1), 1)


def test_a_seam_without_times_is_no_context():
    after = piece(4, 5).with_columns(time=pl.lit(float("nan")))
    assert extend(None, piece(0, 3), after, 1).height == 4


def test_nothing_of_a_neighbour_but_its_values_comes_along():
    """Else a table would name two recordings, or have columns that only some recordings have."""
    after = piece(4, 5, origin="after").with_columns(extra=pl.lit(1)).drop("Y")
    found = extend(None, piece(0, 3, origin="own"), after, 1)
    assert found.columns == piece(0, 3).columns
    assert found["sequence"].unique().to_list() == ["own"]
    assert found["Y"].to_list() == [0.0, 0.0, 0.0, 0.0, None]


@pytest.mark.parametrize(
    ("after", "error", "said"),
    [
        (piece(4, 5).drop("time"), FeatureError, "needs time in the input of the recording after"),
        (piece(4, 5).drop("frame", "time"), FeatureError, "needs frame and time"),
        (piece(4, 5).with_columns(frame=pl.lit(None, pl.Int64)), FeatureError, "has no frame"),
        (piece(4, 5).cast({"X": pl.String}), AlignmentError, "'X' is Float64, and String"),
    ],
)
def test_a_neighbour_that_cannot_be_used_is_refused(after, error, said):
    """Left out silently, the edges of recordings would have other values than elsewhere."""
    with pytest.raises(error, match=said):
        extend(None, piece(0, 3), after, 1)


def test_nothing_is_put_around_an_empty_recording():
    empty = piece(0, 3).clear()
    assert extend(piece(0, 3), empty, piece(0, 3), 2).height == 0
    assert cut(empty, empty).height == 0


def test_groups_are_recordings_apart():
    assert order_neighbours(["/a", "g/a", "g/b", "g/c", "h/a"]) == {
        "/a": {}, "g/a": {"after": "g/b"}, "g/b": {"before": "g/a", "after": "g/c"},
        "g/c": {"before": "g/b"}, "h/a": {},
    }  # fmt: skip


# Results.


def test_pieces_give_what_the_whole_recording_gives(pieces, run, tmp_path):
    """3 f² + 2 inside; (0 + 3) / 2 and (3·14² + 3·15²) / 2 at the two ends of the group."""
    result = run(moving(), pieces)["moving"]
    tables = [result.table(f"g/s{k}") for k in (1, 2, 3, 4)]
    found = [x for table in tables for x in table["x"].to_list()]
    assert found == [1.5, *(3.0 * f * f + 2 for f in range(1, 15)), 631.5]
    whole = made_of(tmp_path / "whole", all=piece(0, 15))
    assert run(moving({}), whole)["moving"].table("g/all")["x"].to_list() == found
    assert [table["frame"].to_list() for table in tables] == [[0, 1, 2, 3]] * 4
    assert [table["sequence"].unique().to_list() for table in tables] == [
        ["s1"], ["s2"], ["s3"], ["s4"],
    ]  # fmt: skip


def test_across_a_gap_nothing_is_seen(tmp_path, run):
    """s2 starts a second late: the last of s1 is (3·4 + 3·9) / 2, the first of s2 as well."""
    dataset = made_of(tmp_path / "gap", s1=piece(0, 3), s2=piece(4, 7, late=1.0))
    result = run(moving(), dataset)["moving"]
    assert result.table("g/s1")["x"].item(-1) == 19.5
    assert result.table("g/s2")["x"].item(0) == (48 + 75) / 2


def test_a_neighbour_gives_no_more_than_it_has(tmp_path, run):
    """Beside one frame, n = 5 sees one frame and not the recording behind it: half = 2 of
    frame 5 (X = 75) sees frames 4..7, that is (48 + 75 + 108 + 147) / 4."""
    dataset = made_of(tmp_path / "short", s1=piece(0, 3), s2=piece(4, 4), s3=piece(5, 8))
    result = run(moving({"overlap_frames": 5}, half=2), dataset)["moving"]
    assert result.table("g/s3")["x"].item(0) == 94.5


def test_all_inputs_of_a_neighbour_are_joined_like_its_own(pieces, toy, run):
    """x of the second input is X + 2, so the mean at the last frame of s1 is 3·9 + 2 + 2."""
    pipeline = (
        Pipeline(name="p")
        .add(FeatureStep("a", toy.Shift, {"by": 1.0}))
        .add(FeatureStep("b", toy.Shift, {"by": 2.0}))
        .add(FeatureStep("both", Moving, {"source": "x__1"}, ["a", "b"], ONE))
    )
    result = run(pipeline, pieces)["both"]
    assert result.table("g/s1")["x"].to_list() == [3.5, 7.0, 16.0, 31.0]


def test_a_result_without_frames_cannot_have_an_overlap(pieces, run):
    """A sum over other recordings' frames as well would be wrong without a sign of it."""
    pipeline = Pipeline(ONE, name="p").add(FeatureStep("summed", Summed))
    with pytest.raises(RunFailedError, match="cannot be cut off again"):
        run(pipeline, pieces)


@pytest.mark.slow
def test_workers_give_the_same_bytes(pieces, run, tmp_path, monkeypatch):
    monkeypatch.setattr("mosaic_dagster.pipeline.engine._ALONE_SECONDS", 0.0)

    def digests(engine, dataset):
        pipeline = moving()
        pipeline.run(dataset, engine=engine, workers=2)
        entries = DatasetRun(dataset, [pipeline]).evaluations["p"].entries("moving")
        return [status.result.output_sha256 for status in entries.values()]

    again = made_of(tmp_path / "again", **{f"s{k + 1}": piece(4 * k, 4 * k + 3) for k in range(4)})
    assert digests("loky", pieces) == digests("sequential", again)


# Declaring.


@pytest.mark.parametrize(
    "options", [{**ONE, "filter_end_frame": 3}, {**ONE, "filter_start_time": 0.1}]
)
def test_an_overlap_and_a_range_of_frames_exclude_each_other(pieces, run, options):
    with pytest.raises(PipelineDefinitionError, match="overlap_frames and for a range of frames"):
        run(moving(options), pieces)


def test_a_scope_with_frames_is_a_range_too(pieces, run):
    scope = Scope(frames=(0, 2))
    pipeline = Pipeline(name="p", scope=scope).add(FeatureStep("m", Moving, run_kwargs=ONE))
    with pytest.raises(PipelineDefinitionError, match="for a range of frames"):
        run(pipeline, pieces)


def test_only_continuous_datasets_have_an_overlap(tmp_path, run):
    """Recordings that merely sort beside each other have nothing to do with each other."""
    dataset = made_of(tmp_path / "apart", continuous=False, s1=piece(0, 3))
    with pytest.raises(PipelineDefinitionError, match="'pieces' is not continuous") as caught:
        run(moving(), dataset)
    assert "continuous: true" in caught.value.remedy


def test_an_overlap_is_not_negative(pieces, run):
    with pytest.raises(PipelineDefinitionError, match="overlap_frames"):
        run(moving({"overlap_frames": -1}), pieces)


def test_the_overlap_is_part_of_the_identity_of_entries_and_not_of_a_fit(pieces, toy, run, keys):
    """A fit sees each recording once whatever the overlap is; fitting anew would be waste."""

    def build(n):
        step = FeatureStep("mean", toy.Mean, {"source": "X"}, run_kwargs={"overlap_frames": n})
        return Pipeline(name="p").add(step)

    for n in (0, 1, 2):
        run(build(n), pieces)
    found = [keys(pieces, build(n)) for n in (0, 1, 2)]
    assert len({f["mean/"] for f in found}) == 1
    assert len({f["mean/s1"] for f in found}) == 3
    bound = [DatasetRun(pieces, [build(n)]).evaluations["p"].bound for n in (0, 1, 2)]
    assert len({b.steps["mean"].run_id for b in bound}) == 3


def test_a_step_that_passes_its_input_on_has_no_neighbours(pieces, toy, run):
    pipeline = Pipeline(ONE, name="p").add(FeatureStep("s", toy.Sampled, {"source": "X"}))
    result = run(pipeline, pieces)["s"]
    assert result.table("g/s1").equals(pieces.tracks(EntryKey("g", "s1")))
    status = DatasetRun(pieces, [pipeline]).evaluations["p"].entries("s")["g/s1"]
    assert [item.role for item in status.inputs] == ["input:0"]


# What is out of date.


def test_an_edit_makes_the_entry_and_its_neighbours_stale_and_undoing_it_finds_them(
    pieces, run, states
):
    run(moving(), pieces)
    fresh = dict.fromkeys(["s1", "s2", "s3", "s4"], "fresh")
    assert states(pieces, moving(), "moving") == fresh
    edited(pieces, "s1", 0, 3)
    assert states(pieces, moving(), "moving") == {
        **fresh, "s1": "stale input: tracks", "s2": "stale input: tracks of g/s1",
    }  # fmt: skip
    result = run(moving(), pieces)["moving"]
    assert result.table("g/s2")["x"].item(0) == (2 * 27 + 48 + 75) / 3
    edited(pieces, "s1", 0, 3, factor=1.0)
    looked = DatasetRun(pieces, [moving()]).evaluations["p"].entries("moving")
    assert {status.state for status in looked.values()} == {"fresh"}
    assert looked["g/s2"].needs_adoption


def test_why_names_the_neighbour(pieces, run):
    run(moving(), pieces)
    edited(pieces, "s3", 8, 11)
    told = explain(DatasetRun(pieces, [moving()]), "p", "moving", "g/s2")
    assert told.reason == "input: tracks of g/s3"
    assert [role for role, _, _ in told.changes] == ["after:0 (tracks of g/s3)"]
    assert [(up.step, up.entry) for up in told.upstream] == [
        ("tracks", "g/s2"), ("tracks", "g/s1"), ("tracks", "g/s3"),
    ]  # fmt: skip


def test_a_recording_that_is_added_beside_another_is_its_neighbour(pieces, run, states):
    run(moving(), pieces)
    pieces.add_tracks(EntryKey("g", "s5"), piece(16, 19).drop("group", "sequence"))
    assert states(pieces, moving(), "moving") == {
        "s1": "fresh", "s2": "fresh", "s3": "fresh", "s4": "stale neighbours", "s5": "missing new",
    }  # fmt: skip
    assert run(moving(), pieces)["moving"].table("g/s4")["x"].item(-1) == 3.0 * 15 * 15 + 2
    wider = moving({"overlap_frames": 2})
    assert set(states(pieces, wider, "moving").values()) == {"stale params"}
    told = explain(DatasetRun(pieces, [moving({})]), "p", "moving", "g/s1")
    assert [role for role, _, _ in told.changes] == ["after:0 (tracks)"]


def test_neighbours_are_found_in_the_scope_only(pieces, run):
    """Entries outside do not exist for a pipeline: s3 is beside nothing that abuts."""
    scope = Scope(sequences=["s1", "s3"])
    pipeline = Pipeline(name="p", scope=scope).add(FeatureStep("m", Moving, run_kwargs=ONE))
    result = run(pipeline, pieces)["m"]
    assert result.table("g/s3")["x"].item(0) == (192 + 243) / 2


def test_a_neighbour_that_is_not_made_yet_is_waited_for(pieces, toy, run, states):
    def build(by):
        return (
            Pipeline(name="p")
            .add(FeatureStep("shift", toy.Shift, {"by": by}))
            .add(FeatureStep("moving", Moving, {"source": "x"}, ["shift"], ONE))
        )

    run(build(1.0), pieces)
    looked = DatasetRun(pieces, [build(1.0)]).evaluations["p"].entries("shift")["g/s1"]
    toy.remove(pieces.objects.path(looked.result.output_sha256))
    assert states(pieces, build(1.0), "moving") == {
        "s1": "stale upstream: shift", "s2": "stale upstream: shift of g/s1",
        "s3": "fresh", "s4": "fresh",
    }  # fmt: skip


def test_a_neighbour_that_failed_blocks(pieces, toy, run, states, tmp_path):
    """Without it, the values at the seam would silently be others than those of a whole run."""
    broken = tmp_path / "broken"
    broken.write_text("s4")
    pipeline = (
        Pipeline(name="p")
        .add(FeatureStep("shift", toy.Shift, {"broken": str(broken)}))
        .add(FeatureStep("moving", Moving, {"source": "x"}, ["shift"], ONE))
    )
    with pytest.raises(RunFailedError):
        run(pipeline, pieces)
    assert states(pieces, pipeline, "moving") == {
        "s1": "fresh", "s2": "fresh",
        "s3": "blocked shift of g/s4 failed", "s4": "blocked shift failed",
    }  # fmt: skip


def test_a_neighbour_without_rows_is_none(tmp_path, run, states):
    """Beside an empty recording, the last of s1 is one-sided: (3·4 + 3·9) / 2."""
    dataset = made_of(tmp_path / "d", s1=piece(0, 3), s2=piece(4, 7).clear(), s3=piece(4, 7))
    result = run(moving(), dataset)["moving"]
    assert result.table("g/s1")["x"].item(-1) == 19.5
    assert states(dataset, moving(), "moving") == {"s1": "fresh", "s2": "empty", "s3": "fresh"}
