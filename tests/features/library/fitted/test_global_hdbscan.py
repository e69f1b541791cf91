"""global-hdbscan: noise that is forced into a cluster is a behaviour nobody showed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import FitError, ParamsError
from mosaic_dagster.features import StepRef
from mosaic_dagster.features.library.fitted.global_hdbscan import GlobalHdbscan
from mosaic_dagster.store.content.codecs import encode_table, load_arrays, read_table
from mosaic_dagster.testing import check_feature, make_ready, toy_values

REF = StepRef("tmpl", "templates.parquet")
PARAMS = {"templates": REF, "min_cluster_size": 3, "min_samples": 2}


@pytest.fixture
def templates(tmp_path) -> dict[str, Path]:
    """0 1 2 3, then 20 22 24 26, noise at 90 and a missing row.

    The second nearest template, itself counted, is 1 away in the first cluster, 2 in the other.
    """
    path = tmp_path / "templates.parquet"
    values = [0.0, 1.0, 2.0, 3.0, 90.0, np.nan, 20.0, 22.0, 24.0, 26.0]
    path.write_bytes(encode_table(pl.DataFrame({"v": values})))
    return {"templates": path}


def test_contract_and_reach(templates):
    """Reach 1 and 2: 3.5 and 4 are of the first, 18 and 28 of the second, 4.01 and 29 of none."""
    table = toy_values({"v": [3.5, 4.0, 4.01, 90.0, 18.0, 28.0, 29.0, np.nan, np.inf]})
    result = check_feature(GlobalHdbscan, table, PARAMS, state_from=templates)
    a, b = result["cluster"][0], result["cluster"][4]
    assert {a, b} == {0, 1}
    assert result["cluster"].to_list() == [a, a, None, None, b, b, None, None, None]
    assert result.schema["cluster"] == pl.Int32


def test_every_member_keeps_its_cluster_and_noise_belongs_to_none(templates, tmp_path):
    feature = make_ready(GlobalHdbscan(params=PARAMS), templates)
    folder = tmp_path / "state"
    folder.mkdir()
    feature.save_state(folder)
    labels = load_arrays(folder / "artifact_labels.npz")["labels"]
    assert labels[[4, 5]].tolist() == [-1, -1]
    table = toy_values({"v": read_table(templates["templates"])["v"]})
    assert feature.apply(table)["cluster"].fill_null(-1).to_list() == labels.tolist()
    state = load_arrays(folder / "hdbscan.npz")
    assert sorted(state["reach"].tolist()) == [1.0] * 4 + [2.0] * 4
    assert read_table(folder / "cluster_sizes.parquet")["count"].to_list() == [4, 4]
    assert feature.state_notes() == {"n_clusters": 2, "n_members": 8, "n_templates": 10}


def test_the_nearest_member_decides_before_the_reach(tmp_path):
    """A dense cluster at 0 … 0.3 with reach 0.1 and a loose one at 4, 6, 8, 10 with reach 2.

    2.1 is 1.8 from 0.3 and 1.9 from 4: the nearest member does not reach it, so it is noise. 2.2
    is 1.9 and 1.8 away, so it is of the loose cluster.
    """
    path = tmp_path / "templates.parquet"
    path.write_bytes(encode_table(pl.DataFrame({"v": [0.0, 0.1, 0.2, 0.3, 4.0, 6.0, 8.0, 10.0]})))
    feature = make_ready(GlobalHdbscan(params=PARAMS), {"templates": path})
    of_loose = feature.apply(toy_values({"v": [6.0]}))["cluster"][0]
    assert feature.apply(toy_values({"v": [2.1, 2.2]}))["cluster"].to_list() == [None, of_loose]


def test_a_row_does_not_depend_on_the_others(templates):
    feature = make_ready(GlobalHdbscan(params=PARAMS), templates)
    table = toy_values({"v": [4.0, 18.0, 90.0, 4.5]})
    together = feature.apply(table)
    for row in range(4):
        assert feature.apply(table[row : row + 1]).equals(together[row : row + 1])


def test_min_samples_defaults_to_the_size_of_a_cluster(templates):
    """The third nearest, itself counted, is 2 or 4 away at the ends, 1 or 2 in the middle."""
    params = {"templates": REF, "min_cluster_size": 3}
    feature = make_ready(GlobalHdbscan(params=params), templates)
    assert feature.fitted()["reach"].tolist() == [2, 1, 1, 2, 4, 2, 2, 4]


def test_what_has_no_cluster_is_refused(templates):
    with pytest.raises(FitError, match="needs 20 usable templates and has 9"):
        make_ready(GlobalHdbscan(params={"templates": REF, "min_cluster_size": 20}), templates)
    with pytest.raises(FitError, match="found no cluster among 9 templates, only noise"):
        make_ready(GlobalHdbscan(params={"templates": REF, "min_cluster_size": 8}), templates)
    with pytest.raises(ParamsError, match="min_cluster_size"):
        GlobalHdbscan(params={"templates": REF, "min_cluster_size": 1})
