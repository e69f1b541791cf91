"""global-ward: a hierarchy built again for every cut costs hours, a wrong cut the result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster import hierarchy

from mosaic_dagster.errors import FeatureError, FitError, ParamsError
from mosaic_dagster.features import StepRef
from mosaic_dagster.features.library.fitted.global_ward import GlobalWard
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.content.codecs import encode_table, load_arrays, read_table, save_arrays
from mosaic_dagster.testing import check_feature, make_ready, toy_values

REF = StepRef("tmpl", "templates.parquet")
LINKAGE = StepRef("ward", "linkage.npz")


@pytest.fixture
def templates(tmp_path) -> dict[str, Path]:
    """Pairs around 0.5 and 10.5, and one row at 20; one row is missing."""
    path = tmp_path / "templates.parquet"
    values = [0.0, 1.0, np.nan, 10.0, 11.0, 20.0]
    path.write_bytes(encode_table(pl.DataFrame({"v": values})))
    return {"templates": path}


def saved(feature: GlobalWard, folder: Path) -> Path:
    folder.mkdir()
    feature.save_state(folder)
    return folder


def test_contract_and_nearest_centroid(templates):
    """Centroids 0.5, 10.5, 20: 15 is 4.5 from the second and 5 from the third."""
    table = toy_values({"v": [0.0, 10.0, 15.0, 16.0, np.nan, np.inf]})
    params = {"templates": REF, "n_clusters": 3}
    result = check_feature(GlobalWard, table, params, state_from=templates)
    first, second, third = result["cluster"][0], result["cluster"][1], result["cluster"][3]
    assert {first, second, third} == {1, 2, 3}
    assert result["cluster"].to_list() == [first, second, second, third, None, None]
    assert result.schema["cluster"] == pl.Int32


def test_state_describes_the_templates(templates, tmp_path):
    feature = make_ready(GlobalWard(params={"templates": REF, "n_clusters": 3}), templates)
    folder = saved(feature, tmp_path / "state")
    arrays = load_arrays(folder / "cluster_centers.npz")
    assert arrays["clusters"].tolist() == [1, 2, 3]
    number = dict(zip(arrays["centers"][:, 0].tolist(), [1, 2, 3], strict=True))
    a, b, c = number[0.5], number[10.5], number[20.0]
    labels = load_arrays(folder / "artifact_labels.npz")["labels"]
    assert labels.tolist() == [a, a, -1, b, b, c]
    sizes = read_table(folder / "cluster_sizes.parquet")
    assert dict(sizes.rows()) == {a: 2, b: 2, c: 1}
    assert feature.state_notes() == {"n_templates": 5, "n_clusters": 3}


def test_another_cut_of_the_same_hierarchy_computes_no_linkage(templates, tmp_path, monkeypatch):
    """Two clusters: 10, 11, 20 merge (height 10.97) before 0, 1, 10, 11 (14.1).

    Their centroid is 41/3 = 13.67: 7 is 6.5 from 0.5 and 6.67 from it.
    """
    first = make_ready(GlobalWard(params={"templates": REF, "n_clusters": 3}), templates)
    folder = saved(first, tmp_path / "three")
    monkeypatch.setattr(hierarchy, "linkage", lambda *a, **k: pytest.fail("clustered again"))
    second = GlobalWard(params={"model": LINKAGE, "n_clusters": 2})
    assert second.load_state(None, {"model": folder / "linkage.npz"}, {})
    low, high = second.apply(toy_values({"v": [7.0, 7.2]}))["cluster"]
    assert {low, high} == {1, 2}
    again = saved(second, tmp_path / "two")
    assert (again / "linkage.npz").read_bytes() == (folder / "linkage.npz").read_bytes()
    np.testing.assert_allclose(
        sorted(load_arrays(again / "cluster_centers.npz")["centers"][:, 0]), [0.5, 41 / 3]
    )


def test_a_hierarchy_of_another_method_is_refused(templates, tmp_path):
    first = make_ready(GlobalWard(params={"templates": REF, "n_clusters": 2}), templates)
    path = saved(first, tmp_path / "state") / "linkage.npz"
    feature = GlobalWard(params={"model": LINKAGE, "n_clusters": 2, "method": "single"})
    with pytest.raises(ParamsError, match="'ward', and the parameters ask for 'single'"):
        feature.load_state(None, {"model": path}, {})
    save_arrays(tmp_path / "other.npz", columns=np.array(["v"]))
    with pytest.raises(ParamsError, match="not a state of global-ward"):
        GlobalWard(params={"model": LINKAGE}).load_state(
            None, {"model": tmp_path / "other.npz"}, {}
        )


def test_equal_heights_give_fewer_clusters_and_say_so(tmp_path):
    """Three points at equal distances merge at one height: two clusters do not exist."""
    path = tmp_path / "templates.parquet"
    path.write_bytes(encode_table(pl.DataFrame({"v": [0.0, 1.0, 2.0]})))
    params = {"templates": REF, "n_clusters": 2, "method": "single"}
    feature = make_ready(GlobalWard(params=params), {"templates": path})
    assert feature.state_notes()["n_clusters"] == 1
    assert "only 1 of 2 clusters" in feature.state_notes()["note"]
    assert feature.apply(toy_values({"v": [5.0]}))["cluster"].to_list() == [1]


def test_too_few_templates_are_refused(templates):
    with pytest.raises(FitError, match="6 clusters of 5 usable templates"):
        make_ready(GlobalWard(params={"templates": REF, "n_clusters": 6}), templates)
    templates["templates"].write_bytes(encode_table(pl.DataFrame({"v": [1.0, np.nan]})))
    with pytest.raises(FitError, match=r"cannot merge 1 usable template\(s\)"):
        make_ready(GlobalWard(params={"templates": REF, "n_clusters": 1}), templates)
    with pytest.raises(FeatureError, match="is not fitted"):
        GlobalWard(params={"templates": REF}).state_notes()


def test_only_pairs_of_nearest_neighbours_are_kept_where_asked(templates, tmp_path):
    """In frame 0 the neighbour of 1 is 2, in frame 1 it is 3; the pair is (1, 2)."""
    nearest = pl.DataFrame({"frame": [0, 1], "id": [1, 1], "nn_id": [2, 3]})
    path = tmp_path / "nn.parquet"
    path.write_bytes(encode_table(nearest))
    params = {"templates": REF, "n_clusters": 2, "pair_filter": StepRef("nn")}
    feature = GlobalWard(params=params)
    key = EntryKey("toy", "values")
    assert not feature.load_state(None, templates, {"pair_filter": {key: path}})
    feature.fit(None)
    table = toy_values({"v": [0.0, 1.0]}, identity={"id1": 1, "id2": 2, "perspective": 0})
    assert feature.apply(table)["frame"].to_list() == [0]
    feature.neighbor_tables = {}
    with pytest.raises(FeatureError, match="no table of nearest neighbours"):
        feature.apply(table)


@given(st.permutations(range(6)))
def test_a_row_keeps_its_cluster_whatever_stands_beside_it(order):
    feature = GlobalWard(params={"templates": REF, "n_clusters": 3})
    feature.templates = pl.DataFrame({"v": [0.0, 1.0, 10.0, 11.0, 20.0]})
    feature.fit(None)
    values = np.array([0.2, 9.0, 30.0, np.nan, 5.5, 15.25])
    straight = feature.apply(toy_values({"v": values}))["cluster"].to_list()
    shuffled = feature.apply(toy_values({"v": values[list(order)]}))["cluster"].to_list()
    assert shuffled == [straight[i] for i in order]
