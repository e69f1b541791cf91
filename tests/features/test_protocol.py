"""The order in which a feature is asked, and what it may leave out."""

from __future__ import annotations

import polars as pl
import pytest

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features import Feature, Inputs, InputStream, Params, Result
from mosaic_dagster.keys import EntryKey


class CountParams(Params):
    step: int = 1


class Count(Feature[CountParams]):
    """Counts rows over all entries."""

    name = "count"
    version = "1"
    fits = "stream"
    Params = CountParams

    def input_columns(self) -> tuple[str, ...]:
        return ("X", "Y")

    def load_state(self, folder, artifacts, lookups) -> bool:
        self.asked = ["load"]
        return False

    def partial_fit(self, key, table) -> None:
        self.asked.append(f"{key.sequence}:{table.height}")

    def finalize(self) -> None:
        self.asked.append("finalize")


def test_a_feature_is_made_from_the_tracks_unless_told_otherwise():
    assert tuple(Count().inputs) == ("tracks",)
    assert Count().params == CountParams()
    assert Count(params={"step": 3}).params.step == 3
    assert tuple(Count((Result(feature="speed"),)).inputs) == (Result(feature="speed"),)
    assert Count(Inputs(("tracks",)), CountParams(step=2)).params.step == 2


def test_wrong_parameters_and_inputs_are_refused_when_it_is_made():
    with pytest.raises(ParamsError, match="stepp"):
        Count(params={"stepp": 1})
    with pytest.raises(ParamsError, match="at least one"):
        Count(())


def test_a_fit_is_one_pass_of_partial_fits():
    feature = Count()
    feature.load_state(None, {}, {})
    table = pl.DataFrame({"X": [1.0, 2.0]})
    feature.fit(InputStream((EntryKey("g", "a"), EntryKey("g", "b")), lambda key: table))
    assert feature.asked == ["load", "a:2", "b:2", "finalize"]


def test_a_missing_column_is_named_with_those_that_are_there():
    with pytest.raises(MissingColumnError, match=r"count needs the column\(s\) Y, .*has: X, Z"):
        Count().check_columns({"X": pl.Float64, "Z": pl.Float64})
    Count().check_columns({"X": pl.Float64, "Y": pl.Float64})


def test_what_a_feature_leaves_out_is_told_when_it_is_needed():
    class Bare(Feature[Params]):
        name = "bare"
        version = "1"

    assert Bare().load_state(None, {}, {})  # never fitted: ready at once
    assert Bare().state_notes() == {}
    with pytest.raises(FeatureError, match="bare is not fitted on a stream"):
        Bare().partial_fit(EntryKey("g", "a"), pl.DataFrame())
    with pytest.raises(NotImplementedError, match="Bare"):
        Bare().apply(pl.DataFrame())
    with pytest.raises(NotImplementedError, match="Bare"):
        Bare().output_schema(pl.Schema())


def test_a_feature_that_is_fitted_is_not_ready_without_a_state():
    class Fitted(Feature[Params]):
        name = "fitted"
        version = "1"
        fits = "templates"

    assert not Fitted().load_state(None, {}, {})
