"""The sensor that notices what parameters, code or a lost object made stale."""

from __future__ import annotations

import dagster as dg

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.dataset.source_stats import stat_sources
from mosaic_dagster.orchestration.automation.asking import busy_with, next_request
from mosaic_dagster.orchestration.automation.launches import Launches
from mosaic_dagster.orchestration.automation.settings import Automation
from mosaic_dagster.pipeline import DatasetRun, Engine, Selection, Study


def sensor_name(dataset: str) -> str:
    """Name of the sensor of a dataset."""
    return f"{dataset}_out_of_date"


def look(
    context: dg.SensorEvaluationContext, study: Study, dataset: Dataset, automation: Automation
) -> dg.SensorResult | dg.SkipReason:
    """Compare what is recorded with what is declared, and ask for what differs.

    New and changed files count as not seen; they are the affair of the sensor of new recordings.
    """
    busy = busy_with(context.instance, study)
    if busy is not None:
        return busy
    held = frozenset(change.path for change in stat_sources(dataset).changes)
    selection = Selection(retries=False, unsettled=held)
    run = DatasetRun(dataset, study.pipelines, Engine("sequential"), selection)
    launches, answer = next_request(
        sensor_name(study.dataset.name), study, run, context.instance,
        Launches.parse(context.cursor), automation,
    )  # fmt: skip
    if isinstance(answer, dg.SkipReason):
        context.update_cursor(str(launches))
        return answer
    return dg.SensorResult(run_requests=[answer], cursor=str(launches))
