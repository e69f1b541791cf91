"""``mosaic ingest``: tell a dataset where tracking files are, and read them."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
import yaml
from pydantic import ValidationError

from mosaic_dagster.cli.options import (
    DatasetOption,
    FormatOption,
    FpsOption,
    JsonOption,
    LabelsOption,
    ProjectOption,
    ReaderParamOption,
    SequenceOption,
    SourceGroupOption,
)
from mosaic_dagster.cli.progress import progress
from mosaic_dagster.cli.project import Project, open_project
from mosaic_dagster.cli.tables import print_lines, print_table
from mosaic_dagster.cli.trial import (
    BAD,
    NOT_USED,
    Ingestion,
    Row,
    check_found,
    find_renamed,
    refused_rows,
    source_files,
    told_notes,
    try_entry,
    try_files,
    unused_row,
)
from mosaic_dagster.dataset import (
    Dataset,
    Repairs,
    SourceRule,
    SourceScan,
    recorded_path,
    resolve_path,
    scan_sources,
)
from mosaic_dagster.dataset.readers.registry import AUTO
from mosaic_dagster.dataset.sources import check_rule
from mosaic_dagster.dataset.validation import describe_problems
from mosaic_dagster.errors import ProjectError, ReaderError
from mosaic_dagster.pipeline import DatasetRun, Engine, Selection, Study
from mosaic_dagster.pipeline.execute import draw
from mosaic_dagster.pipeline.ingested import Ingested
from mosaic_dagster.pipeline.status import DONE, EntryStatus
from mosaic_dagster.pipeline.work import error_message
from mosaic_dagster.store.content.codecs import read_notes

_SCHEMA = {"entry": pl.String, "state": pl.String, "rows": pl.Int64, "file": pl.String,
           "remark": pl.String}  # fmt: skip
_SHOWN = 5


def ingest(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A tracking file, or a folder of them.")
    ],
    dataset: DatasetOption = None,
    format: FormatOption = AUTO,
    group: SourceGroupOption = None,
    param: ReaderParamOption = None,
    labels: LabelsOption = None,
    sequence: SequenceOption = None,
    fps: FpsOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read without storing or recording anything.")
    ] = False,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Add tracking files, or label files, to a dataset and read them.

    Where they are is written into the dataset's manifest, so that later runs find new files
    there. A file that fails never stops the others; the exit status is 1 then, and also when
    nothing that was given can be used. Where no file at all can be read, nothing is recorded.

    Example: mosaic ingest recordings/larvae --dry-run
    """
    params = _params(param or [], fps)
    with open_project(project) as found:
        study = found.study_at(dataset, path)
        asked = _asked(path=str(path), format=format, params=params, group=group,
                       labels=labels, sequence=sequence)  # fmt: skip
        rule = _rule(found, study, asked)
        done = try_files(found, study, rule) if dry_run else _read(found, study, rule)
    table = pl.DataFrame([asdict(row) for row in done.rows], schema=_SCHEMA)
    print_table(table, as_json)
    if not as_json:
        print_lines(["", *_summary(done, study, dry_run)])
    if not done.is_good:
        raise typer.Exit(1)


def _asked(**fields: Any) -> SourceRule:
    """The rule that the options make up.

    Raises
    ------
    typer.BadParameter
        An option has an impossible value, or names what is unknown.
    """
    try:
        rule = SourceRule(**fields)
        check_rule(rule)
    except ValidationError as error:
        msg = f"The source cannot be used: {describe_problems(error, SourceRule.model_fields)}"
        raise typer.BadParameter(f"{msg} Correct the option.") from error
    except ReaderError as error:
        raise typer.BadParameter(str(error)) from error
    return rule


