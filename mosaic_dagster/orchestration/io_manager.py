"""Between Dagster and the store: draws what steps hand over, and gives tables to those who ask.

How a step's result gets into the store::

    asset body          yields a StepOutputStream, in which nothing is computed yet
    handle_output       draws it, chunk by chunk:
      stream.chunks       workers compute and store objects         (pipeline.compute)
      run.commit          one transaction per chunk                 (store.feature_registry)
      writer.materialized one event per entry, as one batch         (orchestration.events)
      session.flush       what this instance has been told          (store.announcements)

Objects come before the rows that name them, rows before the events that announce them: a process
killed anywhere leaves nothing that names what is not there.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.errors import EntryNotFoundError
from mosaic_dagster.orchestration.asset_keys import step_of
from mosaic_dagster.orchestration.column_words import Recordings
from mosaic_dagster.orchestration.declared import measures
from mosaic_dagster.orchestration.event_types import (
    NEVER_MADE,
    EntryEvent,
    EventWriter,
    is_deferred,
)
from mosaic_dagster.orchestration.model_previews import models_preview, scores_preview
from mosaic_dagster.orchestration.previews import state_preview, table_preview
from mosaic_dagster.orchestration.progress import report_progress
from mosaic_dagster.orchestration.resource_types import WorkspaceResource
from mosaic_dagster.orchestration.run_session import RunSession
from mosaic_dagster.orchestration.tags import SELECTION_TAG
from mosaic_dagster.pipeline.compute import Chunk
from mosaic_dagster.pipeline.identity import STATE_EXT, member_ext
from mosaic_dagster.pipeline.selection import StepStream
from mosaic_dagster.pipeline.staleness import MODEL, Evaluation
from mosaic_dagster.pipeline.trained_results import trained_of
from mosaic_dagster.store import Head, Outcome
from mosaic_dagster.store.content.codecs import read_table

_DIGITS = 12
"""Of a digest as people see it; the whole of it is the event's data version."""


@dataclass
class StepOutputStream:
    """What an asset body yields: a stream still to be drawn, and who is told about it.

    Attributes
    ----------
    upstream
        Asset key (as text) of each role that an outcome's inputs can have.
    """

    session: RunSession
    stream: StepStream
    writer: EventWriter
    code_version: str
    upstream: Mapping[str, str]


class EntryTables(Mapping[str, pl.DataFrame]):
    """Entry key to table, read when asked for.

    Parameters
    ----------
    dataset
        The dataset.
    heads
        What is recorded for each entry.
    """

    def __init__(self, dataset: Dataset, heads: Mapping[str, Head]) -> None:
        self._dataset = dataset
        self._heads = heads

    def __getitem__(self, key: str) -> pl.DataFrame:
        head = self._heads[key]
        assert head.output_sha256 is not None
        return read_table(self._dataset.objects.path(head.output_sha256, head.ext))

    def __iter__(self) -> Iterator[str]:
        return iter(self._heads)

    def __len__(self) -> int:
        return len(self._heads)


class ArtifactIOManager(dg.ConfigurableIOManager):
    """IO manager of all assets of a dataset, over its content store and registry."""

    workspace: WorkspaceResource

    def handle_output(self, context: dg.OutputContext, obj: StepOutputStream) -> None:
        """Draw a step's stream: compute, store, record, announce."""
        drawing = _Drawing(context, obj)
        for chunk in obj.stream.chunks:
            drawing.take(chunk)
        drawing.close()

    def load_input(self, context: dg.InputContext) -> Any:
        """Give an asset of one's own what a step made.

        Returns
        -------
        polars.DataFrame, Mapping or dict
            The table of one entry, a lazy mapping of entry to table, or the files of a fitted
            state by name.

        Raises
        ------
        EntryNotFoundError
            Nothing is stored for an entry that was asked for.
        """
        dataset = Dataset.open(self.workspace.path)
        heads = _heads_of(dataset, context.asset_key)
        if not context.has_asset_partitions:
            return _state_files(dataset, context.asset_key, heads)
        keys = list(context.asset_partition_keys)
        digest = context.step_context.dagster_run.tags.get(SELECTION_TAG)
        if digest is not None and len(keys) > 1:
            chosen = set(dataset.registry.selection(digest))
            keys = [key for key in keys if key in chosen]
        found = {k: heads[k] for k in keys if k in heads and heads[k].output_sha256}
        if len(keys) > 1:
            return EntryTables(dataset, found)
        if not found:
            msg = f"{context.asset_key.to_user_string()} has no result for {', '.join(keys)}."
            raise EntryNotFoundError(msg, "Materialize it first.")
        return EntryTables(dataset, found)[keys[0]]


