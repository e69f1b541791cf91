"""``mosaic sources``: where the files of a dataset are looked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import polars as pl
import typer

from mosaic_dagster.cli.clean import ApplyOption
from mosaic_dagster.cli.options import DatasetOption, JsonOption, ProjectOption
from mosaic_dagster.cli.project import Project, open_project
from mosaic_dagster.cli.tables import one_line, print_json, print_lines, print_table
from mosaic_dagster.dataset import Dataset, SourceRule, resolve_path
from mosaic_dagster.dataset.roots import RuleState
from mosaic_dagster.dataset.source_check import check_sources
from mosaic_dagster.dataset.source_stats import stat_sources
from mosaic_dagster.dataset.sources import keys_only_from
from mosaic_dagster.dataset.validation import nearest
from mosaic_dagster.errors import ProjectError
from mosaic_dagster.pipeline import Study

_SHOWN = 8
_SCHEMA = {
    "dataset": pl.String, "path": pl.String, "holds": pl.String, "format": pl.String,
    "pattern": pl.String, "group": pl.String, "recordings": pl.Int64, "from": pl.String,
    "state": pl.String,
}  # fmt: skip

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Where the files of a dataset are looked for: its source rules.",
)


@app.command("list")
def list_sources(
    dataset: DatasetOption = None, as_json: JsonOption = False, project: ProjectOption = None
) -> None:
    """List the source rules of a dataset, or of all, and whether their places are there.

    Example: mosaic sources list
    """
    with open_project(project) as found:
        rows = [
            _row(study.dataset.name, state)
            for study in found.chosen(dataset)
            for state in stat_sources(found.open(study)).rules
        ]
    table = pl.DataFrame(rows, schema=_SCHEMA)
    if not rows and not as_json:
        print_lines(["There are no sources yet; `mosaic ingest PATH` adds some."])
    else:
        print_table(table, as_json)


def _row(dataset: str, state: RuleState) -> dict[str, Any]:
    rule = state.rule
    return {
        "dataset": dataset,
        "path": rule.path,
        "holds": rule.asset,
        "format": rule.format,
        "pattern": rule.sequence,
        "group": rule.group,
        "recordings": len(state.keys),
        "from": "code" if rule.declared else "mosaic ingest",
        "state": state.describe(),
    }


@app.command("remove")
def remove(
    rule: Annotated[
        str, typer.Argument(metavar="RULE", help="Path of a source, as `mosaic sources list` says.")
    ],
    labels: Annotated[
        str | None,
        typer.Option("--labels", metavar="KIND", help="The rule of these labels, not of tracks."),
    ] = None,
    apply: ApplyOption = False,
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Take a source that `mosaic ingest` added out of a dataset.

    Nothing that was read is forgotten yet: the recordings lose their source, and their results
    stay until `mosaic clean --apply`. Files are never touched.

    Example: mosaic sources remove recordings/old --apply
    """
    with open_project(project) as found:
        study, chosen = _find(found, found.chosen(dataset), rule, labels)
        opened = found.open(study)
        if chosen.declared:
            msg = f"The source {chosen.path} is declared in the code of the project."
            where = f"the sources of {study.dataset.name!r} in the folder {found.root / 'assets'}"
            raise ProjectError(msg, f"Take it out of {where}.")
        lost = keys_only_from(chosen, opened.manifest.sources, opened.registry.sources(),
                              opened.base)  # fmt: skip
        if apply:
            opened.save(opened.manifest.without_source(chosen))
    told = {"dataset": study.dataset.name, "rule": chosen.path, "holds": chosen.asset,
            "removed": apply, "recordings": lost}  # fmt: skip
    if as_json:
        print_json(told)
    else:
        print_lines(_told_removed(chosen, lost, apply))


def _find(
    project: Project, studies: Sequence[Study], text: str, labels: str | None
) -> tuple[Study, SourceRule]:
    """The rule of this path, and the study whose dataset has it.

    Raises
    ------
    ProjectError
        There is none, or more than one.
    """
    place = project.user_path(resolve_path(text, project.came_from))
    rules = [(s, rule) for s in studies for rule in project.open(s).manifest.sources]
    at = [
        (study, rule)
        for study, rule in rules
        if rule.path == text or resolve_path(rule.path, project.root) == place
    ]
    named = [(s, r) for s, r in at if labels is None or r.labels == labels]
    if len(named) > 1 and labels is None:
        named = [(s, r) for s, r in named if r.labels is None] or named
    if len(named) == 1:
        return named[0]
    if not named:
        kind = "" if labels is None else f" of labels {labels!r}"
        paths = list(dict.fromkeys(rule.path for _, rule in rules))
        msg = f"There is no source {text!r}{kind}."
        raise ProjectError(msg, f"{nearest(text, paths)} See `mosaic sources list`.".strip())
    which = ", ".join(f"{s.dataset.name} ({r.asset})" for s, r in named)
    msg = f"Several sources have the path {text!r}: {which}."
    raise ProjectError(msg, "Name one with --dataset, or --labels KIND.")


def _told_removed(rule: SourceRule, lost: Sequence[str], applied: bool) -> list[str]:
    verb = "was removed" if applied else "would be removed; --apply does it"
    lines = [f"The source {rule.path} ({rule.asset}) {verb}."]
    if not lost:
        return [*lines, "No recording depends on it."]
    lose = "have no source now" if applied else "would have no source then"
    what = "recordings" if rule.labels is None else "recordings' labels"
    more = [f"  … and {len(lost) - _SHOWN} more (--json has all)"] if len(lost) > _SHOWN else []
    return [
        *lines,
        f"{len(lost)} {what} {lose}; what was made of them stays until `mosaic clean --apply`:",
        *(f"  {one_line(key)}" for key in lost[:_SHOWN]),
        *more,
    ]


@app.command("check")
def check(
    dataset: DatasetOption = None, as_json: JsonOption = False, project: ProjectOption = None
) -> None:
    """Read every source file, and find those that changed without their size or time telling.

    Otherwise a file is only read again when its size, time of modification or inode differ. What
    is found is recorded, so that the next run reads these files again. The exit status is 1 when
    a file is there and cannot be read.

    Example: mosaic sources check
    """
    with open_project(project) as found:
        rows = [
            {"dataset": study.dataset.name, "file": path, "state": state}
            for study in found.chosen(dataset)
            for path, state in _checked(found.open(study))
        ]
    shown = pl.DataFrame(rows, schema={"dataset": pl.String, "file": pl.String, "state": pl.String})
    if as_json:
        print_table(shown, as_json=True)
    else:
        _print_checked(shown)
    if any(row["state"] == "cannot be used" for row in rows):
        raise typer.Exit(1)


def _checked(dataset: Dataset) -> list[tuple[str, str]]:
    return [(item.path, item.state) for item in check_sources(dataset)]


def _print_checked(table: pl.DataFrame) -> None:
    other = table.filter(pl.col("state") != "as recorded")
    if other.height:
        print_table(other.head(_SHOWN))
    if other.height > _SHOWN:
        print_lines([f"… and {other.height - _SHOWN} more (--json has all)"])
    same = table.height - other.height
    end = ""
    if "changed" in other["state"]:
        end = "; `mosaic run` reads what changed again"
    print_lines([f"{same} of {table.height} files are as recorded{end}."])
