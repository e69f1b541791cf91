"""What every feature must hold to; a new feature adds its case and is tested with the rest.

What does not apply to a feature is named, with the reason, in :data:`EXEMPT`.
"""

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pydantic import BaseModel

from mosaic_dagster.errors import ParamsError
from mosaic_dagster.features import Feature, get_feature, list_features
from mosaic_dagster.features.output import (
    IDENTITY_COLUMNS,
    KEY_COLUMNS,
    META_COLUMNS,
    ORIGIN_COLUMNS,
)
from mosaic_dagster.store.content.codecs import encode_table

_FILE = Path(__file__).with_name("feature_cases.py")
_spec = importlib.util.spec_from_file_location("mosaic_feature_cases", _FILE)
assert _spec is not None
assert _spec.loader is not None
cases = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = cases
_spec.loader.exec_module(cases)

OTHER_IDS = {0: 3, 1: 7, 2: 9}
HALF = 20
GAP = 5
SLOW = {"global-umap"}
"""Above one second for the import of the package alone."""

WHOLE = "summarises the whole recording"
EXEMPT: dict[str, dict[str, str]] = {
    "gap": {
        "cluster-summary": WHOLE,
        "ffgroups-metrics": WHOLE,
        "global-umap": "places the rows of a recording together, as its notes say",
        "nn-delta-bins": WHOLE,
        "social-motion-summary": WHOLE,
        "speed-angvel": "divides a step over a gap by its duration, as the formula says",
        "track-subsample": "chooses rows among all of an individual and computes nothing",
    },
    "inf": {
        "extract-templates": "passes its input on without a copy",
        "track-subsample": "chooses rows and gives them as they are",
    },
    "columns": {"extract-templates": "passes its input on without a copy"},
    "start": {"extract-labeled-templates": "looks up labels by their frame"},
}
"""Feature by check, with the reason."""

PASSED_ON = {
    "movement-filter-interpolate": "ANGLE|poseP[0-9]+",
    "movement-smooth": "ANGLE|poseP[0-9]+",
    "trajectory-smooth": "ANGLE|poseP[0-9]+",
}
"""Columns of the input that are no coordinates and are given back as they are."""

NUMBERED = {
    "ffgroups": ["event"],
    "pair-interaction-filter": ["interaction_id"],
}
"""Columns that number things through the recording, so that parts count anew."""

IN_FRAMES = (
    "frame",
    "interaction_start",
    "interaction_end",
    "chunk_start_frame",
    "chunk_end_frame",
)
IN_SECONDS = ("time", "chunk_start_time", "chunk_end_time")
OF_ANIMALS = (*IDENTITY_COLUMNS[:3], "nn_id", "focal_id", "target_id", "attention_target_id")

Ready = Callable[..., tuple[Feature[Any], pl.DataFrame]]
_made: dict[tuple[str, tuple[int, ...]], tuple[Feature[Any], pl.DataFrame]] = {}


def _names(check: str = "") -> list[Any]:
    return [
        pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW))
        for name in cases.CASES
        if name not in EXEMPT.get(check, {})
    ]


@pytest.fixture
def ready(tmp_path_factory: pytest.TempPathFactory) -> Ready:
    """A feature and its input, fitted once for all tests."""

    def make(name: str, ids: tuple[int, ...] = cases.IDS) -> tuple[Feature[Any], pl.DataFrame]:
        if (name, ids) not in _made:
            folder = tmp_path_factory.mktemp(name)
            _made[name, ids] = cases.ready(name, folder, cases.tracks(ids))
        return _made[name, ids]

    return make


def _sorted(table: pl.DataFrame) -> pl.DataFrame:
    keys = [column for column in KEY_COLUMNS if column in table.columns]
    return table.sort([*keys, *(c for c in table.columns if c not in keys)])


def _floats(table: pl.DataFrame) -> list[str]:
    return [c for c, t in table.schema.items() if t.is_float() and c not in META_COLUMNS]


def _moved(table: pl.DataFrame, by: int, gap: int = 0) -> pl.DataFrame:
    """The same rows ``by`` frames later, those from HALF on ``gap`` frames later still."""
    late = pl.when(pl.col("frame") >= HALF).then(by + gap).otherwise(by)
    moved = table.with_columns(frame=pl.col("frame") + late.cast(pl.Int64))
    if "time" in table.columns:
        moved = moved.with_columns(time=pl.col("frame") / cases.FPS)
    return moved


