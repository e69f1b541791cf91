"""Source files that go away, are claimed twice, renamed or still written, and their results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mosaic_dagster.dataset import SourceRule
from mosaic_dagster.errors import RunFailedError
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.pipeline import DatasetRun, Selection
from mosaic_dagster.pipeline.clean import clean_table


@pytest.fixture
def done(files: Any, layered: Any, run: Any, log: Any) -> Any:
    """The dataset of three files with everything made, its folder, and the pipeline."""
    dataset, folder = files
    pipeline = layered()
    run(pipeline, dataset)
    log.take()
    return dataset, folder, pipeline


def unplug(folder: Path, how: str) -> Path:
    """Take the disk of ``recordings/g`` away; gives where it is."""
    disk = folder.parent
    away = disk.with_name("unplugged")
    disk.rename(away)
    if how == "mount point":
        disk.mkdir()
    return away


@pytest.mark.parametrize("how", ["removed", "mount point"])
def test_a_disk_that_is_away_costs_nothing(done: Any, states: Any, run: Any, log: Any, how: str):
    """All stays fresh, counts in fits, and is told once; back again, nothing is made anew."""
    dataset, folder, pipeline = done
    away = unplug(folder, how)
    for step in ("tracks", "shift", "scaled"):
        assert set(states(dataset, pipeline, step).values()) == {"fresh"}
    looked = DatasetRun(dataset, [pipeline]).tracks
    assert (looked.vanished, looked.refused, len(looked.absent)) == ([], {}, 1)
    assert "of 3 recordings" in looked.absent[0]
    assert pipeline.status(dataset)["reason"].item(0) == "source folder not there (3)"
    run(pipeline, dataset)
    if how == "mount point":
        folder.parent.rmdir()
    away.rename(folder.parent)
    run(pipeline, dataset)
    assert log.take() == []
    assert pipeline.status(dataset)["reason"].item(0) == ""


def test_clean_keeps_the_recordings_of_a_disk_that_is_away(done: Any) -> None:
    """`mosaic clean --apply` on the wrong morning must not lose a lab's work."""
    dataset, folder, pipeline = done
    unplug(folder, "mount point")
    table = clean_table(dataset, [pipeline], dry_run=False, all_declared=True)
    assert table.filter(feature="recording").is_empty()
    assert table.filter(status="removed").is_empty()
    (kept,) = table.filter(status="kept").iter_rows(named=True)
    assert kept["feature"] == "source"
    assert "of 3 recordings is empty" in kept["remark"]
    assert len(dataset.entries()) == 3
    assert len(dataset.registry.sources()) == 3


def test_without_its_rule_a_recording_can_be_forgotten(done: Any) -> None:
    """Taking the rule out is the explicit act; `clean` then forgets what only it named."""
    dataset, folder, pipeline = done
    unplug(folder, "removed")
    dataset.save(dataset.manifest.without_source(dataset.manifest.sources[0]))
    looked = DatasetRun(dataset, [pipeline]).tracks
    assert looked.absent == []
    assert all("no source names it any more" in told for told in looked.told_vanished)
    clean_table(dataset, [pipeline], dry_run=False, all_declared=True)
    assert dataset.entries() == []


def test_what_was_never_read_waits_for_the_disk(files: Any, layered: Any) -> None:
    """Registered, not yet read: it says what is missing, not that the file vanished."""
    dataset, folder = files
    DatasetRun(dataset, [layered()]).tracks.register()
    unplug(folder, "removed")
    statuses = DatasetRun(dataset, [layered()]).tracks.statuses
    assert {status.state for status in statuses.values()} == {"blocked"}
    assert all("mount the disk" in status.reason for status in statuses.values())


def test_labels_on_a_disk_that_is_away_stay(added: Any, tmp_path: Path, layered: Any, run: Any):
    """One row says that ``s1`` is about the scene, and that frame 0 shows walking."""
    dataset, pipeline, key = added, layered(), EntryKey("g", "s1")
    folder = tmp_path / "labels"
    folder.mkdir()
    row = {"frame": [0], "id1": [-1], "id2": [-1], "label": [1], "name": ["walk"]}
    pl.DataFrame(row).write_parquet(folder / "s1.parquet")
    dataset.add_source(SourceRule(path=str(folder), labels="behavior", group="g"))
    run(pipeline, dataset)
    before = dataset.labels(key)
    folder.rename(tmp_path / "away")
    state = DatasetRun(dataset, [pipeline]).ingested["labels/behavior"]
    assert state.statuses[str(key)].state == "fresh"
    assert "of the labels 'behavior' of 1 recording is not there" in state.absent[0]
    clean_table(dataset, [pipeline], dry_run=False, all_declared=True)
    assert dataset.labels(key).events.equals(before.events)


