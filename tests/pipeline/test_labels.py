"""Labels as inputs of steps: who has them, what a change of them makes stale, bad label files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from mosaic_dagster import CallbackStep, EntryKey, FeatureStep, Pipeline
from mosaic_dagster.dataset import Labels, SourceRule
from mosaic_dagster.dataset.labels.readers import LabelledRecording, LabelReaderParams
from mosaic_dagster.dataset.labels.readers.registry import LABEL_READERS
from mosaic_dagster.errors import (
    EntryExistsError,
    EntryNotFoundError,
    PipelineDefinitionError,
    ReaderError,
    RunFailedError,
)
from mosaic_dagster.pipeline import DatasetRun
from mosaic_dagster.pipeline.clean import clean_table
from mosaic_dagster.store import StepOutput

NAMES = {0: "rest", 1: "walk"}
S1, S2 = EntryKey("g", "s1"), EntryKey("g", "s2")


class FrameClasses:
    """One class per line; a file of ``<sequence>.classes``."""

    name: ClassVar[str] = "frame_classes"
    version: ClassVar[str] = "1"
    extensions: ClassVar[tuple[str, ...]] = (".classes",)
    merges: ClassVar[bool] = False
    params: ClassVar[type[LabelReaderParams]] = LabelReaderParams

    def sniff(self, path: Path) -> bool:
        return True

    def labelled(self, path: Path, params: LabelReaderParams) -> list[tuple[str | None, str]]:
        return [("g", path.stem)]

    def read(self, path: Path, params: LabelReaderParams) -> list[LabelledRecording]:
        lines = path.read_text().split()
        if not all(line.isdecimal() for line in lines):
            msg = f"{path}: not a class."
            raise ReaderError(msg)
        return [LabelledRecording(path.stem, "g", Labels.per_frame(map(int, lines), NAMES))]


@pytest.fixture
def pipeline(toy: Any, log: Any) -> Pipeline:
    given = {"log": str(log)}
    return (
        Pipeline(name="labelled")
        .add(FeatureStep("classes", toy.Labelled, given))
        .add(FeatureStep("count", toy.LabelCount, given))
    )


@pytest.fixture
def from_files(added: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The dataset of three entries with label files of the first two."""
    monkeypatch.setitem(LABEL_READERS._readers, FrameClasses.name, FrameClasses())
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "s1.classes").write_text("1 1 0 0")
    (folder / "s2.classes").write_text("0 0 0 1")
    added.add_source(SourceRule(path=str(folder), labels="behavior", format="frame_classes"))
    return added, folder


def walks(**frames: int) -> Labels:
    """Walking in the first frames of everybody."""
    return Labels.from_spans([(0, frames["until"], -1, -1, 1)], NAMES)


def classes(results: Any, key: EntryKey) -> list[float | None]:
    return results["classes"].table(key)["class"].to_list()


def test_entries_without_labels_are_unlabelled_and_not_missing(added, pipeline, run, log):
    """Else labelling half of the recordings would leave the other half without features."""
    added.add_labels(S1, walks(until=2))
    results = run(pipeline, added)
    assert classes(results, S1) == [1, 1, None, None]
    assert classes(results, S2) == [None] * 4
    assert results["count"].artifact("count.json").read_text() == "2"


def test_new_labels_make_their_entry_and_the_fit_stale_and_nothing_else(
    added, pipeline, run, log, states
):
    """Else a corrected label would be ignored, or would cost a whole run."""
    added.add_labels(S1, walks(until=2))
    run(pipeline, added)
    log.take()
    added.add_labels(S2, walks(until=1))
    assert states(added, pipeline, "classes") == {
        "s1": "fresh", "s2": "stale input: labels/behavior", "s3": "fresh",
    }  # fmt: skip
    assert states(added, pipeline, "count")[""] == "stale input: labels/behavior"
    run(pipeline, added)
    assert [line for line in log.take() if line.startswith("toy-labelled")] == ["toy-labelled:s2"]


def test_changed_labels_that_say_the_same_change_nothing_below(added, pipeline, run, log):
    """Early cut-off: a label file that is saved anew must not recompute a study."""
    added.add_labels(S1, walks(until=2))
    run(pipeline, added)
    log.take()
    added.add_labels(S1, walks(until=2), overwrite=True)
    run(pipeline, added)
    assert log.take() == []


def test_label_files_are_read_when_they_change(from_files, pipeline, run, log, states):
    """Else people would wait in vain for what they just labelled."""
    dataset, folder = from_files
    results = run(pipeline, dataset)
    assert classes(results, S1) == [1, 1, 0, 0]
    log.take()
    (folder / "s1.classes").write_text("0 1 0 0")
    looked = DatasetRun(dataset, [pipeline])
    assert looked.ingested["labels/behavior"].statuses[str(S1)].reason == "source changed"
    assert classes(run(pipeline, dataset), S1) == [0, 1, 0, 0]
    lines = log.take()
    assert "toy-labelled:s1" in lines
    assert "toy-labelled:s2" not in lines


