"""Paths: where they break, and whose they are."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.charts import trajectories
from mosaic_dagster.charts.trajectories import _polylines, _steps


def path(frames: list[int], codes: list[int] | None = None, **columns: object) -> pl.DataFrame:
    """An animal on the line X = frame, Y = 0; code 0 if not given."""
    table = pl.DataFrame({"frame": frames, "X": [float(f) for f in frames]})
    codes = [0] * len(frames) if codes is None else codes
    return table.with_columns(
        Y=pl.lit(0.0), code=pl.Series(codes), **{name: pl.lit(v) for name, v in columns.items()}
    )


def joined(table: pl.DataFrame) -> list[bool]:
    return _steps(table)[2].tolist()


def test_a_path_breaks_where_frames_are_missing():
    """Drawn through, a gap looks like a fast straight run. Frames 0-1, 5-6 touch; 1-5, 6-9 not."""
    assert joined(path([0, 1, 5, 6, 9])) == [True, False, True, False]


def test_a_subsampled_path_is_not_broken_at_every_frame():
    """Frames 0, 2, 4, 8: steps of 2 are usual; else the picture would be empty."""
    assert joined(path([0, 2, 4, 8])) == [True, True, False]


def test_a_path_breaks_where_there_is_no_position():
    """X is NaN in frame 1: neither 0-1 nor 1-2 can be drawn."""
    table = path([0, 1, 2, 3]).with_columns(X=pl.Series([0.0, float("nan"), 2.0, 3.0]))
    assert joined(table) == [False, False, True]


@pytest.mark.parametrize("column", ["group", "sequence", "id"])
def test_paths_of_two_animals_or_recordings_are_not_joined(column):
    """Frames 0, 1 of a, then 2, 3 of b, in any order of rows."""
    both = pl.concat([path([0, 1], **{column: "a"}), path([2, 3], **{column: "b"})])
    assert joined(both[[2, 0, 3, 1]]) == [True, False, True]


def test_animals_that_move_at_the_same_time_have_a_path_each():
    """Both have frames 0, 1, 2; joined by frame alone the line would jump between them."""
    both = pl.concat([path([0, 1, 2], id=0), path([0, 1, 2], id=1)]).sort("frame")
    assert joined(both) == [True, True, False, True, True]


def test_chosen_steps_are_one_line_with_holes():
    """Steps 0, 1 and 3 of points 0 to 4: 0-1-2, then 3-4."""
    points = np.stack([np.arange(5.0), np.zeros(5)], axis=1)
    line = _polylines(points, np.array([True, True, False, True]))
    assert np.array_equal(line[:, 0], [0, 1, 2, np.nan, 3, 4, np.nan], equal_nan=True)
    assert _polylines(points, np.zeros(4, dtype=bool)).shape == (0, 2)


def lines_of(axis):
    """Colour to x of the line, without the dots."""
    return {
        line.get_color(): line.get_xdata().tolist()
        for line in axis.lines
        if line.get_marker() != "."
    }


def test_a_stretch_has_the_colour_of_the_frame_it_begins_with(figure_of):
    """Classes 0, 1, null at x = 0 to 3: indigo from 0 to 1, cyan from 1 to 2, grey from 2 to 3."""
    table = path([0, 1, 2, 3]).with_columns(cluster=pl.Series([0, 1, None, 1]))
    axis = figure_of(trajectories, {"a": table}).axes[0]
    found = {colour: x[:2] for colour, x in lines_of(axis).items()}
    assert found == {"#332288": [0, 1], "#88CCEE": [1, 2], "#E4E4E4": [2, 3]}


def test_a_lone_position_is_a_dot(figure_of):
    """An animal that was seen in one frame only was seen."""
    table = path([0, 1, 9]).with_columns(cluster=pl.lit(0))
    axis = figure_of(trajectories, {"a": table}).axes[0]
    dots = [line.get_xdata().tolist() for line in axis.lines if line.get_marker() == "."]
    assert dots == [[9.0]]


def test_animals_have_a_colour_each(figure_of):
    """Coloured by `id`; the same animal has the same colour in all panels."""
    two = pl.concat([path([0, 1], id=0), path([0, 1], id=1)])
    first, second = figure_of(trajectories, {"a": two, "b": path([0, 1], id=1)}, column="id").axes
    assert list(lines_of(first)) == ["#332288", "#88CCEE"]
    assert list(lines_of(second)) == ["#88CCEE"]


def test_long_paths_are_drawn_in_stretches_without_losing_a_step(figure_of):
    """20,001 positions: 20,000 steps, each once, although a stretch ends in the middle."""
    table = path(list(range(20_001))).with_columns(cluster=pl.col("frame") % 2)
    axis = figure_of(trajectories, {"a": table}).axes[0]
    starts = [x for line in axis.lines for x in line.get_xdata()[:-1:3].tolist()]
    assert sorted(starts) == list(range(20_000))
