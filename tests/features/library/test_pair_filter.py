"""pair_filter: rows of pairs that are not neighbours would drown those that are."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features import ArtifactSpec, Result, StepRef
from mosaic_dagster.features.library.fitted.extract_templates import ExtractTemplates
from mosaic_dagster.features.library.fitted.global_kmeans import GlobalKmeans
from mosaic_dagster.features.library.neighbors.nearest_neighbor import NearestNeighbor
from mosaic_dagster.features.library.pair_filter import nearest_pairs
from mosaic_dagster.features.library.temporal.temporal_stack import TemporalStack
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.content.codecs import encode_table
from mosaic_dagster.testing import toy_stream

NN = StepRef("nn")
KEY = EntryKey("g", "s")


def pairs(**columns: object) -> pl.DataFrame:
    """All ordered pairs of animals 5, 6, 7 in frames 0 and 1; value = 100 frame + 10 id1 + id2."""
    who = [(a, b) for a in (5, 6, 7) for b in (5, 6, 7) if a != b]
    rows = [(frame, a, b, int(a > b), 100 * frame + 10 * a + b) for frame in (0, 1) for a, b in who]
    table = pl.DataFrame(
        rows, schema=["frame", "id1", "id2", "perspective", "v"], orient="row"
    ).with_columns(pl.col("v").cast(pl.Float64), group=pl.lit("g"), sequence=pl.lit("s"))
    return table.with_columns(**columns)


@pytest.fixture
def tables(tmp_path):
    """5 stands at 0, 6 at 1, 7 at 5 in frame 0: 5 -> 6, 6 -> 5, 7 -> 6. In frame 1 only 5, 6."""
    tracks = pl.DataFrame(
        {"frame": [0, 0, 0, 1, 1], "id": [5, 6, 7, 5, 6], "X": [0.0, 1, 5, 0, 1], "Y": 0.0}
    )
    path = tmp_path / "nn.parquet"
    path.write_bytes(encode_table(NearestNeighbor().apply(tracks)))
    return {KEY: path}


LEFT = [56.0, 65.0, 67.0, 76.0, 156.0, 165.0]
"""Values of the pairs that remain: 6 is the nearest of 7, so (6, 7) stays too."""


def test_pairs_remain_in_which_one_is_the_nearest_of_the_other(tables):
    assert nearest_pairs(pairs(), NN, tables, "f")["v"].to_list() == LEFT
    backwards = nearest_pairs(pairs().reverse(), NN, tables, "f")
    assert backwards["v"].to_list() == LEFT[::-1]
    small = pairs().with_columns(pl.col("frame", "id1", "id2").cast(pl.UInt8))
    filtered = nearest_pairs(small, NN, tables, "f")
    assert filtered["v"].to_list() == LEFT
    assert filtered.schema == small.schema


def test_without_a_filter_every_row_remains():
    assert nearest_pairs(pairs(), None, None, "f").equals(pairs())


def test_an_entry_without_neighbours_is_an_error_not_an_unfiltered_table(tables):
    for given in (None, {}, {EntryKey("g", "other"): tables[KEY]}):
        with pytest.raises(FeatureError, match="no table of nearest neighbours of entry g/s"):
            nearest_pairs(pairs(), NN, given, "f")


def test_tables_that_do_not_fit_are_refused(tables, tmp_path):
    with pytest.raises(MissingColumnError, match=r"tables of pairs.*no column 'id2'"):
        nearest_pairs(pairs().drop("id2"), NN, tables, "f")
    with pytest.raises(MissingColumnError, match="no column 'sequence'"):
        nearest_pairs(pairs().drop("sequence"), NN, tables, "f")
    two = pl.concat([pairs(), pairs(sequence=pl.lit("t"))])
    with pytest.raises(FeatureError, match=r"several entries: g/s, g/t"):
        nearest_pairs(two, NN, tables, "f")
    other = tmp_path / "other.parquet"
    other.write_bytes(encode_table(pairs()))
    with pytest.raises(MissingColumnError, match=r"nearest-neighbor tables.*'id', 'nn_id'"):
        nearest_pairs(pairs(), NN, {KEY: other}, "f")


def test_an_empty_table_stays_empty(tables):
    assert nearest_pairs(pairs().clear(), NN, tables, "f").equals(pairs().clear())


@pytest.mark.parametrize("cls", [TemporalStack, ExtractTemplates])
def test_the_parameter_takes_tables_of_a_step_and_nothing_else(cls):
    more = {"n_templates": 2} if cls is ExtractTemplates else {}
    for reference in (NN, Result(feature="nearest-neighbor")):
        assert cls(params=more | {"pair_filter": reference}).params.references() == {
            "pair_filter": reference
        }
    wrong = (StepRef("nn", "a.npz"), StepRef("nn", column="x"), ArtifactSpec(feature="nn"), "nn")
    for reference in wrong:
        with pytest.raises(ParamsError, match="pair_filter"):
            cls(params=more | {"pair_filter": reference})


def test_temporal_stack_sees_the_nearest_pairs_only(tables):
    """Pairs of 5 and 6 have both frames, those of 6 and 7 frame 0 only: it is repeated."""
    params = {"half": 1, "skip": 1, "sigma_stack": 0, "add_pool": False, "pair_filter": NN}
    feature = TemporalStack(params=params)
    assert feature.load_state(None, {}, {"pair_filter": tables})
    result = feature.apply(pairs())
    assert result["v__t+00"].to_list() == LEFT
    assert result["v__t+01"].to_list() == [156, 165, 67, 76, 156, 165]
    assert result.schema == feature.output_schema(pairs().schema)
    assert feature.apply(pairs(id1=pl.lit(9))).height == 0


@pytest.mark.parametrize("allocation", ["reservoir", "exact"])
def test_templates_are_drawn_from_nearest_pairs_only(tables, allocation):
    params = {"n_templates": 9, "pool": {"allocation": allocation}, "pair_filter": NN}
    feature = ExtractTemplates(params=params)
    assert not feature.load_state(None, {}, {"pair_filter": tables})
    feature.fit(toy_stream({KEY: pairs()}))
    assert sorted(feature.templates["v"]) == LEFT
    assert feature.apply(pairs())["v"].to_list() == LEFT


def test_clusters_are_assigned_to_nearest_pairs_only(tables, tmp_path):
    """Centres 60 and 160: the frames."""
    path = tmp_path / "templates.parquet"
    path.write_bytes(encode_table(pl.DataFrame({"v": [60.0, 160.0]})))
    params = {"templates": StepRef("tmpl", "templates.parquet"), "k": 2, "pair_filter": NN}
    feature = GlobalKmeans(params=params)
    assert not feature.load_state(None, {"templates": path}, {"pair_filter": tables})
    feature.fit(toy_stream({}))
    result = feature.apply(pairs())
    np.testing.assert_array_equal(result["frame"], [0, 0, 0, 0, 1, 1])
    assert result["cluster"].n_unique() == 2
    assert result.schema == feature.output_schema(pairs().schema)
