"""What a worker does: one entry of one step, from stored inputs to a stored result.

Workers see the objects of the store and nothing else: no database, no Dagster. They return small
records, and every error becomes part of its entry's record, so that its neighbours go on.
"""

from __future__ import annotations

import io
import json
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from mosaic_dagster.errors import FeatureError, MosaicError, ObjectDamagedError
from mosaic_dagster.features import Feature, FeatureTable, Params, join_inputs
from mosaic_dagster.features.inputs import JoinOn
from mosaic_dagster.hashing import digest_file
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.pipeline.identity import member_ext
from mosaic_dagster.pipeline.overlap import FrameWindow, cut, extend
from mosaic_dagster.pipeline.status import made_state
from mosaic_dagster.quality import profile_table
from mosaic_dagster.store import ContentStore, Outcome
from mosaic_dagster.store.content.codecs import encode_table

_READY_FEATURES = 8
_TRACEBACK_LINES = 12

Table = tuple[str, str]
"""Digest and extension of a stored object."""


@dataclass(frozen=True)
class FeatureJob:
    """A step as a worker needs it: everything its entries share.

    Attributes
    ----------
    state
        Files of the fitted state: name to digest.
    artifacts
        Object of each parameter that refers to a file.
    input_names
        For messages.
    frames
        Which frames of the input are used, and how many of the neighbours'.
    join_on
        How inputs of individuals are joined to inputs of pairs.
    profiled
        Whether somebody checks what is in the results.
    """

    objects: Path
    feature_cls: type[Feature[Any]]
    inputs: tuple[Any, ...]
    params: Params
    state: dict[str, str] | None
    artifacts: dict[str, Table]
    input_names: tuple[str, ...]
    frames: FrameWindow
    join_on: JoinOn | None = None
    profiled: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """One entry to compute: the outcome it will have, and where its inputs lie.

    ``before`` and ``after`` are the inputs of its neighbours; empty where there is none.
    """

    outcome: Outcome
    inputs: tuple[Table, ...]
    lookups: tuple[tuple[str, Table], ...] = ()
    before: tuple[Table, ...] = ()
    after: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """What a worker returns for a task: the outcome, and the seconds spent inside the feature."""

    outcome: Outcome
    computing: float


def run_tasks(job: FeatureJob, tasks: Sequence[Task]) -> list[Record]:
    """Compute some entries of a step one after the other."""
    return [run_task(job, task) for task in tasks]


def run_task(job: FeatureJob, task: Task) -> Record:
    """Compute one entry; an error is returned as the outcome's error, never raised."""
    started = time.perf_counter()
    computing = 0.0
    try:
        store = ContentStore(job.objects)
        feature = ready_feature(job, task)
        own = load_input(job, store, task.inputs)
        table = _with_neighbours(job, store, task, own)
        begun = time.perf_counter()
        result, notes = _apply(feature, table)
        computing = time.perf_counter() - begun
        if job.frames.overlap:
            result = cut(result, own)
        profile = profile_table(result) if job.profiled else None
        stored = store.put(encode_table(result, notes), "parquet", sync=False)
    except Exception as error:  # noqa: BLE001 - one bad entry must not stop the others
        return Record(failed(task.outcome, error, time.perf_counter() - started), computing)
    outcome = replace(
        task.outcome,
        state=made_state(task.outcome.key, result.height),
        output_sha256=stored.digest,
        ext=stored.ext,
        rows=result.height,
        bytes=stored.size,
        seconds=time.perf_counter() - started,
        profile=profile,
    )
    return Record(outcome, computing)


def failed(outcome: Outcome, error: BaseException, seconds: float = 0.0) -> Outcome:
    """The outcome of an entry whose computation raised."""
    return replace(outcome, state="failed", error=describe_error(error), seconds=seconds)


