"""Dagster's staleness and the project's own: the same where Dagster can know, told where not.

Dagster knows code versions, and the data version of each entry that it was told of. So it calls
stale what has other parameters or code, and entries that were made from results which have been
replaced since. That a file changed, an object is lost, something above waits to be made, or one of
the many tables of a fit was replaced is known to the registry alone, which the check
``up_to_date`` speaks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from mosaic_dagster import CallbackStep, EntryKey, FeatureStep, Pipeline, Study
from mosaic_dagster.dataset import DatasetDeclaration, Labels, SourceRule
from mosaic_dagster.dataset.labels import encode_labels
from mosaic_dagster.pipeline import DatasetRun
from mosaic_dagster.pipeline.why import explain

pytestmark = [
    pytest.mark.dagster,
    pytest.mark.slow,
    # Dagster's own way of passing one resource to another.
    pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated"),
]

Unit = tuple[str, str]
ENTRIES = [f"g/s{i}" for i in range(4)]
COUNTS = ("fresh", "stale", "missing", "failed", "blocked", "empty")
SHIFTS = {("layered/shift", entry) for entry in ENTRIES}


class Agreement:
    """Asks all who know, and fails where two of them differ."""

    def __init__(self, lab: Any, yellow: Any, status: Any, late: Any, standing: Any) -> None:
        self.lab, self.yellow, self.status, self.late = lab, yellow, status, late
        self.standing = standing

    def check(self) -> Mapping[Unit, str]:
        """Compare Dagster, ``mosaic status``, ``mosaic why`` and the check; gives the reasons."""
        late = self.late()
        self._compare_why(late)
        known = {
            (asset, key)
            for (asset, key), reason in late.items()
            if reason in ("params", "version") or (key and reason.startswith("input"))
        }
        # A report is older than whatever was made without it, which is not what status is about.
        yellow = self.yellow() - {("layered/report", "")}
        assert known <= yellow <= set(late)
        self.compare_check(self.standing())
        return late

    def _compare_why(self, late: Mapping[Unit, str]) -> None:
        run = DatasetRun(self.lab.dataset, self.lab.study().pipelines)
        (pipeline,) = run.evaluations
        for (asset, key), reason in late.items():
            parts = asset.removesuffix("/model").split("/")
            step = "/".join(parts[1:]) if parts[0] == pipeline else asset
            assert explain(run, pipeline, step, key).reason == reason

    def compare_check(self, found: Any) -> None:
        """The rows of the check are those of ``mosaic status``, and its numbers their sums."""
        told = self.status()
        rows = [dict(record.data) for record in found.metadata["steps"].records]
        assert [(r["step"], r["state"], r["reason"]) for r in rows] == [
            (r["step"], r["state"], r["reason"]) for r in told["steps"]
        ]
        sums = {name: sum(row[f"n_{name}"] for row in told["steps"]) for name in COUNTS}
        for name in ("stale", "missing", "failed", "blocked"):
            assert found.metadata[name].value == sums[name]
        good = f"{sums['fresh'] + sums['empty']} of {sum(sums.values())}"
        assert found.metadata["up to date"].value == good
        waiting = [row for row in told["entries"] if row["state"] != "empty"]
        assert found.passed == (not waiting)
        shown = [r.data["why"] for r in found.metadata["why"].records] if waiting else []
        assert shown == [row["error"] or row["reason"] for row in waiting]


@pytest.fixture
def agreement(lab: Any, yellow: Any, status: Any, late: Any, standing: Any) -> Agreement:
    return Agreement(lab, yellow, status, late, standing)


def test_after_a_refresh_everybody_says_fresh(refresh: Any, agreement: Agreement) -> None:
    """4 tracks, 5 steps of 4 recordings (a fit counts with its step) and one callback: 25."""
    refresh()
    agreement.compare_check(agreement.standing(again=False))
    assert agreement.check() == {}
    assert agreement.standing(again=False).description == "Up to date: 25 of 25."


@pytest.mark.parametrize("reason", ["params", "version"])
def test_what_is_declared_anew_is_stale_for_all(
    reason: str, lab: Any, toy: Any, refresh: Any, agreement: Agreement,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """shift is yellow; what is below waits, which the check alone can say."""
    refresh()
    if reason == "params":
        lab.params["shift"] = {"by": 2.0}
    else:
        monkeypatch.setattr(toy, "Shift", toy.NewShift)
    found = agreement.check()
    assert {unit for unit, told in found.items() if told == reason} == SHIFTS
    assert agreement.yellow() == SHIFTS
    assert found["layered/scaled", "g/s0"] == "upstream: mean"


def test_what_was_made_from_a_replaced_result_is_stale_for_all(
    lab: Any, refresh: Any, launch: Any, agreement: Agreement
) -> None:
    """Only shift is made again: mean read other tables, and what is below mean has to wait."""
    refresh()
    lab.params["shift"] = {"by": 2.0}
    launch({"dagster/asset_partition_range_start": "g/s0",
            "dagster/asset_partition_range_end": "g/s3"}, ["layered/shift"])  # fmt: skip
    found = agreement.check()
    assert found["layered/mean/model", ""] == "input: shift"
    assert found["layered/scaled/model", ""] == "upstream: mean"
    means = {("layered/mean", entry) for entry in ENTRIES}
    # The report that check() made is the newest of all.
    assert agreement.yellow() == means


def test_a_changed_file_is_told_by_the_check(lab: Any, refresh: Any, agreement: Agreement) -> None:
    """Dagster has no eyes for files: all is green there, and the check says which recording."""
    refresh()
    lab.record("s1", 11.0)
    found = agreement.check()
    assert found["tracks", "g/s1"] == "source changed"
    assert agreement.yellow() == set()
    assert "source changed" in agreement.standing(again=False).description
    assert refresh().success
    assert agreement.check() == {}


def test_a_lost_object_is_told_by_the_check(lab: Any, refresh: Any, agreement: Agreement) -> None:
    """Somebody tidied up the artifacts: nothing in Dagster's tables changed."""
    refresh()
    heads = lab.dataset.registry.heads("layered")
    (head,) = [head for head in heads if (head.step, head.key) == ("side", "g/s1")]
    lab.dataset.objects.path(head.output_sha256, head.ext).unlink()
    assert agreement.check() == {("layered/side", "g/s1"): "object missing"}


