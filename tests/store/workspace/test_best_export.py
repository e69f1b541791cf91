import json
from datetime import datetime

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.errors import StoreValueError


@pytest.fixture
def target(tmp_path):
    return tmp_path / "best" / "deep"


def test_three_files_of_the_best(store, make_prediction, pipeline, target):
    store.save_prediction(**make_prediction(val_score=0.9, model_name="worse"))
    arrays = {"y_true": [1.0, 2.5], "y_pred": [1.25, np.nan]}
    name = store.save_prediction(**make_prediction(val_score=0.1, test_score=None), arrays=arrays)
    path = store.export_best_predictions("larvae", target)
    assert path == target / "larvae" / "ridge_predictions.csv"
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "ridge_pipeline.json", "ridge_predictions.csv", "ridge_summary.json",
    ]  # fmt: skip
    table = pl.read_csv(path)
    assert table.columns == ["y_true", "y_pred"]
    np.testing.assert_array_equal(table.to_numpy(), [[1.0, 1.25], [2.5, np.nan]])
    assert json.loads((path.parent / "ridge_pipeline.json").read_text()) == {
        "steps": ["scale", "ridge"]
    }
    summary = json.loads((path.parent / "ridge_summary.json").read_text())
    assert datetime.fromisoformat(summary.pop("exported_at")).tzinfo is not None
    assert summary == {
        "dataset": "larvae", "model_name": "ridge", "pipeline_id": pipeline,
        "prediction_id": name, "val_score": 0.1, "test_score": None,
    }  # fmt: skip


def test_nothing_there_is_none(store, make_prediction, target):
    """And no empty folder is left that looks like a result."""
    store.save_prediction(**make_prediction(partition="test"))
    assert store.export_best_predictions("larvae", target) is None
    assert not target.exists()


def test_direction_and_score_may_be_chosen(store, make_prediction, target):
    for name, val, test in (("a", 0.1, 0.9), ("b", 0.9, 0.1)):
        store.save_prediction(**make_prediction(model_name=name, val_score=val, test_score=test))
    names = [
        store.export_best_predictions("larvae", target, **choice).name
        for choice in ({}, {"ascending": False}, {"metric": "test_score"})
    ]
    assert names == [f"{name}_predictions.csv" for name in "abb"]


def test_a_prediction_without_arrays_gives_an_empty_table(store, make_prediction, target):
    store.save_prediction(**make_prediction())
    assert store.export_best_predictions("larvae", target).read_text() == "y_true,y_pred\n"


def test_a_single_output_column_is_flat(store, make_prediction, target):
    """Partial least squares predicts (n, 1)."""
    arrays = {"y_true": [1.0, 2.0], "y_pred": np.array([[3.0], [4.0]])}
    store.save_prediction(**make_prediction(), arrays=arrays)
    table = pl.read_csv(store.export_best_predictions("larvae", target))
    assert table.rows() == [(1.0, 3.0), (2.0, 4.0)]


def test_several_outputs_are_refused_before_anything_is_written(store, make_prediction, target):
    store.save_prediction(**make_prediction(), arrays={"y_pred": np.ones((2, 2))})
    with pytest.raises(StoreValueError, match="several values"):
        store.export_best_predictions("larvae", target)
    assert not target.exists()


def test_names_do_not_lead_out_of_the_folder(store, make_prediction, target):
    """Else a dataset called ../../x overwrites a file of the user's."""
    row = make_prediction(dataset_name="../../out", model_name="../../../out")
    store.save_prediction(**row)
    path = store.export_best_predictions("../../out", target)
    assert path.resolve().is_relative_to(target)
    assert len(list(path.parent.iterdir())) == 3


def test_names_that_become_alike_keep_their_own_files(store, make_prediction, target):
    """Else the results of ``a/b`` are replaced by those of ``a b``, or of ``a_b``."""
    names = ("a/b", "a b", "a_b", "x" * 130, "x" * 131)
    paths = set()
    for name in names:
        store.save_prediction(**make_prediction(dataset_name=name, model_name=name))
        paths.add(store.export_best_predictions(name, target))
        store.save_prediction(
            **make_prediction(model_name=name, val_score=-len(paths), dataset_name="one")
        )
        paths.add(store.export_best_predictions("one", target))
    assert len({path.parent for path in paths}) == 1 + len(names)
    assert len(paths) == 2 * len(names)
    assert all(path.is_file() and len(path.parent.name) <= 120 for path in paths)
    assert target / "a_b" / "a_b_predictions.csv" in paths
