"""Projects of BORIS: all observations of a study in one json file.

The file does not say which mark of a behaviour begins it and which ends it: marks of a state are
taken by turns, in the order of their times.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from mosaic_dagster.dataset.labels.readers.base import LabelledRecording, LabelReaderParams
from mosaic_dagster.dataset.labels.readers.boris_columns import positive
from mosaic_dagster.dataset.labels.readers.boris_marks import Mark, Status, paired
from mosaic_dagster.dataset.labels.readers.boris_scores import (
    BorisParams,
    Observation,
    listed,
    recordings,
    subject_name,
)
from mosaic_dagster.dataset.readers.base import Names
from mosaic_dagster.dataset.readers.json_text import json_outline, read_json
from mosaic_dagster.errors import ReaderError

_AGAIN = "Open the project in BORIS and save it again."


class BorisProject:
    """Reads project files; observations without events are not listed."""

    name: ClassVar[str] = "boris_project"
    version: ClassVar[str] = "1"
    extensions: ClassVar[tuple[str, ...]] = (".json", ".boris")
    merges: ClassVar[bool] = False
    params: ClassVar[type[LabelReaderParams]] = BorisParams

    def sniff(self, path: Path) -> bool:
        """Whether the file begins with what only a project has."""
        names = {member.path[0] for member in json_outline(path) if len(member.path) == 1}
        return bool(names & {"observations", "subjects_conf", "behaviors_conf"})

    def labelled(self, path: Path, params: LabelReaderParams) -> list[Names]:
        """List the recordings in the file.

        Raises
        ------
        ReaderError
            The file is no project, or what should name a recording does not.
        """
        told = [(mark.of, mark.subject) for mark in _marks(path, _asked(params), _project(path))]
        return listed(path, told, _asked(params))

    def read(self, path: Path, params: LabelReaderParams) -> list[LabelledRecording]:
        """Labels of every recording in the file.

        Raises
        ------
        ReaderError
            The file is no project, a behaviour is not in its ethogram or is begun and never
            ended (leave that observation out with ``only``), or see
            :func:`~mosaic_dagster.dataset.labels.readers.boris_scores.recordings`.
        """
        asked, project = _asked(params), _project(path)
        scores = paired(path, list(_marks(path, asked, project)))
        return recordings(path, scores, asked, _types(path, project))


def _asked(params: LabelReaderParams) -> BorisParams:
    return BorisParams.model_validate(params.model_dump())


def _project(path: Path) -> Mapping[str, Any]:
    content = read_json(path)
    for name in ("observations", "behaviors_conf"):
        if not isinstance(content, dict) or not isinstance(content.get(name), dict):
            msg = f"{path} has no object {name!r}, so it is no BORIS project."
            raise ReaderError(msg, _AGAIN)
    return dict(content)


def _types(path: Path, project: Mapping[str, Any]) -> dict[str, bool]:
    """Behaviours of the ethogram, and whether each is a point event."""
    types = {}
    for number, entry in project["behaviors_conf"].items():
        if not isinstance(entry, dict) or not isinstance(entry.get("code"), str):
            msg = f"{path}: the behaviour {number!r} of the ethogram has no code."
            raise ReaderError(msg, _AGAIN)
        types[entry["code"]] = str(entry.get("type", "")).lower().startswith("point")
    return types


def _marks(path: Path, asked: BorisParams, project: Mapping[str, Any]) -> Iterator[Mark]:
    types = _types(path, project)
    for id, facts in project["observations"].items():
        if asked.only is not None and id not in asked.only:
            continue
        where = f"observation {id!r}"
        if not isinstance(facts, dict) or not isinstance(facts.get("events"), list):
            msg = f"{path}, {where} has no list of events."
            raise ReaderError(msg, _AGAIN)
        if facts["events"]:
            yield from _marks_of(path, _observation(path, id, facts), facts["events"], types)


def _marks_of(
    path: Path, of: Observation, events: Sequence[Any], types: Mapping[str, bool]
) -> Iterator[Mark]:
    turns: dict[tuple[str, str, str], int] = defaultdict(int)
    checked = [_event(path, of, number, event) for number, event in enumerate(events, start=1)]
    for number, (time, subject, behavior, modifiers) in sorted(
        enumerate(checked, start=1), key=lambda event: event[1][0]
    ):
        place = f"observation {of.id!r}, event {number}"
        if behavior not in types:
            msg = f"{path}, {place}: the behaviour {behavior!r} is not in the ethogram."
            raise ReaderError(msg, f"The ethogram has: {', '.join(types)}.")
        status: Status = "POINT"
        if not types[behavior]:
            turns[subject, behavior, modifiers] += 1
            status = "START" if turns[subject, behavior, modifiers] % 2 else "STOP"
        yield Mark(of, subject, behavior, (modifiers,), time, status, place)


def _event(path: Path, of: Observation, number: int, event: Any) -> tuple[float, str, str, str]:
    place = f"observation {of.id!r}, event {number}"
    if not isinstance(event, list) or len(event) < 3 or not isinstance(event[2], str):
        msg = f"{path}, {place} is {str(event)[:60]}, not [time, subject, behaviour, …]."
        raise ReaderError(msg, _AGAIN)
    try:
        time = float(event[0])
    except (TypeError, ValueError):
        time = math.nan
    if not math.isfinite(time):
        msg = f"{path}, {place}: the time is {event[0]!r}, not a number of seconds."
        raise ReaderError(msg, _AGAIN)
    modifiers = str(event[3]) if len(event) > 3 else ""
    return time, subject_name(str(event[1])), event[2], modifiers


def _observation(path: Path, id: str, facts: Mapping[str, Any]) -> Observation:
    """Tell the observation; the media that are played first count, one after another."""
    files = facts.get("file")
    played = files.get("1", []) if isinstance(files, dict) else []
    media = [str(file) for file in played] if isinstance(played, list) else []
    info = facts.get("media_info")
    rates, lengths = (_by_media(info, name) for name in ("fps", "length"))
    told = [positive(path, rates[file], f"observation {id!r}") for file in media if file in rates]
    known = [lengths[file] for file in media if isinstance(lengths.get(file), int | float)]
    seconds = float(sum(known)) if media and len(known) == len(media) else None
    return Observation(id, tuple(media), frozenset(told), seconds)


def _by_media(info: Any, name: str) -> Mapping[str, Any]:
    facts = info.get(name) if isinstance(info, dict) else None
    return facts if isinstance(facts, dict) else {}
