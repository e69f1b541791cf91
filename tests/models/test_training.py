"""Models are trained once per identity, and every training is remembered."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mosaic_dagster import Dataset, EntryKey
from mosaic_dagster.dataset import Labels
from mosaic_dagster.errors import HashingError, ParamsError
from mosaic_dagster.models import (
    TrainingProgressCallback,
    list_models,
    read_progress,
    train_model,
)
from mosaic_dagster.models.training import dataset_identity


class Toy:
    """Trains for two epochs; ``broken`` fails at the second."""

    name = "toy"
    version = "1.0"

    def __init__(self, broken: bool = False, metrics: Any = None) -> None:
        self.calls: list[str] = []
        self.broken = broken
        self.metrics = {"loss": 0.25} if metrics is None else metrics

    def configure(self, config: Mapping[str, Any], run_root: Path) -> None:
        self.calls.append(f"configure {config['rate']}")
        self.run_root = run_root

    def train(self, progress_callback: TrainingProgressCallback) -> Any:
        self.calls.append("train")
        for epoch in range(2):
            if self.broken and epoch:
                msg = "the loss is NaN"
                raise ArithmeticError(msg)
            progress_callback.on_epoch_end(epoch, 2, {"loss": 1 / (epoch + 1)})
        (self.run_root / "weights.txt").write_text("0.5")
        return self.metrics


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    ds = Dataset.create(tmp_path / "w", name="toy", meta={"fps_default": 10.0})
    rows = pl.DataFrame({"frame": range(3), "id": 0, "X": [0.0, 1.0, 2.0], "Y": 0.0})
    ds.add_tracks(EntryKey("g", "s1"), rows)
    return ds


def test_a_training_leaves_its_files_and_a_row(dataset: Dataset) -> None:
    done = train_model(dataset, Toy(), {"rate": 0.1})
    assert done.run_root == dataset.path / "exports" / "models" / "toy" / done.run_id
    assert done.run_id.startswith("1.0-")
    assert len(done.run_id) == len("1.0-") + 12
    assert json.loads(done.config_path.read_text()) == {"rate": 0.1}
    assert json.loads(done.metrics_path.read_text()) == {"loss": 0.25} == done.metrics
    (row,) = list_models(dataset).to_dicts()
    assert (row["run_id"], row["model"], row["version"]) == (done.run_id, "toy", "1.0")
    assert (row["status"], row["notes"]) == ("success", "")
    assert Path(row["metrics_path"]) == done.metrics_path
    assert Path(row["config_path"]) == done.config_path
    assert row["finished_at"] >= row["started_at"]


def test_the_same_training_is_found_and_not_done_again(dataset: Dataset) -> None:
    """Hours of training are lost when a notebook is run a second time."""
    first = train_model(dataset, Toy(), {"rate": 1})
    model = Toy()
    again = train_model(dataset, model, {"rate": 1.0})
    assert again.reused
    assert not first.reused
    assert model.calls == []
    assert (again.run_id, again.metrics) == (first.run_id, first.metrics)
    assert list_models(dataset).height == 1


def test_overwrite_trains_again_under_the_same_identity(dataset: Dataset) -> None:
    first = train_model(dataset, Toy(), {"rate": 1})
    model = Toy(metrics={"loss": 0.1})
    again = train_model(dataset, model, {"rate": 1}, overwrite=True)
    assert model.calls == ["configure 1", "train"]
    assert (again.run_id, again.metrics, again.reused) == (first.run_id, {"loss": 0.1}, False)
    assert list_models(dataset)["status"].to_list() == ["success", "success"]


def test_other_data_labels_configurations_and_versions_are_other_trainings(
    dataset: Dataset,
) -> None:
    """A model of yesterday's tracks must never be taken for one of today's."""
    ids = [train_model(dataset, Toy(), {"rate": 1}).run_id]
    ids.append(train_model(dataset, Toy(), {"rate": 2}).run_id)
    newer = Toy()
    newer.version = "1.1"
    ids.append(train_model(dataset, newer, {"rate": 1}).run_id)
    labels = Labels.per_frame([0, 1], {0: "a", 1: "b"})
    dataset.add_labels(EntryKey("g", "s1"), labels)
    ids.append(train_model(dataset, Toy(), {"rate": 1}).run_id)
    other = Labels.per_frame([0, 0], {0: "a", 1: "b"})
    dataset.add_labels(EntryKey("g", "s1"), other, overwrite=True)
    ids.append(train_model(dataset, Toy(), {"rate": 1}).run_id)
    tracks = dataset.tracks(EntryKey("g", "s1")).with_columns(X=pl.col("X") + 1)
    dataset.add_tracks(EntryKey("g", "s1"), tracks, overwrite=True)
    ids.append(train_model(dataset, Toy(), {"rate": 1}).run_id)
    assert len(set(ids)) == len(ids)


def test_a_model_may_say_what_it_depends_on(dataset: Dataset) -> None:
    """One that reads a single split need not be trained again when other recordings come."""

    class Declared(Toy):
        split = ("g/s1",)

        def identity(self, ds: Dataset) -> dict[str, Any]:
            return {"tracks": dataset_identity(ds)["tracks"]["g/s1"], "split": self.split}

    first = train_model(dataset, Declared(), {"rate": 1})
    other_tracks = dataset.tracks(EntryKey("g", "s1")).drop("group", "sequence")
    dataset.add_tracks(EntryKey("g", "s2"), other_tracks)
    assert train_model(dataset, Declared(), {"rate": 1}).reused
    other = Declared()
    other.split = ("g/s2",)
    assert train_model(dataset, other, {"rate": 1}).run_id != first.run_id


def test_a_failed_training_is_failed_and_tried_again(dataset: Dataset) -> None:
    """A run that died must never be taken for a result, nor keep a result from being made."""
    with pytest.raises(ArithmeticError, match="loss is NaN"):
        train_model(dataset, Toy(broken=True), {"rate": 1})
    (row,) = list_models(dataset).to_dicts()
    assert (row["status"], row["notes"]) == ("failed", "ArithmeticError: the loss is NaN")
    assert not Path(row["metrics_path"]).exists()
    done = train_model(dataset, Toy(), {"rate": 1})
    assert not done.reused
    assert list_models(dataset)["status"].to_list() == ["success", "failed"]


def test_a_failed_overwrite_does_not_leave_the_metrics_of_before(dataset: Dataset) -> None:
    """The files of the folder would belong to two trainings."""
    done = train_model(dataset, Toy(), {"rate": 1})
    with pytest.raises(ArithmeticError):
        train_model(dataset, Toy(broken=True), {"rate": 1}, overwrite=True)
    assert not done.metrics_path.exists()
    assert not train_model(dataset, Toy(), {"rate": 1}).reused


def test_progress_is_kept_under_the_run_id(dataset: Dataset) -> None:
    heard: list[int] = []

    class Listener(TrainingProgressCallback):
        def on_epoch_end(self, epoch: int, total: Any = None, metrics: Any = None) -> None:
            heard.append(epoch)

    done = train_model(dataset, Toy(), {"rate": 1}, progress_callback=Listener())
    assert heard == [0, 1]
    rows = read_progress(dataset, done.run_id)
    assert [json.loads(text)["loss"] for text in rows["metrics"]] == [1.0, 0.5]


def test_a_failing_callback_is_noted_and_the_model_is_kept(dataset: Dataset) -> None:
    class Broken(TrainingProgressCallback):
        def on_epoch_end(self, epoch: int, total: Any = None, metrics: Any = None) -> None:
            msg = "no network"
            raise ConnectionError(msg)

    done = train_model(dataset, Toy(), {"rate": 1}, progress_callback=Broken())
    assert done.notes == "Broken failed: ConnectionError: no network (2 times)"
    assert list_models(dataset)["notes"].item() == done.notes


def test_an_error_while_binding_is_an_error(dataset: Dataset) -> None:
    """Else a model trains on nothing and says that all went well."""

    class Unbound(Toy):
        def bind_dataset(self, ds: Dataset) -> None:
            msg = f"{ds.name} has no labels"
            raise LookupError(msg)

    model = Unbound()
    with pytest.raises(LookupError, match="toy has no labels"):
        train_model(dataset, model, {"rate": 1})
    assert model.calls == []


def test_storage_names_callbacks_and_metrics_may_differ(dataset: Dataset) -> None:
    """A callback parameter of another name, none at all, and a loss of NaN are all usual."""

    class Other(Toy):
        storage_model_name = "toy lab/v2"

        def train(self, callback: TrainingProgressCallback) -> Any:  # type: ignore[override]
            callback.on_phase("fit")
            return {"loss": math.nan}

    class Silent(Toy):
        def train(self) -> None:  # type: ignore[override]
            return None

    done = train_model(dataset, Other(), {"rate": 1})
    assert done.model == "toy lab/v2"
    assert done.run_root.parent.parent == dataset.path / "exports" / "models"
    assert done.metrics == {"loss": None}
    assert read_progress(dataset, done.run_id)["message"].to_list() == ["fit"]
    assert train_model(dataset, Silent(), {"rate": 2}).metrics == {}


def test_what_is_no_model_or_no_configuration_is_refused(dataset: Dataset) -> None:
    nameless = Toy()
    nameless.name = ""
    with pytest.raises(ParamsError, match="name of a Toy"):
        train_model(dataset, nameless, {})
    thing: Any = type("object", (), {"name": "x"})()
    with pytest.raises(ParamsError, match="version of a object"):
        train_model(dataset, thing, {})
    thing = type("object", (), {"name": "x", "version": "1"})()
    with pytest.raises(ParamsError, match="no method configure"):
        train_model(dataset, thing, {})
    with pytest.raises(HashingError, match=r"config\.rate"):
        train_model(dataset, Toy(), {"rate": math.nan})
    with pytest.raises(ParamsError, match="returned a int"):
        train_model(dataset, Toy(metrics=3), {"rate": 1})
    assert list_models(dataset)["status"].to_list() == ["failed"]


def test_long_errors_are_cut_to_500_signs(dataset: Dataset) -> None:
    class Wordy(Toy):
        def train(self, progress_callback: Any) -> Any:
            raise ValueError("x" * 2000)

    with pytest.raises(ValueError, match="xxx"):
        train_model(dataset, Wordy(), {"rate": 1})
    assert len(list_models(dataset)["notes"].item()) == 500


@pytest.mark.slow
def test_a_killed_training_leaves_readable_progress_and_is_listed_as_failed(
    dataset: Dataset,
) -> None:
    """A run of a dead process must not be shown as running for ever."""
    code = f"""
import os, signal
from mosaic_dagster import Dataset
from mosaic_dagster.models import train_model

class Dying:
    name, version = "toy", "1.0"
    def configure(self, config, run_root): pass
    def train(self, callback):
        callback.on_epoch_end(0, 9, {{"loss": 1.0}})
        os.kill(os.getpid(), signal.SIGKILL)

train_model(Dataset.open({str(dataset.path)!r}), Dying(), {{"rate": 1}})
"""
    died = subprocess.run([sys.executable, "-c", code], check=False)
    assert died.returncode == -signal.SIGKILL
    (row,) = list_models(dataset).to_dicts()
    assert row["status"] == "failed"
    assert "ended without a word" in row["notes"]
    assert read_progress(dataset.path, row["run_id"])["step_index"].to_list() == [0]
    done = train_model(dataset, Toy(), {"rate": 1})
    assert done.run_id == row["run_id"]
    assert list_models(dataset)["status"].to_list() == ["success", "failed"]