class _Drawing:
    """Draws one stream: chunk after chunk is committed, then announced."""

    def __init__(self, context: dg.OutputContext, output: StepOutputStream) -> None:
        self.context = context
        self.output = output
        self.session = output.session
        self.asset = context.asset_key
        self.name = context.asset_key.to_user_string()
        self.announced = 0
        self.last: Outcome | None = None
        self.held: list[Outcome] = []
        upstream = output.upstream.items()
        self.reads_renewed = any(
            role.startswith("param:") and asset in self.session.renewed for role, asset in upstream
        )

    def take(self, chunk: Chunk) -> None:
        stream = self.output.stream
        adopted = set(self.session.run.needing_adoption(stream, chunk))
        self.session.run.commit(stream, chunk)
        good = [
            outcome
            for outcome in chunk.outcomes
            if outcome.state != "failed" and self._is_wanted(outcome, adopted)
        ]
        if stream.gated:
            # What the checks refuse is known when everything is made.
            self.held += good
        else:
            self._announce_but_last(good)
        report_progress(stream, len(chunk.outcomes))
        done = stream.report.made + stream.report.fresh + stream.report.adopted
        if done + len(stream.report.failures) < stream.total:
            self.context.log.info(f"{self.name}: {_so_far(stream)}")

    def _announce_but_last(self, good: list[Outcome]) -> None:
        if good:
            # The last entry is held back: it carries the preview, and is announced at the end.
            if self.last is not None:
                good.insert(0, self.last)
            self.last = good.pop()
            self._announce(good, {})

    def close(self) -> None:
        stream, session = self.output.stream, self.session
        refused = session.run.settle(stream)
        self._announce_but_last([outcome for outcome in self.held if outcome.key not in refused])
        if self.last is not None:
            self._announce([self.last], self._preview(self.last))
        with session.dataset.registry.session():
            session.run.finish(stream)
            session.flush()
        if self.output.writer.mode == "batch" or is_deferred(self.context):
            # Else the output's metadata is that of the event, which has the summary already.
            self.context.add_output_metadata(_summary(stream))
        self.context.log.info(f"{self.name}: done. {_so_far(stream)}{_first_failure(stream)}")
        stopped = [*stream.report.failures, *stream.report.blocked]
        self.output.writer.finish(
            self.context, self.asset, announced=self.announced, failed=stopped
        )

    def _is_wanted(self, outcome: Outcome, adopted: Collection[str]) -> bool:
        """Whether an event would tell something new, or was asked for.

        A result may be the old one while what it was made from is not: without an event Dagster
        would compare new inputs with the old event and call the result stale.
        """
        if outcome.made or not self.session.by_selection or outcome.key in adopted:
            return True
        if self.reads_renewed:
            return True
        digest = outcome.output_sha256 or ""
        return self.session.is_news(self.name, outcome.key, digest)

    def _announce(self, outcomes: Sequence[Outcome], more: Mapping[str, Any]) -> None:
        if not outcomes:
            return
        events = [self._event(outcome, more) for outcome in outcomes]
        self.output.writer.materialized(self.context, self.asset, self.output.code_version, events)
        self.announced += len(events)
        told = [(o.key, o.output_sha256) for o in outcomes if o.output_sha256 is not None]
        self.session.note_announced(self.name, told)

    def _event(self, outcome: Outcome, more: Mapping[str, Any]) -> EntryEvent:
        assert outcome.output_sha256 is not None
        metadata: dict[str, Any] = {
            "bytes": outcome.bytes,
            "seconds": round(outcome.seconds, 4),
            "run_id": outcome.run_id,
            "digest": outcome.output_sha256[:_DIGITS],
            "made": "now" if outcome.made else "before",
        }
        if outcome.ext != STATE_EXT:
            # A fitted state and the files of a callback have no rows; a zero would look lost.
            metadata["dagster/row_count"] = outcome.rows
        return EntryEvent(
            partition=outcome.key or None,
            digest=outcome.output_sha256,
            metadata=metadata | dict(more),
            inputs=self._inputs(outcome),
        )

    def _inputs(self, outcome: Outcome) -> dict[str, str]:
        found: dict[str, str] = {}
        for item in outcome.inputs:
            role = item.role.partition("/")[0]
            upstream = self.output.upstream.get(role)
            if upstream is not None:
                found.setdefault(upstream, self._data_version(role, item.sha256))
        # Dagster takes a dependency without a version for a new one, also where an entry simply
        # has no labels.
        labels = (key for role, key in self.output.upstream.items() if role.startswith("labels:"))
        return dict.fromkeys(labels, NEVER_MADE) | found

    def _data_version(self, role: str, digest: str) -> str:
        """What Dagster knows an input by: for a file of a fitted state, the state's digest."""
        kind, _, name = role.partition(":")
        if kind != "param":
            return digest
        evaluation = self.session.run.evaluations[self.output.stream.pipeline]
        reference = evaluation.bound.steps[self.output.stream.step].references[name]
        result = evaluation.model(reference.step).result
        return digest if result is None or result.output_sha256 is None else result.output_sha256

    def _preview(self, outcome: Outcome) -> dict[str, Any]:
        """Counts of the step, and a look at one result; shown on the asset's page."""
        metadata = _summary(self.output.stream)
        try:
            return metadata | self._look_at(outcome)
        except Exception as error:  # noqa: BLE001 - the result is stored; a look at it is extra
            self.context.log.warning(f"{self.name}: no preview of {outcome.key!r}: {error}")
            return metadata | {"preview": f"Could not be drawn: {error}"}

    def _look_at(self, outcome: Outcome) -> dict[str, Any]:
        assert outcome.output_sha256 is not None
        objects = self.session.dataset.objects
        if outcome.pipeline:
            evaluation = self.session.run.evaluations[outcome.pipeline]
            if evaluation.bound.steps[outcome.step].trains:
                return self._look_at_models(outcome, evaluation)
        if outcome.ext == STATE_EXT:
            evaluation = self.session.run.evaluations[outcome.pipeline]
            members = evaluation.snapshot.state_members(outcome.output_sha256)
            paths = {n: objects.path(sha, member_ext(n)) for n, sha in members.items()}
            return state_preview(paths)
        table = read_table(objects.path(outcome.output_sha256, outcome.ext))
        of = None
        if not outcome.pipeline or self._measures(outcome):
            manifest = self.session.dataset.manifest
            of = Recordings(manifest.unit, manifest.keypoints)
        return table_preview(table, f"{outcome.step}, {outcome.key}", of)

    def _measures(self, outcome: Outcome) -> bool:
        return measures(self.session.run.evaluations[outcome.pipeline].bound.graph, outcome.step)

    def _look_at_models(self, outcome: Outcome, evaluation: Evaluation) -> dict[str, Any]:
        trained = trained_of(evaluation, outcome.step)
        assert outcome.output_sha256 is not None
        if trained is None or outcome.ext != STATE_EXT:
            return {} if trained is None else scores_preview(trained)
        members = evaluation.snapshot.state_members(outcome.output_sha256)
        objects = self.session.dataset.objects
        shown = {n: objects.path(sha, member_ext(n)) for n, sha in members.items() if "/" not in n}
        models = models_preview(trained, self.session.dataset, outcome.action_key)
        return state_preview(shown) | models


