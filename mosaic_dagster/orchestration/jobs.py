"""Jobs: one over each dataset, one over each pipeline, and ``refresh`` over everything."""

# Dagster reads the annotations of asset and op functions, so they are not postponed here.

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from mosaic_dagster.orchestration.asset_keys import (
    ingested_key,
    job_name,
    model_key,
    report_key,
    step_key,
)
from mosaic_dagster.orchestration.quality_checks import check_keys
from mosaic_dagster.orchestration.refresh import JobRunner, RefreshResult, refresh_dataset
from mosaic_dagster.orchestration.requests import RefreshRequest, split_request
from mosaic_dagster.orchestration.run_process import note_process
from mosaic_dagster.orchestration.run_session import close_session, find_session
from mosaic_dagster.orchestration.standing import standing_key
from mosaic_dagster.orchestration.summary import (
    failure_lines,
    outcome_lines,
    refresh_metadata,
    refresh_summary,
)
from mosaic_dagster.pipeline import Pipeline, RunReport, Study
from mosaic_dagster.pipeline.steps import has_model

REFRESH = "refresh"


class RefreshConfig(dg.Config):
    """What ``refresh`` brings up to date; everything, unless something is named here."""

    datasets: list[str] = Field(default=[], description="Names of datasets.")
    pipelines: list[str] = Field(default=[], description="Names of pipelines.")
    steps: list[str] = Field(default=[], description="Steps, made with everything they need.")
    groups: list[str] = Field(default=[], description="Groups of recordings.")
    entries: list[str] = Field(default=[], description="Keys of recordings.")
    force_from: str | None = Field(default=None, description="Step made anew, and all below it.")
    engine: str | None = Field(default=None, description="sequential, loky or dask.")


def asset_jobs(studies: Sequence[Study]) -> list[Any]:
    """One job per dataset and one per pipeline of it, over one kind of partition."""
    jobs = []
    for study in studies:
        name = study.dataset.name
        read = [ingested_key(name, made) for made in study.ingested()]
        keys, checks = list(read), list[dg.AssetCheckKey]()
        for pipeline in study.pipelines:
            own = pipeline_keys(study, pipeline)
            judged = [*check_keys(study, pipeline), standing_key(study, pipeline)]
            keys += own
            checks += judged
            jobs.append(
                _asset_job(
                    job_name(name, pipeline.name),
                    [*read, *own],
                    judged,
                    f"Pipeline {pipeline.name!r} on dataset {name!r}.",
                )
            )
        jobs.append(_asset_job(job_name(name), keys, checks, f"Everything of dataset {name!r}."))
    return jobs


def pipeline_keys(study: Study, pipeline: Pipeline) -> list[dg.AssetKey]:
    """Keys of the assets of a pipeline."""
    name = study.dataset.name
    keys = [report_key(name, pipeline.name)]
    for step in pipeline.steps:
        keys.append(step_key(name, pipeline.name, step.name))
        if has_model(step):
            keys.append(model_key(name, pipeline.name, step.name))
    return keys


def _asset_job(
    name: str,
    keys: Sequence[dg.AssetKey],
    checks: Sequence[dg.AssetCheckKey],
    description: str,
) -> Any:
    # Dagster would add every check of these assets, also the one that reads a whole store.
    assets = dg.AssetSelection.assets(*keys).without_checks()
    return dg.define_asset_job(
        name,
        selection=assets | dg.AssetSelection.checks(*checks) if checks else assets,
        executor_def=dg.in_process_executor,
        description=description,
    )


def refresh_job(
    studies: Sequence[Study],
    find_job: Callable[[str], dg.JobDefinition],
    resources: Mapping[str, Any],
) -> dg.JobDefinition:
    """The job that needs no partition: it finds out by itself what to run.

    Parameters
    ----------
    studies
        All studies of the code location.
    find_job
        Gives the asset job of a name.
    resources
        All resources, by name. The job brings its own, so that it is complete as it stands: what
        lacks some is copied by Dagster for every sensor that names it.
    """
    own = {name: resources[name] for name in (f"{s.dataset.name}_workspace" for s in studies)}

    @dg.op(required_resource_keys=set(own), out=dg.Out(dg.Nothing))
    def bring_up_to_date(context: dg.OpExecutionContext, config: RefreshConfig) -> None:
        """Register new recordings, plan, and run what is out of date."""
        note_process(context.instance, context.run)
        request = RefreshRequest(**config.model_dump())
        results = [
            _refresh_one(context, study, part, find_job)
            for study, part in split_request(studies, request)
        ]
        sys.stdout.write(refresh_summary(results))
        sys.stdout.flush()
        for line in outcome_lines(results):
            context.log.info(line)
        _raise_if_failed(results)
        context.add_output_metadata(refresh_metadata(results))

    @dg.job(
        name=REFRESH,
        resource_defs=own,
        executor_def=dg.in_process_executor,
        description="Brings everything up to date: new and changed recordings, and what "
        "parameters or code made stale.",
    )
    def refresh() -> None:
        bring_up_to_date()

    return refresh


def _refresh_one(
    context: dg.OpExecutionContext,
    study: Study,
    request: RefreshRequest,
    find_job: Callable[[str], dg.JobDefinition],
) -> tuple[RefreshResult, RunReport | None]:
    name = study.dataset.name
    dataset = getattr(context.resources, f"{name}_workspace").open(study.dataset)
    run_job = job_runner(find_job(job_name(name)), context.instance, context.run.run_config)
    result = refresh_dataset(study, dataset, context.instance, run_job, request, context.run_id)
    report = None
    if result.run_id is not None:
        session = find_session(result.run_id)
        report = session.run.report() if session is not None else None
        if session is not None:
            session.run.store_run.end(None if result.succeeded else "\n".join(result.errors))
        close_session(result.run_id)
    return result, report


def job_runner(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    run_config: Mapping[str, Any] | None = None,
) -> JobRunner:
    """A function that runs an asset job in this process, with the loggers of a configuration."""
    loggers = {k: v for k, v in (run_config or {}).items() if k == "loggers"}

    def run(assets: set[dg.AssetKey], tags: dict[str, str]) -> dg.ExecuteInProcessResult:
        return job.execute_in_process(
            instance=instance,
            asset_selection=sorted(assets),
            tags=tags,
            raise_on_error=False,
            run_config=loggers,
        )

    return run


def _raise_if_failed(results: Sequence[tuple[RefreshResult, RunReport | None]]) -> None:
    bad = [(result, report) for result, report in results if not result.is_good]
    if not bad:
        return
    lines = [line for result, report in bad for line in failure_lines(result, report)]
    raise dg.Failure(
        "\n".join(["Not everything could be brought up to date.", *lines]),
        metadata=refresh_metadata(results),
        allow_retries=False,
    )
