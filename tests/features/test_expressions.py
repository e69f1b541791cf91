"""Conditions: what a user writes to choose rows must never run, and never choose wrongly."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.errors import MissingColumnError, ParamsError
from mosaic_dagster.features.expressions import (
    FilterExpression,
    check_filter,
    compile_filter,
    filter_columns,
)
from mosaic_dagster.features.params import Params

TABLE = pl.DataFrame(
    {
        "x": [1.0, np.nan, None, 4.0],
        "n": [1, 2, None, 4],
        "u": pl.Series([1, 2, 3, 4], dtype=pl.UInt8),
        "label": ["rest", "walk", None, "nan"],
        "kind": pl.Series(["a", "b", None, "a"], dtype=pl.Categorical),
        "bad": [True, False, None, False],
        "X#wcentroid": [1.0, 2.0, 3.0, 4.0],
    }
)


def rows(text: str) -> list[int]:
    """Rows that pass, asked with names alone and with types; both must agree."""
    typed = TABLE.select(compile_filter(text, TABLE.schema).alias("passes"))["passes"]
    named = TABLE.select(compile_filter(text, TABLE.columns).alias("passes"))["passes"]
    assert typed.dtype == pl.Boolean
    assert typed.null_count() == 0
    assert typed.equals(named)
    return typed.arg_true().to_list()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x > 1", [3]),
        ("x != 1", [3]),
        ("x == x", [0, 3]),
        ("x >= n", [0, 3]),
        ("0 < x <= 1", [0]),
        ("4 > n > 1", [1]),
        ("-u < -2", [2, 3]),
        ("u > -1", [0, 1, 2, 3]),
        ("n == 1.0 or u == 3", [0, 2]),
        ("label == 'walk' or label == \"nan\"", [1, 3]),
        ("label != 'rest'", [1, 3]),
        ("label in ['rest', 'nan']", [0, 3]),
        ("label not in ['rest']", [1, 3]),
        ("n in [1, 2.0, -5]", [0, 1]),
        ("kind == 'a'", [0, 3]),
        ("bad", [0]),
        ("bad == False", [1, 3]),
        ("u > 1 and not bad", [1, 2, 3]),
        ("not (x > 1 or label == 'rest')", [1, 2]),
        ("col('X#wcentroid') >= 3", [2, 3]),
        ("  (u\n > 3) ", [3]),
    ],
)
def test_rows_that_pass(text, expected):
    """Missing values pass no comparison, so rows 1 and 2 of x pass only where it is negated."""
    assert rows(text) == expected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("__import__('os').system('true') == 0", r"__import__\('os'\).system\('true'\)"),
        ("x.real > 1", "'x.real'"),
        ("x[0] > 1", r"'x\[0\]'"),
        ("x + 1 > 2", r"'x \+ 1'"),
        ("(lambda: 1)() == x", "lambda"),
        ("(y := 1) > x", "y := 1"),
        ("f'{x}' == 'a'", "f'{x}'"),
        ("x > 1 if bad else bad", "if bad else"),
        ("[x for x in [1]] == 1", "for x in"),
        ("x > None", "'None'"),
        ("x > 1j", "'1j'"),
        ("x > 9999999999999999999", "9999999999999999999"),
        ("x is 1", "uses 'is'"),
        ("x in label", "'label' in"),
        ("x in [n]", "'n' in"),
        ("x in []", "is no list"),
        ("x >", "cannot be read"),
        ("", "cannot be read"),
        ("x > 1\0", "cannot be read"),
        ("1 < 2", "names no column"),
        ("X#wcentroid > 1", "#wcentroid > 1"),
        ("-'a' == label", "negates a text"),
        ("-" * 1900 + "x > 1", "too deeply|cannot be read"),
        ("x > 1" + " " * 2001 + "and bad", "characters"),
    ],
)
def test_everything_else_is_refused_and_shown(text, part):
    """Text from a file that runs as code is a way into the machine."""
    with pytest.raises(ParamsError, match=part):
        check_filter(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x == 'a'", "compares number with text"),
        ("label > 1", "compares number with text"),
        ("bad == 1", "compares number with truth"),
        ("label", "is a text, not a condition"),
        ("n", "is a number, not a condition"),
        ("-label > 1", "negates a text"),
    ],
)
def test_types_are_checked_where_they_are_known(text, message):
    assert check_filter(text) == text
    with pytest.raises(ParamsError, match=message):
        compile_filter(text, TABLE.schema)


def test_a_column_of_dates_cannot_be_compared():
    with pytest.raises(ParamsError, match="is a column of Date"):
        compile_filter("day > 1", pl.Schema({"day": pl.Date()}))


def test_a_misspelt_column_is_named():
    with pytest.raises(MissingColumnError, match=r"'lable', which .* Did you mean 'label'"):
        compile_filter("lable == 'rest'", TABLE.schema)


def test_columns_are_known_before_there_is_a_table():
    assert filter_columns("b > 1 and (a or col('c d') < b)") == ("a", "b", "c d")


def test_a_parameter_is_checked_on_construction():
    class Some(Params):
        condition: FilterExpression | None = None

    assert Some.from_overrides({"condition": "x > 1"}).condition == "x > 1"
    with pytest.raises(ParamsError, match=r"exit\(\)' in the condition"):
        Some.from_overrides({"condition": "exit() > 1"})


@given(
    st.lists(st.one_of(st.none(), st.floats(allow_nan=True, width=32)), min_size=1, max_size=20),
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.sampled_from(["<", "<=", "==", "!=", ">=", ">"]),
)
def test_comparisons_agree_with_plain_python_on_known_values(values, limit, sign):
    """A condition that keeps other rows than it says changes every number after it."""
    table = pl.DataFrame({"v": pl.Series(values, dtype=pl.Float64)})
    passes = table.select(compile_filter(f"v {sign} {limit!r}", table.schema).alias("p"))["p"]
    compare = {
        "<": float.__lt__,
        "<=": float.__le__,
        "==": float.__eq__,
        "!=": float.__ne__,
        ">=": float.__ge__,
        ">": float.__gt__,
    }[sign]
    expected = [v is not None and v == v and compare(v, limit) for v in values]
    assert passes.to_list() == expected
