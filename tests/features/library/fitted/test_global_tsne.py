"""global-tsne: a row whose place depends on its neighbours in the chunk cannot be compared."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import FitError, MissingExtraError, ParamsError
from mosaic_dagster.features import StepRef
from mosaic_dagster.features.library.fitted.global_tsne import GlobalTsne
from mosaic_dagster.store.content.codecs import encode_table, load_arrays
from mosaic_dagster.testing import check_feature, make_ready, toy_values

REF = StepRef("tmpl", "templates.parquet")
QUICK = {"exaggeration_iters": 60, "iters": 60}
PARAMS = {"templates": REF, "perplexity": 10, "n_jobs": 1, "fit": QUICK, "mapping": {"iters": 20}}


def blobs(n: int, seed: int) -> np.ndarray:
    """Rows in turn around 0, 20 and 40 in each of three columns."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3)) + 20.0 * (np.arange(n) % 3)[:, None]


def table_of(values: np.ndarray) -> pl.DataFrame:
    return toy_values({f"v{i}": values[:, i] for i in range(values.shape[1])})


def places(table: pl.DataFrame) -> np.ndarray:
    return table.select("tsne_x", "tsne_y").to_numpy()


@pytest.fixture
def templates(tmp_path) -> dict[str, Path]:
    path = tmp_path / "templates.parquet"
    path.write_bytes(encode_table(pl.DataFrame(blobs(60, 0), schema=["v0", "v1", "v2"])))
    return {"templates": path}


@pytest.fixture
def feature(templates) -> GlobalTsne:
    return make_ready(GlobalTsne(params=PARAMS), templates)


def test_contract(templates):
    values = blobs(12, 1)
    values[3, 0], values[7, 1] = np.nan, np.inf
    result = check_feature(GlobalTsne, table_of(values), PARAMS, state_from=templates)
    missing = np.isnan(places(result)).all(axis=1)
    assert np.flatnonzero(missing).tolist() == [3, 7]
    assert np.isfinite(places(result)[~missing]).all()
    assert result.schema["tsne_x"] == result.schema["tsne_y"] == pl.Float32


def test_what_is_alike_lies_together(feature):
    """Every row lies nearer to the templates of its own blob than to those of the others."""
    centers = [feature.fitted()["Y"][blob::3].mean(axis=0) for blob in range(3)]
    found = places(feature.apply(table_of(blobs(30, 2))))
    distances = np.linalg.norm(found[:, None, :] - np.array(centers)[None], axis=2)
    assert distances.argmin(axis=1).tolist() == [0, 1, 2] * 10


def test_a_row_has_its_place_to_the_last_bit_whatever_stands_in_its_chunk(feature):
    table = table_of(blobs(15, 3))
    whole = places(feature.apply(table))
    for size in (1, 7):
        params = feature.params.model_dump() | {"templates": REF}
        params["mapping"]["chunk_size"] = size
        chunked = GlobalTsne(params=params)
        chunked.state = feature.state
        np.testing.assert_array_equal(places(chunked.apply(table)), whole)
    np.testing.assert_array_equal(places(feature.apply(table[11:12])), whole[11:12])


def test_threads_change_nothing(templates, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    table = table_of(blobs(40, 3))
    found = []
    for n_jobs in (1, 4):
        feature = make_ready(GlobalTsne(params=PARAMS | {"n_jobs": n_jobs}), templates)
        found.append((feature.fitted()["Y"], places(feature.apply(table))))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_chunks_and_threads_are_no_part_of_the_identity():
    one = GlobalTsne(params={"templates": REF})
    other = GlobalTsne(params={"templates": REF, "n_jobs": 1, "mapping": {"chunk_size": 3}})
    assert one.params.identity() == other.params.identity()
    fewer = GlobalTsne(params={"templates": REF, "mapping": {"k": 3}})
    assert one.params.identity() != fewer.params.identity()


def test_rows_start_at_the_median_of_the_nearest_templates_or_on_the_one_they_equal(templates):
    """Without iterations rows stay where they start."""
    params = PARAMS | {"mapping": {"iters": 0, "k": 3}}
    feature = make_ready(GlobalTsne(params=params), templates)
    known, fixed = blobs(60, 0), feature.fitted()["Y"]
    found = places(feature.apply(table_of(known)))
    np.testing.assert_array_equal(found, fixed.astype(np.float32))
    row = known[5] + 0.01
    nearest = np.argsort(((known - row) ** 2).sum(axis=1))[:3]
    found = places(feature.apply(table_of(row[None])))
    np.testing.assert_array_equal(found[0], np.median(fixed[nearest], axis=0).astype(np.float32))


@pytest.mark.parametrize("k", [1, 2, 500])
def test_any_number_of_nearest_templates_works(templates, k):
    feature = make_ready(GlobalTsne(params=PARAMS | {"mapping": {"k": k}}), templates)
    assert np.isfinite(places(feature.apply(table_of(blobs(6, 4))))).all()


def test_few_templates_lower_the_perplexity_and_say_so(templates):
    """60 templates: (60 - 1) / 3 = 19.67."""
    params = {"templates": REF, "fit": QUICK}
    notes = make_ready(GlobalTsne(params=params), templates).state_notes()
    np.testing.assert_allclose(notes["perplexity"], 59 / 3)
    assert notes["note"] == "perplexity 50.0 lowered for 60 templates"


def test_the_file_has_a_place_for_each_template(tmp_path):
    """The template that misses a value has none; a single column is enough."""
    path = tmp_path / "templates.parquet"
    path.write_bytes(encode_table(pl.DataFrame({"v": [0.0, 1.0, np.nan, 5.0, 6.0, 6.5]})))
    feature = make_ready(GlobalTsne(params={"templates": REF, "fit": QUICK}), {"templates": path})
    feature.save_state(tmp_path)
    y = load_arrays(tmp_path / "global_tsne_templates.npz")["Y"]
    assert np.isnan(y).any(axis=1).tolist() == [False, False, True, False, False, False]


def test_a_model_needs_no_templates(feature, tmp_path):
    feature.save_state(tmp_path)
    model = {"model": StepRef("map", "global_tsne_templates.npz"), "mapping": {"iters": 20}}
    other = GlobalTsne(params=model)
    assert other.load_state(None, {"model": tmp_path / "global_tsne_templates.npz"}, {})
    table = table_of(blobs(5, 5))
    assert other.apply(table).equals(feature.apply(table))


def test_what_has_no_map_is_refused(tmp_path):
    path = tmp_path / "templates.parquet"
    for values, message in (
        ([1.0, 2.0, 3.0], r"a map of 3 usable template\(s\)"),
        ([1.0] * 9, "all 9 usable templates are the same point"),
    ):
        path.write_bytes(encode_table(pl.DataFrame({"v": values})))
        with pytest.raises(FitError, match=message):
            make_ready(GlobalTsne(params={"templates": REF}), {"templates": path})
    with pytest.raises(ParamsError, match="perplexity"):
        GlobalTsne(params={"templates": REF, "perplexity": 0.5})


def test_without_the_package_the_extra_is_named(templates, monkeypatch):
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    with pytest.raises(MissingExtraError, match=r"mosaic-dagster\[embedding\]"):
        make_ready(GlobalTsne(params=PARAMS), templates)