def test_every_feature_has_a_case() -> None:
    """A feature without one would escape this suite."""
    assert set(cases.CASES) == set(list_features())
    assert {name for check in EXEMPT.values() for name in check} <= set(cases.CASES)
    assert set(NUMBERED) <= set(cases.CASES)


@pytest.mark.parametrize("name", _names())
def test_the_case_has_something_to_compute(ready: Ready, name: str) -> None:
    """A case that gives no row, or nothing but missing values, would test nothing."""
    feature, table = ready(name)
    made = cases.apply(feature, table)
    assert made.height
    values = made.drop(META_COLUMNS, strict=False)
    known = (
        [c for c in values.columns if len(values[c].drop_nulls().fill_nan(None).drop_nulls())]
        if False
        else [c for c in values.columns if _is_known(values[c])]
    )
    assert known or not values.width, f"{name} made nothing but missing values"


def _is_known(column: pl.Series) -> bool:
    column = column.drop_nulls()
    return bool(len(column.drop_nans() if column.dtype.is_float() else column))


@pytest.mark.parametrize("name", _names())
def test_the_declared_columns_are_those_that_are_made(ready: Ready, name: str) -> None:
    """Steps below are checked against the declaration before anything runs."""
    feature, table = ready(name)
    for rows in (table, table.clear(), table.head(1)):
        declared = feature.output_schema(rows.schema)
        made = cases.apply(feature, rows)
        if declared is None:
            assert name == "id-tag-columns", "only the tags of a recording say their types"
            assert made.columns == cases.apply(feature, table).columns
        else:
            assert list(made.schema.items()) == list(declared.items())
        assert rows.height or not made.height


@pytest.mark.parametrize("name", _names())
def test_the_order_of_rows_does_not_matter(ready: Ready, name: str) -> None:
    """Else a result would depend on how a tracker sorted its file."""
    feature, table = ready(name)
    expected = _sorted(cases.apply(feature, table))
    for seed in (1, 2):
        permuted = table.sample(fraction=1, shuffle=True, seed=seed)
        assert_frame_equal(_sorted(cases.apply(feature, permuted)), expected, check_exact=True)


@pytest.mark.parametrize("name", _names("inf"))
def test_what_is_infinite_counts_as_missing(ready: Ready, name: str) -> None:
    """An infinity that goes through would spoil every mean and every fit below."""
    feature, table = ready(name)
    made = {}
    for bad in (np.inf, -np.inf, np.nan):
        damaged = table
        passed = re.compile(PASSED_ON.get(name, ""))
        for shift, column in enumerate(c for c in _floats(table) if not passed.fullmatch(c)):
            rows = (np.arange(table.height) + shift) % 17 == 0
            value = pl.when(pl.Series(rows)).then(pl.lit(bad)).otherwise(column)
            damaged = damaged.with_columns(value.cast(table.schema[column]).alias(column))
        made[bad] = cases.apply(feature, damaged)
    for result in made.values():
        found = [c for c in _floats(result) if result[c].is_infinite().any()]
        assert not found
    assert_frame_equal(made[np.inf], made[np.nan], check_exact=True)
    assert_frame_equal(made[-np.inf], made[np.nan], check_exact=True)


@pytest.mark.parametrize("name", _names())
def test_a_recording_without_a_number_is_no_error(ready: Ready, name: str) -> None:
    """An animal that was never found must not fail its recording."""
    feature, table = ready(name)
    nothing = table.with_columns(
        pl.lit(float("nan"), table.schema[column]).alias(column) for column in _floats(table)
    )
    made = cases.apply(feature, nothing)
    assert made.columns == cases.apply(feature, table).columns


@pytest.mark.parametrize("name", _names())
def test_the_input_is_left_alone_and_bytes_repeat(ready: Ready, name: str) -> None:
    """Inputs are shared by steps; bytes that change would make everything below stale."""
    feature, table = ready(name)
    before = encode_table(table)
    first = encode_table(cases.apply(feature, table))
    cases.apply(feature, table.head(7))
    assert encode_table(cases.apply(feature, table)) == first
    assert encode_table(table) == before


