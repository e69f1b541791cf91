"""The check, the job and the schedule that look after the stores."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mosaic_dagster.orchestration import build_definitions
from mosaic_dagster.orchestration.automation.schedules import WEEKLY_STORE_UPKEEP
from mosaic_dagster.orchestration.upkeep import (
    STORE_IS_SOUND,
    STORE_UPKEEP,
    Findings,
    Sweep,
    check_result,
    look,
    sweep,
)
from mosaic_dagster.store import ContentStore
from mosaic_dagster.store.workspace import WorkspaceStore

pytestmark = [
    pytest.mark.dagster,
    pytest.mark.slow,
    # Dagster's own way of passing one resource to another.
    pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated"),
]

HOUR = 3600.0
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
Upkeep = Callable[..., dg.AssetCheckEvaluation]


@pytest.fixture
def upkeep(lab: Any, instance: dg.DagsterInstance) -> Upkeep:
    """Runs the job store_upkeep; keyword arguments configure the check of the only dataset."""

    def run(**config: Any) -> dg.AssetCheckEvaluation:
        ops = {"ops": {"toy__tracks_store_is_sound": {"config": config}}} if config else {}
        job = lab.definitions().resolve_job_def(STORE_UPKEEP)
        done = job.execute_in_process(
            instance=instance, run_config=QUIET | ops, raise_on_error=False
        )
        (evaluation,) = done.get_asset_check_evaluations()
        # Who looks at the run alone sees what is lost, and is not called for what is left over.
        is_lost = not evaluation.passed and evaluation.severity is dg.AssetCheckSeverity.ERROR
        assert done.success is not is_lost
        return evaluation

    return run


def values(evaluation: dg.AssetCheckEvaluation) -> dict[str, Any]:
    return {name: given.value for name, given in evaluation.metadata.items()}


def history(lab: Any, instance: dg.DagsterInstance) -> Any:
    """Evaluations of the check, as the UI reads them."""
    key = dg.AssetCheckKey(lab.key("tracks"), STORE_IS_SOUND)
    return instance.event_log_storage.get_asset_check_execution_history(key, limit=10)


def make_old(workspace: Path) -> None:
    long_ago = time.time() - 48 * HOUR
    for path in (workspace / "artifacts").rglob("*.*"):
        os.utime(path, (long_ago, long_ago))


def put_leftover(lab: Any, data: bytes = b"nobody names this") -> str:
    digest = ContentStore(lab.workspace / "artifacts").put(data).digest
    make_old(lab.workspace)
    return digest


def test_a_sound_store_passes(
    lab: Any, refresh: Any, upkeep: Upkeep, instance: dg.DagsterInstance, capsys: Any
) -> None:
    """Everything that a refresh made is named and whole; a false alarm would be ignored soon."""
    refresh()
    found = upkeep()
    assert found.passed
    told = values(found)
    assert told["damaged objects"] == told["missing objects"] == told["leftovers"] == 0
    assert told["bytes were read"] is True
    assert told["objects"] == len(list(lab.dataset.objects.all())) > 0
    assert "toy: Nothing is damaged" in capsys.readouterr().out
    assert [shown.status.value for shown in history(lab, instance)] == ["SUCCEEDED"]


def test_a_damaged_object_is_an_error(lab: Any, refresh: Any, upkeep: Upkeep) -> None:
    """One byte less: without the check a lab computes on with what is left of it."""
    refresh()
    stored = next(lab.dataset.objects.all())
    path = lab.dataset.objects.path(stored.digest, stored.ext)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    found = upkeep()
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert values(found)["damaged objects"] == 1
    (row,) = found.metadata["findings"].records  # type: ignore[attr-defined]
    assert row.data == {"problem": "damaged objects", "where": stored.digest}
    assert "mosaic store verify" in (found.description or "")
    assert values(upkeep(hashes=False))["damaged objects"] == 0


def test_a_missing_object_is_an_error(lab: Any, refresh: Any, upkeep: Upkeep) -> None:
    refresh()
    stored = next(lab.dataset.objects.all())
    lab.dataset.objects.path(stored.digest, stored.ext).unlink()
    found = upkeep()
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert values(found)["missing objects"] == 1


def test_leftovers_are_a_warning_until_they_are_removed(lab: Any, upkeep: Upkeep) -> None:
    """A 17-byte file that nothing names: told and kept by default, freed when configured so."""
    digest = put_leftover(lab)
    found = upkeep()
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert values(found)["bytes that gc would free"] == 17
    assert lab.dataset.objects.exists(digest)
    applied = upkeep(apply=True)
    assert applied.passed
    assert (values(applied)["files freed"], values(applied)["bytes freed"]) == (1, 17)
    assert not lab.dataset.objects.exists(digest)


def test_young_files_are_spared(lab: Any, upkeep: Upkeep) -> None:
    """A run may be about to name them."""
    digest = ContentStore(lab.workspace / "artifacts").put(b"young").digest
    assert upkeep(apply=True).passed
    assert lab.dataset.objects.exists(digest)
    assert values(upkeep(apply=True, grace_hours=0.0))["files freed"] == 1


def test_artifacts_at_count_zero_go_and_others_stay(lab: Any) -> None:
    """Of two artifacts only that of a deleted run is at zero; the other waits for its chain."""
    lab.dataset.registry.entries()
    with WorkspaceStore(lab.workspace) as store:
        run = store.begin_run("run", {}, [{"name": "toy"}])
        pipeline = store.begin_pipeline(run, "p", {}, None, "toy", None)
        gone, kept = store.save_artifact({"a": 1}), store.save_artifact({"b": 2})
        step = {"step_idx": 0, "operator_class": "M", "params": {}, "artifact_id": None,
                "stateless": False, "role": "model"}  # fmt: skip
        store.save_chain(pipeline, [step], 0, "M", "", "per_fold", {"all": gone}, {})
        size = store.get_artifact_path(gone).stat().st_size
        store.delete_run(run, delete_artifacts=False)
    told = sweep(lab.dataset, 24.0, apply=False)
    assert [file.sha256 for file in told.files] == [gone.removeprefix("art_")]
    assert (told.bytes, told.applied) == (size, False)
    assert sweep(lab.dataset, 24.0, apply=True).bytes == size
    with WorkspaceStore(lab.workspace) as store:
        assert store.list_artifacts()["artifact_id"].to_list() == [kept]
    assert sweep(lab.dataset, 24.0, apply=True).files == []


def test_tables_that_contradict_each_other_are_told(lab: Any) -> None:
    """A prediction whose pipeline is gone, and an artifact that is counted 7 times, not once."""
    with WorkspaceStore(lab.workspace) as store:
        artifact = store.save_artifact({"a": 1})
    with lab.dataset.registry.database.transaction() as con:
        con.execute("UPDATE main.artifacts SET ref_count = 7")
        con.execute(
            "INSERT INTO main.logs (log_id, pipeline_id, step_idx, event, created_at) "
            "VALUES ('l', 'gone', 0, 'end', TIMESTAMP '2025-01-01')"
        )
    found = look(lab.dataset, hashes=False)
    assert found.kinds["wrong counts"] == [artifact]
    assert found.kinds["dangling rows"] == ["logs l"]
    result = check_result(found, Sweep([], applied=False))
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)


def test_a_damaged_journal_is_an_error() -> None:
    """Rows that were acknowledged are behind the damage."""
    kinds = {"damaged objects": [], "missing objects": [], "damaged journals": ["1.journal"],
             "wrong counts": [], "dangling rows": []}  # fmt: skip
    result = check_result(Findings(kinds, 0, 0, 0, read=True), Sweep([], applied=False))
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert result.description is not None
    assert "1 damaged journals" in result.description


def test_predictions_without_arrays_are_no_problem(lab: Any, upkeep: Upkeep) -> None:
    """Scores alone are a legitimate way to save a prediction; they are only counted."""
    with WorkspaceStore(lab.workspace) as store:
        run = store.begin_run("run", {}, [{"name": "toy"}])
        pipeline = store.begin_pipeline(run, "p", {}, None, "toy", None)
        store.save_prediction(
            pipeline, None, "toy", "m", "M", "fold_0", "val", 0.5, None, None, "rmse",
            "regression", 3, 2, {}, {}, None, None, 0, 0.0,
        )  # fmt: skip
    found = upkeep()
    assert found.passed
    assert values(found)["predictions without arrays"] == 1


def test_refresh_and_asset_jobs_do_not_check_the_store(
    lab: Any, refresh: Any, launch: Any, instance: dg.DagsterInstance
) -> None:
    """Else every run would read the whole store, hours for a large one."""
    done = refresh()
    assert done.run is not None
    again = launch({"dagster/partition": "g/s0"})
    assert again.success
    checked = {evaluation.check_name for evaluation in again.get_asset_check_evaluations()}
    assert STORE_IS_SOUND not in checked
    assert history(lab, instance) == []


def test_one_job_checks_every_dataset(
    project: Path, make_lab: Any, instance: dg.DagsterInstance
) -> None:
    """Their partitions differ, which a job over assets could not span."""
    first, second = make_lab(project, "toy", 1), make_lab(project, "wild", 1)
    definitions = build_definitions(
        [first.study(), second.study()], first.resources() | second.resources()
    )
    dg.Definitions.validate_loadable(definitions)
    job = definitions.resolve_job_def(STORE_UPKEEP)
    done = job.execute_in_process(instance=instance, run_config=QUIET)
    keys = {evaluation.asset_key.to_user_string() for evaluation in
            done.get_asset_check_evaluations()}  # fmt: skip
    assert keys == {"toy/tracks", "wild/tracks"}


def test_the_schedule_waits_to_be_started(lab: Any) -> None:
    """A lab decides itself when its disks are read from end to end."""
    schedule = lab.definitions().get_repository_def().get_schedule_def(WEEKLY_STORE_UPKEEP)
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    assert schedule.job_name == STORE_UPKEEP
    assert schedule.cron_schedule == "0 3 * * 0"
    assert schedule.description


def test_the_check_blocks_nothing(lab: Any) -> None:
    """A leftover file must not keep new recordings from being computed."""
    graph = lab.definitions().resolve_asset_graph()
    (key,) = [key for key in graph.asset_check_keys if key.name == STORE_IS_SOUND]
    assert key.asset_key == lab.key("tracks")
    assert not graph.get(key).blocking
