"""Results that no declared step wants any more."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, Any

import polars as pl

from mosaic_dagster.dataset import Dataset
from mosaic_dagster.pipeline.run import DatasetRun
from mosaic_dagster.store import ResultRow

if TYPE_CHECKING:
    from mosaic_dagster.pipeline.pipeline import Pipeline

RECORDING = "recording"
"""What stands in the place of a feature for an entry that goes."""

CLEAN_SCHEMA: dict[str, Any] = {
    "feature": pl.String, "run_id": pl.String, "status": pl.String, "n_results": pl.Int64,
    "bytes": pl.Int64, "modified": pl.Datetime("us"),
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
    entries whose source files are gone (feature ``recording``, the entry in place of a run id).
    The files themselves go with ``mosaic store gc``.

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
    wanted = _wanted_keys(run, gone_entries)
    declared = {(p.name, step.name) for p in pipelines for step in p.steps}
    names = {p.name for p in pipelines}
    registry = dataset.registry
    with registry.session():
        undeclared = []
        for pipeline in sorted({pipeline for pipeline, _, _ in registry.pipelines()}):
            for head in registry.heads(pipeline):
                gone = pipeline in names or (all_declared and pipeline)
                if gone and (pipeline, head.step) not in declared:
                    undeclared.append((pipeline, head.step))
                elif head.key not in gone_entries:
                    wanted.add(head.action_key)
        rows = registry.stored_results()
        table = _grouped(rows, wanted, gone_entries, dry_run)
        if not dry_run:
            _forget(run, gone_entries)
            for pipeline, step in sorted(set(undeclared)):
                registry.drop_heads(pipeline, [step])
            registry.drop_results([r.action_key for r in rows if r.action_key not in wanted])
    return table


def vanished_entries(run: DatasetRun) -> frozenset[str]:
    """Entries that came from files, none of which is there any more."""
    vanished = {row.key for row in run.tracks.scan.vanished}
    return frozenset(key for key in vanished if not run.tracks.sources.get(key))


def _forget(run: DatasetRun, gone: Set[str]) -> None:
    registry = run.dataset.registry
    registry.drop_heads_of_entries(gone)
    registry.drop_sources([(r.path, r.key) for r in registry.sources() if r.key in gone])
    registry.drop_entries(gone)


def _wanted_keys(run: DatasetRun, gone_entries: Set[str]) -> set[str]:
    """Keys that a declared step would have now, where they are known."""
    ingested = (item for state in run.ingested.values() for item in state.statuses.items())
    statuses = [status for key, status in ingested if key not in gone_entries]
    for evaluation in run.evaluations.values():
        for step in evaluation.bound.steps:
            units = evaluation.units(step).items()
            statuses += [status for key, status in units if key not in gone_entries]
    return {status.action_key for status in statuses if status.action_key is not None}


def _grouped(
    rows: Sequence[ResultRow], wanted: set[str], gone_entries: Set[str], dry_run: bool
) -> pl.DataFrame:
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
    told += [
        {"feature": RECORDING, "run_id": key, "status": gone, "n_results": 0, "bytes": 0}
        for key in sorted(gone_entries)
    ]
    return pl.DataFrame(told, schema=CLEAN_SCHEMA)
