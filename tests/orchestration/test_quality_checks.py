"""Rules as asset checks, in real Dagster runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mosaic_dagster import CallbackStep, Pipeline
from mosaic_dagster.orchestration.partitions import register_entries
from mosaic_dagster.orchestration.quality_checks import check_result
from mosaic_dagster.orchestration.upkeep import STORE_IS_SOUND
from mosaic_dagster.quality import (
    DEFAULT_CHECKS,
    Finding,
    MissingShare,
    Rule,
    UniqueRows,
    ValueRange,
    Verdict,
)

pytestmark = [
    pytest.mark.dagster,
    # Dagster's own way of passing one resource to another.
    pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated"),
]

PARTITION = "dagster/partition"
Told = Callable[[str, str], Any]


@pytest.fixture
def lab(make_lab: Any, project: Path) -> Any:
    """X of ``g/s0`` … ``g/s3`` begins at 0, 10, 20, 30; the rules of shift can be set."""

    class CheckedLab(make_lab):
        rules: Sequence[Rule] | None = None

        def pipeline(self, name: str = "layered") -> Pipeline:
            plain = super().pipeline(name)
            steps = [
                replace(step, checks=self.rules) if step.name == "shift" else step
                for step in plain.steps
                if not isinstance(step, CallbackStep)
            ]
            return Pipeline.of(name, steps)

    return CheckedLab(project)


@pytest.fixture
def told(lab: Any, instance: dg.DagsterInstance) -> Told:
    """The newest evaluation of a check, as the UI reads it; None before there is one."""

    def look(asset: str, check: str) -> Any:
        key = dg.AssetCheckKey(lab.key(*asset.split("/")), check)
        records = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        if not records or records[0].event is None:
            return None
        return records[0].event.dagster_event.asset_check_evaluation_data

    return look


def below(high: float) -> list[Rule]:
    return [ValueRange("x", high=high, blocking=True), MissingShare()]


@pytest.mark.slow
def test_a_value_out_of_range_stops_its_recording_alone(
    lab: Any, refresh: Any, told: Told, red: Any, events: Any
) -> None:
    """x of s3 goes to 34: it is red, below it is blocked, its neighbours are made in that run.

    Then the limit is raised, and s3 goes on as it stands.
    """
    lab.rules = below(30)
    done = refresh()
    assert not done.success
    assert any("value_range: x is 34, above 30." in error for error in done.errors)
    assert done.computed.count("toy-shift:s3") == 1
    assert "toy-mean:fit:s0+s1+s2" in done.computed
    assert red("layered/shift") == {**dict.fromkeys(("s0", "s1", "s2"), "MATERIALIZED"),
                                    "s3": "FAILED"}  # fmt: skip
    assert red("layered/mean")["s3"] == "FAILED"
    assert red("layered/mean")["s0"] == "MATERIALIZED"
    assert sorted(e.partition for e in events("layered/shift")) == ["g/s0", "g/s1", "g/s2"]
    found = told("layered/shift", "value_range")
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert found.description == "g/s3: x is 34, above 30."
    (record,) = found.metadata["worst"].records
    assert record.data["entry"] == "g/s3"
    assert told("layered/shift", "missing_share").passed
    assert told("layered/mean", "drift").passed

    again = refresh()
    assert not again.success
    assert again.computed == []

    lab.rules = below(100)
    mended = refresh()
    assert mended.success, mended.errors
    assert "toy-shift:s3" not in mended.computed
    assert "toy-mean:s3" in mended.computed
    assert told("layered/shift", "value_range").passed
    assert set(red("layered/shift").values()) == {"MATERIALIZED"}
    assert set(red("layered/mean").values()) == {"MATERIALIZED"}
    assert told("tracks", STORE_IS_SOUND) is None


@pytest.mark.slow
def test_materialize_of_one_partition_judges_the_step(
    lab: Any, instance: dg.DagsterInstance, launch: Any, told: Told
) -> None:
    """What the button of the UI does: one partition of one asset, with its checks."""
    register_entries(instance, lab.name, [f"g/s{i}" for i in range(4)])
    lab.rules = [ValueRange("x", high=5, severity="error"), UniqueRows()]
    assert launch({PARTITION: "g/s0"}, ["tracks", "layered/shift"]).success
    found = told("layered/shift", "value_range")
    assert found.passed
    assert found.metadata["judged"].value == 1
    assert launch({PARTITION: "g/s1"}, ["tracks", "layered/shift"]).success
    found = told("layered/shift", "value_range")
    assert (found.passed, found.description) == (False, "g/s1: x is 14, above 5.")
    assert told("layered/shift", "unique_rows").metadata["judged"].value == 2


@pytest.mark.slow
def test_a_single_refused_recording_fails_its_own_run(
    lab: Any, instance: dg.DagsterInstance, launch: Any, told: Told
) -> None:
    """Without a report nobody else would fail, and a green run would hide the refusal."""
    register_entries(instance, lab.name, [f"g/s{i}" for i in range(4)])
    lab.rules = below(5)
    done = launch({PARTITION: "g/s1"}, ["tracks", "layered/shift"])
    assert not done.success
    assert told("layered/shift", "value_range").passed is False


def test_the_jobs_hold_the_checks_of_the_steps_and_not_that_of_the_store(lab: Any) -> None:
    """The check of a store reads all of it: as part of every run it would cost minutes."""
    definitions = lab.definitions()
    for job in (lab.name, f"{lab.name}_layered"):
        keys = definitions.resolve_job_def(job).asset_layer.asset_graph.asset_check_keys
        of_shift = {key.name for key in keys if key.asset_key == lab.key("layered", "shift")}
        assert of_shift == {rule.label for rule in DEFAULT_CHECKS}
        assert STORE_IS_SOUND not in {key.name for key in keys}


def test_a_finding_without_a_number_can_be_shown() -> None:
    """NaN is no JSON: the event could not be stored, and the run would end with a traceback."""
    rule = ValueRange("x", high=1.0)
    found = [Finding("g/a", "x", 3.0, 1.0, "x is 3"), Finding("g/b", "x", math.nan, math.nan, "no")]
    shown = check_result(dg.AssetKey("a"), Verdict(rule, found, 2, ["g/c"]))
    records = shown.metadata["worst"].records
    assert [record.data["measured"] for record in records] == ["nan", "3"]
    assert shown.severity is dg.AssetCheckSeverity.WARN
    assert shown.description == "g/a: x is 3; and 1 more. 1 not measured."
