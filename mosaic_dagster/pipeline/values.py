"""One table of chosen columns over all recordings: for notebooks, figures and statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from mosaic_dagster.dataset import Dataset, Scope
from mosaic_dagster.dataset.labels import Labels, align_labels, read_labels_file
from mosaic_dagster.errors import MissingColumnError, ParamsError, PipelineError, UnknownRunError
from mosaic_dagster.features import (
    LabelsSource,
    ResultColumn,
    StepRef,
    TracksColumn,
    join_inputs,
)
from mosaic_dagster.features.output import META_COLUMNS
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.pipeline.labels import label_kinds
from mosaic_dagster.pipeline.pipeline import Pipeline
from mosaic_dagster.pipeline.run import DatasetRun
from mosaic_dagster.pipeline.selection import Selection
from mosaic_dagster.pipeline.status import DONE, EntryStatus
from mosaic_dagster.pipeline.steps import TRACKS, labels_step
from mosaic_dagster.store.content.codecs import read_table

ValueSource = StepRef | TracksColumn | ResultColumn | LabelsSource
"""A column of a step's tables, of the tracks, of a run's tables, or the labels of a kind."""


def load_values(
    dataset: Dataset,
    sources: Sequence[ValueSource],
    pipeline: Pipeline | None = None,
    scope: Scope | None = None,
) -> pl.DataFrame:
    """Gather columns of several steps, of the tracks and of labels into one table.

    Parameters
    ----------
    dataset
        The dataset.
    sources
        What to gather: ``StepRef("tsne", column="tsne_x")`` of a step of ``pipeline``,
        ``TracksColumn(column="X")``, ``ResultColumn(feature=…, column=…)`` of the latest or a
        named run, ``LabelsSource(kind="behavior")``; at least one that is no label.
    pipeline
        The pipeline that step references are about.
    scope
        Which entries; None means all that every source has.

    Returns
    -------
    polars.DataFrame
        Key columns, the values in the order of the sources, group and sequence. Rows are those
        that every source has, joined by frame and identity. Two columns of one name become
        ``name`` and ``name-1``; labels are ``labels-<kind>``, null where unlabelled.

    Raises
    ------
    ParamsError
        No source is a column, or a step reference names no column or has no pipeline.
    MissingColumnError
        A table does not have the column.
    AlignmentError
        Tables of individuals and of pairs are asked for together.
    UnknownRunError
        A run or a feature is not known.
    PipelineError
        A source is out of date, failed or not made for an entry that is asked for; a scope leaves
        such entries out.
    """
    columns = [source for source in sources if not isinstance(source, LabelsSource)]
    _check(columns, sources)
    run = DatasetRun(dataset, [pipeline] if pipeline else [], selection=Selection(overwrite=False))
    found = [_find(dataset, run, pipeline, source) for source in columns]
    kinds = [source.kind for source in sources if isinstance(source, LabelsSource)]
    labels = {kind: _labels_of(dataset, run, kind) for kind in kinds}
    names = _distinct([column.name for column in found])
    keys = sorted(EntryKey.parse(key) for key in set.intersection(*(set(c.keys) for c in found)))
    chosen = sorted(keys if scope is None else scope.select(keys))
    _check_made([*found, *labels.values()], chosen)
    parts = [_with_labels(_joined(found, names, key), labels, key) for key in chosen]
    if not parts:
        msg = f"No recording has {' and '.join(column.source for column in found)}."
        raise PipelineError(msg, "Run the pipeline first, or widen the scope.")
    return pl.concat(parts, how="vertical_relaxed")


def _check(columns: Sequence[ValueSource], sources: Sequence[ValueSource]) -> None:
    if not columns:
        msg = "No column is asked for beside labels."
        raise ParamsError(msg, "Name at least one column that the labels belong to.")
    for source in columns:
        name = getattr(source, "column", None)
        if name in META_COLUMNS:
            msg = f"The column {name!r} is a key, which is always there."
            raise ParamsError(msg, "Leave it out.")
    labels = [source for source in sources if isinstance(source, LabelsSource)]
    if len({source.kind for source in labels}) < len(labels):
        msg = "Labels of one kind are asked for twice."
        raise ParamsError(msg, "Leave one of them out.")


def _labels_of(dataset: Dataset, run: DatasetRun, kind: str) -> _Column:
    state = run.ingested.get(labels_step(kind))
    if state is None:
        kinds = ", ".join(sorted(label_kinds(dataset, run.snapshot))) or "none"
        msg = f"The dataset has no labels of kind {kind!r}."
        raise ParamsError(msg, f"Its kinds are: {kinds}.")
    return _made(dataset, f"The labels of kind {kind!r}", "", state.statuses)


def _check_made(columns: Sequence[_Column], keys: Sequence[EntryKey]) -> None:
    """Refuse to leave out what is only out of date: a figure would be of fewer recordings."""
    for column in columns:
        late = [key for key in keys if str(key) in column.late]
        if late:
            why = column.late[str(late[0])]
            msg = f"{column.source} is {why} for {late[0]}, and {len(late)} of {len(keys)} entries."
            raise PipelineError(msg, "Run the pipeline first, or name the entries in a scope.")


@dataclass(frozen=True)
class _Column:
    """A column of one table per entry, and the state of the entries that have no table."""

    source: str
    name: str
    paths: Mapping[str, Path]
    late: Mapping[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> list[str]:
        """Entries that have a table, or would have one."""
        return [*self.paths, *self.late]

    def read(self, key: EntryKey, name: str) -> pl.DataFrame:
        table = read_table(self.paths[str(key)])
        if self.name not in table.columns:
            msg = f"{self.source} has no column {self.name!r} for {key}."
            raise MissingColumnError(msg, f"It has: {', '.join(table.columns)}.")
        keys = [column for column in table.columns if column in META_COLUMNS]
        return table.select(*keys, pl.col(self.name).alias(name))


def _find(
    dataset: Dataset, run: DatasetRun, pipeline: Pipeline | None, source: ValueSource
) -> _Column:
    if isinstance(source, TracksColumn):
        return _made(dataset, TRACKS, source.column, run.tracks.statuses)
    if isinstance(source, ResultColumn):
        return _Column(source.feature, source.column, _paths_of_run(dataset, source))
    assert isinstance(source, StepRef)
    if source.column is None or source.artifact is not None or pipeline is None:
        msg = f"The step reference to {source.step!r} names no column, or no pipeline is given."
        raise ParamsError(msg, 'Write StepRef("step", column="…"), and give the pipeline.')
    pipeline.graph().require(source.step)
    evaluation = run.evaluations[pipeline.name]
    if not evaluation.bound.steps[source.step].has_entries:
        msg = f"Step {source.step!r} has no table for each recording."
        raise ParamsError(msg, "Refer to a feature step.")
    statuses = evaluation.entries(source.step)
    return _made(dataset, f"Step {source.step!r}", source.column, statuses)


def _made(dataset: Dataset, source: str, name: str, statuses: Mapping[str, EntryStatus]) -> _Column:
    paths: dict[str, Path] = {}
    late: dict[str, str] = {}
    for key, status in statuses.items():
        result = status.result if status.state in DONE else None
        if result is None or result.output_sha256 is None:
            late[key] = status.state
        else:
            paths[key] = dataset.objects.path(result.output_sha256, result.ext)
    return _Column(source, name, paths, late)


def _paths_of_run(dataset: Dataset, source: ResultColumn) -> dict[str, Path]:
    registry = dataset.registry
    run_id = source.run_id or registry.latest_run_id(source.feature)
    if not registry.has_run(source.feature, run_id):
        msg = f"The feature {source.feature!r} has no run {run_id!r}."
        raise UnknownRunError(msg, "registry.list_runs(feature) lists its runs.")
    entries = registry.list_entries(source.feature, run_id)
    rows = entries.select("group", "sequence", "sha256", "ext").drop_nulls("sha256").rows()
    return {
        str(EntryKey(group, sequence)): dataset.objects.path(sha256, ext)
        for group, sequence, sha256, ext in rows
    }


def _distinct(names: Sequence[str]) -> list[str]:
    """Names of columns, the second of one name with ``-1`` behind it.

    Examples
    --------
    >>> _distinct(["cluster", "X", "cluster", "cluster"])
    ['cluster', 'X', 'cluster-1', 'cluster-2']
    """
    counts: dict[str, int] = {}
    distinct = []
    for name in names:
        count = counts.get(name, 0)
        counts[name] = count + 1
        distinct.append(f"{name}-{count}" if count else name)
    return distinct


def _joined(found: Sequence[_Column], names: Sequence[str], key: EntryKey) -> pl.DataFrame:
    pairs = zip(found, names, strict=True)
    tables = [column.read(key, name) for column, name in pairs]
    return join_inputs(tables, [column.source for column in found])


def _with_labels(table: pl.DataFrame, labels: Mapping[str, _Column], key: EntryKey) -> pl.DataFrame:
    columns = []
    for kind, column in labels.items():
        path = column.paths.get(str(key))
        found = None if path is None else read_labels_file(path)
        if found is not None and not isinstance(found, Labels):
            msg = f"The labels of kind {kind!r} are tags of individuals, not of frames."
            raise ParamsError(msg, "Use the feature id-tag-columns.")
        columns.append(align_labels(table, found).labels.alias(f"labels-{kind}"))
    return table.with_columns(columns)
