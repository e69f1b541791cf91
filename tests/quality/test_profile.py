"""What is measured of a table."""

from __future__ import annotations

import math
import time

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.quality import Profile, profile_table

NUMBERS = st.one_of(st.none(), st.just(math.nan), st.floats(-1e6, 1e6))
TABLES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), NUMBERS), max_size=20)


def table_of(rows: list[tuple[int, int, float | None]]) -> pl.DataFrame:
    return pl.DataFrame(
        rows, schema={"frame": pl.Int64, "id": pl.Int64, "v": pl.Float64}, orient="row"
    )


def test_numbers_of_a_small_table():
    """Values 1, 3 and one missing: mean 2, deviations of 1, a third missing; else rules err."""
    table = pl.DataFrame(
        {"frame": [0, 1, 2], "time": [0.0, 0.1, 0.2], "id": [0, 0, 0], "v": [1.0, None, 3.0],
         "word": ["a", "b", "c"], "n": [7, 7, 7], "fps": [10.0] * 3}
    )  # fmt: skip
    assert profile_table(table) == Profile(
        3, 3, 0, ("v", "n"), (1 / 3, 0.0), (1.0, 7.0), (3.0, 7.0), (2.0, 7.0), (1.0, 0.0)
    )


@pytest.mark.parametrize(
    ("columns", "frames", "duplicated"),
    [
        ({"frame": [0, 0, 1]}, 2, 1),
        ({"frame": [0, 0, 1], "id": [0, 1, 0]}, 2, 0),
        ({"frame": [0, 0, 0], "id1": [0, 0, 0], "id2": [1, 1, 2]}, 1, 1),
        ({"frame": [0, 0, 0], "id1": [0, 1, 1], "id2": [1, 0, 0], "perspective": [0, 0, 1]}, 1, 0),
        ({"frame": [0, 0, 0], "id": ["a", "a", "b"]}, 1, 1),
        ({"frame": [0, 0, None], "id": [0, None, None]}, 2, 0),
        ({"frame": [0, 2**62, 2**62], "id": [-(2**62), 0, 0]}, 2, 1),
        ({"id": [0, 0, 0]}, 0, 0),
    ],
)
def test_keys_of_individuals_pairs_and_frames(columns, frames, duplicated):
    """A row that is there twice is found in every sort of table, and nothing else is."""
    found = profile_table(pl.DataFrame(columns))
    assert (found.frames, found.duplicated) == (frames, duplicated)


@given(TABLES)
def test_a_profile_says_what_polars_says(rows):
    """The fast way and the plain way must agree, or a rule would judge other numbers."""
    table = table_of(rows)
    found = profile_table(table)
    values = table["v"].fill_nan(None).drop_nulls()
    assert found.rows == table.height
    assert found.frames == table["frame"].n_unique()
    assert found.duplicated == table.height - table.select("frame", "id").n_unique()
    plain = (values.min(), values.max(), values.mean(), values.std(ddof=0))
    for number, expected in zip(
        (found.low[0], found.high[0], found.mean[0], found.sd[0]), plain, strict=True
    ):
        assert number == pytest.approx(math.nan if expected is None else expected, nan_ok=True)
    if rows:
        assert found.missing[0] == pytest.approx(1 - len(values) / len(rows))


def test_infinities_are_values():
    """Else a speed of infinity would pass every range."""
    found = profile_table(pl.DataFrame({"v": [1.0, math.inf], "w": [-math.inf, math.inf]}))
    assert found.high == (math.inf, math.inf)
    assert found.low == (1.0, -math.inf)
    assert found.missing == (0.0, 0.0)


def test_a_table_without_rows_keeps_its_columns():
    """Else a recording without animals would look as if a column were gone."""
    found = profile_table(table_of([]))
    assert (found.rows, found.columns) == (0, ("v",))
    assert math.isnan(found.missing[0])


def test_profiling_costs_little():
    """100 rows of 10 columns, the best of many calls (about 0.12 ms): every entry pays for it."""
    rng = np.random.default_rng(0)
    columns = {f"c{i}": rng.normal(size=100) for i in range(10)}
    table = pl.DataFrame({"frame": np.arange(100), "id": np.zeros(100, dtype=np.int64), **columns})
    best = math.inf
    for _ in range(300):
        begun = time.perf_counter()
        profile_table(table)
        best = min(best, time.perf_counter() - begun)
    assert best < 0.001
