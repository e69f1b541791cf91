"""Annotations of Bento and MARS, ``*.annot``: text with channels, and bouts of behaviours in each.

Frames of the file count from 1 and the last frame of a bout belongs to it. Some files tell seconds
in the place of frames, with decimals.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from mosaic_dagster.dataset.labels.behavior import event_frames
from mosaic_dagster.dataset.labels.readers.base import (
    LabelledRecording,
    LabelReaderParams,
    frame_rate,
)
from mosaic_dagster.dataset.labels.readers.bouts import Bout, BoutParams, bout_labels, class_names
from mosaic_dagster.dataset.readers.base import Names, one_sequence
from mosaic_dagster.dataset.readers.csv_text import read_csv_text
from mosaic_dagster.errors import ReaderError

_TITLE = "Bento annotation file"
_RATE, _FIRST, _LAST = (f"Annotation {what}" for what in ("framerate", "start frame", "stop frame"))
_CHANNELS, _BEHAVIORS = "List of channels", "List of annotations"
_RULE = "-----"


class BentoParams(BoutParams):
    """Parameters of :class:`BentoAnnot`.

    Attributes
    ----------
    channels
        The channels to read; where they contradict each other, the one that stands later in this
        list counts. None reads the only channel that holds something.
    count
        What the numbers of a bout are; None takes ``seconds`` if one of them has a decimal
        point, else ``frames``.
    """

    channels: tuple[str, ...] | None = Field(default=None, min_length=1)
    count: Literal["frames", "seconds"] | None = None


@dataclass(frozen=True)
class _Row:
    channel: str
    behavior: str
    start: str
    stop: str
    line: int


@dataclass
class _Annotations:
    """What a file says, while it is read line by line."""

    path: Path
    facts: dict[str, str] = field(default_factory=dict)
    listed: dict[str, list[str]] = field(default_factory=dict)
    rows: list[_Row] = field(default_factory=list)
    channel: str = ""
    behavior: str = ""
    names: list[str] | None = None

    def take(self, text: str, line: int) -> None:
        """Take one line that holds something."""
        key, colon, value = (part.strip() for part in text.partition(":"))
        if text.endswith(_RULE):
            self.channel, self.behavior, self.names = text.rstrip("-").strip(), "", None
        elif self.channel and text.startswith(">"):
            self.behavior = text[1:].strip()
        elif self.channel:
            self._take_bout(text.split(), line)
        elif colon and key in (_CHANNELS, _BEHAVIORS):
            self.names = self.listed.setdefault(key, [])
            self.names += [value] if value else []
        elif colon:
            self.names = None
            self.facts[key] = value
        elif self.names is not None:
            self.names.append(text)

    def _take_bout(self, cells: list[str], line: int) -> None:
        if cells[:2] == ["Start", "Stop"]:
            return
        if len(cells) < 2 or not self.behavior:
            msg = f"{self.path}, line {line} is no bout of a behaviour: {' '.join(cells)[:60]!r}."
            raise ReaderError(msg, "A bout is: start, stop, duration; below a line >behaviour.")
        self.rows.append(_Row(self.channel, self.behavior, cells[0], cells[1], line))


class BentoAnnot:
    """Reads annotation files of Bento; one recording in each, called as the file."""

    name: ClassVar[str] = "bento_annot"
    version: ClassVar[str] = "1"
    extensions: ClassVar[tuple[str, ...]] = (".annot",)
    merges: ClassVar[bool] = False
    params: ClassVar[type[LabelReaderParams]] = BentoParams

    def sniff(self, path: Path) -> bool:
        """Whether the file begins with the title that such files have."""
        with path.open("rb") as file:
            return (
                file.read(len(_TITLE) + 3).removeprefix(b"\xef\xbb\xbf").startswith(_TITLE.encode())
            )

    def labelled(self, path: Path, params: LabelReaderParams) -> list[Names]:  # noqa: ARG002
        """One recording, called as the file."""
        return one_sequence(path)

    def read(self, path: Path, params: LabelReaderParams) -> list[LabelledRecording]:
        """Labels of the scene; the file does not say who shows a behaviour.

        Raises
        ------
        ReaderError
            The file has another form (names the line), a channel is not there, or several hold
            something and none was chosen.
        """
        asked = BentoParams.model_validate(params.model_dump())
        found = _parsed(path)
        channels = _channels(found, asked)
        rows = [row for channel in channels for row in found.rows if row.channel == channel]
        count = asked.count or _count(found.rows)
        rate = _number(found, _RATE)
        fps = rate or asked.fps
        if count == "seconds" or (rate is not None and asked.fps is not None):
            fps = frame_rate(path, rate, asked)
        bouts = [Bout(row.behavior, *_frames(path, row, count, fps)) for row in rows]
        known = {*found.listed.get(_BEHAVIORS, ()), *(row.behavior for row in found.rows)}
        labels, notes = bout_labels(
            bouts,
            class_names(known, asked),
            asked,
            fps=fps,
            observed=_observed(found) if asked.label_background else None,
        )
        notes["counted_in"] = count
        others = sorted({row.channel for row in found.rows} - set(channels))
        if others:
            notes["channels_left_out"] = others
        return [LabelledRecording(path.stem, None, labels, notes)]


def _parsed(path: Path) -> _Annotations:
    text = read_csv_text(path)
    if not text.lines[0].decode().strip().startswith(_TITLE):
        msg = f"{path} does not begin with {_TITLE!r}."
        raise ReaderError(msg, "Is it an annotation of Bento?")
    found = _Annotations(path)
    for raw, number in zip(text.lines[1:], text.numbers[1:], strict=True):
        found.take(raw.decode().strip(), number)
    if not found.listed.get(_CHANNELS) and not found.rows:
        msg = f"{path} lists no channels and has no bouts."
        raise ReaderError(msg, "Is it cut short? Save it again in Bento.")
    return found


def _channels(found: _Annotations, asked: BentoParams) -> tuple[str, ...]:
    filled = tuple(dict.fromkeys(row.channel for row in found.rows))
    there = tuple(dict.fromkeys([*found.listed.get(_CHANNELS, ()), *filled]))
    for channel in asked.channels or ():
        if channel not in there:
            msg = f"{found.path} has no channel {channel!r}."
            raise ReaderError(msg, f"Its channels are: {', '.join(there)}.")
    if asked.channels is None and len(filled) > 1:
        msg = f"{found.path} has bouts in several channels: {', '.join(filled)}."
        remedy = "Say which to read with the reader's parameter channels; a later one wins."
        raise ReaderError(msg, remedy)
    return filled if asked.channels is None else asked.channels


def _count(rows: Iterable[_Row]) -> Literal["frames", "seconds"]:
    has_point = any("." in row.start or "." in row.stop for row in rows)
    return "seconds" if has_point else "frames"


def _frames(path: Path, row: _Row, count: str, fps: float | None) -> tuple[int, int]:
    """First frame of a bout, from 0, and the frame after its last."""
    try:
        start, stop = float(row.start), float(row.stop)
    except ValueError:
        start = stop = math.nan
    whole = count == "seconds" or (start.is_integer() and stop.is_integer())
    if not (math.isfinite(start) and math.isfinite(stop) and start <= stop and whole):
        msg = f"{path}, line {row.line}: {row.behavior!r} goes from {row.start} to {row.stop}."
        raise ReaderError(msg, f"It must begin and end at {count}, and end after it begins.")
    if count == "frames":
        return int(start) - 1, int(stop)
    assert fps is not None
    return event_frames(start, stop, fps)


def _number(found: _Annotations, name: str) -> float | None:
    text = found.facts.get(name, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        msg = f"{found.path}: {name} is {text!r}."
        raise ReaderError(msg, "It must be a positive number.")
    return value


def _observed(found: _Annotations) -> tuple[int, int]:
    first, last = _number(found, _FIRST), _number(found, _LAST)
    if last is None:
        msg = f"{found.path} does not tell its {_LAST.lower()}."
        raise ReaderError(msg, "Its background cannot be labelled: set label_background=false.")
    return int(first or 1) - 1, int(last)
