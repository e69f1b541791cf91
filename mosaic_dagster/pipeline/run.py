"""One run over a dataset: its steps in order, each as a stream that is drawn by someone else.

    steps    select -> evaluate -> stream of chunks     (here)
    drawing  for each chunk: commit, then announce      (Pipeline.run, or Dagster's IO manager)

The run keeps what it knows about the dataset, so that a step sees what the steps above it have
just made without asking the database again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.dataset.identity import source_run_id
from mosaic_dagster.pipeline.binding import BoundPipeline, BoundStep
from mosaic_dagster.pipeline.callbacks import restore_exports, run_callback
from mosaic_dagster.pipeline.compute import (
    Chunk,
    adopt,
    compute_entries,
    in_chunks,
    pass_through,
    run_start,
    task_of,
    to_make,
)
from mosaic_dagster.pipeline.engine import Engine
from mosaic_dagster.pipeline.fitting import excluded_note, fit_state, fit_tables
from mosaic_dagster.pipeline.identity import member_ext
from mosaic_dagster.pipeline.ingested import Ingested
from mosaic_dagster.pipeline.labels import LabelsState, label_kinds
from mosaic_dagster.pipeline.quality_gate import settle
from mosaic_dagster.pipeline.report import MODEL_LABEL, RunReport, StepReport
from mosaic_dagster.pipeline.selection import Selection, StepStream
from mosaic_dagster.pipeline.snapshot import Snapshot
from mosaic_dagster.pipeline.source_reading import compute_ingested
from mosaic_dagster.pipeline.staleness import Evaluation
from mosaic_dagster.pipeline.status import DONE, MODEL, EntryStatus
from mosaic_dagster.pipeline.steps import NO_PIPELINE, TRACKS, is_gated, labels_step
from mosaic_dagster.pipeline.store_run import StoreRun
from mosaic_dagster.pipeline.tracks import TracksState
from mosaic_dagster.pipeline.trained_results import predicted
from mosaic_dagster.pipeline.uncollected import uncollected
from mosaic_dagster.pipeline.work import FeatureJob
from mosaic_dagster.store import Outcome
from mosaic_dagster.store.feature_registry.records import RunStatus

if TYPE_CHECKING:
    from mosaic_dagster.pipeline.pipeline import Pipeline


class DatasetRun:
    """A run over one dataset and some of its pipelines.

    Parameters
    ----------
    dataset
        The dataset.
    pipelines
        The pipelines that may take part.
    engine
        Where entries are computed.
    selection
        What is asked for.
    facts
        What the store's run of the training steps is to remember of this run.
    """

    @uncollected()
    def __init__(
        self,
        dataset: Dataset,
        pipelines: Sequence[Pipeline],
        engine: Engine | None = None,
        selection: Selection | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.dataset = dataset
        self.engine = engine or Engine()
        self.selection = selection or Selection()
        names = [NO_PIPELINE, *(pipeline.name for pipeline in pipelines)]
        self.snapshot = Snapshot.take(dataset, names)
        pinned = not self.selection.makes_ingested(TRACKS)
        unsettled = self.selection.unsettled
        self.tracks = TracksState.read(dataset, self.snapshot, pinned=pinned, unsettled=unsettled)
        bounds = [pipeline.bind(dataset, self.tracks.keys) for pipeline in pipelines]
        read = {kind for bound in bounds for kind in bound.graph.label_kinds}
        self.ingested: dict[str, Ingested] = {TRACKS: self.tracks} | self._labels(read)
        self.evaluations = {
            bound.name: Evaluation(
                bound,
                self.snapshot,
                {name: state.statuses for name, state in self.ingested.items()},
                pinned=set(bound.steps) - set(self.steps_of(bound)),
                forced=self.selection.forced_steps(bound),
            )
            for bound in bounds
        }
        self._known_runs = set(self.snapshot.declarations)
        self.reports: dict[tuple[str, str], StepReport] = {}
        name = ", ".join(pipeline.name for pipeline in pipelines)
        self.store_run = StoreRun(dataset, name, facts)

    def _labels(self, read: Iterable[str]) -> dict[str, Ingested]:
        """Labels of every kind that is recorded, has a source, or is read by a step."""
        kinds = {*label_kinds(self.dataset, self.snapshot), *read}
        return {
            asset: LabelsState.read(
                self.dataset, self.snapshot, kind, self.tracks.keys,
                pinned=not self.selection.makes_ingested(asset), unsettled=self.selection.unsettled,
            )
            for kind, asset in ((kind, labels_step(kind)) for kind in sorted(kinds))
        }  # fmt: skip

    # What is asked for.

    def limit_to(self, keys: Iterable[str]) -> None:
        """From now on, ask for these entries of partitioned steps only."""
        self.selection = replace(self.selection, keys=frozenset(keys))

    def steps_of(self, bound: BoundPipeline) -> list[str]:
        """Steps of a pipeline that this run makes, in order."""
        if self.selection.steps is None:
            return list(bound.steps)
        asked = self.selection.steps.get(bound.name, ())
        return [name for name in bound.steps if name in asked]

    def keys_of(self, pipeline: str, step: str) -> list[str]:
        """Entries of a step that this run makes.

        A selection does not hold above a fit that is out of date: it sees its whole scope.
        """
        evaluation = self.evaluations[pipeline]
        scope = evaluation.bound.entries
        if self.selection.keys is None or self._is_above_stale_fit(evaluation, step):
            return list(scope)
        return [key for key in scope if key in self.selection.keys]

    def ingested_keys(self, asset: str) -> list[str]:
        """Entries whose tracks, or labels of a kind, this run reads."""
        chosen = self.selection.keys
        state = self.ingested[asset]
        keys = {key for key in state.keys if chosen is None or key in chosen}
        for evaluation in self.evaluations.values():
            if chosen is not None and self._is_above_stale_fit(evaluation, asset):
                keys |= set(evaluation.bound.entries)
        return [key for key in state.keys if key in keys]

    def _is_above_stale_fit(self, evaluation: Evaluation, step: str) -> bool:
        graph, bound = evaluation.bound.graph, evaluation.bound
        for name in self.steps_of(bound):
            other = bound.steps[name]
            needs = (
                step in self._needed_by(bound, name)
                if step in self.ingested
                else (name != step and step in graph.above([name]))
            )
            if other.reads_whole_scope and needs and evaluation.model(name).state not in DONE:
                return True
        return False

    @staticmethod
    def _needed_by(bound: BoundPipeline, name: str) -> set[str]:
        return {up for step in bound.graph.above([name]) for up in bound.graph.upstream[step]}

    # Streams.

    def streams(self) -> Iterator[StepStream]:
        """Every stream of the run, in an order in which each finds its inputs made."""
        for asset in self.ingested:
            if self.selection.makes_ingested(asset):
                yield self.ingested_stream(asset)
        for name, evaluation in self.evaluations.items():
            for step in self.steps_of(evaluation.bound):
                yield from self.step_streams(name, step)

    def step_streams(self, pipeline: str, step: str) -> Iterator[StepStream]:
        """A step's fit, if it has one, then its entries."""
        bound = self.evaluations[pipeline].bound.steps[step]
        if bound.has_whole:
            yield self.fit_stream(pipeline, step)
        if bound.has_entries:
            yield self.entry_stream(pipeline, step)

    def ingested_stream(self, asset: str) -> StepStream:
        """Read the source files of tracks, or of a kind of labels, that are new or changed."""
        state = self.ingested[asset]
        report = self._report(NO_PIPELINE, asset)
        keys = self.ingested_keys(asset)
        chunks = compute_ingested(state, keys, self.engine, report, self.selection.tries)
        return StepStream(NO_PIPELINE, asset, chunks, report, len(keys), state.run_start())

    def entry_stream(self, pipeline: str, step: str) -> StepStream:
        """Compute the entries of a step that are not up to date."""
        evaluation = self.evaluations[pipeline]
        bound = evaluation.bound.steps[step]
        report = self._report(pipeline, step)
        keys = self.keys_of(pipeline, step)
        chunks = self._entry_chunks(evaluation, bound, keys, report)
        gated = is_gated(bound.step)
        return StepStream(pipeline, step, chunks, report, len(keys), run_start(bound), gated=gated)

    def fit_stream(self, pipeline: str, step: str) -> StepStream:
        """Fit a step, or run a callback, unless its result is there."""
        evaluation = self.evaluations[pipeline]
        bound = evaluation.bound.steps[step]
        whole = bound.is_callback and not bound.trains
        report = self._report(pipeline, step if whole else f"{step}/model")
        chunks = self._fit_chunks(evaluation, bound, report)
        gated = bound.is_callback and is_gated(bound.step)
        return StepStream(pipeline, step, chunks, report, 1, run_start(bound), gated=gated)

    def predictions_stream(self, pipeline: str, step: str) -> StepStream:
        """What the models of a training step predicted; nothing is computed."""
        evaluation = self.evaluations[pipeline]
        bound = evaluation.bound.steps[step]
        report = self._report(pipeline, step)
        chunks = self._prediction_chunks(evaluation, bound, report)
        return StepStream(pipeline, step, chunks, report, 1, run_start(bound), derived=True)

    def _prediction_chunks(
        self, evaluation: Evaluation, step: BoundStep, report: StepReport
    ) -> Iterator[Chunk]:
        model = evaluation.model(step.name)
        outcome = predicted(evaluation, step, model)
        if outcome is None:
            report.blocked[MODEL_LABEL] = model.reason or model.state
        else:
            yield Chunk(reused=(outcome,))

    def _entry_chunks(
        self, evaluation: Evaluation, step: BoundStep, keys: Sequence[str], report: StepReport
    ) -> Iterator[Chunk]:
        statuses = evaluation.entries(step.name)
        pipeline = evaluation.bound.name
        done = [k for k in keys if statuses[k].state in DONE and not step.runs_always]
        if done:
            yield Chunk(reused=tuple(adopt(step, pipeline, k, statuses[k]) for k in done))
            if step.is_callback:
                restore_exports(self.dataset, evaluation, step, done)
        for key in keys:
            status = statuses[key]
            if status.state not in DONE and not self.selection.tries(status):
                report.leave_out(key, status)
        todo = {
            key: statuses[key]
            for key in keys
            if self.selection.tries(statuses[key])
            or (step.runs_always and statuses[key].state in DONE)
        }
        if step.is_callback:
            outcomes = (to_make(step, pipeline, key, status) for key, status in todo.items())
            yield from in_chunks(run_callback(self.dataset, evaluation, step, o) for o in outcomes)
        elif todo and step.passes_through:
            sources = evaluation.entries(step.inputs[0])
            yield Chunk(made=tuple(pass_through(step, pipeline, todo, sources)))
        elif todo:
            model = evaluation.model(step.name) if step.is_fitted else None
            job = self._job(evaluation, step, model)
            tasks = [task_of(to_make(step, pipeline, key, todo[key]), todo[key]) for key in todo]
            yield from compute_entries(job, tasks, self.engine)

    def _fit_chunks(
        self, evaluation: Evaluation, step: BoundStep, report: StepReport
    ) -> Iterator[Chunk]:
        status = evaluation.model(step.name)
        pipeline = evaluation.bound.name
        if status.state in DONE and not step.runs_always:
            if step.is_callback:
                restore_exports(self.dataset, evaluation, step, [MODEL])
            yield Chunk(reused=(adopt(step, pipeline, MODEL, status),))
        elif status.state not in DONE and not self.selection.tries(status):
            report.leave_out(MODEL_LABEL, status)
        else:
            outcome = to_make(step, pipeline, MODEL, status)
            if step.is_callback:
                record = run_callback(self.dataset, evaluation, step, outcome)
            else:
                used, excluded = evaluation.usable(step) if step.fits_on_entries else ([], [])
                if excluded:
                    report.notes.append(excluded_note(excluded))
                inputs, lookups = fit_tables(step, used, status.inputs)
                job = self._job(evaluation, step, None)
                record = fit_state(job, outcome, inputs, step.options.fit_threads, lookups)
            yield Chunk(made=(record.outcome,), computing=record.computing)

    def _job(
        self, evaluation: Evaluation, step: BoundStep, model: EntryStatus | None
    ) -> FeatureJob:
        state = None
        if model is not None:
            assert model.result is not None
            assert model.result.output_sha256 is not None
            state = self.snapshot.state_members(model.result.output_sha256)
        artifacts = {
            parameter: (sha256, member_ext(name))
            for parameter, (name, sha256) in evaluation.artifacts(step).items()
        }
        assert step.params is not None
        return FeatureJob(
            objects=self.dataset.objects.root,
            feature_cls=step.feature_cls,
            inputs=tuple(step.checked_inputs),
            params=step.params,
            state=state,
            artifacts=artifacts,
            input_names=step.inputs,
            frames=step.frames,
            join_on=step.options.join_on,
            profiled=any(rule.reads_profiles for rule in step.step.rules),
        )

    # Taking in what was drawn.

    def commit(self, stream: StepStream, chunk: Chunk) -> None:
        """Write a chunk to the registry and take it into account for everything below."""
        adopted = self.needing_adoption(stream, chunk)
        taken = set(adopted)
        written = [*chunk.made, *(o for o in chunk.reused if o.key in taken)]
        if written:
            registry = self.dataset.registry
            with registry.session():
                self._start(stream)
                self._write(stream, written)
                if not stream.pipeline:
                    self.ingested[stream.step].commit(written)
            self._take_in(stream, written)
        stream.take(chunk.outcomes, adopted)
        stream.report.computing += chunk.computing

    def _write(self, stream: StepStream, written: Sequence[Outcome]) -> None:
        if stream.pipeline and self.evaluations[stream.pipeline].bound.steps[stream.step].trains:
            self.store_run.record(written)
        else:
            self.dataset.registry.commit(written)

    def _start(self, stream: StepStream) -> None:
        """Record the attempt, and the runs above it when the run is a new one."""
        starts, stream.starts = stream.starts, None
        if starts is None:
            return
        registry = self.dataset.registry
        registry.start_runs([starts])
        if starts.run_id not in self._known_runs and stream.pipeline:
            self._known_runs.add(starts.run_id)
            steps = self.evaluations[stream.pipeline].bound.steps
            for name in steps[stream.step].upstream():
                above = steps.get(name)
                read = (source_run_id(name),) * 2
                run = read if above is None else (above.feature_name, above.run_id)
                registry.record_dependency(starts.feature, starts.run_id, *run)

    def needing_adoption(self, stream: StepStream, chunk: Chunk) -> list[str]:
        """Entries whose result was there already, and is not yet what is recorded for them."""
        if not chunk.reused or stream.derived:
            return []
        if not stream.pipeline:
            return self.ingested[stream.step].needing_adoption(chunk.reused)
        units = self.evaluations[stream.pipeline].units(stream.step)
        return [o.key for o in chunk.reused if units[o.key].needs_adoption]

    def _take_in(self, stream: StepStream, written: Sequence[Outcome]) -> None:
        if not stream.pipeline:
            state = self.ingested[stream.step]
            state.record(written)
            for evaluation in self.evaluations.values():
                evaluation.retake(stream.step, state.statuses)
        else:
            self.evaluations[stream.pipeline].record(stream.step, written)

    def settle(self, stream: StepStream) -> dict[str, str]:
        """Count what waited for the checks; gives what they found, by key of what they refuse."""
        return settle(self.evaluations[stream.pipeline], stream) if stream.gated else {}

    def finish(self, stream: StepStream) -> None:
        """Close a stream: its attempt in the registry ends as finished or failed."""
        self.settle(stream)
        stream.report.elapsed += time.monotonic() - stream.begun
        if stream.starts is None and (run_id := self._run_id(stream)):
            status: RunStatus = "finished" if stream.report.is_good else "failed"
            self.dataset.registry.finish_runs([(run_id, status)])

    def _run_id(self, stream: StepStream) -> str:
        if not stream.pipeline:
            return self.ingested[stream.step].run_id
        return self.evaluations[stream.pipeline].bound.steps[stream.step].run_id

    def report(self, pipeline: str | None = None) -> RunReport:
        """What was done, for one pipeline (with the tracks it reads) or for all."""
        return RunReport(
            [r for (name, _), r in self.reports.items() if pipeline in (None, name) or not name]
        )

    def _report(self, pipeline: str, step: str) -> StepReport:
        return self.reports.setdefault((pipeline, step), StepReport(pipeline, step))
