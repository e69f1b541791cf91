"""Pictures are valid, the same for the same table, and there is one for every table."""

from __future__ import annotations

import io

import numpy as np
import polars as pl
import pytest
from matplotlib.image import imread

from mosaic_dagster.charts import cluster_sizes, ethogram, quick_lines, trajectories
from mosaic_dagster.charts.canvas import NO_CLUSTER, palette
from mosaic_dagster.charts.ethogram import _on_frames
from mosaic_dagster.charts.trajectories import _segments

SCHEMA = {
    "frame": pl.Int64, "time": pl.Float64, "id": pl.Int64, "X": pl.Float64, "Y": pl.Float64,
    "cluster": pl.Int64, "group": pl.String, "sequence": pl.String,
}  # fmt: skip


def table(clusters: list[int | None], frames: list[int] | None = None) -> pl.DataFrame:
    """One animal on the line X = frame, Y = 2 frame, at 10 frames per second."""
    frames = list(range(len(clusters))) if frames is None else frames
    rows = [
        (f, f / 10, 0, float(f), 2.0 * f, c, "g", "s")
        for f, c in zip(frames, clusters, strict=True)
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def counts(rows: list[tuple[int, str, int]]) -> pl.DataFrame:
    schema = {"cluster": pl.Int64, "group": pl.String, "count": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


EMPTY, ONE = table([]), table([3])
NULLS, GAPS = table([None, 1, None]), table([0, 1, 1, None, 2], [0, 1, 5, 6, 9])
TABLES = {"empty": EMPTY, "one row": ONE, "nulls": NULLS, "all null": table([None] * 3),
          "gaps": GAPS}  # fmt: skip

PICTURES = {
    **{f"trajectories {n}": (trajectories, ({"a": t}, "mm")) for n, t in TABLES.items()},
    "trajectories of nothing": (trajectories, ({},)),
    "trajectories of five": (trajectories, ({str(i): GAPS for i in range(5)},)),
    **{f"ethogram {n}": (ethogram, ({"a": t, "b": GAPS},)) for n, t in TABLES.items()},
    "ethogram of nothing": (ethogram, ({},)),
    "ethogram of one": (ethogram, ({"a": ONE},)),
    **{f"lines {n}": (quick_lines, (t, ["X", "Y"], "title")) for n, t in TABLES.items()},
    "lines of no column": (quick_lines, (GAPS, [])),
    "lines without time": (quick_lines, (GAPS.drop("time"), ["X"] * 3)),
    "sizes of nothing": (cluster_sizes, (counts([]),)),
    "sizes of one": (cluster_sizes, (counts([(0, "g", 5)]),)),
    "sizes of none": (cluster_sizes, (counts([(0, "g", 0)]),)),
    "sizes": (cluster_sizes, (counts([(0, "g", 5), (1, "g", 3), (1, "h", 2)]),)),
}


@pytest.mark.parametrize("name", PICTURES)
def test_every_table_has_a_picture_with_bytes_that_depend_on_it_alone(name):
    """A run must not fail at its end on the picture of an odd recording, nor its picture change
    when nothing did."""
    draw, given = PICTURES[name]
    picture = draw(*given)
    pixels = imread(io.BytesIO(picture))
    assert pixels.ndim == 3
    assert min(pixels.shape[:2]) > 50
    assert draw(*given) == picture


def test_other_values_give_another_picture():
    assert ethogram({"a": table([0, 1])}) != ethogram({"a": table([1, 0])})
    assert trajectories({"a": table([0, 1, 1])}) != trajectories({"a": table([1, 0, 0])})
    assert cluster_sizes(counts([(0, "g", 5), (1, "g", 3)])) != cluster_sizes(
        counts([(0, "g", 3), (1, "g", 5)])
    )


def test_a_path_breaks_where_frames_are_missing():
    """Drawn through, a gap looks like a fast straight run. Frames 0-1, 5-6 touch; 1-5, 6-9 not."""
    colours = {0: "a", 1: "b", 2: "c"}
    segments, shades = _segments(GAPS, "cluster", colours)
    assert [segment.tolist() for segment in segments] == [
        [[0.0, 0.0], [1.0, 2.0]], [[5.0, 10.0], [6.0, 12.0]],
    ]  # fmt: skip
    assert shades == ["a", "b"]
    assert _segments(NULLS, "cluster", colours)[1] == [NO_CLUSTER, "b"]


def test_paths_of_two_recordings_are_not_joined():
    both = pl.concat([table([0, 0]), table([0, 0], [2, 3]).with_columns(sequence=pl.lit("t"))])
    assert len(_segments(both, "cluster", {0: "a"})[0]) == 2


def test_frames_without_a_row_stay_grey():
    marks = _on_frames(GAPS, "cluster", {0: 0, 1: 1, 2: 2})
    expected = [0, 1, np.nan, np.nan, np.nan, 1, np.nan, np.nan, np.nan, 2]
    assert np.array_equal(marks.filled(np.nan), expected, equal_nan=True)


def test_a_cluster_has_one_colour_in_all_panels():
    """Sorted values, so that the colours do not depend on which recording comes first."""
    assert palette([2, 0, 1, 1]) == palette([0, 1, 2])
    assert len(set(palette(range(16)).values())) == 16
    assert palette(range(17))[16] == palette([0])[0]