def _summary(stream: StepStream) -> dict[str, Any]:
    report = stream.report
    metadata: dict[str, Any] = {
        "entries": stream.total,
        "entries_made": report.made,
        "entries_fresh": report.fresh,
        "entries_adopted": report.adopted,
        "entries_failed": len(report.failures),
        "entries_blocked": len(report.blocked),
        "computing_seconds": round(report.computing, 3),
    }
    if report.failures:
        metadata["failures"] = dg.MetadataValue.json(dict(list(report.failures.items())[:50]))
    if report.blocked:
        metadata["blocked"] = dg.MetadataValue.json(dict(list(report.blocked.items())[:50]))
    if report.notes:
        metadata["notes"] = "\n".join(report.notes)
    return metadata


def _so_far(stream: StepStream) -> str:
    report = stream.report
    counts = {
        "made": report.made, "up to date": report.fresh, "found": report.adopted,
        "failed": len(report.failures), "blocked": len(report.blocked),
    }  # fmt: skip
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return f"{told or 'nothing to do'}, of {stream.total}."


def _first_failure(stream: StepStream) -> str:
    for key, message in stream.report.failures.items():
        return f" {key or 'The fit'}: {message}"
    return ""


def _heads_of(dataset: Dataset, asset: dg.AssetKey) -> dict[str, Head]:
    pipeline, step = step_of(asset)
    return {head.key: head for head in dataset.registry.heads(pipeline) if head.step == step}


def _state_files(
    dataset: Dataset, asset: dg.AssetKey, heads: Mapping[str, Head]
) -> dict[str, Path]:
    head = heads.get(MODEL)
    if head is None or head.output_sha256 is None:
        msg = f"{asset.to_user_string()} has not been made yet."
        raise EntryNotFoundError(msg, "Materialize it first.")
    members = json.loads(dataset.objects.get(head.output_sha256, "json"))
    return {n: dataset.objects.path(sha, member_ext(n)) for n, sha in members.items()}
