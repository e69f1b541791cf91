"""check_feature: if it passes a broken feature, authors learn of it in their results."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.features import Feature, Params
from mosaic_dagster.features.output import values_schema, with_values
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.testing import check_feature, make_ready, toy_stream, toy_tracks, toy_values


class Doubled(Feature[Params]):
    """A correct feature: X doubled."""

    name = "doubled"
    version = "1"

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        return values_schema(schema, {"double": pl.Float64()})

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        return with_values(table, {"double": 2 * table["X"]})


class WrongSchema(Doubled):
    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        return values_schema(schema, {"double": pl.Float32()})


class NoSchema(Doubled):
    def output_schema(self, schema: pl.Schema) -> pl.Schema | None:
        return None


class Counting(Doubled):
    calls: ClassVar[list[int]] = []

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        self.calls.append(1)
        return with_values(table, {"double": table["X"] + len(self.calls)})


class Remembering(Doubled):
    def __reduce__(self) -> Any:
        return (Shifted, ())


class Shifted(Doubled):
    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        return with_values(table, {"double": 2 * table["X"] + 1})


class RowOrdered(Doubled):
    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        return with_values(table, {"double": np.arange(table.height, dtype=np.float64)})


class AnyParams(Doubled):
    def __init__(self, inputs: Any = None, params: Any = None) -> None:
        super().__init__(inputs)


class Mean(Doubled):
    """A fitted feature: X minus the mean of all entries."""

    fits = "stream"
    noise = 0.0
    mean: float | None = None

    def load_state(self, folder, artifacts, lookups):
        if folder is not None:
            self.mean = float((folder / "mean.txt").read_text())
        return self.mean is not None

    def partial_fit(self, key, table):
        type(self).noise += self.step
        self.mean = float(table["X"].mean()) + self.noise

    def save_state(self, folder):
        (folder / "mean.txt").write_text(repr(self.mean))

    def apply(self, table):
        return with_values(table, {"double": table["X"] - self.mean})

    step = 0.0


class NoisyMean(Mean):
    step = 1.0


class ForgetfulMean(Mean):
    def load_state(self, folder, artifacts, lookups):
        return False


STREAM = toy_stream({EntryKey("g", "s"): toy_tracks()})


def test_a_correct_feature_passes_and_gives_its_result():
    result = check_feature(Doubled, toy_tracks())
    assert result["double"].to_list() == (2 * toy_tracks()["X"]).to_list()
    assert check_feature(Mean, toy_tracks(), state_from=STREAM).height == 24


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        (WrongSchema, "declares"),
        (NoSchema, "declares no schema"),
        (Counting, "other bytes on the second call"),
        (Remembering, "other bytes in another process"),
        (RowOrdered, "depends on the order"),
        (AnyParams, "parameter that it does not have"),
        (NoisyMean, "a second fit differs"),
        (ForgetfulMean, "refits a saved state"),
    ],
)
def test_a_broken_promise_is_named(feature, message):
    with pytest.raises(AssertionError, match=message):
        check_feature(feature, toy_tracks(), state_from=STREAM)


def test_row_order_is_checked_only_where_it_is_claimed():
    assert check_feature(RowOrdered, toy_tracks(), any_row_order=False).height == 24


def test_toy_tracks_walk_five_units_per_frame():
    """(3, 4) per frame; two individuals interleaved."""
    tracks = toy_tracks(n_frames=2)
    assert tracks.select("frame", "id", "X", "Y").rows() == [
        (0, 0, 0.0, 0.0),
        (0, 1, 0.0, 100.0),
        (1, 0, 3.0, 4.0),
        (1, 1, 3.0, 104.0),
    ]
    assert tracks.schema["frame"] == tracks.schema["id"] == pl.Int64


def test_toy_values_have_the_identity_that_is_asked_for():
    table = toy_values({"v": [1.0, 2.0]}, identity={"id1": 3, "id2": 4}, fps=2.0)
    assert table.columns == ["frame", "time", "id1", "id2", "v", "fps", "group", "sequence"]
    assert table["time"].to_list() == [0.0, 0.5]


def test_a_feature_that_is_never_fitted_is_ready_at_once():
    feature = Doubled()
    assert make_ready(feature) is feature
