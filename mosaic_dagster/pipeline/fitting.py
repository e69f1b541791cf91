"""Fit a step: stream its scope once, store what it learned as files."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import polars as pl
from threadpoolctl import threadpool_limits

from mosaic_dagster.errors import FeatureError, FitError
from mosaic_dagster.features import InputStream
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.pipeline.binding import BoundStep
from mosaic_dagster.pipeline.identity import STATE_EXT, state_manifest
from mosaic_dagster.pipeline.work import FeatureJob, Record, Table, checked_path, failed, load_input
from mosaic_dagster.store import ContentStore, Dependency, Outcome

NOTES = "notes.json"
"""File of a state that holds what the feature says about its fit."""


def fit_state(
    job: FeatureJob,
    outcome: Outcome,
    inputs: Mapping[str, tuple[Table, ...]],
    threads: int,
    lookups: Mapping[str, Mapping[str, Table]] | None = None,
) -> Record:
    """Fit a feature and store its state; an error is returned as the outcome's error.

    Parameters
    ----------
    job
        The step; its ``state`` is None.
    outcome
        The outcome to complete.
    inputs
        Stored input tables of every entry that the fit sees.
    threads
        Number of threads that numerical libraries may use.
    lookups
        Stored table of every entry, for each parameter that refers to a step's tables.
    """
    started = time.perf_counter()
    try:
        members, rows, computing = _fit(job, inputs, threads, lookups or {})
        store = ContentStore(job.objects)
        manifest = store.put(state_manifest(members), STATE_EXT)
    except Exception as error:  # noqa: BLE001 - a failed fit is recorded, not raised
        return Record(failed(outcome, error, time.perf_counter() - started), 0.0)
    made = replace(
        outcome,
        state="fresh",
        output_sha256=manifest.digest,
        ext=manifest.ext,
        rows=rows,
        bytes=manifest.size,
        seconds=time.perf_counter() - started,
        inputs=(
            *outcome.inputs,
            *(Dependency(f"member:{name}", digest) for name, digest in members.items()),
        ),
    )
    return Record(made, computing)


def _fit(
    job: FeatureJob,
    inputs: Mapping[str, tuple[Table, ...]],
    threads: int,
    lookups: Mapping[str, Mapping[str, Table]],
) -> tuple[dict[str, str], int, float]:
    store = ContentStore(job.objects)
    counted = _CountedLoad(lambda key: load_input(job, store, inputs[str(key)]))
    keys = tuple(sorted(EntryKey.parse(key) for key in inputs))
    feature = job.feature_cls(job.inputs, job.params)
    artifacts = {name: checked_path(store, table) for name, table in job.artifacts.items()}
    tables = {
        name: {EntryKey.parse(key): checked_path(store, table) for key, table in by_key.items()}
        for name, by_key in lookups.items()
    }
    if feature.fits == "stream" and not keys:
        msg = f"{feature.name} has no entry to fit on."
        raise FitError(msg, "Add recordings, or widen the scope of the pipeline.")
    # A limit on threads holds only for libraries that are loaded by then, and features load theirs
    # when they fit; bytes depend on it. This one brings every library with threads of its own.
    import_module("sklearn")
    begun = time.perf_counter()
    with threadpool_limits(threads):
        if not feature.load_state(None, artifacts, tables):
            feature.fit(InputStream(keys, counted))
    computing = time.perf_counter() - begun - counted.seconds
    with tempfile.TemporaryDirectory(prefix="mosaic-state-") as folder:
        feature.save_state(Path(folder))
        notes = feature.state_notes()
        if notes:
            Path(folder, NOTES).write_text(json.dumps(notes, sort_keys=True))
        files = sorted(Path(folder).iterdir())
        _check_files(feature.name, files)
        members = {path.name: store.put_file(path).digest for path in files}
    return members, counted.rows, computing


def _check_files(name: str, files: Sequence[Path]) -> None:
    """Refuse a state that would come back without some of what was saved."""
    folders = [path.name for path in files if not path.is_file()]
    if folders or not files:
        saved = f"the folder {folders[0]!r}" if folders else "no file"
        msg = f"{name} saved {saved} as its fitted state."
        raise FeatureError(msg, "save_state writes files directly into the folder it is given.")


def fit_tables(
    step: BoundStep, used: Sequence[str], made_from: Sequence[Dependency]
) -> tuple[dict[str, tuple[Table, ...]], dict[str, dict[str, Table]]]:
    """Input tables by entry, and look-up tables by parameter and entry, that a fit sees."""
    digests = {item.role: item.sha256 for item in made_from}
    inputs = {
        key: tuple((digests[f"input:{i}/{key}"], "parquet") for i in range(len(step.inputs)))
        for key in used
    }
    lookups = {
        parameter: {key: (digests[f"lookup:{parameter}/{key}"], "parquet") for key in used}
        for parameter, reference in step.references.items()
        if reference.artifact is None
    }
    for parameter in step.labels:
        roles = {key: f"labels:{parameter}/{key}" for key in used}
        lookups[parameter] = {
            key: (digests[role], "parquet") for key, role in roles.items() if role in digests
        }
    return inputs, lookups


class _CountedLoad:
    """Loads tables, counting rows and the seconds that reading took."""

    def __init__(self, load: Callable[[EntryKey], pl.DataFrame]) -> None:
        self._load = load
        self._seen: dict[EntryKey, int] = {}
        self.seconds = 0.0

    def __call__(self, key: EntryKey) -> pl.DataFrame:
        begun = time.perf_counter()
        table = self._load(key)
        self.seconds += time.perf_counter() - begun
        self._seen[key] = table.height
        return table

    @property
    def rows(self) -> int:
        return sum(self._seen.values())


def excluded_note(excluded: Sequence[str]) -> str:
    """What to say about entries that a fit left out; empty when there were none."""
    if not excluded:
        return ""
    shown = ", ".join(excluded[:10])
    more = f" and {len(excluded) - 10} more" if len(excluded) > 10 else ""
    return f"{len(excluded)} entries were left out because they failed: {shown}{more}"
