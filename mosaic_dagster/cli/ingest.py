"""``mosaic ingest``: tell a dataset where tracking files are, and read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
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
from mosaic_dagster.cli.tables import print_lines, print_table, shown_path
from mosaic_dagster.dataset import (
    Dataset,
    EntryKey,
    FoundSource,
    Labels,
    Manifest,
    Repairs,
    SourceRule,
    SourceScan,
    read_entry,
    read_labels_entry,
    reader_of,
    recorded_path,
    resolve_params,
    resolve_path,
    scan_sources,
    source_action_key,
)
from mosaic_dagster.dataset.manifest import MANIFEST_FILE
from mosaic_dagster.dataset.readers.registry import AUTO
from mosaic_dagster.dataset.sources import check_rule
from mosaic_dagster.dataset.validation import describe_problems
from mosaic_dagster.errors import ManifestError, MosaicError, ProjectError, ReaderError
from mosaic_dagster.pipeline import DatasetRun, Engine, Selection, Study
from mosaic_dagster.pipeline.execute import draw
from mosaic_dagster.pipeline.ingested import Ingested
from mosaic_dagster.pipeline.status import DONE, EntryStatus
from mosaic_dagster.pipeline.work import error_message
from mosaic_dagster.store import Database, Head, SourceRow
from mosaic_dagster.store.content.codecs import read_notes

_SCHEMA = {"entry": pl.String, "state": pl.String, "rows": pl.Int64, "file": pl.String,
           "remark": pl.String}  # fmt: skip
_BAD = ("failed", "refused")


@dataclass(frozen=True)
class _Row:
    """What became of one entry, or of a file that makes none."""

    entry: str | None
    state: str
    rows: int | None
    file: str
    remark: str


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
    there. A file that fails never stops the others; the exit status is 1 then.

    Example: mosaic ingest recordings/larvae --dry-run
    """
    params = _params(param or [], fps)
    with open_project(project) as found:
        study = found.study_at(dataset, path)
        asked = _asked(path=str(path), format=format, params=params, group=group,
                       labels=labels, sequence=sequence)  # fmt: skip
        rule = _rule(found, study, asked)
        rows = _tried(found, study, rule) if dry_run else _read(found, study, rule)
    table = pl.DataFrame([asdict(row) for row in rows], schema=_SCHEMA)
    print_table(table, as_json)
    if not as_json:
        print_lines(["", _summary(rows, study, dry_run)])
    if any(row.state in _BAD for row in rows):
        raise typer.Exit(1)


def _asked(**fields: Any) -> SourceRule:
    """The rule that the options make up.

    Raises
    ------
    ManifestError
        An option has an impossible value.
    """
    try:
        return SourceRule(**fields)
    except ValidationError as error:
        msg = f"The source cannot be used: {describe_problems(error, SourceRule.model_fields)}"
        raise ManifestError(msg, "Correct the option.") from error


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
    check_rule(asked)
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


def _check_found(scan: SourceScan, rule: SourceRule) -> None:
    if not scan.present and not scan.refused:
        what = "tracking" if rule.labels is None else "label"
        msg = f"There are no {what} files at {rule.path} (format {rule.format})."
        raise ReaderError(msg, "Check the path, or name the format with --format.")


def _tried(project: Project, study: Study, rule: SourceRule) -> list[_Row]:
    """Read in memory what would be read; the disk stays as it is."""
    dataset = _unopened(project, study)
    known: dict[str, Head] = {}
    recorded: list[SourceRow] = []
    if dataset.registry.database.read_only:
        recorded = [row for row in dataset.registry.sources() if row.asset == rule.asset]
        heads = [head for head in dataset.registry.heads("") if head.step == rule.asset]
        known = {head.key: head for head in heads if head.state in DONE}
    scan = scan_sources([rule], recorded, project.root)
    _check_found(scan, rule)
    rows = [
        _try(dataset.manifest, key, sources, known.get(str(key)), project.root)
        for key, sources in scan.by_entry().items()
    ]
    return rows + _refused(scan, project.root, None)


def _unopened(project: Project, study: Study) -> Dataset:
    """The dataset as it is or would be, with a database, if there is one, that only reads."""
    workspace = project.workspace(study)
    manifest = Manifest.new(name=study.dataset.name)
    if (workspace / MANIFEST_FILE).is_file():
        manifest = Manifest.load(workspace / MANIFEST_FILE)
    dataset = Dataset(workspace, manifest.updated_by(study.dataset))
    database = dataset.registry.database
    if database.path.is_file():
        dataset.registry.database = Database(database.path, read_only=True)
    return dataset