def test_a_second_file_for_a_recording_changes_nothing_until_one_is_removed(
    done: Any, toy: Any, states: Any, run: Any, log: Any
) -> None:
    """``s2`` comes again through another rule: its results stay fresh, the run says which clash."""
    dataset, folder, pipeline = done
    other = toy.write_csv(folder.parent.parent / "more" / "g" / "s2.csv", 50.0)
    dataset.add_source(SourceRule(path=str(Path(other).parents[1]), format="keypoint_csv"))
    with pytest.raises(RunFailedError) as caught:
        run(pipeline, dataset)
    assert "both the entry g/s2" in str(caught.value)
    assert set(states(dataset, pipeline, "scaled").values()) == {"fresh"}
    assert log.take() == []
    (folder / "s2.csv").unlink()
    run(pipeline, dataset)
    assert "toy-shift:s2" in log.take()
    assert dataset.tracks(EntryKey("g", "s2"))["X"].item(0) == 50.0


def test_a_renamed_group_is_made_and_the_old_one_told_as_renamed(done: Any, run: Any) -> None:
    """Tables carry their group, so it is computed anew; nothing of the old one is lost."""
    dataset, folder, pipeline = done
    folder.rename(folder.with_name("day1"))
    run(pipeline, dataset)
    assert {str(key) for key in dataset.entries()} == {
        f"{group}/s{number}" for group in ("g", "day1") for number in (1, 2, 3)
    }
    looked = DatasetRun(dataset, [pipeline]).tracks
    assert len(looked.told_vanished) == 3
    assert looked.told_vanished[0].endswith("s1.csv, recording day1/s1)")
    assert "g/s1.csv (renamed to" in looked.told_vanished[0]
    table = clean_table(dataset, [pipeline], dry_run=False, all_declared=True)
    told = table.filter(feature="recording")
    assert dict(zip(told["run_id"], told["remark"], strict=True))["g/s2"] == "renamed to day1/s2"
    assert {key.group for key in dataset.entries()} == {"day1"}


def test_a_renamed_file_of_the_same_recording_stays_fresh(done: Any, run: Any, log: Any) -> None:
    """Only the ending is written otherwise: same name, same bytes, nothing to compute."""
    dataset, folder, pipeline = done
    (folder / "s2.csv").rename(folder / "s2.CSV")
    run(pipeline, dataset)
    assert log.take() == []
    assert "renamed to" in DatasetRun(dataset, [pipeline]).tracks.told_vanished[0]
    clean_table(dataset, [pipeline], dry_run=False, all_declared=True)
    assert len(dataset.entries()) == 3


def test_a_touched_file_is_hashed_once_more_and_never_again(done: Any, run: Any, log: Any) -> None:
    """The fresh facts are recorded: else each status would read a whole archive that was copied."""
    dataset, folder, pipeline = done
    (folder / "s2.csv").touch()
    run(pipeline, dataset)
    assert log.take() == []
    assert DatasetRun(dataset, [pipeline]).tracks.scan.updates == ()


def test_what_is_still_written_waits(done: Any, toy: Any, run: Any, states: Any, log: Any) -> None:
    """A sensor's run: the new file is not registered, of the changed one the old result counts."""
    dataset, folder, pipeline = done
    new = Path(toy.write_csv(folder / "s4.csv", 5.0))
    changed = Path(toy.write_csv(folder / "s2.csv", 70.0))
    held = DatasetRun(dataset, [pipeline], selection=Selection(unsettled=frozenset({new, changed})))
    held.tracks.register()
    assert len(dataset.entries()) == 3
    assert {status.state for status in held.tracks.statuses.values()} == {"fresh"}
    assert held.tracks.statuses["g/s2"].result is not None
    assert states(dataset, pipeline, "tracks")["s2"] == "stale source changed"
    run(pipeline, dataset)
    assert len(dataset.entries()) == 4


def test_a_recording_never_read_and_still_written_is_blocked(files: Any, layered: Any) -> None:
    dataset, folder = files
    DatasetRun(dataset, [layered()]).tracks.register()
    held = Selection(unsettled=frozenset({folder / "s2.csv"}))
    status = DatasetRun(dataset, [layered()], selection=held).tracks.statuses["g/s2"]
    assert (status.state, status.reason) == ("blocked", "its source may still be written")
    assert not status.is_computable