def describe_error(error: BaseException) -> str:
    """JSON of an error's type, message and last lines of its traceback."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    message = str(error) or type(error).__name__
    if not isinstance(error, MosaicError):
        message = f"{type(error).__name__}: {message}"
    told = {
        "type": type(error).__name__,
        "message": message,
        "traceback": "\n".join(lines[-_TRACEBACK_LINES:]),
    }
    return json.dumps(told)


def error_message(error: str | None) -> str:
    """The message in what :func:`describe_error` wrote."""
    if not error:
        return ""
    message: str = json.loads(error)["message"]
    return message


def load_input(job: FeatureJob, store: ContentStore, inputs: Sequence[Table]) -> pl.DataFrame:
    """Read the inputs of one entry, checked against their digests, joined and cut to frames."""
    tables = [read_object(store, table) for table in inputs]
    joined = join_inputs(tables, job.input_names, job.join_on)
    start, end = job.frames.limits
    if start is not None:
        joined = joined.filter(pl.col("frame") >= start)
    if end is not None:
        joined = joined.filter(pl.col("frame") < end)
    return joined


def _with_neighbours(
    job: FeatureJob, store: ContentStore, task: Task, own: pl.DataFrame
) -> pl.DataFrame:
    if not job.frames.overlap:
        return own
    before, after = (
        load_input(job, store, tables) if tables else None for tables in (task.before, task.after)
    )
    return extend(before, own, after, job.frames.overlap)


def read_object(store: ContentStore, table: Table) -> pl.DataFrame:
    """Read a stored table and check its digest: silently altered input would give wrong results."""
    digest, ext = table
    data = store.get(digest, ext)
    try:
        return pl.read_parquet(io.BytesIO(data))
    except pl.exceptions.ComputeError as error:
        msg = f"Object {digest} is not a readable table: {error}"
        raise ObjectDamagedError(msg, "Run `mosaic store verify`.") from error


_ready: deque[tuple[FeatureJob, Feature[Any]]] = deque(maxlen=_READY_FEATURES)


def ready_feature(job: FeatureJob, task: Task) -> Feature[Any]:
    """The feature with its state loaded; kept per process for the jobs that came last.

    Jobs are compared as a whole: one part left out, and a job would get another's feature.
    """
    if task.lookups:
        return load_feature(job, dict(task.lookups), task.outcome.key)
    for known, feature in _ready:
        if known == job:
            return feature
    feature = load_feature(job, {}, "")
    _ready.appendleft((job, feature))
    return feature


def load_feature(job: FeatureJob, lookups: dict[str, Table], key: str) -> Feature[Any]:
    """Build the feature and give it its state, artifacts and look-ups.

    Raises
    ------
    FeatureError
        The state is not what the feature needs.
    """
    feature = job.feature_cls(job.inputs, job.params)
    store = ContentStore(job.objects)
    artifacts = {name: checked_path(store, table) for name, table in job.artifacts.items()}
    tables = {
        name: {EntryKey.parse(key): checked_path(store, table)} for name, table in lookups.items()
    }
    if job.state is None:
        is_ready = feature.load_state(None, artifacts, tables)
    else:
        is_ready = _with_state_folder(
            store, job.state, lambda folder: feature.load_state(folder, artifacts, tables)
        )
    if not is_ready:
        msg = f"{feature.name} is not ready: its fitted state is incomplete."
        raise FeatureError(msg, "Fit it again with `mosaic run --force-from STEP`.")
    return feature


def checked_path(store: ContentStore, table: Table) -> Path:
    """File of an object whose content was compared with its digest.

    Raises
    ------
    ObjectMissingError, ObjectDamagedError
        The file is gone, or was altered.
    """
    digest, ext = table
    path = store.path(digest, ext)
    if digest_file(path) != digest:
        msg = f"The object {path} was changed or cut since it was stored."
        raise ObjectDamagedError(msg, "Delete the file and run the step that made it.")
    return path


def _with_state_folder(
    store: ContentStore, members: dict[str, str], use: Callable[[Path], bool]
) -> bool:
    with tempfile.TemporaryDirectory(prefix="mosaic-state-") as folder:
        for name, digest in members.items():
            file = checked_path(store, (digest, member_ext(name)))
            (Path(folder) / name).symlink_to(file.absolute())
        return use(Path(folder))


def _apply(feature: Feature[Any], table: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, Any]]:
    feature.check_columns(table.schema)
    if table.height == 0:
        schema = feature.output_schema(table.schema)
        if schema is not None:
            return pl.DataFrame(schema=schema), {}
    made = feature.apply(table)
    if isinstance(made, FeatureTable):
        return made.table, dict(made.notes)
    if not isinstance(made, pl.DataFrame):
        msg = f"{feature.name} returned a {type(made).__name__} instead of a table."
        raise FeatureError(msg, "Return a polars DataFrame or a FeatureTable.")
    return made, {}
