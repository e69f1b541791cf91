"""Results of steps as people use them: named, counted, read when asked for."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
from pydantic import PrivateAttr

from mosaic_dagster.dataset.identity import source_run_id
from mosaic_dagster.dataset.labels.files import AnyLabels, read_labels_file
from mosaic_dagster.errors import EntryNotFoundError
from mosaic_dagster.features import Result
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.pipeline.identity import STATE_EXT, member_ext
from mosaic_dagster.pipeline.status import DONE, MODEL, EntryStatus
from mosaic_dagster.store.content.codecs import read_table

if TYPE_CHECKING:
    from mosaic_dagster.pipeline.staleness import Evaluation


class StepResult(Result):
    """What a step made: a reference to its run, with the tables behind it.

    Attributes
    ----------
    counts
        Number of entries by state.
    """

    counts: Mapping[str, int]
    _evaluation: Evaluation = PrivateAttr()
    _step: str = PrivateAttr()
    _only: str | None = PrivateAttr(default=None)

    @classmethod
    def of(cls, evaluation: Evaluation, step: str, only: str | None = None) -> StepResult:
        """The result of a step as the evaluation knows it, or only one entry of it."""
        counts: dict[str, int] = {}
        for status in _entries(evaluation, step, only).values():
            counts[status.state] = counts.get(status.state, 0) + 1
        bound = evaluation.bound.steps.get(step)
        result = cls(
            feature=source_run_id(step) if bound is None else bound.feature_name,
            run_id=source_run_id(step) if bound is None else bound.run_id,
            counts=counts,
        )
        result._evaluation = evaluation
        result._step = step
        result._only = only
        return result

    def keys(self) -> list[EntryKey]:
        """Entries whose table is there, those without rows included."""
        entries = _entries(self._evaluation, self._step, self._only)
        return [EntryKey.parse(key) for key, status in entries.items() if status.state in DONE]

    def table(self, key: EntryKey | str) -> pl.DataFrame:
        """Read the table of one entry.

        Raises
        ------
        EntryNotFoundError
            There is no table for this entry; says in which state it is.
        """
        status = _entries(self._evaluation, self._step, self._only).get(str(key))
        if status is None:
            known = [str(k) for k in self.keys()]
            near = difflib.get_close_matches(str(key), known, n=1)
            msg = f"Step {self._step!r} knows no entry {str(key)!r}."
            raise EntryNotFoundError(msg, f"Did you mean {near[0]!r}?" if near else "")
        if status.state not in DONE or status.result is None:
            msg = f"Entry {str(key)!r} of step {self._step!r} is {status.state}: {status.reason}."
            raise EntryNotFoundError(msg, "Run the pipeline first.")
        digest = status.result.output_sha256
        assert digest is not None
        return read_table(self._evaluation.snapshot.dataset.objects.path(digest, status.result.ext))

    def labels(self, key: EntryKey | str) -> AnyLabels | None:
        """Labels of one entry, of a result ``labels/<kind>``; None when it has none.

        Raises
        ------
        EntryNotFoundError
            Its labels are there and were not read yet, or cannot be.
        """
        entries = _entries(self._evaluation, self._step, self._only)
        status = entries.get(str(key))
        if status is None:
            return None
        if status.state not in DONE or status.result is None:
            msg = f"The labels of {str(key)!r} are {status.state}: {status.reason}."
            raise EntryNotFoundError(msg, "Run the pipeline first.")
        digest = status.result.output_sha256
        assert digest is not None
        objects = self._evaluation.snapshot.dataset.objects
        return read_labels_file(objects.path(digest, status.result.ext))

    def tables(self) -> Iterator[tuple[EntryKey, pl.DataFrame]]:
        """Every entry with its table, read one at a time."""
        for key in self.keys():
            yield key, self.table(key)

    def artifact(self, name: str) -> Path:
        """Path of a file of the fitted state.

        Raises
        ------
        EntryNotFoundError
            The step is not fitted, or its state has no such file.
        """
        members = self.artifacts()
        if name not in members:
            msg = f"The state of step {self._step!r} has no file {name!r}."
            raise EntryNotFoundError(msg, f"Its files are: {', '.join(members) or 'none'}.")
        return members[name]

    def artifacts(self, key: EntryKey | str = MODEL) -> dict[str, Path]:
        """Files of the fitted state, or of a callback, by name; empty when there are none.

        Parameters
        ----------
        key
            The entry, for a callback per entry.
        """
        bound = self._evaluation.bound.steps.get(self._step)
        status = None if bound is None else self._evaluation.units(self._step).get(str(key))
        if status is None or status.result is None or status.result.ext != STATE_EXT:
            return {}
        assert status.result.output_sha256 is not None
        objects = self._evaluation.snapshot.dataset.objects
        members = self._evaluation.snapshot.state_members(status.result.output_sha256)
        return {n: objects.path(sha, member_ext(n)) for n, sha in members.items()}


def _entries(
    evaluation: Evaluation, step: str, only: str | None = None
) -> Mapping[str, EntryStatus]:
    """States of a step in the scope of its pipeline, which the tracks themselves do not know."""
    statuses = evaluation.entries(step)
    keys = evaluation.bound.entries if only is None else [only]
    return {key: statuses[key] for key in keys if key in statuses}
