"""Marks of BORIS, where behaviours begin and end, paired into bouts.

A file need not be sorted by time, and behaviours overlap; so marks are paired by observation,
subject, behaviour and modifiers, in the order of their times.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

from mosaic_dagster.dataset.labels.readers.boris_scores import Observation, Score
from mosaic_dagster.errors import ReaderError

Status = Literal["START", "STOP", "POINT"]


@dataclass(frozen=True)
class Mark:
    """A moment at which a behaviour begins, ends or happens.

    Attributes
    ----------
    of, subject, behavior, modifiers
        What it belongs to.
    time
        Seconds.
    status
        What happens.
    place
        Where it stands in the file, to tell people.
    """

    of: Observation
    subject: str
    behavior: str
    modifiers: tuple[str, ...]
    time: float
    status: Status
    place: str


def paired(path: Path, marks: Iterable[Mark]) -> list[Score]:
    """Bouts of all marks, in the order of their starts.

    Raises
    ------
    ReaderError
        A START has no STOP, or a STOP no START; names the place.
    """
    scores = []
    states: dict[tuple[str, str, str, tuple[str, ...]], list[Mark]] = {}
    for mark in marks:
        if mark.status == "POINT":
            scores.append(Score(mark.of, mark.subject, mark.behavior, mark.time, mark.time))
        else:
            what = (mark.of.id, mark.subject, mark.behavior, mark.modifiers)
            states.setdefault(what, []).append(mark)
    for of_one in states.values():
        scores += _bouts(path, of_one)
    return sorted(scores, key=lambda score: score.start)


def _bouts(path: Path, marks: Sequence[Mark]) -> Iterator[Score]:
    """Pair the marks of one behaviour of one subject."""
    begun: Mark | None = None
    ordered = sorted(marks, key=lambda mark: mark.time)
    for _, together in groupby(ordered, key=lambda mark: mark.time):
        # At one moment a bout that is on ends before the next begins.
        waiting = list(together)
        while waiting:
            next_status = "START" if begun is None else "STOP"
            mark = next((mark for mark in waiting if mark.status == next_status), None)
            if mark is None:
                raise _unpaired(path, waiting[0] if begun is None else begun)
            waiting.remove(mark)
            if begun is None:
                begun = mark
            else:
                yield Score(begun.of, begun.subject, begun.behavior, begun.time, mark.time)
                begun = None
    if begun is not None:
        raise _unpaired(path, begun)


def _unpaired(path: Path, mark: Mark) -> ReaderError:
    other = "STOP" if mark.status == "START" else "START"
    who = f" of {mark.subject!r}" if mark.subject else ""
    msg = (
        f"{path}, {mark.place}: {mark.behavior!r}{who} has a {mark.status} at {mark.time:g} s "
        f"without a {other}, in the observation {mark.of.id!r}."
    )
    return ReaderError(msg, "Complete the event in BORIS and export it again.")
