"""What is stored of a dataset: manifest, database, journals, objects, and times that fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.dataset.manifest import MANIFEST_FILE
from mosaic_dagster.errors import SchemaVersionError, StoreLockedError
from mosaic_dagster.health.disk import check_file_system, check_rights, check_space
from mosaic_dagster.health.finding import Finding, looked_at
from mosaic_dagster.health.sources import check_sources
from mosaic_dagster.store import Database, FeatureRegistry, WorkspaceStore

DATABASE_FILE = "store.duckdb"
LOCK_SECONDS = 2.0
"""How long a check waits for others; a run lets go of the database many times a second."""

_JOURNALS = "*.jnl"
_CLOCK_SLACK = timedelta(minutes=5)
_SHOWN = 3
_DIGITS = 24


def check_workspace(name: str, folder: Path) -> Iterator[Finding]:
    """Everything about the workspace of one dataset.

    Parameters
    ----------
    name
        Name of the dataset.
    folder
        Its workspace; it may not exist yet.
    """
    about = f"dataset {name}"
    if not folder.is_dir():
        what = f"{folder} is not there yet."
        yield Finding(about, what, remedy="`mosaic run` or `mosaic ingest` makes it.")
        return
    for check in (check_space, check_rights, check_file_system):
        yield from looked_at(about, partial(check, about, folder))
    if not (folder / MANIFEST_FILE).is_file():
        what = f"{folder} has no {MANIFEST_FILE}."
        remedy = "`mosaic status` writes the one of a declared dataset; else restore the file."
        yield Finding(about, what, "warning", remedy)
        return
    yield from looked_at(about, lambda: _check_stored(about, Dataset.open(folder)))


def _check_stored(about: str, dataset: Dataset) -> Iterator[Finding]:
    yield Finding(about, f"{MANIFEST_FILE} can be read.")
    database = dataset.path / DATABASE_FILE
    if not database.is_file():
        yield Finding(about, "Nothing is stored yet.", remedy="`mosaic run` computes.")
        yield from looked_at(about, lambda: check_sources(about, dataset, []))
        return
    yield from _waiting_journals(about, dataset.path)
    # Every look takes its own short lease, so that a run beside it goes on.
    dataset.registry = FeatureRegistry(
        Database(database, lock_timeout=LOCK_SECONDS, read_only=True), dataset.objects
    )
    opened = list(_check_database(about, dataset))
    yield from opened
    if all(found.state == "ok" for found in opened):
        yield from looked_at(about, lambda: _check_objects(about, dataset))
        yield from looked_at(about, lambda: _check_clock(about, dataset))
        yield from looked_at(
            about, lambda: check_sources(about, dataset, dataset.registry.sources())
        )


def _waiting_journals(about: str, folder: Path) -> Iterator[Finding]:
    files = sorted((folder / "journal").glob(_JOURNALS))
    if files:
        what = f"{len(files)} journals hold rows that may not be in the tables yet."
        yield Finding(about, what, remedy="The next command that reads or writes takes them in.")


def _check_database(about: str, dataset: Dataset) -> Iterator[Finding]:
    path = dataset.path / DATABASE_FILE
    try:
        with dataset.registry.session():
            entries = len(dataset.registry.entries())
    except StoreLockedError as error:
        remedy = f"{error.remedy} What is stored could not be checked."
        yield Finding(about, error.what, "warning", remedy)
    except SchemaVersionError as error:
        newer = error.remedy.startswith("Update")
        if newer:
            yield Finding(about, error.what, "error", error.remedy)
        else:
            remedy = "`mosaic status` brings it up to date; then look again."
            yield Finding(about, error.what, "warning", remedy)
    else:
        size = path.stat().st_size / 1e6
        yield Finding(about, f"The database can be read: {entries} recordings, {size:.1f} MB.")


def _check_objects(about: str, dataset: Dataset) -> Iterator[Finding]:
    named = dataset.registry.live_objects()
    there = {stored.digest for stored in dataset.objects.all()}
    with WorkspaceStore(dataset.path, read_only=True, lock_timeout=LOCK_SECONDS) as store:
        found = store.verify()
    missing = sorted(named - there)
    models: Sequence[str] = found["missing_files"]
    verify = "`mosaic store verify` says what they belong to"
    if missing:
        what = f"{len(missing)} stored objects are missing: {_some(missing)}."
        remedy = f"{verify}; `mosaic run` makes those again that a step wants."
        yield Finding(about, what, "error", remedy)
    if models:
        what = f"{len(models)} artifacts of models are missing: {_some(models)}."
        remedy = "Restore the files, train again, or `mosaic models delete` the run."
        yield Finding(about, what, "error", remedy)
    if found["damaged_journals"]:
        what = f"Journals are damaged: {_some(found['damaged_journals'])}."
        remedy = "Rows behind the damage are in no table: save them again."
        yield Finding(about, what, "error", remedy)
    if found["wrong_ref_counts"] or found["dangling_rows"]:
        count = len(found["wrong_ref_counts"]) + len(found["dangling_rows"])
        what = f"{count} rows and counts of the tables of models contradict each other."
        yield Finding(about, what, "warning", "`mosaic store verify --repair` mends them.")
    if not missing and not models:
        what = f"All {len(named)} objects that the tables name are there; bytes were not read."
        yield Finding(about, what, remedy="`mosaic store verify` reads every byte.")


def _check_clock(about: str, dataset: Dataset) -> Iterator[Finding]:
    limit = datetime.now(UTC).replace(tzinfo=None) + _CLOCK_SLACK
    later = [row.created_at for row in dataset.registry.stored_results() if row.created_at > limit]
    if later:
        last = max(later).strftime("%Y-%m-%d %H:%M")
        what = f"{len(later)} results are dated in the future, up to {last} UTC."
        remedy = (
            "Set the clock of this machine. No result is wrong by it: times decide nothing "
            "but what is hashed again."
        )
        yield Finding(about, what, "warning", remedy)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(str(name)[:_DIGITS] for name in names[:_SHOWN])
    return shown + (", …" if len(names) > _SHOWN else "")
