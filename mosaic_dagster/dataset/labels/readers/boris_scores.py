"""What the files of BORIS have in common: scored behaviours of observations, in seconds.

An observation is one recording, scored by one person, and knows its frame rate. Who shows a
behaviour is its *subject*. The files tell it in several layouts; each reader makes
:class:`Score` of them, and here they become labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Annotated, Literal

from pydantic import Field, field_validator

from mosaic_dagster.dataset.labels.behavior import NOBODY, event_frames
from mosaic_dagster.dataset.labels.readers.base import LabelledRecording, frame_rate
from mosaic_dagster.dataset.labels.readers.bouts import (
    SCENE,
    Bout,
    BoutParams,
    Whom,
    bout_labels,
    class_names,
)
from mosaic_dagster.dataset.readers.base import Names
from mosaic_dagster.errors import ReaderError

NO_SUBJECT = "no focal subject"
"""How BORIS calls that nobody in particular is meant, lower case."""

_Id = Annotated[int, Field(ge=0)]


class BorisParams(BoutParams):
    """Parameters of the readers of BORIS.

    Attributes
    ----------
    include_point_events
        Whether events without a duration are read; each takes one frame.
    subjects
        Which individual a subject is, ``{"adult": 0}``, or which ordered pair,
        ``{"adult": [0, 1]}``. The labels of an observation are then about them. Without it every
        subject of an observation gets a sequence of its own, ``<observation>__<subject>``, and
        its labels are about the whole scene. Behaviours of no focal subject are about the scene
        either way.
    observation
        What names a recording: the ``id`` of the observation (the file where it has none), its
        ``media`` file or the ``file`` of events, both without their ending.
    only
        Ids of the observations to read; None reads all.
    """

    include_point_events: bool = True
    subjects: dict[str, _Id | tuple[_Id, _Id]] | None = None
    observation: Literal["id", "media", "file"] = "id"
    only: tuple[str, ...] | None = Field(default=None, min_length=1)

    @field_validator("subjects")
    @classmethod
    def _two_of_a_pair(
        cls, subjects: dict[str, int | tuple[int, int]] | None
    ) -> dict[str, int | tuple[int, int]] | None:
        for name, whom in (subjects or {}).items():
            if isinstance(whom, tuple) and whom[0] == whom[1]:
                msg = f"{name} is a pair of {whom[0]} and itself"
                raise ValueError(msg)
        return subjects


@dataclass(frozen=True)
class Observation:
    """What a row tells about the observation it belongs to.

    Attributes
    ----------
    id
        Empty where the file has none.
    media
        The media files as the file calls them.
    rates
        Frames per second of its media, where told.
    seconds
        How long it is, where told.
    """

    id: str
    media: tuple[str, ...] = ()
    rates: frozenset[float] = frozenset()
    seconds: float | None = None


@dataclass(frozen=True)
class Score:
    """One scored behaviour of an observation; ``stop`` is ``start`` of a point event."""

    of: Observation
    subject: str
    behavior: str
    start: float
    stop: float


def subject_name(text: str) -> str:
    """Return the subject; empty for the many ways to say that there is none."""
    return "" if text.strip().lower() == NO_SUBJECT else text.strip()


def selected(path: Path, told: Sequence[tuple[Observation, str]], params: BorisParams) -> set[str]:
    """Ids of the observations to read.

    Raises
    ------
    ReaderError
        ``only`` names one that the file does not have, or the file has no events.
    """
    ids = list(dict.fromkeys(of.id for of, _ in told))
    if not ids:
        msg = f"{path} has no events."
        raise ReaderError(msg, "Take it out of the folder, or export it with its events.")
    unknown = [name for name in params.only or () if name not in ids]
    if unknown:
        msg = f"{path} has no events of an observation {unknown[0]!r}."
        raise ReaderError(msg, f"It has: {', '.join(ids)}.")
    return set(ids if params.only is None else params.only)


def sequence_names(
    path: Path, told: Sequence[tuple[Observation, str]], params: BorisParams
) -> dict[tuple[str, str], str]:
    """Name the sequence of each observation and subject; sorted by the name.

    Parameters
    ----------
    path
        The file.
    told
        Observation and subject of every event.
    params
        What names a recording.

    Raises
    ------
    ReaderError
        An observation has no such name, or two have the same.
    """
    wanted = selected(path, told, params)
    observations: dict[str, set[str]] = {}
    for of, _ in told:
        if of.id in wanted:
            stems = (PureWindowsPath(name).stem for name in of.media)
            observations.setdefault(of.id, set()).update(stems)
    names: dict[tuple[str, str], str] = {}
    owners: dict[str, tuple[str, str]] = {}
    for of, subject in told:
        if of.id not in wanted or (of.id, subject) in names:
            continue
        name = _observation_name(path, of.id, observations, params)
        apart = bool(subject) and params.subjects is None
        name = f"{name}__{subject}" if apart else name
        owner = owners.setdefault(name, (of.id, subject if apart else ""))
        if owner != (of.id, subject if apart else ""):
            msg = f"{path}: the observations {owner[0]!r} and {of.id!r} are both called {name!r}."
            raise ReaderError(msg, "Rename one of them, or read one with the parameter only.")
        names[of.id, subject] = name
    return dict(sorted(names.items(), key=lambda item: item[1]))


def listed(path: Path, told: Sequence[tuple[Observation, str]], params: BorisParams) -> list[Names]:
    """List the recordings, as :func:`recordings` gives them."""
    names = sequence_names(path, told, params).values()
    return [(None, name) for name in dict.fromkeys(names)]


def recordings(
    path: Path, scores: Sequence[Score], params: BorisParams, behaviors: Iterable[str] = ()
) -> list[LabelledRecording]:
    """Labels of all recordings.

    Parameters
    ----------
    path
        The file.
    scores
        All scored behaviours of the file.
    params
        How they become labels.
    behaviors
        Behaviours that the file knows besides those that were scored.

    Raises
    ------
    ReaderError
        A subject is not among ``subjects``, or the frame rate is not known or not the same.
    """
    names = sequence_names(path, [(score.of, score.subject) for score in scores], params)
    classes = class_names({score.behavior for score in scores} | set(behaviors), params)
    grouped: dict[str, list[Score]] = {name: [] for name in names.values()}
    for score in scores:
        if (score.of.id, score.subject) in names:
            grouped[names[score.of.id, score.subject]].append(score)
    return [_recording(path, name, group, classes, params) for name, group in grouped.items()]


def _observation_name(
    path: Path, id: str, observations: dict[str, set[str]], params: BorisParams
) -> str:
    if params.observation == "file" or (params.observation == "id" and not id):
        return path.stem
    if params.observation == "id":
        return id
    media = observations[id]
    if len(media) != 1:
        has = f"has several media files: {', '.join(sorted(media))}" if media else "has no media"
        msg = f"{path}: the observation {id!r} {has}, so none can name it."
        raise ReaderError(msg, "Set the reader's parameter observation to id or file.")
    return media.pop()


def _recording(
    path: Path, name: str, scores: Sequence[Score], classes: dict[int, str], params: BorisParams
) -> LabelledRecording:
    rates = set().union(*(score.of.rates for score in scores))
    if len(rates) > 1:
        told = " and ".join(str(rate) for rate in sorted(rates))
        msg = f"{path}: the observation {scores[0].of.id!r} has {told} frames per second."
        raise ReaderError(msg, "Frames can be counted at one rate only: export its media apart.")
    fps = frame_rate(path, next(iter(rates), None), params)
    shown = [s for s in scores if params.include_point_events or s.start != s.stop]
    whom = {score.subject: _whom(path, score.subject, scores, params) for score in scores}
    labels, notes = bout_labels(
        [Bout(s.behavior, *event_frames(s.start, s.stop, fps), whom[s.subject]) for s in shown],
        classes,
        params,
        fps=fps,
        observed=_observed(path, scores, fps) if params.label_background else None,
        background_of=set(whom.values()) - {SCENE} or {SCENE},
    )
    if len(shown) < len(scores):
        notes["point_events_left_out"] = len(scores) - len(shown)
    return LabelledRecording(name, None, labels, notes)


def _whom(path: Path, subject: str, scores: Sequence[Score], params: BorisParams) -> Whom:
    if not subject or params.subjects is None:
        return SCENE
    whom = params.subjects.get(subject)
    if whom is None:
        there = sorted({score.subject for score in scores} - {""})
        msg = f"{path}: the parameter subjects does not say who {subject!r} is."
        raise ReaderError(msg, f"The observation has the subjects: {', '.join(there)}.")
    return whom if isinstance(whom, tuple) else (whom, NOBODY)


def _observed(path: Path, scores: Sequence[Score], fps: float) -> tuple[int, int]:
    lengths = {score.of.seconds for score in scores} - {None}
    if len(lengths) != 1:
        how = "does not say how long it is" if not lengths else "has several lengths"
        msg = f"{path}: the observation {scores[0].of.id!r} {how}."
        raise ReaderError(msg, "Its background cannot be labelled: set label_background=false.")
    # Lengths are written to a millisecond: 800 frames at 30 fps are 26.667 s, or 800.01 frames.
    return 0, round(float(lengths.pop() or 0.0) * fps)
