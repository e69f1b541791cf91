"""The pipeline on the dataset that a report is about, and ways to read what it has made."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import polars as pl

from mosaic_dagster.dataset import Dataset, Labels
from mosaic_dagster.dataset.identity import source_run_id
from mosaic_dagster.dataset.labels import read_labels_file
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.pipeline import DatasetRun, Pipeline, Selection
from mosaic_dagster.pipeline.binding import BoundStep
from mosaic_dagster.pipeline.identity import member_ext
from mosaic_dagster.pipeline.staleness import Evaluation
from mosaic_dagster.pipeline.status import DONE, MODEL, EntryStatus
from mosaic_dagster.pipeline.steps import TRACKS, is_ingested
from mosaic_dagster.store.content.codecs import read_schema, read_table

T = TypeVar("T")


@dataclass(frozen=True)
class Trace:
    """What numbers and pictures were made from.

    Attributes
    ----------
    step
        Name of the step, ``step (fit)`` for its fitted state.
    run_id
        Declaration that the step has now.
    digest
        Digest of the one result, or :func:`digest_of_results` of several; empty without any.
    results
        Number of results that it stands for.
    """

    step: str
    run_id: str
    digest: str
    results: int


class Subject:
    """A pipeline on a dataset as it stands now; nothing is computed.

    Parameters
    ----------
    dataset, pipeline
        What the report is about.

    Attributes
    ----------
    run
        What is recorded and what is out of date.
    """

    def __init__(self, dataset: Dataset, pipeline: Pipeline) -> None:
        self.dataset = dataset
        self.pipeline = pipeline
        self.run = DatasetRun(dataset, [pipeline], selection=Selection(overwrite=False))
        self._units: dict[str, Mapping[str, EntryStatus]] = {}

    @property
    def evaluation(self) -> Evaluation:
        """States of every step."""
        return self.run.evaluations[self.pipeline.name]

    @property
    def entries(self) -> tuple[str, ...]:
        """Keys of the recordings in scope."""
        return self.evaluation.bound.entries

    @property
    def steps(self) -> Mapping[str, BoundStep]:
        """The declared steps by name."""
        return self.evaluation.bound.steps

    @cached_property
    def ingested(self) -> list[str]:
        """The tracks, and the labels that a step reads."""
        read = {name for ups in self.pipeline.dag().values() for name in ups}
        return [name for name in self.run.ingested if name == TRACKS or name in read]

    def units(self, step: str) -> Mapping[str, EntryStatus]:
        """State of everything that a step makes in scope; its fit, or a callback, under ``""``."""
        if step not in self._units:
            if is_ingested(step):
                known = self.evaluation.entries(step)
                self._units[step] = {key: known[key] for key in self.entries if key in known}
            else:
                self._units[step] = self.evaluation.units(step)
        return self._units[step]

    def done(self, step: str) -> list[str]:
        """Recordings whose table of a step is up to date and has rows."""
        return [k for k, s in self.units(step).items() if k != MODEL and s.state == "fresh"]

    def path(self, step: str, key: str) -> Path:
        """File of a result that is up to date."""
        result = self.units(step)[key].result
        assert result is not None
        assert result.output_sha256 is not None
        return self.dataset.objects.path(result.output_sha256, result.ext)

    def rows(self, step: str) -> int:
        """Rows of all tables of a step that are up to date."""
        units = self.units(step)
        done = self.done(step)
        # Of tables that were added by hand nobody wrote down how long they are.
        by_hand = [key for key in done if _was_added(units[key])]
        paths = [self.path(step, key) for key in by_hand]
        if any(path.suffix != ".parquet" for path in paths):
            return 0
        found = pl.scan_parquet(paths).select(pl.len()).collect().item() if paths else 0
        return int(found) + sum(
            status.result.rows
            for key in done
            if (status := units[key]).result is not None and not _was_added(status)
        )

    def schema(self, step: str) -> pl.Schema:
        """Columns of a step's first table; empty when there is none."""
        done = self.done(step)
        if not done or self.path(step, done[0]).suffix != ".parquet":
            return pl.Schema()
        return read_schema(self.path(step, done[0]))

    def table(self, step: str, key: str, columns: Sequence[str]) -> pl.DataFrame:
        """Those of some columns that a table has."""
        path = self.path(step, key)
        return read_table(path, [name for name in columns if name in read_schema(path)])

    def labels(self, step: str, key: str) -> Labels | None:
        """Labels of behaviour of one recording; None when it has none that can be used."""
        status = self.units(step).get(key)
        if status is None or status.state not in DONE:
            return None
        found = read_labels_file(self.path(step, key))
        return found if isinstance(found, Labels) else None

    def members(self, step: str, key: str = MODEL) -> dict[str, tuple[str, Path]]:
        """Digest and file of each part of a fitted state, or of what a callback returned."""
        status = self.units(step).get(key)
        if status is None or status.result is None or not digest_of(status):
            return {}
        members = self.evaluation.snapshot.state_members(digest_of(status))
        path = self.dataset.objects.path
        return {name: (sha, path(sha, member_ext(name))) for name, sha in members.items()}

    def run_id(self, step: str) -> str:
        """Run id that a step has now."""
        return source_run_id(step) if is_ingested(step) else self.steps[step].run_id

    def trace(self, step: str, keys: Iterable[str] | None = None) -> Trace:
        """What stands behind numbers of a step.

        Parameters
        ----------
        step
            The step.
        keys
            Recordings that were read; None means all that are up to date. A step that makes
            nothing of a recording is traced to its one result.
        """
        units = self.units(step)
        if MODEL in units and len(units) == 1 and keys is None:
            return self.trace_of_fit(step, step)
        chosen = units if keys is None else {key: units[key] for key in keys}
        return Trace(step, self.run_id(step), *digest_of_results(chosen))

    def trace_of_fit(self, step: str, name: str = "") -> Trace:
        """What stands behind numbers of a fitted state, or of a callback."""
        status = self.units(step)[MODEL]
        digest = digest_of(status)
        return Trace(name or f"{step} (fit)", self.run_id(step), digest, int(bool(digest)))


