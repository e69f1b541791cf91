"""Callbacks hear a training, and none of them can end it."""

from __future__ import annotations

import io
import logging
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mosaic_dagster import Dataset
from mosaic_dagster.errors import StoreError, StoreTypeError
from mosaic_dagster.models import (
    CompositeProgressCallback,
    ConsoleProgress,
    CsvProgress,
    DatabaseProgress,
    TrainingProgressCallback,
    read_progress,
)
from mosaic_dagster.store import Database, WorkspaceStore


class Heard(TrainingProgressCallback):
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def on_epoch_end(self, epoch: int, total: Any = None, metrics: Any = None) -> None:
        self.calls.append(("epoch", epoch, total, metrics))

    def on_class_start(self, index: int, total: int | None, name: str) -> None:
        self.calls.append(("class", index, total, name))

    def on_phase(self, phase: str, message: str = "") -> None:
        self.calls.append(("phase", phase, message))

    def on_entry_start(self, index: int, total: int | None, key: str) -> None:
        self.calls.append(("start", index, total, key))

    def on_entry_end(self, index: int, total: int | None, key: str) -> None:
        self.calls.append(("end", index, total, key))


class Broken(TrainingProgressCallback):
    def on_epoch_end(self, epoch: int, total: Any = None, metrics: Any = None) -> None:
        msg = f"no space at {epoch}"
        raise OSError(msg)


def say_everything(callback: TrainingProgressCallback) -> None:
    callback.on_phase("reading", "3 recordings")
    callback.on_entry_start(0, 2, "g/s1")
    callback.on_entry_end(0, 2, "g/s1")
    callback.on_class_start(1, 2, "attack")
    callback.on_epoch_end(0, 2, {"loss": 0.5})
    callback.on_epoch_end(1, 2, {"loss": 0.25})


def test_a_callback_need_not_override_anything() -> None:
    """A user who wants epochs only must not write five methods."""
    say_everything(TrainingProgressCallback())
    said = Heard()
    say_everything(said)
    assert len(said.calls) == 6


def test_each_callback_hears_every_call_in_order() -> None:
    """A bar on the screen and rows in the database have to tell the same story."""
    direct, first, second = Heard(), Heard(), Heard()
    say_everything(direct)
    say_everything(CompositeProgressCallback([first, second]))
    assert first.calls == second.calls == direct.calls


def test_a_failing_callback_is_told_about_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A full disk below a CSV file must not throw away a night of training."""
    after = Heard()
    composite = CompositeProgressCallback([Broken(), after])
    with caplog.at_level(logging.WARNING):
        say_everything(composite)
    assert len(after.calls) == 6
    assert composite.failures == ["Broken failed: OSError: no space at 0 (2 times)"]
    assert len(caplog.records) == 1
    assert "no space at 0" in caplog.text


def test_a_person_who_interrupts_a_training_is_heard() -> None:
    class Interrupted(TrainingProgressCallback):
        def on_phase(self, phase: str, message: str = "") -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CompositeProgressCallback([Interrupted()]).on_phase("fit")


def test_the_console_shows_plain_lines_counted_from_one() -> None:
    stream = io.StringIO()
    say_everything(ConsoleProgress(stream))
    assert stream.getvalue().splitlines() == [
        "phase  reading: 3 recordings",
        "entry start 1/2  g/s1",
        "entry end 1/2  g/s1",
        "class 2/2  attack",
        "epoch 1/2  loss=0.5",
        "epoch 2/2  loss=0.25",
    ]


def test_the_console_can_leave_out_epochs_but_not_the_last() -> None:
    """Ten thousand lines hide what is said between them."""
    stream = io.StringIO()
    console = ConsoleProgress(stream, every=2)
    for epoch in range(4):
        console.on_epoch_end(epoch, 4)
    assert stream.getvalue().split("\n") == ["epoch 1/4", "epoch 3/4", "epoch 4/4", ""]


def test_a_csv_file_has_a_line_for_every_call(tmp_path: Path) -> None:
    """Phases without an index must not replace each other."""
    path = tmp_path / "progress.csv"
    callback = CsvProgress(path)
    say_everything(callback)
    callback.on_phase("done")
    table = pl.read_csv(path)
    assert table["seq"].to_list() == list(range(7))
    assert table["message"].to_list()[-1] == "done"
    assert table["metrics"].to_list()[4] == "loss=0.5"
    CsvProgress(path).on_phase("again")
    assert pl.read_csv(path).height == 8


@pytest.mark.parametrize("by", ["dataset", "folder", "text", "database", "store"])
def test_progress_is_read_by_whatever_names_the_workspace(tmp_path: Path, by: str) -> None:
    dataset = Dataset.create(tmp_path / "w", name="toy")
    say_everything(DatabaseProgress(dataset, "job"))
    where: Any = {
        "dataset": dataset,
        "folder": dataset.path,
        "text": str(dataset.path),
        "database": Database(dataset.path / "store.duckdb"),
    }.get(by)
    if by == "store":
        with WorkspaceStore(dataset.path) as store:
            rows = read_progress(store, "job")
    else:
        rows = read_progress(where, "job")
    assert rows.height == 6
    assert rows.columns == [
        "seq", "step_type", "step_index", "step_total", "metrics", "message", "at",
    ]  # fmt: skip


def test_a_folder_without_a_workspace_is_an_error_and_stays_as_it_was(tmp_path: Path) -> None:
    """A typing error must not show an empty training, nor make a database."""
    with pytest.raises(StoreError, match="no workspace"):
        read_progress(tmp_path / "typo", "job")
    with pytest.raises(StoreTypeError, match="int is no workspace"):
        read_progress(3, "job")  # type: ignore[arg-type]
    assert not (tmp_path / "typo").exists()


@pytest.mark.slow
def test_a_killed_training_leaves_all_it_said(tmp_path: Path) -> None:
    """After a crash at night, the last epoch says how far it came."""
    workspace = tmp_path / "w"
    code = f"""
import os, signal
from mosaic_dagster.models import DatabaseProgress
progress = DatabaseProgress({str(workspace)!r}, "night")
for epoch in range(50):
    progress.on_epoch_end(epoch, 100, {{"loss": 1 / (epoch + 1)}})
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    rows = read_progress(workspace, "night")
    assert rows["step_index"].to_list() == list(range(50))


@pytest.mark.slow
def test_another_process_reads_while_the_training_goes_on(tmp_path: Path) -> None:
    """The page that shows a training is never the process that trains."""
    progress = DatabaseProgress(tmp_path / "w", "now")
    progress.on_epoch_end(0, 2)
    code = f"""
from mosaic_dagster.models import read_progress
print(read_progress({str(tmp_path / "w")!r}, "now")["step_index"].to_list())
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[0]"
    progress.on_epoch_end(1, 2)
    assert read_progress(tmp_path / "w", "now")["step_index"].to_list() == [0, 1]
