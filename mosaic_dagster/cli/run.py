"""``mosaic run``: bring a project up to date, through Dagster in this process."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import polars as pl
import typer

from mosaic_dagster.cli.choices import (
    Part,
    find_entries,
    find_keys,
    find_parts,
    find_selection,
    refuse_ingested,
)
from mosaic_dagster.cli.dagster_home import dagster_home
from mosaic_dagster.cli.options import (
    DatasetOption,
    EntriesOption,
    ForceFromOption,
    GroupsOption,
    JsonOption,
    PipelineArgument,
    ProjectOption,
    StepsOption,
)
from mosaic_dagster.cli.progress import held_output, label_of, progress
from mosaic_dagster.cli.project import Project, import_from, open_project, pipelines_of
from mosaic_dagster.cli.status import told_status
from mosaic_dagster.cli.tables import print_json, print_lines, print_table
from mosaic_dagster.errors import ProjectError, RunFailedError
from mosaic_dagster.pipeline import DatasetRun, Study
from mosaic_dagster.pipeline.plan import plan_of_run
from mosaic_dagster.pipeline.report import StepReport
from mosaic_dagster.pipeline.selection import StepStream
from mosaic_dagster.pipeline.steps import is_ingested

DEFINITIONS = "assets.definitions"


class EngineName(StrEnum):
    """Where entries are computed."""

    loky = "loky"
    dask = "dask"
    sequential = "sequential"


def run(
    pipeline: PipelineArgument = None,
    dataset: DatasetOption = None,
    step: StepsOption = None,
    group: GroupsOption = None,
    entry: EntriesOption = None,
    force_from: ForceFromOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be made and why; make nothing.")
    ] = False,
    engine: Annotated[
        EngineName | None,
        typer.Option("--engine", help="Where to compute, if not as the project is configured."),
    ] = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Make what is out of date: new recordings, changed files, parameters and code.

    The run goes through Dagster, so its user interface shows it. A fit that is out of date
    sees all recordings of its pipeline, whatever is selected.

    Example: mosaic run crawling --group dish01 --dry-run
    """
    with open_project(project) as found:
        studies = found.chosen(dataset, pipeline)
        asked = _Asked(found, studies, step or [], group or [], entry or [], force_from)
        if dry_run:
            _print_plan(asked.plan(), as_json)
        else:
            named = dataset is not None or pipeline is not None or bool(step)
            config = asked.config(named) | ({"engine": str(engine)} if engine else {})
            _run(found, asked.studies, config, as_json)


class _Asked:
    """What the command line asks for, checked against what there is."""

    def __init__(
        self,
        project: Project,
        studies: Sequence[Study],
        steps: Sequence[str],
        groups: Sequence[str],
        entries: Sequence[str],
        force_from: str | None,
    ) -> None:
        _check_steps(project, studies, steps, force_from)
        self.force_from = force_from
        self.groups = list(groups)
        self.entries = list(entries)
        self.project = project
        self.parts = find_parts(studies, steps, force_from)
        if groups or entries:
            only = project.only([part.study for part in self.parts], entries)
            self.parts = [part for part in self.parts if part.study is only]
        self.keys = self._keys(self.parts[0].study) if groups or entries else None

    def _keys(self, study: Study) -> list[str]:
        known = DatasetRun(self.project.open(study), []).tracks.keys
        self.entries = find_entries(self.entries, known)
        return find_keys(self.groups, self.entries, known) or []

    @property
    def studies(self) -> list[Study]:
        """The datasets that the run is about, with the pipelines that are asked for."""
        return [part.study for part in self.parts]

    def plan(self) -> pl.DataFrame:
        """What a run would compute; one row per step."""
        return pl.concat(self._plan(part) for part in self.parts)

    def _plan(self, part: Part) -> pl.DataFrame:
        dataset = self.project.open(part.study)
        selection = find_selection(part, self.keys)
        run = DatasetRun(dataset, part.study.pipelines, selection=selection)
        return plan_of_run(run).select(pl.lit(part.study.dataset.name).alias("dataset"), pl.all())

    def config(self, named: bool) -> dict[str, Any]:
        """The same for the job ``refresh``; empty lists mean everything."""
        steps = list(dict.fromkeys(step for part in self.parts for step in part.steps))
        names = [member.name for member in pipelines_of(self.studies)]
        if steps:
            forced = [part.force_from for part in self.parts if part.force_from is not None]
            names = sorted({step.rpartition("/")[0] for step in (*steps, *forced)})
        return {
            "datasets": [study.dataset.name for study in self.studies],
            "pipelines": list(dict.fromkeys(names)) if named else [],
            "steps": steps,
            "groups": self.groups,
            "entries": self.entries,
            "force_from": self.force_from,
        }


def _check_steps(
    project: Project, studies: Sequence[Study], steps: Sequence[str], force_from: str | None
) -> None:
    """Refuse tracks and labels as steps to make or to force."""
    forced = [] if force_from is None else [("--force-from", force_from)]
    for option, name in [*(("--step", step) for step in steps), *forced]:
        if is_ingested(name):
            refuse_ingested(name, option, [kind for s in studies for kind in project.kinds(s)])


def _print_plan(table: pl.DataFrame, as_json: bool) -> None:
    if as_json:
        print_table(table, as_json=True)
        return
    several = ["dataset"] if table["dataset"].n_unique() > 1 else []
    print_table(
        table.select(
            *several, "pipeline", "step",
            pl.col("n_to_compute").alias("to compute"), pl.col("n_fresh").alias("up to date"),
            "fit", pl.col("upper_bound").alias("at most"), "reasons",
            pl.col("estimated_seconds").alias("seconds, about"),
        )
    )  # fmt: skip
    units = int(table["n_to_compute"].sum()) + int(table["fit"].sum())
    told = f"At most {units} results would be made." if units else "Everything is up to date."
    print_lines(["", told])


def _run(project: Project, studies: Sequence[Study], config: dict[str, Any], as_json: bool) -> None:
    reports: dict[str, StepReport] = {}
    told_as_error: set[str] = set()

    def note(stream: StepStream, count: int) -> None:
        reports[label_of(stream)] = stream.report
        tell(stream, count)

    out = sys.stderr if as_json else sys.stdout
    with dagster_home(project.root), held_output(out, told_as_error), progress() as tell:
        # Dagster takes seconds to import, and only this command needs it.
        from mosaic_dagster.orchestration.in_process import run_refresh
        from mosaic_dagster.orchestration.progress import listening

        definitions = _definitions(project)
        with listening(note):
            done = run_refresh(definitions, config)
        told_as_error.update(line for error in done.errors for line in error.splitlines())
    if as_json:
        told = told_status(project, studies)
        steps = [{"pipeline": report.pipeline} | report.row() for report in reports.values()]
        facts = {"succeeded": done.succeeded, "run_id": done.run_id, "errors": done.errors}
        print_json(facts | {"steps": steps, "entries": told["entries"]})
    if not done.succeeded:
        raise RunFailedError(" ".join(done.errors) or "The run failed.", _remedy(done.run_id))


def _definitions(project: Project) -> Any:
    module = import_from(project.root, DEFINITIONS)
    if not hasattr(module, "definitions"):
        msg = f"{DEFINITIONS} of {project.root} has no `definitions`."
        raise ProjectError(msg, "Assign to it what build_definitions gives.")
    return module.definitions


def _remedy(run_id: str) -> str:
    return f"`mosaic status` lists what is left; `dagster dev` shows run {run_id}."
