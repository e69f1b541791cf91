"""What a source rule means for the files it finds: their reader, its parameters, their entries.

Tracks and labels go through the same motions; only their readers differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from mosaic_dagster.dataset.labels.readers.base import LabelReader
from mosaic_dagster.dataset.labels.readers.registry import LABEL_READERS
from mosaic_dagster.dataset.manifest import SourceRule
from mosaic_dagster.dataset.paths import absolute_text, lies_at, resolve_path
from mosaic_dagster.dataset.readers.base import (
    FileFormat,
    Names,
    Reader,
    checked_params,
    names_in,
    reader_params,
)
from mosaic_dagster.dataset.readers.registry import AUTO, READERS, ReaderRegistry
from mosaic_dagster.errors import ReaderError
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.feature_registry.records import SourceRow


class RecordingFacts(Protocol):
    """What reading takes from the dataset; a manifest has these."""

    @property
    def fps(self) -> float | None:
        """Frames per second of recordings whose files do not tell."""

    @property
    def unit(self) -> str | None:
        """Unit of the coordinates."""

    @property
    def keypoints(self) -> tuple[str, ...]:
        """Names of the keypoints in the order of the table; empty takes the file's order."""


def readers_for(rule: SourceRule) -> ReaderRegistry[Reader] | ReaderRegistry[LabelReader]:
    """Return the readers of tracks, or those of labels."""
    return READERS if rule.labels is None else LABEL_READERS


def reader_of(rule: SourceRule, path: Path) -> FileFormat:
    """Find the reader that the rule names, or that recognises the file."""
    return readers_for(rule).chosen(rule.format, path)


def track_reader(rule: SourceRule, path: Path) -> Reader:
    """Find the reader of tracks that the rule names, or that recognises the file."""
    return READERS.chosen(rule.format, path)


def label_reader(rule: SourceRule, path: Path) -> LabelReader:
    """Find the reader of labels that the rule names, or that recognises the file."""
    return LABEL_READERS.chosen(rule.format, path)


def endings_of(rule: SourceRule) -> tuple[str, ...]:
    """List the endings of the files that a rule is about."""
    return readers_for(rule).endings(rule.format)


def check_rule(rule: SourceRule) -> None:
    """Refuse a rule that could not read any file.

    Raises
    ------
    ReaderError
        It names an unknown format or parameter.
    """
    if rule.format == AUTO:
        return
    if rule.labels is None:
        reader_params(READERS.find(rule.format), rule.params)
    else:
        reader = LABEL_READERS.find(rule.format)
        checked_params(reader.name, reader.params, rule.params)


def resolve_params(reader: FileFormat, rule: SourceRule, facts: RecordingFacts) -> dict[str, Any]:
    """Complete the reader's parameters from the dataset; they are part of the result's identity.

    Raises
    ------
    ReaderError
        A parameter is unknown or has an impossible value.
    """
    if isinstance(reader, LabelReader):
        labels = checked_params(reader.name, reader.params, rule.params)
        return labels.model_dump() | {"fps": facts.fps if labels.fps is None else labels.fps}
    assert isinstance(reader, Reader)
    params = reader_params(reader, rule.params)
    values = params.model_dump()
    values["fps"] = facts.fps if params.fps is None else params.fps
    values["unit"] = facts.unit if params.unit is None else params.unit
    return values | {"keypoints": list(facts.keypoints)}


def entry_keys(reader: FileFormat, rule: SourceRule, root: Path, path: Path) -> list[EntryKey]:
    """List the entries in a file found below ``root``.

    The group is the rule's, else the file's own, else the folders between the root and the
    file, joined by ``/``; empty for a file that lies in the root or is the root.

    Raises
    ------
    ReaderError
        The rule's pattern does not fit the name of a recording, or fits two of them alike.
    """
    below = path.parent.relative_to(root).as_posix() if path != root else "."
    folder = "" if below == "." else below
    keys = [
        EntryKey(first_name(rule.group, group, folder), named(rule, sequence, path))
        for group, sequence in _names(reader, rule, path)
    ]
    if rule.sequence is not None and len(set(keys)) < len(keys):
        repeated = next(key for key in keys if keys.count(key) > 1)
        msg = f"{path}: the pattern {rule.sequence!r} makes {repeated} of several recordings."
        raise ReaderError(msg, "Let the pattern keep what tells them apart.")
    return keys


def keys_only_from(
    rule: SourceRule, rules: Iterable[SourceRule], recorded: Iterable[SourceRow], base: Path
) -> list[str]:
    """List the recorded entries that no other rule of the asset has a file of, sorted.

    Parameters
    ----------
    rule
        The rule that may go.
    rules
        All rules of the manifest.
    recorded
        The recorded sources.
    base
        Where relative paths start.
    """
    root = resolve_path(rule.path, base).as_posix()
    others = [
        resolve_path(other.path, base).as_posix()
        for other in rules
        if other.asset == rule.asset and other.path != rule.path
    ]
    lost: set[str] = set()
    kept: set[str] = set()
    for row in recorded:
        at = absolute_text(row.path, base)
        if row.asset != rule.asset:
            continue
        if any(lies_at(at, other) for other in others):
            kept.add(row.key)
        elif lies_at(at, root):
            lost.add(row.key)
    return sorted(lost - kept)


def named(rule: SourceRule, name: str, path: Path) -> str:
    """Name the sequence as the rule wants it.

    Raises
    ------
    ReaderError
        The rule's pattern does not fit, or leaves nothing.
    """
    if rule.sequence is None:
        return name
    found = re.search(rule.sequence, name)
    if found is None or not found[1]:
        msg = f"{path}: the pattern {rule.sequence!r} finds no name in {name!r}."
        raise ReaderError(msg, "Correct the rule's pattern, or take the file out of the folder.")
    return found[1]


def first_name(*names: str | None) -> str:
    """Return the first name that is given."""
    return next(name for name in names if name is not None)


def _names(reader: FileFormat, rule: SourceRule, path: Path) -> list[Names]:
    if isinstance(reader, LabelReader):
        params = checked_params(reader.name, reader.params, rule.params)
        return reader.labelled(path, params)
    assert isinstance(reader, Reader)
    return names_in(reader, path, reader_params(reader, rule.params))
