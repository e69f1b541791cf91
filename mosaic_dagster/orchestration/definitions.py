"""Everything Dagster needs to know about a code location, from its studies and resources."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from mosaic_dagster.errors import ProjectError
from mosaic_dagster.orchestration.asset_factory import AssetFactory
from mosaic_dagster.orchestration.automation import Automation, schedules, sensors
from mosaic_dagster.orchestration.io_manager import ArtifactIOManager
from mosaic_dagster.orchestration.jobs import asset_jobs, refresh_job
from mosaic_dagster.orchestration.resource_types import EngineResource, WorkspaceResource
from mosaic_dagster.orchestration.upkeep import store_checks, upkeep_job
from mosaic_dagster.pipeline import Study


def build_definitions(
    studies: Sequence[Study],
    resources: Mapping[str, Any],
    *,
    owners: Sequence[str] = (),
) -> dg.Definitions:
    """Assets, checks, jobs, sensors, schedules and IO managers of some studies.

    Parameters
    ----------
    studies
        Which pipelines run on which dataset.
    resources
        A :class:`WorkspaceResource` under the name of each dataset, and optionally an
        :class:`EngineResource` under ``engine`` and an :class:`Automation` under ``automation``.
        Anything else is passed on for assets of one's own.
    owners
        Shown on each asset (``team:…`` or an e-mail address).

    Raises
    ------
    ProjectError
        A dataset has no workspace, or two studies are about the same dataset.
    """
    automation, used = _resources(studies, resources)
    with warnings.catch_warnings():
        # Dagster marks backfill policies as a beta feature, once per asset.
        warnings.simplefilter("ignore", dg.BetaWarning)
        assets = [asset for study in studies for asset in AssetFactory(study, owners).assets()]

    def defined(**more: Any) -> dg.Definitions:
        return dg.Definitions(
            assets=assets, resources=used, executor=dg.in_process_executor, **more
        )

    # The job refresh runs the others, so these are resolved before it exists; and before there
    # are checks, which Dagster would add to whatever part of a job it runs.
    jobs = asset_jobs(studies)
    refresh = refresh_job(studies, defined(jobs=jobs).resolve_job_def, used)
    if not studies:
        return defined(jobs=[refresh])
    upkeep, checks = upkeep_job(studies), store_checks(studies)
    return defined(
        jobs=[*jobs, upkeep, refresh],
        asset_checks=checks,
        schedules=schedules(refresh, upkeep, checks, automation),
        sensors=sensors(studies, {job.name: job for job in [*jobs, refresh]}, automation),
    )


def _resources(
    studies: Sequence[Study], resources: Mapping[str, Any]
) -> tuple[Automation, dict[str, Any]]:
    """What is automatic, and the resources under the names by which the assets know them."""
    names = [study.dataset.name for study in studies]
    if len(set(names)) < len(names):
        msg = f"Two studies are about one dataset: {', '.join(names)}."
        raise ProjectError(msg, "Put their pipelines into one study.")
    given = dict(resources)
    automation = given.pop("automation", Automation())
    used: dict[str, Any] = {"engine": given.pop("engine", EngineResource())}
    for name in names:
        workspace = given.pop(name, None)
        if not isinstance(workspace, WorkspaceResource):
            msg = f"The dataset {name!r} has no workspace among the resources."
            raise ProjectError(msg, f"Give a WorkspaceResource under {name!r}.")
        used[f"{name}_workspace"] = workspace
        used[f"{name}_io"] = ArtifactIOManager(workspace=workspace)
    return automation, used | given
