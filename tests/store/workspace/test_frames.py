import polars as pl
import pytest

from mosaic_dagster.errors import StoreTypeError, StoreValueError
from mosaic_dagster.store.workspace import frames


@pytest.fixture
def con(database):
    with database.lease() as con:
        yield con


def test_an_empty_result_has_its_columns_and_types(con):
    """Else code that works on results breaks on the first empty day."""
    query = "SELECT 1 AS i, 'a' AS t, 1.5::DOUBLE AS d, TIMESTAMP '2026-01-01' AS at, '{}'::JSON j"
    found = frames.frame(con, f"{query} WHERE false")
    assert found.height == 0
    assert found.schema == {
        "i": pl.Int32, "t": pl.String, "d": pl.Float64, "at": pl.Datetime("us"), "j": pl.String,
    }  # fmt: skip
    assert found.schema == frames.frame(con, query).schema


def test_values_are_bound(con):
    found = frames.frame(con, "SELECT ? AS a, ? AS b", ["'; DROP TABLE main.runs; --", None])
    assert found.row(0) == ("'; DROP TABLE main.runs; --", None)


def test_a_record_is_the_first_row_with_its_json_decoded(con):
    query = """SELECT * FROM (VALUES (1, '{"a":[1]}'), (2, NULL)) t(i, j) WHERE i >= ? ORDER BY i"""
    assert frames.record(con, query, [1], ["j"]) == {"i": 1, "j": {"a": [1]}}
    assert frames.record(con, query, [2], ["j"]) == {"i": 2, "j": None}
    assert frames.record(con, query, [3], ["j"]) is None


@pytest.mark.parametrize(
    ("limit", "offset", "sql"),
    [(None, None, ""), (3, None, "LIMIT 3"), (0, 2, "LIMIT 0 OFFSET 2"), (None, 5, "OFFSET 5")],
)
def test_pages(limit, offset, sql):
    assert frames.page(limit, offset) == sql


@pytest.mark.parametrize(
    "number",
    [-1, 2**70, pytest.param(10**5000, id="huge"), "1; DROP TABLE main.runs", float("nan"), True],
)
@pytest.mark.parametrize("name", ["limit", "offset"])
def test_other_numbers_do_not_reach_sql(name, number):
    with pytest.raises((StoreValueError, StoreTypeError), match=name):
        frames.page(**{"limit": None, "offset": None, name: number})
