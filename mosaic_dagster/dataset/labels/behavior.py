"""Behaviour labels of one recording: which class holds in which frame, and for whom.

One row is one class in one frame. ``id1`` and ``id2`` say whom it is about: ``(a, b)`` an ordered
pair, ``(a, -1)`` one individual, ``(-1, -1)`` the whole scene. A frame without a row is unlabelled,
which is not the same as a class that means *nothing happens*. Rows keep the order in which they
were given: of two classes at one place, the later one counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from mosaic_dagster.errors import LabelsError

NOBODY = -1
"""Stands for no individual in ``id1`` and ``id2``."""

SCHEMA = pl.Schema({"frame": pl.Int64, "id1": pl.Int64, "id2": pl.Int64, "label": pl.Int64})

_TOLERANCE = 1e-6
"""Seconds times fps may miss a whole frame by rounding; 0.1 s at 30 fps is frame 3."""


def event_frames(start: float, stop: float, fps: float) -> tuple[int, int]:
    """First frame of an event and the frame after its last.

    An event takes the frames in ``[ceil(start fps), ceil(stop fps))``, so that abutting events
    share no frame; an event shorter than a frame takes one.

    Parameters
    ----------
    start, stop
        Seconds; equal for a point event.
    fps
        Frames per second.

    Examples
    --------
    >>> event_frames(0.1, 0.2, 30.0), event_frames(29.85, 29.85, 30.0)
    ((3, 6), (896, 897))
    """
    first = math.ceil(start * fps - _TOLERANCE)
    return first, max(first + 1, math.ceil(stop * fps - _TOLERANCE))


@dataclass(frozen=True)
class Labels:
    """Labels of one recording.

    Attributes
    ----------
    events
        ``frame``, ``id1``, ``id2``, ``label`` (all Int64), one row per class and frame.
    names
        Name of each class by its number; every number in ``events`` has one.
    fps
        Frames per second that the frames were counted at, where it is known.

    Raises
    ------
    LabelsError
        A column is missing or holds something else than whole numbers, a frame is negative, an
        id is below -1, an event is about nobody and somebody, or a class has no name.
    """

    events: pl.DataFrame
    names: Mapping[int, str]
    fps: float | None = None
    notes: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        missing = [column for column in SCHEMA if column not in self.events.columns]
        if missing:
            present = ", ".join(self.events.columns)
            msg = f"Labels have no column {missing[0]!r}; they have {present}."
            raise LabelsError(msg, f"Their columns are: {', '.join(SCHEMA)}.")
        object.__setattr__(self, "events", _whole(self.events.select(*SCHEMA)))
        object.__setattr__(self, "names", {int(k): str(v) for k, v in self.names.items()})
        self._check()

    def _check(self) -> None:
        if self.fps is not None and not 0 < self.fps < math.inf:
            msg = f"Labels have fps {self.fps!r}, which is no frame rate."
            raise LabelsError(msg, "Give a positive number, or None where it is not known.")
        wrong = self.events.filter(
            (pl.col("frame") < 0)
            | (pl.min_horizontal("id1", "id2") < NOBODY)
            | ((pl.col("id1") == NOBODY) & (pl.col("id2") != NOBODY))
        )
        if wrong.height:
            msg = f"Labels hold the event {wrong.row(0, named=True)}."
            remedy = "Frames count from 0; ids are (a, b), (a, -1) or (-1, -1)."
            raise LabelsError(msg, remedy)
        unnamed = sorted(set(self.events["label"].unique().to_list()) - set(self.names))
        if unnamed:
            msg = f"Labels hold the class {unnamed[0]}, which has no name."
            raise LabelsError(msg, f"The named classes are: {dict(self.names)}.")

    @classmethod
    def per_frame(
        cls,
        classes: Iterable[int | None],
        names: Mapping[int, str],
        *,
        id1: int = NOBODY,
        id2: int = NOBODY,
        fps: float | None = None,
    ) -> Labels:
        """Labels of one subject with a class for frame 0, 1, …; None is unlabelled."""
        label = pl.Series("label", list(classes), dtype=pl.Int64)
        events = pl.DataFrame({"frame": np.arange(len(label)), "label": label}).drop_nulls()
        return cls(events.with_columns(id1=pl.lit(id1), id2=pl.lit(id2)), names, fps)

    @classmethod
    def from_spans(
        cls,
        spans: Iterable[tuple[int, int, int, int, int]],
        names: Mapping[int, str],
        *,
        fps: float | None = None,
        notes: Mapping[str, object] | None = None,
    ) -> Labels:
        """Labels from spans of frames, in their order.

        Parameters
        ----------
        spans
            (first frame, frame after the last, id1, id2, label) of each.
        names, fps, notes
            As the attributes.
        """
        rows = np.array(list(spans), dtype=np.int64).reshape(-1, 5)
        lengths = rows[:, 1] - rows[:, 0]
        if (lengths < 1).any():
            first, after = rows[int((lengths < 1).argmax()), :2]
            msg = f"A span of labels goes from frame {first} to before frame {after}."
            raise LabelsError(msg, "A span has at least one frame.")
        starts = np.repeat(rows[:, 0], lengths)
        within = np.arange(lengths.sum()) - np.repeat(lengths.cumsum() - lengths, lengths)
        columns = {"frame": starts + within}
        for place, name in enumerate(("id1", "id2", "label"), start=2):
            columns[name] = np.repeat(rows[:, place], lengths)
        return cls(pl.DataFrame(columns), names, fps, notes or {})

    @property
    def label_map(self) -> dict[int, str]:
        """Name of each class by its number, numbers ascending."""
        return dict(sorted(self.names.items()))

    def number(self, name: str) -> int:
        """Number of the class of this name.

        Raises
        ------
        LabelsError
            There is none.
        """
        for number, known in self.names.items():
            if known == name:
                return number
        msg = f"The labels have no class {name!r}."
        raise LabelsError(msg, f"Their classes are: {', '.join(self.label_map.values())}.")

    def of_individual(self, individual: int, frames: tuple[int, int] | None = None) -> pl.DataFrame:
        """Events in which an individual takes part, alone or in a pair.

        Parameters
        ----------
        individual
            Its id; the events of the whole scene are not among them.
        frames
            Only frames in ``[first, second)``.
        """
        found = self.events.filter((pl.col("id1") == individual) | (pl.col("id2") == individual))
        if frames is not None:
            found = found.filter(pl.col("frame").is_between(*frames, closed="left"))
        return found

    def at_frame(self, frame: int) -> pl.DataFrame:
        """Events of one frame."""
        return self.events.filter(pl.col("frame") == frame)


def _whole(events: pl.DataFrame) -> pl.DataFrame:
    whole = events.select(pl.col(column).cast(pl.Int64, strict=False) for column in events.columns)
    for column in events.columns:
        bad = whole[column].is_null()
        if not (events[column].dtype.is_integer() or events[column].dtype == pl.Null):
            bad = bad | (
                whole[column].cast(pl.Float64) != events[column].cast(pl.Float64, strict=False)
            )
        if bad.any():
            row = int(bad.arg_true()[0])
            msg = f"Labels have {column} {events[column][row]!r} in row {row} (rows count from 0)."
            raise LabelsError(msg, "It must be a whole number.")
    return whole