def _try(
    manifest: Manifest, key: EntryKey, sources: list[FoundSource], head: Head | None, root: Path
) -> _Row:
    """Read an entry, unless that was done before with the same content and parameters."""
    file = _files(sources, root)
    rule = sources[0].rule
    try:
        reader = reader_of(rule, sources[0].path)
        digests = [source.sha256 for source in sources]
        params = resolve_params(reader, rule, manifest)
        action = source_action_key(rule.asset, key, digests, reader.name, reader.version, params)
        if head is not None and head.action_key == action:
            return _Row(str(key), "unchanged", head.rows, file, "")
        rows, remark = _read_alone([source.path for source in sources], rule, manifest, key)
    except MosaicError as error:
        return _Row(str(key), "failed", None, file, str(error))
    return _Row(str(key), "would read", rows, file, remark)


def _read_alone(
    paths: list[Path], rule: SourceRule, manifest: Manifest, key: EntryKey
) -> tuple[int, str]:
    """Rows of what one entry's files hold, and what to tell about it."""
    if rule.labels is None:
        table, repairs = read_entry(paths, rule, manifest, key)
        return table.height, repairs.describe()
    labels, notes = read_labels_entry(paths[0], rule, manifest, key)
    rows = labels.events if isinstance(labels, Labels) else labels.table
    return rows.height, _told(notes)


def _told(notes: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in notes.items())


def _read(project: Project, study: Study, rule: SourceRule) -> list[_Row]:
    """Record the rule, read what is new or changed, and tell what became of each file."""
    dataset = project.open(study)
    _check_found(scan_sources([rule], [], project.root), rule)
    if not rule.declared:
        dataset.add_source(rule)
    engine = Engine()
    run = DatasetRun(dataset, [], engine)
    run.tracks.register()
    state = run.ingested[rule.asset]
    place = resolve_path(rule.path, project.root)
    keys = [
        key
        for key, sources in state.sources.items()
        if key in state.statuses and any(s.path.is_relative_to(place) for s in sources)
    ]
    before = {key: state.statuses[key] for key in keys}
    run.selection = Selection(keys=frozenset(keys), ingested={rule.asset})
    with progress() as tell:
        report = draw(run, tell)
    failures = {key: why for step in report for key, why in step.failures.items()}
    rows = [
        _row(state, key, before[key], failures.get(key, ""), project.root) for key in sorted(keys)
    ]
    rows += [_Row(None, "not used", None, "", note) for note in state.notes]
    return rows + _refused(state.scan, project.root, place)


def _row(run: Ingested, key: str, before: EntryStatus, failure: str, root: Path) -> _Row:
    file = _files(run.sources[key], root)
    status = run.statuses[key]
    if status.state not in DONE or status.result is None:
        why = failure or (error_message(status.head.error) if status.head else "") or status.reason
        return _Row(key, "failed", None, file, why)
    state = "unchanged" if before.state in DONE else "read"
    return _Row(key, state, status.result.rows, file, _repairs(run.dataset, status))


def _repairs(dataset: Dataset, status: EntryStatus) -> str:
    """What was repaired when the files were read, or is to be told of them."""
    assert status.result is not None
    assert status.result.output_sha256 is not None
    path = dataset.objects.path(status.result.output_sha256, status.result.ext)
    notes = read_notes(path)
    if "repairs" in notes:
        return Repairs(**notes["repairs"]).describe()
    return _told(notes.get("notes", {}))


def _files(sources: list[FoundSource], root: Path) -> str:
    return ", ".join(shown_path(source.path, root) for source in sources)


def _refused(scan: SourceScan, root: Path, place: Path | None) -> list[_Row]:
    return [
        _Row(None, "refused", None, shown_path(refusal.path, root), refusal.reason)
        for refusal in scan.refused
        if place is None or refusal.path.is_relative_to(place)
    ]


def _summary(rows: list[_Row], study: Study, dry_run: bool) -> str:
    counts = dict.fromkeys(("read", "would read", "unchanged", "failed", "refused"), 0)
    for row in rows:
        counts[row.state] += 1
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    end = "nothing was written." if dry_run else "`mosaic run` computes with them."
    return f"{study.dataset.name}: {told}; {end}"
