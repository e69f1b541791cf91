"""Bouts of behaviours, counted in frames, into labels; what formats with named behaviours share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from mosaic_dagster.dataset.labels.behavior import NOBODY, Labels
from mosaic_dagster.dataset.labels.readers.base import LabelReaderParams

Span = tuple[int, int, int, int, int]
Whom = tuple[int, int]

SCENE: Whom = (NOBODY, NOBODY)
"""Whom an event is about that is about nobody in particular."""


class BoutParams(LabelReaderParams):
    """Parameters of readers of files in which behaviours have names.

    Attributes
    ----------
    behaviors
        The behaviours to read; None reads all. Where two of them hold in one frame, the one that
        stands later in this list counts; without a list, the one that began later. Classes are
        numbered in the order of their names, so a list also keeps the numbers of files alike
        in which not every behaviour occurs.
    background
        Name of the class of frames in which nothing happens; it is class 0, unless a behaviour has
        that name. None makes no such class.
    label_background
        Whether frames of the observation without an event get the class ``background``. They
        are unlabelled otherwise.
    """

    behaviors: tuple[str, ...] | None = Field(default=None, min_length=1)
    background: str | None = Field(default="none", min_length=1)
    label_background: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.behaviors is not None and len(set(self.behaviors)) < len(self.behaviors):
            msg = "behaviors names one of them twice"
            raise ValueError(msg)
        if self.label_background and self.background is None:
            msg = "label_background needs the name of the class, background"
            raise ValueError(msg)
        return self


@dataclass(frozen=True)
class Bout:
    """One stretch of a behaviour.

    Attributes
    ----------
    behavior
        Its name.
    first, after
        Its first frame and the frame after its last; they may be negative.
    whom
        ``(id1, id2)``.
    """

    behavior: str
    first: int
    after: int
    whom: Whom = SCENE


def class_names(behaviors: Iterable[str], params: BoutParams) -> dict[int, str]:
    """Name of each class by its number: the background, then the behaviours by name."""
    names = sorted(set(behaviors if params.behaviors is None else params.behaviors))
    if params.background is not None and params.background not in names:
        names = [params.background, *names]
    return dict(enumerate(names))


def bout_labels(
    bouts: Sequence[Bout],
    names: Mapping[int, str],
    params: BoutParams,
    *,
    fps: float | None,
    observed: tuple[int, int] | None = None,
    background_of: Iterable[Whom] = (SCENE,),
) -> tuple[Labels, dict[str, object]]:
    """Make labels of bouts, and tell what was left out.

    Parameters
    ----------
    bouts
        In any order.
    names
        From :func:`class_names`.
    params
        Which behaviours, and what becomes of the background.
    fps
        Kept with the labels.
    observed
        First frame of the observation and the frame after its last; needed where the parameters
        ask for labels of the background.
    background_of
        Whom the background is about.

    Notes
    -----
    Frames before 0 are dropped and counted. A class stands once for a frame and those it is about,
    even where bouts of one behaviour overlap.
    """
    wanted = set(names.values()) if params.behaviors is None else set(params.behaviors)
    kept = [bout for bout in bouts if bout.behavior in wanted]
    left_out = Counter(bout.behavior for bout in bouts if bout.behavior not in wanted)
    negative = sum(min(bout.after, 0) - min(bout.first, 0) for bout in kept)
    shown = [replace(bout, first=max(bout.first, 0)) for bout in kept if bout.after > 0]
    rank = {name: place for place, name in enumerate(params.behaviors or ())}
    shown.sort(key=lambda bout: (rank.get(bout.behavior, 0), bout.first))
    number = {name: n for n, name in names.items()}
    spans: list[Span] = [(b.first, b.after, *b.whom, number[b.behavior]) for b in shown]
    if params.label_background and params.background is not None and observed is not None:
        # Before the events, so that an event of another individual in the frame still counts.
        nothing = number[params.background]
        spans = [*_background(shown, observed, background_of, nothing), *spans]
    labels = Labels.from_spans(spans, names, fps=fps)
    events = labels.events.unique(keep="last", maintain_order=True)
    notes: dict[str, object] = {"behaviors_left_out": dict(sorted(left_out.items()))}
    notes["negative_frames_dropped"] = negative
    return replace(labels, events=events), {name: told for name, told in notes.items() if told}


def _background(
    bouts: Sequence[Bout], observed: tuple[int, int], about: Iterable[Whom], label: int
) -> Iterator[Span]:
    """Stretches of the observation without an event, for each of those it is about."""
    first, after = observed
    for whom in sorted(set(about)):
        free = np.ones(max(after - first, 0), dtype=bool)
        for bout in bouts:
            if bout.whom in (whom, SCENE):
                free[max(bout.first - first, 0) : max(bout.after - first, 0)] = False
        edges = np.flatnonzero(np.diff(np.concatenate([[False], free, [False]]).astype(np.int8)))
        for start, stop in edges.reshape(-1, 2).tolist():
            yield first + start, first + stop, *whom, label
