"""Fit a step: stream its scope once, store what it learned as files."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
from threadpoolctl import threadpool_limits

from mosaic_dagster.errors import FitError
from mosaic_dagster.features import InputStream
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.pipeline.identity import state_manifest
from mosaic_dagster.pipeline.work import FeatureJob, Record, Table, failed, load_input
from mosaic_dagster.store import ContentStore, Dependency, Outcome

NOTES = "notes.json"
"""File of a state that holds what the feature says about its fit."""


def fit_state(
    job: FeatureJob,
    outcome: Outcome,
    inputs: Mapping[str, tuple[Table, ...]],
    threads: int,
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
    """
    started = time.perf_counter()
    try:
        members, rows, computing = _fit(job, inputs, threads)
        store = ContentStore(job.objects)
        manifest = store.put(state_manifest(members), "json")
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
    job: FeatureJob, inputs: Mapping[str, tuple[Table, ...]], threads: int
) -> tuple[dict[str, str], int, float]:
    store = ContentStore(job.objects)
    counted = _CountedLoad(lambda key: load_input(job, store, inputs[str(key)]))
    keys = tuple(sorted(EntryKey.parse(key) for key in inputs))
    feature = job.feature_cls(job.inputs, job.params)
    artifacts = {name: store.path(*table) for name, table in job.artifacts.items()}
    if feature.fits == "stream" and not keys:
        msg = f"{feature.name} has no entry to fit on."
        raise FitError(msg, "Add recordings, or widen the scope of the pipeline.")
    begun = time.perf_counter()
    with threadpool_limits(threads):
        if not feature.load_state(None, artifacts, {}):
            feature.fit(InputStream(keys, counted))
    computing = time.perf_counter() - begun - counted.seconds
    with tempfile.TemporaryDirectory(prefix="mosaic-state-") as folder:
        feature.save_state(Path(folder))
        notes = feature.state_notes()
        if notes:
            Path(folder, NOTES).write_text(json.dumps(notes, sort_keys=True))
        files = sorted(path for path in Path(folder).iterdir() if path.is_file())
        members = {path.name: store.put_file(path).digest for path in files}
    return members, counted.rows, computing


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
