"""Progress rows: added one by one, never changed, read by others."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest

from mosaic_dagster.errors import StoreTypeError, StoreValueError
from mosaic_dagster.store import Database
from mosaic_dagster.store.feature_registry.progress import ProgressWriter, jobs, read_rows


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "store.duckdb")


def test_phases_and_epochs_of_one_index_do_not_replace_each_other(database: Database) -> None:
    """Two classes with two epochs each are four rows; with a key of (job, type, index), two."""
    writer = ProgressWriter(database, "job")
    for name in ("attack", "mount"):
        writer.write("class", 0, 1, message=name)
        for epoch in range(2):
            writer.write("epoch", epoch, 2, {"loss": 1 / (epoch + 1)})
    rows = read_rows(database, "job")
    assert rows["seq"].to_list() == list(range(6))
    assert rows["step_type"].to_list() == ["class", "epoch", "epoch"] * 2
    assert [json.loads(m) for m in rows["metrics"].drop_nulls()] == [
        {"loss": 1.0},
        {"loss": 0.5},
    ] * 2


def test_a_second_training_of_the_name_goes_on_behind_the_first(database: Database) -> None:
    """Else the order of what was said is lost after a restart."""
    assert [ProgressWriter(database, "job").write("phase") for _ in range(3)] == [0, 1, 2]
    assert ProgressWriter(database, "other").write("phase") == 0
    assert jobs(database).select("job_id", "rows").rows() == [("job", 3), ("other", 1)]


def test_who_asks_again_gets_only_what_is_new(database: Database) -> None:
    """A page that polls must not read a million rows a second."""
    writer = ProgressWriter(database, "job")
    for epoch in range(4):
        writer.write("epoch", epoch)
    assert read_rows(database, "job", after=1)["step_index"].to_list() == [2, 3]
    assert read_rows(database, "unknown").is_empty()


def test_threads_share_a_writer_without_a_number_twice(database: Database) -> None:
    """Models of several classes may be trained at once."""
    writer = ProgressWriter(database, "job")
    threads = [
        threading.Thread(target=lambda: [writer.write("epoch") for _ in range(25)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_rows(database, "job")["seq"].to_list() == list(range(100))


def test_values_that_json_lacks_do_not_end_a_training(database: Database) -> None:
    """A loss of NaN, numpy numbers and text that is no unicode are usual in trainings."""
    writer = ProgressWriter(database, "job")
    metrics = {"loss": float("nan"), "n": np.int64(3), "f1": np.array([0.5, np.inf])}
    writer.write("epoch", np.int64(1), None, metrics, "name \udcff")
    (row,) = read_rows(database, "job").to_dicts()
    assert json.loads(row["metrics"]) == {"loss": None, "n": 3, "f1": [0.5, None]}
    assert row["message"] == "name \\udcff"
    assert row["step_index"] == 1


def test_a_row_that_the_tables_would_refuse_is_refused_at_once(database: Database) -> None:
    """One bad row in the journal would stop everybody who opens the workspace."""
    writer = ProgressWriter(database, "job")
    with pytest.raises(StoreValueError, match="32 bits"):
        writer.write("epoch", 2**40)
    with pytest.raises(StoreTypeError, match="index"):
        writer.write("epoch", 1.5)  # type: ignore[arg-type]
    with pytest.raises(StoreTypeError, match="not JSON"):
        writer.write("epoch", 1, 2, {"model": object()})
    with pytest.raises(StoreValueError, match="empty"):
        ProgressWriter(database, "")
    with pytest.raises(StoreTypeError, match="name of a job"):
        ProgressWriter(database, 3)  # type: ignore[arg-type]
    assert read_rows(database, "job").is_empty()
    assert writer.write("epoch") == 0
