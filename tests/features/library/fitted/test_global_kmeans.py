"""global-kmeans: a row that changes its cluster with its neighbours is no result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import FitError
from mosaic_dagster.features import StepRef
from mosaic_dagster.features.library.fitted.global_kmeans import GlobalKmeans
from mosaic_dagster.store.content.codecs import encode_table, load_arrays, read_table
from mosaic_dagster.testing import check_feature, make_ready, toy_values

REF = StepRef("tmpl", "templates.parquet")
PARAMS = {"templates": REF, "k": 2}


@pytest.fixture
def templates(tmp_path) -> dict[str, Path]:
    """Three rows around 0 and two around 100; one row is missing."""
    path = tmp_path / "templates.parquet"
    path.write_bytes(encode_table(pl.DataFrame({"v": [-1.0, 0.0, np.nan, 1.0, 99.0, 101.0]})))
    return {"templates": path}


def test_contract_and_clusters(templates):
    """Centres 0 and 100: 40 belongs to the first, 60 to the second, NaN to none."""
    table = toy_values({"v": [40.0, 60.0, np.nan, -5.0]})
    result = check_feature(GlobalKmeans, table, PARAMS, state_from=templates)
    near, far = result["cluster"][0], result["cluster"][1]
    assert result["cluster"].to_list() == [near, far, None, near]
    assert {near, far} == {0, 1}
    assert result.schema["cluster"] == pl.Int32


def test_state_describes_the_templates(templates, tmp_path):
    feature = make_ready(GlobalKmeans(params=PARAMS), templates)
    folder = tmp_path / "state"
    folder.mkdir()
    feature.save_state(folder)
    centers = load_arrays(folder / "cluster_centers.npz")["centers"][:, 0]
    assert sorted(centers.tolist()) == [0, 100]
    sizes = read_table(folder / "cluster_sizes.parquet")
    near = int(centers.argmin())
    assert sizes["cluster"].to_list() == [0, 1]
    assert sizes["count"][near] == 3
    labels = load_arrays(folder / "artifact_labels.npz")["labels"]
    assert labels.tolist() == [near, near, -1, near, 1 - near, 1 - near]
    notes = feature.state_notes()
    assert (notes["k"], notes["n_templates"], notes["inertia"]) == (2, 5, 4.0)


def test_labels_of_the_templates_can_be_left_out(templates, tmp_path):
    params = PARAMS | {"label_artifact_points": False}
    folder = tmp_path / "state"
    folder.mkdir()
    make_ready(GlobalKmeans(params=params), templates).save_state(folder)
    names = {path.name for path in folder.iterdir()}
    assert names == {"cluster_centers.npz", "cluster_sizes.parquet"}


def test_fewer_different_rows_than_clusters_are_refused(templates):
    with pytest.raises(FitError, match="6 clusters of 5 different rows"):
        make_ready(GlobalKmeans(params=PARAMS | {"k": 6}), templates)
    templates["templates"].write_bytes(encode_table(pl.DataFrame({"v": [1.0, 1.0]})))
    with pytest.raises(FitError, match="2 clusters of 1 different rows"):
        make_ready(GlobalKmeans(params=PARAMS), templates)