def test_a_failure_is_told_by_the_check(lab: Any, refresh: Any, agreement: Agreement) -> None:
    """The run fails after its report; the check has looked before, and names the recording."""
    lab.break_entry("shift", "s2")
    assert not refresh().success
    found = agreement.standing(again=False)
    agreement.compare_check(found)
    assert (found.metadata["failed"].value, found.metadata["blocked"].value) == (1, 3)
    first = found.metadata["why"].records[0].data
    assert (first["step"], first["recording"], first["state"]) == ("shift", "g/s2", "failed")
    assert "cannot do s2" in first["why"]
    assert "mosaic why shift --entry g/s2" in found.metadata["next"].value


class TestCutOff:
    """whole floors X, first and second add to it: 10.3 gives the bytes that 10.0 gave."""

    @pytest.fixture
    def lab(self, make_lab: Any, project: Any, toy: Any) -> Any:
        class Chained(make_lab):  # type: ignore[misc]
            def pipeline(self, name: str = "layered") -> Pipeline:
                given = {"log": str(self.log)}
                added = given | {"source": "x"}
                return (
                    Pipeline(name=name)
                    .add(FeatureStep("whole", toy.Whole, given))
                    .add(FeatureStep("first", toy.Shift, added, ["whole"]))
                    .add(FeatureStep("second", toy.Shift, added, ["first"]))
                )

        return Chained(project)

    def test_cut_off_is_fresh_for_all(self, lab: Any, refresh: Any, agreement: Agreement) -> None:
        """Two steps below a result that came out the same were not made, and nobody is yellow."""
        refresh()
        lab.record("s1", 10.3)
        found = agreement.check()
        assert found["layered/second", "g/s1"] == "upstream: first"
        assert refresh().computed == ["toy-whole:s1"]
        assert agreement.check() == {}


class TestLabels:
    """s0 and s1 are labelled; classes reads the labels of each recording, count those of all."""

    @pytest.fixture
    def lab(self, make_lab: Any, project: Any, toy: Any) -> Any:
        class Labelled(make_lab):  # type: ignore[misc]
            def label(self, sequence: str, until: int) -> None:
                labels = Labels.from_spans([(0, until, -1, -1, 1)], {0: "rest", 1: "walk"})
                path = self.root / "labels" / "g" / f"{sequence}.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encode_labels(labels, EntryKey("g", sequence)))

            def pipeline(self, name: str = "layered") -> Pipeline:
                given = {"log": str(self.log)}
                return (
                    Pipeline(name=name)
                    .add(FeatureStep("classes", toy.Labelled, given))
                    .add(FeatureStep("count", toy.LabelCount, given))
                    .add(CallbackStep("nothing", nothing, ["classes"]))
                )

            def study(self) -> Study:
                tracks = SourceRule(path=f"recordings/{self.name}", format="keypoint_csv")
                labels = SourceRule(path="labels", format="label_parquet", labels="behavior")
                return Study(
                    DatasetDeclaration(self.name, 10.0, "mm", sources=(tracks, labels)),
                    [self.pipeline()],
                )

        made = Labelled(project)
        made.label("s0", 2)
        made.label("s1", 1)
        return made

    def test_edited_labels(self, lab: Any, refresh: Any, launch: Any, agreement: Agreement) -> None:
        """The file changed: only the check knows. The labels were read: Dagster knows, too."""
        refresh()
        assert agreement.check() == {}
        lab.label("s1", 3)
        assert agreement.check()["labels/behavior", "g/s1"] == "source changed"
        launch({"dagster/partition": "g/s1"}, ["labels/behavior"])
        found = agreement.check()
        assert found["layered/classes", "g/s1"] == "input: labels/behavior"
        assert found["layered/count/model", ""] == "input: labels/behavior"
        refresh()
        assert agreement.check() == {}


def nothing(dataset: Any, results: Any) -> None:
    """Makes nothing."""