@pytest.mark.parametrize("name", _names("columns"))
def test_keys_come_first_and_the_origin_last(ready: Ready, name: str) -> None:
    """Whatever the order of the input's columns; people and joins look for them there."""
    feature, table = ready(name)
    made = cases.apply(feature, table)
    turned = cases.apply(feature, table.select(reversed(table.columns)))
    for result in (made, turned):
        columns = result.columns
        first = [column for column in KEY_COLUMNS if column in columns]
        last = [column for column in ORIGIN_COLUMNS if column in columns]
        assert columns[: len(first)] == first
        assert columns[len(columns) - len(last) :] == last
    assert_frame_equal(turned, made, check_column_order=False, check_exact=True)


@pytest.mark.parametrize("name", _names())
def test_it_says_which_recording_and_when(ready: Ready, name: str) -> None:
    """Tables of many recordings are put together by these columns."""
    feature, table = ready(name)
    made = cases.apply(feature, table)
    for column in ORIGIN_COLUMNS:
        assert made[column].unique().to_list() == table[column].unique().to_list()
    if "frame" in made.columns:
        np.testing.assert_allclose(made["time"], made["frame"] / cases.FPS)


@pytest.mark.parametrize("name", _names())
def test_an_unknown_parameter_is_refused(name: str) -> None:
    """A typing mistake must not look like a parameter that does nothing."""
    cls, params = get_feature(name), cases.CASES[name].params
    known = list(cls.Params.model_fields)
    wrong = f"{known[0]}_x" if known else "anything"
    said = f"Did you mean {known[0]!r}" if known else "The parameters are: none"
    with pytest.raises(ParamsError, match=said):
        cls(params={**params, wrong: 1})
    for field, info in cls.Params.model_fields.items():
        default = info.get_default(call_default_factory=True)
        if isinstance(default, BaseModel):
            with pytest.raises(ParamsError, match="no_such_parameter"):
                cls(params={**params, field: {"no_such_parameter": 1}})


@pytest.mark.parametrize("name", _names())
def test_ids_are_names_not_positions(ready: Ready, name: str) -> None:
    """An animal that is the only one left of a group keeps its id."""
    feature, table = ready(name)
    other, renamed = ready(name, tuple(OTHER_IDS.values()))
    expected = cases.apply(feature, table)
    made = cases.apply(other, renamed)
    ids = [column for column in OF_ANIMALS if column in expected.columns]
    expected = expected.with_columns(pl.col(ids).replace(OTHER_IDS))
    if name == "attention-target":  # its groups are named by id, in the case
        groups = ["focal_group", "target_group", "attention_type"]
        expected, made = expected.drop(groups), made.drop(groups)
    assert_frame_equal(_sorted(made), _sorted(expected), check_exact=True)


@pytest.mark.parametrize("name", _names("start"))
def test_frames_may_begin_anywhere(ready: Ready, name: str) -> None:
    """A recording that was cut out of a longer one gives the same values."""
    feature, table = ready(name)
    expected, made = (cases.apply(feature, _moved(table, by)) for by in (0, 1000))
    for column in IN_FRAMES:
        if column in made.columns:
            made = made.with_columns(pl.col(column) - 1000)
    for column in IN_SECONDS:
        if column in made.columns:
            made = made.with_columns(pl.col(column) - 1000 / cases.FPS)
    assert_frame_equal(made, expected, rel_tol=1e-6, abs_tol=1e-9)


@pytest.mark.parametrize("name", _names("gap"))
def test_nothing_is_computed_across_a_gap(ready: Ready, name: str) -> None:
    """Two parts with five frames missing between them are as two recordings."""
    feature, table = ready(name)
    gapped = _moved(table, 1000, GAP)
    early = pl.col("frame") < 1000 + HALF
    made = cases.apply(feature, gapped)
    parts = [cases.apply(feature, gapped.filter(part)) for part in (early, ~early)]
    expected = pl.concat(parts).drop(NUMBERED.get(name, []))
    assert_frame_equal(
        _sorted(made.drop(NUMBERED.get(name, []))), _sorted(expected), rel_tol=1e-6, abs_tol=1e-9
    )
