"""JSON columns: what comes back must be what went in, or the caller must be told."""

import enum
import json
import math
from datetime import date, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from mosaic_dagster.errors import StoreTypeError, StoreValueError, UnknownIdError
from mosaic_dagster.store.database.journal.kinds import ARRAYS, CLAIM, COLUMNS, LOG, PREDICTION
from mosaic_dagster.store.workspace import WorkspaceStore
from mosaic_dagster.store.workspace.json_columns import (
    check_row,
    finite,
    from_json,
    known_id,
    readable,
    required_id,
    text,
    to_json,
    told,
    whole,
)


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Huge(int):
    """A whole number of a type of its own."""


class Settings(BaseModel):
    alpha: float
    where: Path


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=20,
)


def test_plain_values_return_equal_from_the_database(store: WorkspaceStore):
    """A configuration with control characters, NUL and emoji is lost or cut otherwise."""
    config = {"a\0b": ['\x01\n\t"\\/', "😀", "é"], "": {}, "n": [2**70, -0.0, 1e-300, True, None]}
    run = store.begin_run("r", config, [])
    assert store.get_run(run)["config"] == config


@given(_VALUES)
def test_json_types_survive_unchanged(value: Any):
    def without_infinities(part: Any) -> Any:
        match part:
            case float():
                return part if math.isfinite(part) else None
            case list():
                return [without_infinities(v) for v in part]
            case dict():
                return {k: without_infinities(v) for k, v in part.items()}
        return part

    assert from_json(to_json(value, "config")) == without_infinities(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, None),
        ([math.inf, -math.inf, 1.5], [None, None, 1.5]),
        (np.float32(0.5), 0.5),
        (np.float64("nan"), None),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([1.0, np.nan]), [1.0, None]),
        (np.datetime64("2024-05-06"), "2024-05-06T00:00:00"),
        (np.datetime64("2024-05-06T07:08:09.5", "ns"), "2024-05-06T07:08:09.500000"),
        (np.datetime64("NaT"), None),
        (np.array(["2024-05-06"], "datetime64[ns]"), ["2024-05-06T00:00:00"]),
        ((1, (2, 3)), [1, [2, 3]]),
        ({10, 9, 100}, [9, 10, 100]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ({(2, 1), (1, 2)}, [[1, 2], [2, 1]]),
        ({1, "a"}, ["a", 1]),
        (PurePosixPath("a/b"), "a/b"),
        (date(2024, 5, 6), "2024-05-06"),
        (datetime(2024, 5, 6, 7, 8), "2024-05-06T07:08:00"),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Settings(alpha=0.5, where=Path("x/y")), {"alpha": 0.5, "where": "x/y"}),
        (range(3), [0, 1, 2]),
        ({1: "a", np.int64(2): "b", Colour.RED: "c"}, {"1": "a", "2": "b", "red": "c"}),
        ({True: 1, None: 2, 0.5: 3}, {"true": 1, "null": 2, "0.5": 3}),
    ],
)
def test_known_types_are_converted(value: Any, expected: Any):
    """Otherwise a numpy scalar in a configuration fails a whole training run."""
    written = to_json({"key": [value]}, "config")
    assert written is not None
    assert json.loads(written, parse_constant=pytest.fail) == {"key": [expected]}


@pytest.mark.parametrize(
    "value", [object(), b"bytes", memoryview(b"x"), 1j, lambda: 0, {"b": {1j: 2}}, print]
)
def test_other_types_are_refused_by_the_name_of_their_key(value: Any):
    """str(obj) in place of a value could not be read back, and nobody would know."""
    with pytest.raises(StoreTypeError, match=r"config\.a\[1\]"):
        to_json({"a": [1, value]}, "config")


def test_keys_that_would_become_one_are_refused():
    """{1: x, '1': y} would come back with one of both."""
    with pytest.raises(StoreValueError, match=r"config\.a"):
        to_json({"a": {1: "x", "1": "y"}}, "config")


def test_a_value_that_contains_itself_is_refused():
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(StoreValueError, match="config"):
        to_json(loop, "config")


def test_broken_unicode_is_refused_where_it_is_given(store: WorkspaceStore):
    """The database refuses it too, but for a journalled row only when the caller is gone."""
    with pytest.raises(StoreValueError, match="config"):
        store.begin_run("r", {"file": "a\udcffb"}, [])
    assert store.list_runs().is_empty()


def test_none_is_null_in_the_column_and_not_the_text_null(store: WorkspaceStore):
    assert to_json(None, "config") is None
    assert from_json(None) is None
    assert store.get_run(store.begin_run("r", None, []))["config"] is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, None), (math.nan, None), (math.inf, None), (np.float64(0.5), 0.5), (1, 1.0)],
)
def test_scores_that_are_not_finite_become_null(value: Any, expected: float | None):
    """DuckDB ranks NaN above every number, so it would win each ranking."""
    assert finite(value) == expected


@pytest.mark.parametrize("value", ["abc", [1, 2], object()])
def test_a_score_that_is_no_number_is_refused(value: Any):
    with pytest.raises(StoreTypeError, match="score"):
        finite(value)


