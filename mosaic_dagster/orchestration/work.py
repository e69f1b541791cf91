"""What a dataset needs: which assets, over which entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import dagster as dg

from mosaic_dagster.orchestration.asset_keys import ingested_key, model_key, report_key, step_key
from mosaic_dagster.pipeline import DatasetRun, Study
from mosaic_dagster.pipeline.binding import BoundStep
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
    """

    assets: set[dg.AssetKey] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, asset: dg.AssetKey, label: str, needy: list[str]) -> bool:
        """Add what an asset needs; says whether it needs anything."""
        if not needy:
            return False
        self.assets.add(asset)
        self.keys.update(key for key in needy if key != MODEL)
        self.counts[label] = len(needy)
        return True


def needed_work(run: DatasetRun, study: Study, announced: Announced) -> Work:
    """Assets and entries that are out of date, or that the instance has not been told of."""
    work = Work()
    name = study.dataset.name
    for made in study.ingested():
        asset = ingested_key(name, made)
        state = run.ingested[made]
        statuses = {key: state.statuses[key] for key in run.ingested_keys(made)}
        work.add(asset, made, _needy(asset, statuses, announced))
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
    retried, refitted = _below_failures(run, evaluation)
    renewed: set[str] = set()
    touched = False
    for step in run.steps_of(evaluation.bound):
        bound = evaluation.bound.steps[step]
        if bound.has_whole:
            modelled = bound.is_fitted or bound.trains
            asset = (model_key if modelled else step_key)(dataset, pipeline, step)
            label = f"{pipeline}/{step}" + ("/model" if modelled else "")
            always = step in retried or bound.runs_always
            always |= _reads_any(bound, renewed)
            unit = {MODEL: evaluation.model(step)}
            if work.add(asset, label, [*unit] if always else _needy(asset, unit, announced)):
                touched = True
                renewed.add(step)
        if bound.trains:
            asset = step_key(dataset, pipeline, step)
            told = announced.get((asset.to_user_string(), MODEL))
            model = evaluation.model(step)
            digest = predictions_digest(evaluation, model)
            if step in renewed or (digest is not None and digest != told):
                touched |= work.add(asset, f"{pipeline}/{step}", [MODEL])
        if bound.has_entries:
            asset = step_key(dataset, pipeline, step)
            entries = evaluation.entries(step)
            units = {key: entries[key] for key in run.keys_of(pipeline, step)}
            needy = _needy(asset, units, announced, with_blocked=step in retried)
            if step in refitted or bound.runs_always or _reads_any(bound, renewed):
                needy = list(units)
            touched |= work.add(asset, f"{pipeline}/{step}", needy)
    return touched


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
            if any(status.state == "failed" for status in evaluation.units(step).values())
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
) -> list[str]:
    text = asset.to_user_string()
    return [
        key
        for key, status in units.items()
        if _needs(status, announced.get((text, key)))
        or (with_blocked and status.state == "blocked")
    ]


def _needs(status: EntryStatus, told: str | None) -> bool:
    if status.state in DONE:
        assert status.result is not None
        return status.needs_adoption or told != status.result.output_sha256
    # What is blocked waits for what blocks it, which is counted where it failed.
    return status.state != "blocked"