def test_a_vanished_label_file_leaves_its_labels(from_files, pipeline, run, log):
    """A disk that is not mounted must not turn labelled recordings into unlabelled ones."""
    dataset, folder = from_files
    run(pipeline, dataset)
    log.take()
    (folder / "s1.classes").unlink()
    assert classes(run(pipeline, dataset), S1) == [1, 1, 0, 0]
    assert log.take() == []


def test_a_broken_label_file_stops_its_entry_alone(from_files, pipeline, run, states):
    """Else one bad export would stop the study, or pass as *unlabelled*."""
    dataset, folder = from_files
    (folder / "s2.classes").write_text("0 oops")
    with pytest.raises(RunFailedError, match="not a class"):
        run(pipeline, dataset)
    assert states(dataset, pipeline, "classes") == {
        "s1": "fresh", "s2": "blocked labels/behavior failed", "s3": "fresh",
    }  # fmt: skip


def test_labels_of_recordings_that_are_not_there_are_told_and_fail_nothing(
    from_files, pipeline, run
):
    """A lab labels more than it tracks; but a misnamed file must be found by its message."""
    dataset, folder = from_files
    (folder / "s4.classes").write_text("0")
    run(pipeline, dataset)
    notes = DatasetRun(dataset, [pipeline]).ingested["labels/behavior"].notes
    assert notes == ["s4.classes labels g/s4, which is no recording. Did you mean 'g/s1'?"] or (
        "s4.classes labels g/s4, which is no recording." in notes[0]
    )


def test_labels_by_hand_do_not_replace_those_of_files(from_files, pipeline, run):
    """They would be lost with the next run."""
    dataset, _ = from_files
    run(pipeline, dataset)
    with pytest.raises(EntryExistsError, match=r"s1\.classes"):
        dataset.add_labels(S1, walks(until=2), overwrite=True)
    with pytest.raises(EntryNotFoundError, match="no entry g/nobody"):
        dataset.add_labels(EntryKey("g", "nobody"), walks(until=2))


def test_callbacks_read_labels_of_those_that_have_them(added, run, log):
    """Reports compare with what people said."""
    told: dict[str, Any] = {}

    def look(dataset: Any, results: Any, factor: int) -> StepOutput:
        found = {key: results["labels/behavior"].labels(key) for key in (S1, S2)}
        told.update({k.sequence: v and v.events.height * factor for k, v in found.items()})
        return StepOutput(metadata={"n": len(results["labels/behavior"].keys())})

    def declared(factor: int) -> Pipeline:
        step = CallbackStep("look", look, ["tracks", "labels/behavior"], params={"factor": factor})
        return Pipeline(name="report_only").add(step)

    added.add_labels(S1, walks(until=2))
    run(declared(10), added)
    assert told == {"s1": 20, "s2": None}
    told.clear()
    run(declared(10), added)
    assert told == {}, "nothing changed, so it must not run"
    run(declared(100), added)
    assert told == {"s1": 200, "s2": None}, "a changed parameter is another result"


def test_a_feature_cannot_read_labels_as_its_table(toy):
    """The message has to name the way that works."""
    step = FeatureStep("classes", toy.Labelled, {}, ["labels/behavior"])
    with pytest.raises(PipelineDefinitionError, match="LabelsSource"):
        Pipeline(name="wrong").add(step).graph()


def test_cleaning_keeps_labels_that_were_added_by_hand(files, layered, run):
    """Hours of scoring cannot be computed again; a disk that is not mounted must not cost them."""
    dataset, folder = files
    pipeline = layered()
    run(pipeline, dataset)
    dataset.add_labels(S1, walks(until=2), kind="second_rater")
    content = (folder / "s1.csv").read_bytes()
    (folder / "s1.csv").unlink()
    clean_table(dataset, [pipeline], dry_run=False, all_declared=True)
    assert S1 not in dataset.entries()
    (folder / "s1.csv").write_bytes(content)
    run(pipeline, dataset)
    labels = dataset.labels(S1, "second_rater")
    assert isinstance(labels, Labels)
    assert labels.events.height == 2


def test_cleaning_forgets_labels_whose_file_is_gone(from_files, pipeline, run, states):
    """Withdrawn labels must not train models for ever."""
    dataset, folder = from_files
    run(pipeline, dataset)
    (folder / "s1.classes").unlink()
    clean_table(dataset, [pipeline], dry_run=False, all_declared=True)
    with pytest.raises(EntryNotFoundError, match="none at all"):
        dataset.labels(S1)
    assert states(dataset, pipeline, "classes")["s1"] == "stale input: labels/behavior"
    assert classes(run(pipeline, dataset), S1) == [None] * 4


def test_labels_are_taken_away_by_hand(from_files, pipeline, run):
    dataset, folder = from_files
    run(pipeline, dataset)
    with pytest.raises(EntryExistsError, match=r"s1\.classes"):
        dataset.remove_labels(S1)
    (folder / "s1.classes").unlink()
    dataset.remove_labels(S1)
    assert classes(run(pipeline, dataset), S1) == [None] * 4
    with pytest.raises(EntryNotFoundError, match="none at all"):
        dataset.remove_labels(S1)
    dataset.add_labels(S1, walks(until=1))
    assert classes(run(pipeline, dataset), S1) == [1, None, None, None]
