"""The sensors of a code location: two per dataset, and one for runs that died."""

# Dagster reads the annotations of sensor functions, so they are not postponed here.

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.errors import StoreLockedError
from mosaic_dagster.orchestration.asset_keys import job_name
from mosaic_dagster.orchestration.automation import interrupted_runs, new_recordings, out_of_date
from mosaic_dagster.orchestration.automation.settings import Automation
from mosaic_dagster.pipeline import Study

Answer = dg.SensorResult | dg.SkipReason
Look = Callable[[dg.SensorEvaluationContext, Study, Dataset, Automation], Answer]


def sensors(
    studies: Sequence[Study], jobs: Mapping[str, Any], automation: Automation
) -> list[dg.SensorDefinition]:
    """All sensors of some studies.

    Parameters
    ----------
    studies
        The datasets and their pipelines.
    jobs
        The jobs of the code location by name.
    automation
        Whether and how often they look.
    """
    if not studies:
        return []
    made = []
    for study in studies:
        name = study.dataset.name
        made += [
            _of_dataset(
                study, jobs, automation, new_recordings.sensor_name(name), new_recordings.look,
                f"Looks for new and changed files of {name!r} and makes what comes of them, once "
                "they are no longer written to.",
            ),
            _of_dataset(
                study, jobs, automation, out_of_date.sensor_name(name), out_of_date.look,
                f"Makes what parameters, code, a refitted model or a lost file made stale in "
                f"{name!r}, and announces what was made outside of Dagster. What failed is tried "
                "again only when somebody asks.",
            ),
        ]  # fmt: skip
    return [*made, _of_interrupted(studies, jobs, automation)]


def _of_dataset(
    study: Study,
    jobs: Mapping[str, Any],
    automation: Automation,
    name: str,
    look: Look,
    description: str,
) -> dg.SensorDefinition:
    workspace = f"{study.dataset.name}_workspace"

    @dg.sensor(
        name=name,
        job=jobs[job_name(study.dataset.name)],
        minimum_interval_seconds=automation.every_seconds,
        default_status=automation.sensor_status,
        description=description,
        required_resource_keys={workspace},
    )
    def dataset_sensor(context: dg.SensorEvaluationContext) -> Answer:
        try:
            dataset = getattr(context.resources, workspace).open(study.dataset)
            return look(context, study, dataset, automation)
        except StoreLockedError as error:
            return dg.SkipReason(f"The database is busy, so the next look decides: {error}")

    return dataset_sensor


def _of_interrupted(
    studies: Sequence[Study], jobs: Mapping[str, Any], automation: Automation
) -> dg.SensorDefinition:
    @dg.sensor(
        name=interrupted_runs.INTERRUPTED_RUNS,
        jobs=list(jobs.values()),
        minimum_interval_seconds=automation.every_seconds,
        default_status=automation.sensor_status,
        description="Closes runs whose process is gone and starts them again, after a wait, a few "
        "times.",
    )
    def interrupted_runs_sensor(context: dg.SensorEvaluationContext) -> Answer:
        return interrupted_runs.look(context, studies, automation)

    return interrupted_runs_sensor
