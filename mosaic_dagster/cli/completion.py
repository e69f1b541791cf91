"""What the shell offers when somebody presses Tab: names of this project.

A completion must be quick and say nothing: whatever goes wrong, there is simply nothing to offer.
Nothing is written, and Dagster is not imported.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import typer

from mosaic_dagster.cli.project import Project, find_project, open_project, pipelines_of
from mosaic_dagster.pipeline import Study
from mosaic_dagster.pipeline.steps import TRACKS, labels_step
from mosaic_dagster.store import Database, EntryRow, FeatureRegistry

LOCK_SECONDS = 0.3
"""How long a completion waits for others that hold the database."""

WORKSPACES = "workspaces"

Completion = Callable[[typer.Context, str], list[str]]


def _offering(names: Callable[[typer.Context], Iterable[str]]) -> Completion:
    """A completion that offers some names, those that begin as typed."""

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        try:
            # The project's code may print when it is imported; the shell would take it for names.
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                known = dict.fromkeys(names(context))
        except (Exception, SystemExit):  # noqa: BLE001 - there is nobody to tell
            return []
        return [name for name in known if name.startswith(incomplete)]

    return complete


def _folder(context: typer.Context) -> Path | None:
    return context.params.get("project") or context.find_root().params.get("project")


# Of the project's code, which takes as long to import as what it imports.


def _chosen(context: typer.Context, project: Project) -> list[Study]:
    """The studies of the dataset and the pipeline that stand on the line already."""
    return project.chosen(context.params.get("dataset"), context.params.get("pipeline"))


def _datasets(context: typer.Context) -> list[str]:
    with open_project(_folder(context)) as project:
        return [study.dataset.name for study in project.studies]


def _pipelines(context: typer.Context) -> list[str]:
    with open_project(_folder(context)) as project:
        chosen = project.chosen(context.params.get("dataset"))
        return [pipeline.name for pipeline in pipelines_of(chosen)]


def _pipeline_steps(context: typer.Context) -> list[str]:
    with open_project(_folder(context)) as project:
        return _step_names(_chosen(context, project))


def _all_steps(context: typer.Context) -> list[str]:
    with open_project(_folder(context)) as project:
        studies = _chosen(context, project)
        labels = [labels_step(kind) for study in studies for kind in study.label_kinds()]
        return [TRACKS, *labels, *_step_names(studies)]


def _step_names(studies: Sequence[Study]) -> list[str]:
    """Steps by their names, and with the pipeline's where several have one of that name."""
    steps = [(p.name, step) for p in pipelines_of(studies) for step in p.dag()]
    count = Counter(step for _, step in steps)
    return [step if count[step] == 1 else f"{pipeline}/{step}" for pipeline, step in steps]


# Of what is stored.


def _rows(context: typer.Context) -> Iterator[EntryRow]:
    root = find_project(Path.cwd(), _folder(context))
    for path in sorted(
        (root / WORKSPACES).glob(f"{context.params.get('dataset') or '*'}/*.duckdb")
    ):
        database = Database(path, lock_timeout=LOCK_SECONDS, read_only=True)
        yield from FeatureRegistry(database).entries()


def _entries(context: typer.Context) -> list[str]:
    return sorted(row.key for row in _rows(context))


def _groups(context: typer.Context) -> list[str]:
    return sorted({row.group for row in _rows(context) if row.group})


datasets = _offering(_datasets)
pipelines = _offering(_pipelines)
steps = _offering(_all_steps)
pipeline_steps = _offering(_pipeline_steps)
entries = _offering(_entries)
groups = _offering(_groups)
