"""Rows over time, and long recordings on few pixels."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.charts.timeline import condense, is_timed, time_unit, timeline, usual_step
from mosaic_dagster.errors import ParamsError


def frames(*numbers: int, fps: float = 10.0) -> pl.DataFrame:
    return pl.DataFrame({"frame": numbers, "time": [n / fps for n in numbers]})


def test_frames_without_a_row_stay_empty():
    """Frames 5, 6, 9: places 0, 1, 4 of five, from 0.5 s to 1.0 s."""
    line = timeline(frames(5, 6, 9), "r", timed=True)
    assert line.fill(np.array([7, 8, 9])).tolist() == [7, 8, -1, -1, 9]
    assert (line.start, line.width, line.stop) == pytest.approx((0.5, 0.1, 1.0))


def test_every_second_frame_is_a_recording_without_gaps():
    """A subsampled recording would be striped grey. Frames 0, 2, 4, 8: places 0, 1, 2, 4."""
    line = timeline(frames(0, 2, 4, 8), "r", timed=True)
    assert line.slots.tolist() == [0, 1, 2, 4]
    assert line.width == pytest.approx(0.2)


def test_without_time_the_axis_counts_frames():
    """Labels often have no time; they start where their frames do."""
    line = timeline(frames(20, 21).drop("time"), "r", timed=False)
    assert (line.start, line.stop) == (20.0, 22.0)


def test_missing_times_are_taken_from_those_that_are_known():
    """Times NaN, 0.1, null, 0.3 at frames 0 to 3: 0.1 s per frame, so frame 0 was at 0.0."""
    table = frames(0, 1, 2, 3).with_columns(time=pl.Series([float("nan"), 0.1, None, 0.3]))
    line = timeline(table, "r", timed=True)
    assert (line.start, line.width) == pytest.approx((0.0, 0.1))


def test_one_table_without_time_takes_it_from_all():
    """Seconds and frames on one axis would put recordings at wrong places."""
    assert is_timed([frames(1), frames()])
    assert not is_timed([frames(1), frames(1).drop("time")])
    assert not is_timed([frames(1).with_columns(time=pl.lit(None, pl.Float64))])


@pytest.mark.parametrize(
    ("rows", "told"), [((1, 1), "frame 1 occurs twice"), ((None,), "no frame")]
)
def test_two_animals_in_a_row_are_refused(rows, told):
    """One of them would be hidden by the other."""
    with pytest.raises(ParamsError, match=told):
        timeline(pl.DataFrame({"frame": pl.Series(rows, dtype=pl.Int64)}), "r", timed=False)


def test_the_usual_step_is_the_most_common_and_of_several_the_smallest():
    """Steps 1, 4, 1, 3: 1. Steps 2, 3: 2. None at all: 1."""
    assert usual_step(np.array([1, 4, 1, 3])) == 1
    assert usual_step(np.array([3, 2])) == 2
    assert usual_step(np.array([0, -4])) == 1


def test_a_column_of_pixels_is_split_by_share():
    """Six frames on two columns: 2, 0, 2 and 1, 1, 0."""
    assert condense(np.array([2, 0, 2, 1, 1, 0]), 2).tolist() == [[0, 0], [2, 1], [2, 1]]


@settings(deadline=None)
@given(st.lists(st.integers(-1, 5), min_size=1, max_size=300), st.integers(1, 40))
def test_no_class_gets_lost_on_few_pixels(codes, columns):
    """A single frame of attack in an hour must stay in the picture."""
    picture = condense(np.array(codes), columns)
    assert picture.shape[1] <= max(columns, 1)
    assert set(picture.ravel().tolist()) == set(codes)


@pytest.mark.parametrize(("seconds", "unit"), [(599, "s"), (600, "min"), (7200, "h")])
def test_units_suit_the_span(seconds, unit):
    """40,000 s is not a time that people know."""
    assert time_unit(seconds)[1] == unit
