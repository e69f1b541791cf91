"""What a dataset needs: which assets, over which entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from mosaic_dagster.hashing import digest_bytes
from mosaic_dagster.orchestration.asset_keys import ingested_key, model_key, report_key, step_key
from mosaic_dagster.pipeline import DatasetRun, Study
from mosaic_dagster.pipeline.binding import BoundStep
from mosaic_dagster.pipeline.entry_states import EntryStates, unfinished
from mosaic_dagster.pipeline.staleness import MODEL, Evaluation
from mosaic_dagster.pipeline.status import DONE, EntryStatus
from mosaic_dagster.pipeline.steps import TRACKS
from mosaic_dagster.pipeline.trained_results import predictions_digest

Announced = Mapping[tuple[str, str], str]
"""Digest that a Dagster instance was last told, by (asset as text, entry key)."""


@dataclass
class Work:
    """Assets that need something, and the entries over which they run.

    Attributes
    ----------
    counts
        Number of entries that need something, by step.
    units
        What each of them would be made from, or has: two works with the same are the same.
    """

    assets: set[dg.AssetKey] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)
    units: list[tuple[str, str, str]] = field(default_factory=list)

    def add(
        self,
        asset: dg.AssetKey,
        label: str,
        needy: Sequence[str],
        statuses: Mapping[str, EntryStatus],
    ) -> bool:
        """Add what an asset needs; says whether it needs anything."""
        if not needy:
            return False
        self.assets.add(asset)
        self.keys.update(key for key in needy if key != MODEL)
        self.counts[label] = len(needy)
        name = asset.to_user_string()
        self.units += [(name, key, _stands_at(statuses[key])) for key in needy]
        return True

    @property
    def digest(self) -> str:
        """Names what is needed, and from what it would be made."""
        lines = sorted("\t".join(unit) for unit in self.units)
        return digest_bytes("\n".join(lines).encode())


def needed_work(run: DatasetRun, study: Study, announced: Announced) -> Work:
    """Assets and entries that are out of date, or that the instance has not been told of."""
    work = Work()
    name = study.dataset.name
    for made in study.ingested():
        asset = ingested_key(name, made)
        state = run.ingested[made]
        statuses = {key: state.statuses[key] for key in run.ingested_keys(made)}
        needy = _needy(asset, statuses, announced, retries=run.selection.retries)
        work.add(asset, made, needy, statuses)
    for pipeline in run.evaluations:
        if _add_pipeline(work, run, pipeline, name, announced):
            work.assets.add(report_key(name, pipeline))
    if run.selection.keys is not None:
        # What a stale fit needs above it is made all the same, but what is below it is not.
        work.keys &= set(run.selection.keys)
    if not run.tracks.keys:
        return Work()  # a run over partitions needs one
    if work.assets and not work.keys:
        work.keys.update(run.ingested_keys(TRACKS)[:1])
    return work


def _add_pipeline(
    work: Work, run: DatasetRun, pipeline: str, dataset: str, announced: Announced
) -> bool:
    evaluation = run.evaluations[pipeline]
    retries = run.selection.retries
    retried, refitted = _below_failures(run, evaluation) if retries else (set(), set())
    renewed: set[str] = set()
    touched = False
    for step in run.steps_of(evaluation.bound):
        bound = evaluation.bound.steps[step]
        if bound.has_whole:
            modelled = bound.is_fitted or bound.trains
            asset = (model_key if modelled else step_key)(dataset, pipeline, step)
            label = f"{pipeline}/{step}" + ("/model" if modelled else "")
            always = step in retried or (bound.runs_always and retries)
            always |= _reads_any(bound, renewed)
            unit = {MODEL: evaluation.model(step)}
            needy = [*unit] if always else _needy(asset, unit, announced, retries=retries)
            if work.add(asset, label, needy, unit):
                touched = True
                renewed.add(step)
        if bound.trains:
            asset = step_key(dataset, pipeline, step)
            told = announced.get((asset.to_user_string(), MODEL))
            model = evaluation.model(step)
            digest = predictions_digest(evaluation, model)
            if step in renewed or (digest is not None and digest != told):
                touched |= work.add(asset, f"{pipeline}/{step}", [MODEL], {MODEL: model})
        if bound.has_entries:
            asset = step_key(dataset, pipeline, step)
            entries = _asked_entries(run, pipeline, step)
            blocked = step in retried
            needy = _needy(asset, entries, announced, with_blocked=blocked, retries=retries)
            always = step in refitted or (bound.runs_always and retries)
            if always or _reads_any(bound, renewed):
                needy = list(entries)
            touched |= work.add(asset, f"{pipeline}/{step}", needy, entries)
    return touched


def _asked_entries(run: DatasetRun, pipeline: str, step: str) -> Mapping[str, EntryStatus]:
    entries = run.evaluations[pipeline].entries(step)
    keys = run.keys_of(pipeline, step)
    return entries if len(keys) == len(entries) else {key: entries[key] for key in keys}


def _reads_any(step: BoundStep, renewed: set[str]) -> bool:
    """Whether a step reads a file of a fitted state that will be announced anew.

    The file may be the same, and so the step's result, but Dagster compares whole states.
    """
    return any(
        reference.artifact is not None and reference.step in renewed
        for reference in step.references.values()
    )


def _below_failures(run: DatasetRun, evaluation: Evaluation) -> tuple[set[str], set[str]]:
    """Steps that a retry may change, and those of them whose every entry it may change.

    What failed is tried again. If it succeeds, what it blocked can be made in the same run, and
    a fit that left it out is fitted anew, with everything below that fit.
    """
    bound = evaluation.bound
    graph = bound.graph
    if any(run.tracks.statuses[key].state == "failed" for key in bound.entries):
        retried = set(graph.steps)
    else:
        failed = [
            step
            for step in run.steps_of(bound)
            if any(status.state == "failed" for _, status in unfinished(evaluation.units(step)))
        ]
        retried = graph.below(failed)
    fits = [step for step in retried if bound.steps[step].is_fitted]
    return retried, graph.below(fits)


def _needy(
    asset: dg.AssetKey,
    units: Mapping[str, EntryStatus],
    announced: Announced,
    *,
    with_blocked: bool = False,
    retries: bool = True,
) -> list[str]:
    text = asset.to_user_string()
    adoptable: set[str] = set()
    order = units
    if isinstance(units, EntryStates):
        adoptable = units.adoptable(lambda key: announced.get((text, key)))
        units = units.others
    needy = {
        key
        for key, status in units.items()
        if _needs(status, announced.get((text, key)), retries)
        or (with_blocked and status.state == "blocked")
    }
    needy |= adoptable
    return [key for key in order if key in needy] if needy else []


def _needs(status: EntryStatus, told: str | None, retries: bool) -> bool:
    if status.state in DONE:
        assert status.result is not None
        return status.needs_adoption or told != status.result.output_sha256
    # What is blocked waits for what blocks it, which is counted where it failed.
    return status.state != "blocked" and (retries or status.state != "failed")


def _stands_at(status: EntryStatus) -> str:
    """The key a result would have, or why none is known yet, and what was recorded before."""
    before = status.head.action_key if status.head is not None else ""
    return f"{status.state} {status.reason} {status.action_key or ''} {before}"
