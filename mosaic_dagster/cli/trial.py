"""What ``mosaic ingest`` finds out about files before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mosaic_dagster.cli.project import Project
from mosaic_dagster.cli.tables import shown_path
from mosaic_dagster.dataset import (
    Dataset,
    EntryKey,
    FoundSource,
    Labels,
    Manifest,
    SourceRule,
    SourceScan,
    read_entry,
    read_labels_entry,
    reader_of,
    recorded_path,
    resolve_params,
    scan_sources,
    source_action_key,
)
from mosaic_dagster.dataset.manifest import MANIFEST_FILE
from mosaic_dagster.dataset.validation import nearest
from mosaic_dagster.errors import MosaicError, ReaderError
from mosaic_dagster.pipeline import Study
from mosaic_dagster.pipeline.status import DONE
from mosaic_dagster.pipeline.steps import TRACKS
from mosaic_dagster.store import Database, Head, SourceRow

BAD = ("failed", "refused")
NOT_USED = "not used"


@dataclass(frozen=True)
class Row:
    """What became of one entry, or of a file that makes none."""

    entry: str | None
    state: str
    rows: int | None
    file: str
    remark: str


@dataclass(frozen=True)
class Ingestion:
    """What became of the files of a rule.

    Attributes
    ----------
    rows
        One for each entry, and for each file that makes none.
    renamed
        Entries that the same files made under another rule, with their names now.
    is_recorded
        Whether the rule stands in the manifest afterwards.
    """

    rows: list[Row]
    renamed: Mapping[str, Sequence[str]]
    is_recorded: bool

    @property
    def is_good(self) -> bool:
        """Whether nothing failed, and something that was given can be used."""
        states = {row.state for row in self.rows}
        return states.isdisjoint(BAD) and bool(states - {NOT_USED})


def try_files(project: Project, study: Study, rule: SourceRule) -> Ingestion:
    """Read in memory what would be read; the disk stays as it is."""
    dataset = _unopened(project, study)
    known: dict[str, Head] = {}
    recorded: list[SourceRow] = []
    if dataset.registry.database.read_only:
        recorded = [row for row in dataset.registry.sources() if row.asset == rule.asset]
        heads = [head for head in dataset.registry.heads("") if head.step == rule.asset]
        known = {head.key: head for head in heads if head.state in DONE}
    scan = scan_sources([rule], recorded, project.root)
    check_found(scan, rule)
    recordings = None if rule.labels is None else _recordings(dataset, project.root)
    rows = []
    for key, sources in scan.by_entry().items():
        if recordings is None or str(key) in recordings:
            row = try_entry(dataset.manifest, key, sources, known.get(str(key)), project.root)
        else:
            row = unused_row(str(key), sources, recordings, project.root)
        rows.append(row)
    rows += refused_rows(scan, project.root, None)
    return Ingestion(rows, find_renamed(recorded, scan.present, project.root), is_recorded=False)


def check_found(scan: SourceScan, rule: SourceRule) -> None:
    """Refuse a rule that finds no file.

    Raises
    ------
    ReaderError
        There is neither a file that can be used nor one that is refused.
    """
    if not scan.present and not scan.refused:
        what = "tracking" if rule.labels is None else "label"
        msg = f"There are no {what} files at {rule.path} (format {rule.format})."
        raise ReaderError(msg, "Check the path, or name the format with --format.")


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


def _recordings(dataset: Dataset, root: Path) -> set[str]:
    """Recordings that the dataset knows, or would find."""
    recorded: list[SourceRow] = []
    keys: set[str] = set()
    if dataset.registry.database.read_only:
        recorded = [row for row in dataset.registry.sources() if row.asset == TRACKS]
        keys = {str(key) for key in dataset.entries()}
    rules = [rule for rule in dataset.manifest.sources if rule.asset == TRACKS]
    return keys | {str(key) for key in scan_sources(rules, recorded, root).by_entry()}


def try_entry(
    manifest: Manifest, key: EntryKey, sources: list[FoundSource], head: Head | None, root: Path
) -> Row:
    """Read an entry, unless that was done before with the same content and parameters."""
    file = source_files(sources, root)
    rule = sources[0].rule
    try:
        reader = reader_of(rule, sources[0].path)
        digests = [source.sha256 for source in sources]
        params = resolve_params(reader, rule, manifest)
        action = source_action_key(rule.asset, key, digests, reader.name, reader.version, params)
        if head is not None and head.action_key == action:
            return Row(str(key), "unchanged", head.rows, file, "")
        rows, remark = _read_alone([source.path for source in sources], rule, manifest, key)
    except MosaicError as error:
        return Row(str(key), "failed", None, file, str(error))
    return Row(str(key), "would read", rows, file, remark)


def _read_alone(
    paths: list[Path], rule: SourceRule, manifest: Manifest, key: EntryKey
) -> tuple[int, str]:
    """Rows of what one entry's files hold, and what to tell about it."""
    if rule.labels is None:
        table, repairs = read_entry(paths, rule, manifest, key)
        return table.height, repairs.describe()
    labels, notes = read_labels_entry(paths[0], rule, manifest, key)
    rows = labels.events if isinstance(labels, Labels) else labels.table
    return rows.height, told_notes(notes)


def find_renamed(
    recorded: Iterable[SourceRow], found: Iterable[FoundSource], root: Path
) -> dict[str, list[str]]:
    """Recorded entries that no file makes any more, with what their files make now."""
    now: dict[str, list[str]] = {}
    for source in found:
        now.setdefault(recorded_path(source.path, root), []).append(str(source.key))
    made = {key for keys in now.values() for key in keys}
    return {row.key: now[row.path] for row in recorded if row.path in now and row.key not in made}


def told_notes(notes: Mapping[str, Any]) -> str:
    """What a reader noted, in a line."""
    return ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in notes.items())


def source_files(sources: Iterable[FoundSource], root: Path) -> str:
    """Paths of files as they are shown."""
    return ", ".join(shown_path(source.path, root) for source in sources)


def unused_row(
    key: str, sources: Sequence[FoundSource], recordings: Iterable[str], root: Path
) -> Row:
    """Labels of what is no recording of the dataset."""
    remark = f"{sources[0].path.name} labels {key}, which is no recording."
    remark = f"{remark} {nearest(key, recordings)}".strip()
    return Row(key, NOT_USED, None, source_files(sources, root), remark)


def refused_rows(scan: SourceScan, root: Path, place: Path | None) -> list[Row]:
    """Files that cannot be used, of all or only those at or below a place."""
    return [
        Row(None, "refused", None, shown_path(refusal.path, root), refusal.reason)
        for refusal in scan.refused
        if place is None or refusal.path.is_relative_to(place)
    ]
