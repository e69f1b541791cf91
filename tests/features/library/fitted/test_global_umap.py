"""global-umap: a map that differs after loading makes yesterday's pictures useless."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import FitError, MissingExtraError, ParamsError
from mosaic_dagster.features import StepRef
from mosaic_dagster.features.library.fitted.global_umap import GlobalUmap
from mosaic_dagster.store.content.codecs import encode_table
from mosaic_dagster.testing import check_feature, make_ready, toy_values

REF = StepRef("tmpl", "templates.parquet")
PARAMS = {"templates": REF, "n_neighbors": 8}


def blobs(n: int, seed: int) -> np.ndarray:
    """Rows in turn around 0, 20 and 40 in each of three columns."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3)) + 20.0 * (np.arange(n) % 3)[:, None]


def table_of(values: np.ndarray) -> pl.DataFrame:
    return toy_values({f"v{i}": values[:, i] for i in range(values.shape[1])})


def places(table: pl.DataFrame) -> np.ndarray:
    return table.select("umap_x", "umap_y").to_numpy()


@pytest.fixture
def templates(tmp_path) -> dict[str, Path]:
    path = tmp_path / "templates.parquet"
    path.write_bytes(encode_table(pl.DataFrame(blobs(60, 0), schema=["v0", "v1", "v2"])))
    return {"templates": path}


@pytest.mark.slow
def test_contract(templates):
    """Any order of rows, another process and a loaded state give the same bytes."""
    values = blobs(12, 1)
    values[3, 0], values[7, 1] = np.nan, np.inf
    result = check_feature(GlobalUmap, table_of(values), PARAMS, state_from=templates)
    missing = np.isnan(places(result)).all(axis=1)
    assert np.flatnonzero(missing).tolist() == [3, 7]
    assert np.isfinite(places(result)[~missing]).all()
    assert result.schema["umap_x"] == result.schema["umap_y"] == pl.Float32


@pytest.mark.slow
def test_what_is_alike_lies_together_and_equal_rows_share_a_place(templates):
    """Every row lies nearest to the templates of its own blob."""
    feature = make_ready(GlobalUmap(params=PARAMS), templates)
    centers = [feature.fitted()["Y"][blob::3].mean(axis=0) for blob in range(3)]
    values = np.repeat(blobs(15, 2), 2, axis=0)
    found = places(feature.apply(table_of(values)))
    np.testing.assert_array_equal(found[::2], found[1::2])
    distances = np.linalg.norm(found[:, None, :] - np.array(centers)[None], axis=2)
    assert distances.argmin(axis=1).tolist() == [0, 0, 1, 1, 2, 2] * 5


@pytest.mark.slow
def test_few_templates_have_fewer_neighbours_and_a_model_needs_none(tmp_path):
    """Six templates, one without a value: four others at most."""
    path = tmp_path / "templates.parquet"
    path.write_bytes(encode_table(pl.DataFrame({"v": [0.0, 1.0, np.nan, 5.0, 6.0, 6.5]})))
    feature = make_ready(GlobalUmap(params=PARAMS), {"templates": path})
    assert feature.state_notes() == {"n_templates": 5, "n_neighbors": 4}
    feature.save_state(tmp_path)
    other = GlobalUmap(params={"model": StepRef("map", "umap.npz"), "n_neighbors": 3})
    assert other.load_state(None, {"model": tmp_path / "umap.npz"}, {})
    table = toy_values({"v": [0.5, 5.5]})
    assert other.apply(table).equals(feature.apply(table))


def test_too_few_templates_are_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", sys)  # importing the package itself takes seconds
    path = tmp_path / "templates.parquet"
    path.write_bytes(encode_table(pl.DataFrame({"v": [0.0, 1.0, np.nan, 5.0, 6.0]})))
    with pytest.raises(FitError, match=r"a map of 4 usable template\(s\)"):
        make_ready(GlobalUmap(params=PARAMS), {"templates": path})
    with pytest.raises(ParamsError, match="metric"):
        GlobalUmap(params=PARAMS | {"metric": "jaccard"})


def test_without_the_package_the_extra_is_named(templates, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtraError, match=r"mosaic-dagster\[embedding\]"):
        make_ready(GlobalUmap(params=PARAMS), templates)


@pytest.mark.slow
def test_a_value_beyond_float32_has_no_place_and_spoils_no_other(templates):
    """One wild value would end the whole recording."""
    feature = make_ready(GlobalUmap(params=PARAMS), templates)
    values = blobs(6, 3)
    values[2, 1] = 1e300
    placed = places(feature.apply(table_of(values)))
    assert np.flatnonzero(np.isnan(placed).all(axis=1)).tolist() == [2]
    assert np.isfinite(np.delete(placed, 2, axis=0)).all()