def _params(texts: list[str], fps: float | None) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            msg = f"{text!r} is not KEY=VALUE."
            raise typer.BadParameter(msg, param_hint="--param")
        try:
            params[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            params[name] = value
    return params if fps is None else params | {"fps": fps}


def _rule(project: Project, study: Study, asked: SourceRule) -> SourceRule:
    """The rule to record: with its path as recorded, or the declared one for the same path.

    Raises
    ------
    ProjectError
        Nothing is there, or the project's code declares the path in another way.
    """
    place = project.user_path(Path(asked.path))
    if not place.exists():
        msg = f"There is nothing at {place}."
        raise ProjectError(msg, "Is the path right, the disk mounted?")
    rule = asked.model_copy(update={"path": recorded_path(place, project.root)})
    for source in study.dataset.sources:
        declared = source if isinstance(source, SourceRule) else SourceRule(path=source)
        if resolve_path(declared.path, project.root) == place and declared.asset == asked.asset:
            changed = rule.model_dump(exclude={"path", "declared"}, exclude_defaults=True)
            if changed.items() <= declared.model_dump().items():
                return declared.model_copy(update={"declared": True})
            msg = f"{rule.path} is declared in the code of the project, with other settings."
            raise ProjectError(
                msg, "Change the declaration of the dataset, or leave the options out."
            )
    _check_apart(project, study, place, rule)
    return rule


def _check_apart(project: Project, study: Study, place: Path, rule: SourceRule) -> None:
    """Refuse a place inside another rule's, or around it: its files would be entries twice."""
    workspace = project.workspace(study)
    rules = project.open(study).manifest.sources if workspace.is_dir() else study.dataset.sources
    for known in rules:
        known = known if isinstance(known, SourceRule) else SourceRule(path=known)
        if known.asset != rule.asset:
            continue
        path = known.path
        other = resolve_path(path, project.root)
        if other != place and (other in place.parents or place in other.parents):
            where = "lies in" if other in place.parents else "holds"
            msg = f"{place} {where} {path}, which is a source of the dataset already."
            raise ProjectError(msg, f"Run `mosaic ingest {path}`, which finds what is new there.")


def _read(project: Project, study: Study, rule: SourceRule) -> Ingestion:
    """Record the rule, read what is new or changed, and tell what became of each file."""
    dataset = project.open(study)
    scan = scan_sources([rule], [], project.root)
    check_found(scan, rule)
    recorded = [row for row in dataset.registry.sources() if row.asset == rule.asset]
    if not rule.declared and rule not in dataset.manifest.sources:
        useless = _useless(dataset, scan)
        if useless is not None:
            rows = useless + refused_rows(scan, project.root, None)
            return Ingestion(rows, {}, is_recorded=False)
        dataset.add_source(rule)
    run = DatasetRun(dataset, [], Engine())
    run.tracks.register()
    state = run.ingested[rule.asset]
    place = resolve_path(rule.path, project.root)
    rows = _rows(run, state, place)
    rows += refused_rows(state.scan, project.root, place)
    renamed = find_renamed(recorded, state.scan.present, project.root)
    return Ingestion(rows, renamed | _renamed_files(state, place), True)


def _renamed_files(state: Ingested, place: Path) -> dict[str, list[str]]:
    """Recordings of files that have another name now, with what they are called."""
    return {
        renamed.row.key: [str(renamed.now.key)]
        for renamed in state.scan.renamed
        if not renamed.is_same_entry and renamed.now.path.is_relative_to(place)
    }


def _useless(dataset: Dataset, scan: SourceScan) -> list[Row] | None:
    """What is wrong with each entry; None as soon as one can be read."""
    rows = []
    for key, sources in scan.by_entry().items():
        row = try_entry(dataset.manifest, key, sources, None, dataset.base)
        if row.state not in BAD:
            return None
        rows.append(row)
    return rows


def _rows(run: DatasetRun, state: Ingested, place: Path) -> list[Row]:
    """Read the entries of the files at or below a place; what became of each."""
    root = run.dataset.base
    given = [
        key
        for key, sources in state.sources.items()
        if any(source.path.is_relative_to(place) for source in sources)
    ]
    keys = sorted(key for key in given if key in state.statuses)
    before = {key: state.statuses[key] for key in keys}
    run.selection = Selection(keys=frozenset(keys), ingested={state.asset})
    with progress() as tell:
        report = draw(run, tell)
    failures = {key: why for step in report for key, why in step.failures.items()}
    rows = [_row(state, key, before[key], failures.get(key, ""), root) for key in keys]
    known = run.tracks.keys
    others = sorted(key for key in given if key not in before)
    return rows + [unused_row(key, state.sources[key], known, root) for key in others]


def _row(run: Ingested, key: str, before: EntryStatus, failure: str, root: Path) -> Row:
    file = source_files(run.sources[key], root)
    status = run.statuses[key]
    if status.state not in DONE or status.result is None:
        why = failure or (error_message(status.head.error) if status.head else "") or status.reason
        return Row(key, "failed", None, file, why)
    state = "unchanged" if before.state in DONE else "read"
    return Row(key, state, status.result.rows, file, _repairs(run.dataset, status))


def _repairs(dataset: Dataset, status: EntryStatus) -> str:
    """What was repaired when the files were read, or is to be told of them."""
    assert status.result is not None
    assert status.result.output_sha256 is not None
    path = dataset.objects.path(status.result.output_sha256, status.result.ext)
    notes = read_notes(path)
    if "repairs" in notes:
        return Repairs(**notes["repairs"]).describe()
    return told_notes(notes.get("notes", {}))


def _summary(done: Ingestion, study: Study, dry_run: bool) -> list[str]:
    states = ("read", "would read", "unchanged", NOT_USED, "failed", "refused")
    counts = Counter(row.state for row in done.rows)
    told = ", ".join(f"{counts[state]} {state}" for state in states if counts[state])
    end = "`mosaic run` computes with them."
    if not done.is_recorded:
        end = "nothing was written." if dry_run else "nothing was recorded."
    elif not counts.keys() & {"read", "unchanged"}:
        end = "nothing of it can be used now."
    return [f"{study.dataset.name}: {told}; {end}", *_told_renamed(done)]


def _told_renamed(done: Ingestion) -> list[str]:
    if not done.renamed:
        return []
    names = list(dict.fromkeys(name for now in done.renamed.values() for name in now))
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    what = f"{len(done.renamed)} known from these files: {next(iter(done.renamed))}"
    more = ", …" if len(done.renamed) > 1 else ""
    return [
        f"The rule no longer names {what}{more}; now called {shown}. "
        "`mosaic clean` forgets the old ones."
    ]