@pytest.mark.parametrize("value", [None, 1, b"x", Path("x")])
def test_text_is_not_made_from_something_else(value: Any):
    with pytest.raises(StoreTypeError, match="name"):
        text(value, "name")


def test_errors_with_undecodable_file_names_can_be_recorded():
    """Else a run that failed over such a file could not even be marked as failed."""
    assert readable("no file a\udcff") == r"no file a\udcff"


@pytest.mark.parametrize(
    ("value", "expected"), [(None, None), (np.int64(5), 5), (12.6, 13), (-1, -1)]
)
def test_whole_numbers(value: Any, expected: int | None):
    assert whole(value, "duration_ms") == expected


@pytest.mark.parametrize("value", ["5", True, math.nan, [1]])
def test_what_is_no_whole_number_is_refused(value: Any):
    with pytest.raises(StoreTypeError, match="duration_ms"):
        whole(value, "duration_ms")


def test_whole_numbers_must_fit_their_columns():
    assert whole(2**31 - 1, "n", 32) == 2**31 - 1
    with pytest.raises(StoreValueError, match="n is"):
        whole(2**31, "n", 32)
    with pytest.raises(StoreValueError, match="n is"):
        whole(-(2**63) - 1, "n")


_SOUND: dict[str, dict[str, Any]] = {
    LOG: {"log_id": "l", "pipeline_id": "p", "step_idx": 0, "event": "end"},
    CLAIM: {"artifact_id": "a", "artifact_path": "ab/ab.npy", "content_hash": "ab"},
    PREDICTION: dict.fromkeys(
        ("prediction_id", "pipeline_id", "dataset_name", "model_name", "model_class", "fold_id",
         "partition", "metric", "task_type"), "x"),
}  # fmt: skip


@pytest.mark.parametrize("kind", [LOG, CLAIM, PREDICTION])
def test_sound_rows_may_be_journalled(kind: str):
    check_row(kind, [_SOUND[kind].get(name) for name in COLUMNS[kind]])
    check_row(ARRAYS, ["prediction"])


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (LOG, {"operator_class": int}),
        (LOG, {"message": "a\ud800"}),
        (LOG, {"event": None}),
        (LOG, {"step_idx": 2**31}),
        (LOG, {"duration_ms": 2**63}),
        (CLAIM, {"operator_class": 5}),
        (CLAIM, {"artifact_type": "\ud800"}),
        (PREDICTION, {"n_samples": 2**31}),
        (PREDICTION, {"branch_name": 3}),
        (PREDICTION, {"preprocessings": ["snv"]}),
        (PREDICTION, {"model_name": None}),
    ],
)
def test_rows_that_the_tables_refuse_are_not_journalled(kind: str, changes: dict[str, Any]):
    """One such record in a journal would stop every lease of every process."""
    row = _SOUND[kind] | changes
    with pytest.raises((StoreTypeError, StoreValueError), match=next(iter(changes))):
        check_row(kind, [row.get(name) for name in COLUMNS[kind]])


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": [1, 10**5000]}, r"config\.a\[1\]"),
        ({10**5000: 1}, "config"),
        ({"a": Huge(10**5000)}, r"config\.a"),
        ({"a": np.array([10**5000], dtype=object)}, r"config\.a\[0\]"),
    ],
)
def test_numbers_too_long_for_json_are_refused_by_the_name_of_their_key(value: Any, where: str):
    """Python turns 4300 digits into text at most, and its own error names no key."""
    with pytest.raises(StoreValueError, match=where):
        to_json(value, "config")
    assert to_json({"a": 10**400}, "config") == f'{{"a":{10**400}}}'


@pytest.mark.parametrize("number", [2**63, 10**400, -(10**400), pytest.param(10**5000, id="huge")])
def test_numbers_beyond_every_float_are_too_large(number: int):
    """A raw OverflowError would not say which number was meant."""
    with pytest.raises(StoreValueError, match="duration_ms"):
        whole(number, "duration_ms")


def test_what_cannot_be_shown_is_still_refused_by_name():
    """Showing the value must not hide the error behind another one."""
    with pytest.raises(StoreTypeError, match="name is <int too long to show>"):
        text(10**5000, "name")
    with pytest.raises(StoreTypeError, match="score <int too long to show>"):
        finite(10**5000)
    assert told("a" * 500) == "'" + "a" * 199


@given(st.text())
def test_an_identifier_is_known_as_it_is_unless_no_row_can_have_it(value: str):
    """A surrogate is no unicode, so the database has no such text."""
    has_surrogate = any(0xD800 <= ord(character) < 0xE000 for character in value)
    assert known_id(value) == (None if has_surrogate else value)


@pytest.mark.parametrize("value", [None, 5, [1], object(), b"a", pytest.param(10**5000, id="huge")])
def test_no_row_has_an_identifier_that_is_no_text(value: Any):
    assert known_id(value) is None
    with pytest.raises(UnknownIdError, match="no chain"):
        required_id(value, "chain")


class Name(enum.StrEnum):
    FIRST = "a"


def test_a_kind_of_text_is_an_identifier():
    """Names from numpy tables and enums are bound by the database as plain text only."""
    found = [required_id(value, "run") for value in (np.str_("a"), Name.FIRST)]
    assert (found, {type(name) for name in found}) == (["a", "a"], {str})