def _was_added(status: EntryStatus) -> bool:
    return status.result is not None and not status.result.action_key


def digest_of(status: EntryStatus) -> str:
    """Digest of a result that is up to date; empty when it is not."""
    if status.state not in DONE or status.result is None:
        return ""
    return status.result.output_sha256 or ""


def digest_of_results(units: Mapping[str, EntryStatus]) -> tuple[str, int]:
    """Digest over the results of several recordings that are up to date, and their number.

    It is the sha256 of one line ``<entry key> <sha256 of its result>`` for each, in sorted order,
    joined by line feeds; empty when there is none. A fitted state does not count.
    """
    found = {key: digest_of(status) for key, status in units.items() if key != MODEL}
    lines = sorted(f"{key} {sha256}" for key, sha256 in found.items() if sha256)
    if not lines:
        return "", 0
    return hashlib.sha256("\n".join(lines).encode()).hexdigest(), len(lines)


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most so many items, evenly spaced, the first and the last among them.

    Examples
    --------
    >>> spread(range(10), 4), spread("ab", 4)
    ([0, 3, 6, 9], ['a', 'b'])
    """
    if len(items) <= most:
        return list(items)
    if most < 2:
        return list(items[:most])
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def entry_name(key: str) -> str:
    """A recording as people call it, on one line: ``group/sequence``.

    Examples
    --------
    >>> entry_name("dish%2001/larva"), entry_name("/larva")
    ('dish 01/larva', 'larva')
    """
    entry = EntryKey.parse(key)
    return one_line(f"{entry.group}/{entry.sequence}" if entry.group else entry.sequence)


def one_line(text: str) -> str:
    """A text without line breaks; what cannot be printed is spelled out, so that it can be seen."""
    joined = " ".join(text.splitlines())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in joined)
