"""Read the source files that are new or changed: from raw files to stored tracks and labels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from mosaic_dagster.dataset.label_reading import read_labels_entry
from mosaic_dagster.dataset.labels import encode_labels
from mosaic_dagster.dataset.labels.behavior import Labels
from mosaic_dagster.dataset.manifest import SourceRule
from mosaic_dagster.dataset.reading import read_entry
from mosaic_dagster.errors import ReaderError
from mosaic_dagster.hashing import digest_file
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.pipeline.compute import Chunk, in_chunks
from mosaic_dagster.pipeline.engine import Engine
from mosaic_dagster.pipeline.ingested import Facts, Ingested, facts_of
from mosaic_dagster.pipeline.report import StepReport
from mosaic_dagster.pipeline.status import DONE, EntryStatus, made_state
from mosaic_dagster.pipeline.steps import NO_PIPELINE
from mosaic_dagster.pipeline.work import Record, failed
from mosaic_dagster.quality import profile_table
from mosaic_dagster.store import ContentStore, Outcome, Profile
from mosaic_dagster.store.content.codecs import encode_table
from mosaic_dagster.store.feature_registry.records import OutcomeState


@dataclass(frozen=True, slots=True)
class _ReadTask:
    outcome: Outcome
    sources: tuple[tuple[Path, str], ...]
    rule: SourceRule


@dataclass(frozen=True, slots=True)
class _Content:
    """What was read from the files of an entry, as it is stored."""

    data: bytes
    rows: int
    state: OutcomeState
    profile: Profile


def compute_ingested(
    state: Ingested,
    keys: Sequence[str],
    engine: Engine,
    report: StepReport,
    tries: Callable[[EntryStatus], bool],
) -> Iterator[Chunk]:
    """Read what is new or changed among some entries, as far as the run tries them.

    What the scan learned is recorded first: a file that was only touched is not hashed again.
    """
    state.register()
    statuses = state.statuses
    reused = [_outcome(state, key, statuses[key]) for key in keys if statuses[key].state in DONE]
    if reused:
        yield Chunk(reused=tuple(reused))
    for key in keys:
        if statuses[key].state not in DONE and not tries(statuses[key]):
            report.blocked[key] = statuses[key].reason
    report.failures |= state.refused
    report.notes += state.notes
    tasks = [
        _ReadTask(
            _outcome(state, key, statuses[key]),
            tuple((source.path, source.sha256) for source in state.sources[key]),
            state.sources[key][0].rule,
        )
        for key in keys
        if tries(statuses[key])
    ]
    read = partial(_read_all, state.dataset.objects.root, facts_of(state.dataset))
    yield from in_chunks(engine.map(read, tasks))


def _outcome(ingested: Ingested, key: str, status: EntryStatus) -> Outcome:
    result = status.result
    done = status.state in DONE
    state: OutcomeState = "failed"
    if done:
        state = "empty" if status.state == "empty" else "fresh"
    return Outcome(
        pipeline=NO_PIPELINE,
        step=ingested.asset,
        key=key,
        run_id=ingested.run_id,
        action_key=status.action_key or "",
        state=state,
        output_sha256=result.output_sha256 if result else None,
        ext="parquet",
        rows=result.rows if result else 0,
        bytes=result.bytes if result else 0,
        seconds=result.seconds if result else 0.0,
        error=None,
        inputs=status.inputs,
        made=not done,
    )


def _read_all(objects: Path, facts: Facts, tasks: Sequence[_ReadTask]) -> list[Record]:
    store = ContentStore(objects)
    return [_read(store, facts, task) for task in tasks]


def _read(store: ContentStore, facts: Facts, task: _ReadTask) -> Record:
    started = time.perf_counter()
    try:
        key = EntryKey.parse(task.outcome.key)
        paths = [path for path, _ in task.sources]
        _check_there(paths)
        content = _content_of(task.rule)(paths, task.rule, facts, key)
        computing = time.perf_counter() - started
        _check_unchanged(task.sources)
        stored = store.put(content.data, "parquet", sync=False)
    except Exception as error:  # noqa: BLE001 - one bad file must not stop the others
        return Record(failed(task.outcome, error, time.perf_counter() - started), 0.0)
    outcome = replace(
        task.outcome,
        state=content.state,
        output_sha256=stored.digest,
        ext=stored.ext,
        rows=content.rows,
        bytes=stored.size,
        seconds=time.perf_counter() - started,
        profile=content.profile,
    )
    return Record(outcome, computing)


def _content_of(
    rule: SourceRule,
) -> Callable[[Sequence[Path], SourceRule, Facts, EntryKey], _Content]:
    return _read_tracks if rule.labels is None else _read_labels


def _read_tracks(paths: Sequence[Path], rule: SourceRule, facts: Facts, key: EntryKey) -> _Content:
    table, repairs = read_entry(paths, rule, facts, key)
    data = encode_table(table, {"repairs": repairs.as_dict()})
    state = made_state(str(key), table.height)
    return _Content(data, table.height, state, profile_table(table))


def _read_labels(paths: Sequence[Path], rule: SourceRule, facts: Facts, key: EntryKey) -> _Content:
    labels, told = read_labels_entry(paths[0], rule, facts, key)
    if isinstance(labels, Labels):
        notes: dict[str, Any] = dict(labels.notes) | told
        table, labels = labels.events, replace(labels, notes=notes)
    else:
        table = labels.table
    return _Content(encode_labels(labels, key), table.height, "fresh", profile_table(table))


def _check_there(paths: Sequence[Path]) -> None:
    for path in paths:
        if not path.is_file():
            msg = f"{path} was there a moment ago and is gone."
            raise ReaderError(msg, "Put it back, or remove its source rule.")


def _check_unchanged(sources: Sequence[tuple[Path, str]]) -> None:
    """Refuse what was read while it was being written: its digest would name other content."""
    for path, sha256 in sources:
        if digest_file(path) != sha256:
            msg = f"{path} changed while it was being read."
            raise ReaderError(msg, "Run again when it is no longer written to.")
