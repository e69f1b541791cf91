"""What is known about the results of a step: profiles as recorded, scores as remembered."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import polars as pl

from mosaic_dagster.pipeline.entry_states import recorded_results
from mosaic_dagster.pipeline.identity import STATE_EXT, member_ext
from mosaic_dagster.pipeline.quality_scores import score_changes
from mosaic_dagster.pipeline.status import DONE, MODEL, EntryStatus
from mosaic_dagster.pipeline.steps import TRACKS, labels_step
from mosaic_dagster.quality import (
    Facts,
    LabelCoverage,
    Profiles,
    RowsMatchTracks,
    Rule,
    ScoreDrop,
    profile_table,
)
from mosaic_dagster.store import Outcome, Profile, StoredResult
from mosaic_dagster.store.feature_registry.profiles import table_of

if TYPE_CHECKING:
    from mosaic_dagster.pipeline.binding import BoundStep
    from mosaic_dagster.pipeline.snapshot import Snapshot
    from mosaic_dagster.pipeline.staleness import Evaluation

_READ: Mapping[str, Callable[[io.BytesIO], pl.DataFrame]] = {
    "parquet": pl.read_parquet,
    "csv": pl.read_csv,
}


class Measured:
    """Profiles of stored objects, asked for once.

    Parameters
    ----------
    snapshot
        The dataset, and what states consist of.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._dataset = snapshot.dataset
        self._known = table_of({})
        self._asked: set[str] = set()
        self._made: dict[str, Profile] = {}
        self._unrecorded: dict[str, Profile] = {}

    def add(self, outcome: Outcome) -> None:
        """Take in what was just made and recorded."""
        if outcome.output_sha256 is not None and outcome.profile is not None:
            self._made[outcome.output_sha256] = outcome.profile

    def of(self, results: Mapping[str, StoredResult], *, measure: bool = False) -> Profiles:
        """Profiles of the results that have one.

        Parameters
        ----------
        results
            Results by key.
        measure
            Whether those without one are read and measured; else they are left out.
        """
        digests = {key: str(result.output_sha256) for key, result in results.items()}
        self._look_up(set(digests.values()))
        if measure:
            missing = set(digests.values()).difference(self._known["output_sha256"])
            for key, digest in digests.items():
                if digest in missing and digest not in self._made:
                    self._measure(digest, results[key].ext)
            self._take_in()
        asked = pl.DataFrame({"key": list(digests), "output_sha256": list(digests.values())},
                             schema={"key": pl.String, "output_sha256": pl.String})  # fmt: skip
        found = asked.join(self._known, on="output_sha256", how="inner", maintain_order="left")
        return Profiles(found["key"].to_list(), found.drop("key"))

    def _look_up(self, digests: set[str]) -> None:
        self._take_in()
        new = digests - self._asked
        if new:
            self._asked |= new
            found = self._dataset.registry.profiles(new)
            self._known = pl.concat([self._known, found], rechunk=True)

    def _take_in(self) -> None:
        """What was made or measured joins what is known, once each."""
        new = {d: p for d, p in self._made.items() if d not in self._asked}
        lacking = self._made.keys() & self._asked
        if lacking:
            there = set(self._known["output_sha256"])
            new |= {d: self._made[d] for d in lacking if d not in there}
        if new:
            self._asked |= new.keys()
            self._known = pl.concat([self._known, table_of(new)], rechunk=True)
        self._made.clear()

    def record(self) -> None:
        """Write down what was measured from objects, so that nobody has to do it again."""
        if self._unrecorded:
            self._dataset.registry.put_profiles(self._unrecorded)
            self._unrecorded = {}

    def _measure(self, digest: str, ext: str) -> None:
        table = self._table(digest, ext)
        if table is not None:
            self._made[digest] = self._unrecorded[digest] = profile_table(table)

    def _table(self, digest: str, ext: str) -> pl.DataFrame | None:
        """The table of a result; None for a state that holds not exactly one."""
        objects = self._dataset.objects
        if ext == STATE_EXT:
            members = self._snapshot.state_members(digest)
            tables = [n for n in members if member_ext(n) in _READ and "/" not in n]
            if len(tables) != 1:
                return None
            digest, ext = members[tables[0]], member_ext(tables[0])
        return _READ[ext](io.BytesIO(objects.get(digest, ext)))


def facts_about(
    evaluation: Evaluation,
    step: BoundStep,
    rules: Sequence[Rule],
    units: Mapping[str, EntryStatus],
    *,
    measure: bool = False,
) -> Facts:
    """What some rules of a step need to know.

    Parameters
    ----------
    evaluation, step, rules
        The step, and the rules that are about to judge it.
    units
        State of everything it makes.
    measure
        Whether results that nobody has measured are read.
    """
    judged = results_in(units, evaluation.bound.entries if step.has_entries else [MODEL])
    measured = evaluation.measured
    profiles = Profiles()
    if not step.trains and any(rule.reads_profiles for rule in rules):
        profiles = measured.of(judged, measure=measure)
    covered = [rule.labels for rule in rules if isinstance(rule, LabelCoverage)]
    matched = [rule.per for rule in rules if isinstance(rule, RowsMatchTracks)]
    rows: dict[str, int] = {}
    frames: dict[str, int] = {}
    if matched or covered:
        tracks = results_in(evaluation.entries(TRACKS), evaluation.bound.entries)
        rows, frames = _tracks(evaluation, tracks, frames="frame" in matched or bool(covered))
    drops = any(isinstance(rule, ScoreDrop) for rule in rules) and MODEL in judged
    return Facts(
        profiles=profiles,
        unmeasured=sorted(judged.keys() - set(profiles.entries)),
        tracks_rows=rows,
        tracks_frames=frames,
        labelled={kind: _labelled(evaluation, kind, frames) for kind in covered},
        scores=score_changes(evaluation, step, units[MODEL].action_key) if drops else (),
    )


def results_in(units: Mapping[str, EntryStatus], keys: Collection[str]) -> dict[str, StoredResult]:
    """Results that are there, those that a check refused among them."""
    found, units = recorded_results(units)
    for key in keys if units else ():
        status = units.get(key)
        if (
            status is not None
            and status.result is not None
            and (status.state in DONE or status.error)
        ):
            found[key] = status.result
    return {key: found[key] for key in keys if key in found}


def _tracks(
    evaluation: Evaluation, tracks: Mapping[str, StoredResult], *, frames: bool
) -> tuple[dict[str, int], dict[str, int]]:
    """Rows and frames of the tracks; without frames only what was given by hand is read."""
    # Of tracks that were given by hand the registry does not know the rows.
    read = {key: r for key, r in tracks.items() if frames or not r.action_key}
    profiles = evaluation.measured.of(read, measure=True)
    recorded = {key: result.rows for key, result in tracks.items()}
    return recorded | profiles.by_entry("rows"), profiles.by_entry("frames")


def _labelled(evaluation: Evaluation, kind: str, frames: Mapping[str, int]) -> dict[str, float]:
    """Share of the tracks' frames that have a label; tags of individuals are about no frame."""
    labels = results_in(evaluation.entries(labels_step(kind)), frames)
    profiles = evaluation.measured.of(labels, measure=True)
    rows = profiles.by_entry("rows")
    return {
        key: count / frames[key]
        for key, count in profiles.by_entry("frames").items()
        if frames[key] and (count or not rows[key])
    }
