"""Time a feature and its reference, and compare their numbers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from benchmarks.features.case import Case, Columns
from mosaic_dagster.features import FeatureTable, get_feature

_CLOSE = 1e-9
_STEP_32 = float(np.finfo(np.float32).eps)
_ROUNDS = 9
_TELLING = ("window", "threshold")
_BUDGET = 4.0
"""Seconds of processor time after which a case is not run again, from the third round on."""


@dataclass(frozen=True)
class Measured:
    """What came out of one case.

    Attributes
    ----------
    feature, setting
        The feature, and the parameters and input that tell its cases apart.
    reference_ms, ours_ms
        Least processor time of all threads, over the rounds.
    required
        Ratio of the two that is asked for.
    difference
        What differs between the numbers; empty where nothing does.
    """

    feature: str
    setting: str
    reference_ms: float
    ours_ms: float
    required: float
    difference: str

    @property
    def ratio(self) -> float:
        """How many times faster than the reference the feature is."""
        return self.reference_ms / self.ours_ms

    @property
    def ok(self) -> bool:
        """Whether the numbers agree and the feature is fast enough."""
        return not self.difference and self.ratio >= self.required

    def as_row(self) -> dict[str, Any]:
        """All of it as plain values."""
        return asdict(self) | {"ratio": self.ratio, "ok": self.ok}


def measure(case: Case, tracks: pl.DataFrame) -> Measured:
    """Run the feature and its reference by turns, and compare what they give."""
    feature = get_feature(case.feature)(params=case.params)
    table = case.prepare(tracks).rechunk()
    if case.ready is not None:
        case.ready(feature, table)
    ours: list[float] = []
    theirs: list[float] = []
    while len(ours) < _ROUNDS and (len(ours) < 3 or sum(ours) + sum(theirs) < _BUDGET):
        seconds, made = _timed(feature.apply, table)
        ours.append(seconds)
        seconds, reference = _timed(case.reference, table)
        theirs.append(seconds)
    result = made.table if isinstance(made, FeatureTable) else made
    return Measured(
        feature=case.feature,
        setting=_setting(case),
        reference_ms=min(theirs) * 1e3,
        ours_ms=min(ours) * 1e3,
        required=case.speedup,
        difference=_difference(result, reference),
    )


def _timed(work: Callable[[pl.DataFrame], Any], table: pl.DataFrame) -> tuple[float, Any]:
    # Time of this process: what else runs on the machine does not count, every thread does.
    begun = time.process_time()
    result = work(table)
    return time.process_time() - begun, result


def _setting(case: Case) -> str:
    texts = [value for value in case.params.values() if isinstance(value, str)]
    numbers = [f"{name} {value}" for name, value in case.params.items() if name in _TELLING]
    prepared = "" if case.prepare.__name__ == "as_given" else case.prepare.__name__
    return ", ".join(filter(None, [prepared.replace("_", " "), *texts, *numbers]))


def _difference(made: pl.DataFrame, reference: Columns) -> str:
    for name, expected in reference.items():
        if name not in made.columns:
            return f"no column {name}"
        if len(expected) != made.height:
            return f"{made.height} rows, the reference has {len(expected)}"
        found = made[name]
        values = found.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        wanted = np.asarray(expected, dtype=np.float64)
        loose = _CLOSE + (_STEP_32 if found.dtype == pl.Float32 else _CLOSE) * np.abs(wanted)
        same = (np.isnan(values) & np.isnan(wanted)) | (np.abs(values - wanted) <= loose)
        same |= values == wanted
        if not same.all():
            row = int(np.flatnonzero(~same)[0])
            count = int((~same).sum())
            return f"{name}: {count} rows differ, row {row} is {values[row]} not {wanted[row]}"
    return ""
