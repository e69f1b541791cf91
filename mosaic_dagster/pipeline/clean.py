"""Results that no declared step wants any more."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, Any

import polars as pl

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.pipeline.ingested import Ingested
from mosaic_dagster.pipeline.run import DatasetRun
from mosaic_dagster.pipeline.steps import NO_PIPELINE, TRACKS
from mosaic_dagster.store import FeatureRegistry, Head, ResultRow

if TYPE_CHECKING:
    from mosaic_dagster.pipeline.pipeline import Pipeline

RECORDING = "recording"
"""What stands in the place of a feature for an entry that goes."""

SOURCE = "source"
"""What stands in the place of a feature for a folder that is not there, whose recordings stay."""

KEPT = "kept"
"""Status of such a folder."""

CLEAN_SCHEMA: dict[str, Any] = {
    "feature": pl.String, "run_id": pl.String, "status": pl.String, "n_results": pl.Int64,
    "bytes": pl.Int64, "modified": pl.Datetime("us"), "remark": pl.String,
}  # fmt: skip


def clean_table(
    dataset: Dataset,
    pipelines: Sequence[Pipeline],
    *,
    dry_run: bool = True,
    all_declared: bool = False,
) -> pl.DataFrame:
    """What is stored, by who wants it: ``current``, ``would remove`` or ``removed``.

    A result is wanted while a declared step's last record points to it, or while its key is the
    one that a declared step would have now. Records of steps that the given pipelines no longer
    declare go, and with ``all_declared`` those of pipelines that are not given at all, and the
    entries whose source files are gone (feature ``recording``, the entry in place of a run id),
    and labels whose files are gone. Labels that were added by hand always stay, also those of an
    entry that goes: nothing could make them again. The files themselves go with
    ``mosaic store gc``.

    Recordings of a folder that is gone as a whole stay, since a disk may only be away: it has a
    row of its own (feature ``source``, status ``kept``). The remark says what to do about it, and
    what a recording that goes was renamed to.

    Parameters
    ----------
    dataset
        The dataset.
    pipelines
        The pipelines that are declared.
    dry_run
        Only say what would go.
    all_declared
        Whether ``pipelines`` are all there are, so that the others' results may go.
    """
    run = DatasetRun(dataset, pipelines)
    gone_entries = vanished_entries(run) if all_declared else frozenset()
    gone_labels = _vanished_labels(run) if all_declared else frozenset()
    registry = dataset.registry
    with registry.session():
        heads = [(p, h) for p in _recorded(registry) for h in registry.heads(p)]
        by_hand = _by_hand(registry, [h for pipeline, h in heads if pipeline == NO_PIPELINE])
        declared = {(p.name, step.name) for p in pipelines for step in p.steps}
        names = {p.name for p in pipelines}
        wanted = _wanted_keys(run, gone_entries, gone_labels)
        dropped = []
        for pipeline, head in heads:
            of_pipelines = pipeline in names or (all_declared and pipeline != NO_PIPELINE)
            undeclared = of_pipelines and (pipeline, head.step) not in declared
            gone = head.key in gone_entries and head.action_key not in by_hand
            if undeclared or gone or (head.step, head.key) in gone_labels:
                dropped.append((pipeline, head.step, head.key))
            else:
                wanted.add(head.action_key)
        rows = registry.stored_results()
        table = _grouped(rows, wanted, run if all_declared else None, dry_run)
        if not dry_run:
            registry.drop_heads_at(dropped)
            _forget(run, gone_entries, gone_labels)
            registry.drop_results([r.action_key for r in rows if r.action_key not in wanted])
    return table


def _recorded(registry: FeatureRegistry) -> list[str]:
    return sorted({pipeline for pipeline, _, _ in registry.pipelines()})


def vanished_entries(run: DatasetRun) -> frozenset[str]:
    """Entries that came from files, none of which is there any more, or may be."""
    return _without_files(run.tracks)


def _vanished_labels(run: DatasetRun) -> frozenset[tuple[str, str]]:
    """Step and entry of labels that came from files, none of which is there any more."""
    return frozenset(
        (asset, key)
        for asset, state in run.ingested.items()
        if state is not run.tracks
        for key in _without_files(state)
    )


def _without_files(state: Ingested) -> frozenset[str]:
    """Entries of which every file is known to be gone."""
    held = {item.row.key for item in state.scan.held}
    vanished = {row.key for row in state.scan.vanished}
    return frozenset(vanished - state.sources.keys() - held)


def _by_hand(registry: FeatureRegistry, heads: Sequence[Head]) -> frozenset[str]:
    """Action keys of labels that no file was read for."""
    labels = [h.action_key for h in heads if h.step != TRACKS and h.state != "failed"]
    made_from = registry.dependencies_of(labels)
    return frozenset(key for key in labels if not made_from.get(key))


def _forget(run: DatasetRun, gone: Set[str], gone_labels: Set[tuple[str, str]]) -> None:
    registry = run.dataset.registry
    # What is left of a recording of several files is read without the others from now on.
    vanished = {(row.path, row.key) for row in run.tracks.scan.vanished}
    registry.drop_sources(
        (row.path, row.key, row.asset)
        for row in registry.sources()
        if row.key in gone
        or (row.asset, row.key) in gone_labels
        or (row.asset == TRACKS and (row.path, row.key) in vanished)
    )
    registry.drop_entries(gone)


def _wanted_keys(
    run: DatasetRun, gone_entries: Set[str], gone_labels: Set[tuple[str, str]]
) -> set[str]:
    """Keys that a declared step would have now, where they are known."""
    statuses = [
        status
        for asset, state in run.ingested.items()
        for key, status in state.statuses.items()
        if key not in gone_entries and (asset, key) not in gone_labels
    ]
    for evaluation in run.evaluations.values():
        for step in evaluation.bound.steps:
            units = evaluation.units(step).items()
            statuses += [status for key, status in units if key not in gone_entries]
    return {status.action_key for status in statuses if status.action_key is not None}


def _grouped(
    rows: Sequence[ResultRow], wanted: set[str], run: DatasetRun | None, dry_run: bool
) -> pl.DataFrame:
    """Results by feature and run; with a run also the recordings that go, or are kept."""
    gone = "would remove" if dry_run else "removed"
    groups: dict[tuple[str, str, str], list[ResultRow]] = {}
    for row in rows:
        status = "current" if row.action_key in wanted else gone
        groups.setdefault((row.feature, row.made_by, status), []).append(row)
    told: list[dict[str, Any]] = [
        {
            "feature": feature,
            "run_id": run_id,
            "status": status,
            "n_results": len(members),
            "bytes": sum(member.bytes for member in members),
            "modified": max(member.created_at for member in members),
        }
        for (feature, run_id, status), members in sorted(groups.items())
    ]
    if run is not None:
        told += _recordings(run, gone)
    return pl.DataFrame(told, schema=CLEAN_SCHEMA)


def _recordings(run: DatasetRun, gone: str) -> list[dict[str, Any]]:
    """Rows of the recordings that go, and of the folders whose recordings stay."""
    now = {renamed.row.key: str(renamed.now.key) for renamed in run.tracks.scan.renamed}
    empty = {"n_results": 0, "bytes": 0}
    told = [
        empty | {"feature": RECORDING, "run_id": key, "status": gone,
                 "remark": f"renamed to {now[key]}" if key in now else None}
        for key in sorted(vanished_entries(run))
    ]  # fmt: skip
    return told + [
        empty | {"feature": SOURCE, "run_id": root.rule.path, "status": KEPT,
                 "remark": root.describe()}
        for state in run.ingested.values()
        for root in state.scan.absent
    ]  # fmt: skip
