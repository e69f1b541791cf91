"""Which of the known entries something is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from mosaic_dagster.dataset.validation import nearest
from mosaic_dagster.errors import ScopeError
from mosaic_dagster.keys import EntryKey

EntryName = EntryKey | str | tuple[str, str]


@dataclass(frozen=True)
class Scope:
    """Entries by group, by sequence and by key, and a range of their frames.

    None means all. What is given narrows: an entry is in the scope when its group is named, its
    sequence is named and it is named itself, as far as each was given.

    Parameters
    ----------
    groups, sequences
        Names; one text stands for a list of one.
    entries
        Keys, their text, or pairs (group, sequence).
    frames
        First frame and the frame after the last; None leaves an end open.

    Raises
    ------
    ScopeError
        A list is empty, a key is malformed, or the frames are no range.

    Examples
    --------
    >>> Scope(groups=["dish01"]).select([EntryKey("dish01", "a"), EntryKey("dish02", "a")])
    [EntryKey(group='dish01', sequence='a')]
    """

    groups: Sequence[str] | None = None
    sequences: Sequence[str] | None = None
    entries: Sequence[EntryName] | None = None
    frames: tuple[int | None, int | None] | None = None

    def __post_init__(self) -> None:
        for name in ("groups", "sequences"):
            object.__setattr__(self, name, _names(name, getattr(self, name)))
        if self.entries is not None:
            given = [self.entries] if isinstance(self.entries, str | EntryKey) else self.entries
            keys = sorted({_as_key(entry) for entry in given})
            object.__setattr__(self, "entries", _not_empty("entries", tuple(keys)))
        if self.frames is not None:
            object.__setattr__(self, "frames", _frame_range(self.frames))

    @property
    def is_everything(self) -> bool:
        """Whether nothing narrows the scope."""
        return self == Scope()

    def select(self, known: Iterable[EntryKey]) -> list[EntryKey]:
        """Choose the known entries that are in the scope, sorted.

        Raises
        ------
        ScopeError
            A name is not known, which the nearest known ones are given for, or no entry has
            all that was asked for.
        """
        keys = sorted(known)
        chosen: list[EntryKey] = keys
        rules: tuple[tuple[str, Sequence[Any] | None, Callable[[EntryKey], Any]], ...] = (
            ("group", self.groups, attrgetter("group")),
            ("sequence", self.sequences, attrgetter("sequence")),
            ("entry", self.entries, lambda key: key),
        )
        for what, names, name_of in rules:
            if names is not None:
                _check_known(what, names, {name_of(key) for key in keys})
                wanted = set(names)
                chosen = [key for key in chosen if name_of(key) in wanted]
        if keys and not chosen:
            msg = f"No entry is in the scope {self.describe()}."
            raise ScopeError(msg, "Each name exists, but no entry has all of them.")
        return chosen

    def describe(self) -> str:
        """Put the scope in words, for messages and metadata."""
        parts = [
            f"{name}: {', '.join(str(value) or repr('') for value in values)}"
            for name, values in (
                ("groups", self.groups),
                ("sequences", self.sequences),
                ("entries", self.entries),
            )
            if values is not None
        ]
        if self.frames is not None:
            start, stop = self.frames
            parts.append(f"frames: {start or 0} to {'the end' if stop is None else stop - 1}")
        return "; ".join(parts) or "all entries"

    def identity(self) -> dict[str, Any]:
        """Return the scope as plain values, for digests; equal for equal sets of names."""
        return {
            "groups": None if self.groups is None else list(self.groups),
            "sequences": None if self.sequences is None else list(self.sequences),
            "entries": None if self.entries is None else [str(entry) for entry in self.entries],
            "frames": None if self.frames is None else list(self.frames),
        }


def _names(what: str, names: Sequence[str] | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    given = [names] if isinstance(names, str) else names
    return _not_empty(what, tuple(sorted(set(given))))


def _not_empty(what: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        msg = f"The scope names an empty list of {what}."
        raise ScopeError(msg, "Name some, or use None for all.")
    return values


def _as_key(entry: EntryName) -> EntryKey:
    if isinstance(entry, EntryKey):
        return entry
    return EntryKey.parse(entry) if isinstance(entry, str) else EntryKey(*entry)


def _frame_range(frames: tuple[int | None, int | None]) -> tuple[int | None, int | None]:
    start, stop = frames
    for frame in (start, stop):
        if frame is not None and (isinstance(frame, bool) or frame != int(frame) or frame < 0):
            msg = f"The scope has the frame {frame!r}."
            raise ScopeError(msg, "Frames are whole numbers from 0.")
    if stop is not None and stop <= (start or 0):
        msg = f"The scope's frames {start or 0} to {stop} (excluded) are an empty range."
        raise ScopeError(msg, "Let the second be greater than the first.")
    return (None if start is None else int(start), None if stop is None else int(stop))


def _check_known(what: str, names: Sequence[Any], known: set[Any]) -> None:
    for name in names:
        if name not in known:
            texts = sorted(str(value) for value in known)
            hint = nearest(str(name), texts)
            listed = ", ".join(texts[:5]) + ("…" if len(texts) > 5 else "")
            msg = f"There is no {what} {str(name)!r}."
            raise ScopeError(msg, hint or (f"There are: {listed}" if texts else "There are none."))
