"""From the source files of one entry to its tracks: paths in, a table out, no store involved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from mosaic_dagster.dataset.files import list_files
from mosaic_dagster.dataset.manifest import SourceRule
from mosaic_dagster.dataset.readers.base import Reader, ReaderParams, Recording, reader_params
from mosaic_dagster.dataset.readers.registry import AUTO, READERS, detect, get_reader
from mosaic_dagster.dataset.tracks import Repairs, normalize_tracks
from mosaic_dagster.errors import ReaderError, TracksError
from mosaic_dagster.keys import EntryKey


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


class _NoFacts:
    fps: float | None = None
    unit: str | None = None
    keypoints: tuple[str, ...] = ()


def reader_of(rule: SourceRule, path: Path) -> Reader:
    """Find the reader that the rule names, or that recognises the file."""
    return detect(path) if rule.format == AUTO else get_reader(rule.format)


def resolve_params(reader: Reader, rule: SourceRule, facts: RecordingFacts) -> dict[str, Any]:
    """Complete the reader's parameters from the dataset; they are part of the identity of tracks.

    Raises
    ------
    ReaderError
        A parameter is unknown or has an impossible value.
    """
    params = reader_params(reader, rule.params)
    values = params.model_dump()
    values["fps"] = facts.fps if params.fps is None else params.fps
    values["unit"] = facts.unit if params.unit is None else params.unit
    return values | {"keypoints": list(facts.keypoints)}


def entry_keys(reader: Reader, rule: SourceRule, root: Path, path: Path) -> list[EntryKey]:
    """List the entries in a file found below ``root``.

    The group is the rule's, else the file's own, else the folders between the root and the
    file, joined by ``/``; empty for a file that lies in the root or is the root.
    """
    below = path.parent.relative_to(root).as_posix() if path != root else "."
    folder = "" if below == "." else below
    return [
        EntryKey(_first(rule.group, group, folder), sequence)
        for group, sequence in reader.sequences(path)
    ]


def read_entry(
    paths: Sequence[Path], rule: SourceRule, facts: RecordingFacts, key: EntryKey
) -> tuple[pl.DataFrame, Repairs]:
    """Read the tracks of one entry.

    Parameters
    ----------
    paths
        Its source files; several only for formats with a file per animal.
    rule
        The rule that found them.
    facts
        fps, unit and keypoints of the dataset.
    key
        The entry.

    Returns
    -------
    tuple
        The normalised table and what was repaired.

    Raises
    ------
    ReaderError
        A file is not in the format, does not hold the entry, or contradicts the dataset.
    TracksError
        What was read does not make tracks.
    """
    reader = reader_of(rule, paths[0])
    if len(paths) > 1 and not reader.merges:
        files = " and ".join(str(path) for path in paths)
        msg = f"{key} comes from several files: {files}."
        raise ReaderError(msg, f"The format {reader.name!r} has one file per entry; rename one.")
    params = reader_params(reader, rule.params)
    recordings = [_recording(reader, path, params, rule, key) for path in paths]
    tables = [
        _ordered(recording, facts.keypoints, path)
        for recording, path in zip(recordings, paths, strict=True)
    ]
    fps = _frame_rate(recordings, params, facts, paths[0], reader)
    _check_unit(recordings, params, facts, paths[0])
    try:
        table, repairs = normalize_tracks(pl.concat(tables, how="diagonal"), key, fps)
    except TracksError as error:
        msg = f"{paths[0]}: {error.what}"
        raise TracksError(msg, error.remedy) from error
    unparsable = sum(recording.unparsable for recording in recordings)
    return table, replace(repairs, unparsable_values=unparsable)


def read_tracks(
    path: str | Path, format: str = AUTO, **params: Any
) -> dict[EntryKey, pl.DataFrame]:
    """Read tracking files without a dataset.

    Parameters
    ----------
    path
        A file, or a folder that is searched with all folders below it.
    format
        Name of a reader, or ``auto``.
    **params
        Parameters of the reader, such as ``fps=30.0`` for files that do not tell.

    Returns
    -------
    dict
        The table of each entry. The group is the parent folder below ``path``, empty at the
        top; the sequence is the name of the file unless the file says otherwise.

    Raises
    ------
    ReaderError
        Nothing is there to read, a file cannot be read, or two files make one entry.
    """
    root = Path(path).absolute()
    rule = SourceRule(path=root.as_posix(), format=format, params=params)
    listing = list_files(root, endings_of(rule))
    for refusal in listing.refused:
        raise ReaderError(refusal.reason)
    sources: dict[EntryKey, list[Path]] = {}
    readers: dict[EntryKey, str] = {}
    for file in listing.files:
        reader = reader_of(rule, file.path)
        for key in entry_keys(reader, rule, root, file.path):
            sources.setdefault(key, []).append(file.path)
            readers[key] = reader.name
    if not sources:
        msg = f"There are no tracking files at {root}."
        raise ReaderError(msg, f"The formats are: {', '.join(READERS)}.")
    facts = _NoFacts()
    return {
        key: read_entry(paths, rule.model_copy(update={"format": readers[key]}), facts, key)[0]
        for key, paths in sorted(sources.items())
    }


def endings_of(rule: SourceRule) -> tuple[str, ...]:
    """List the endings of the files that a rule is about."""
    readers = READERS.values() if rule.format == AUTO else [get_reader(rule.format)]
    return tuple(sorted({ending for reader in readers for ending in reader.extensions}))


def file_keypoints(path: Path, rule: SourceRule) -> tuple[str, ...]:
    """Names of the keypoints in a file, from its header; for a manifest that names none yet."""
    reader = reader_of(rule, path)
    return reader.keypoints(path, reader_params(reader, rule.params))


def _first(*names: str | None) -> str:
    return next(name for name in names if name is not None)


def _recording(
    reader: Reader, path: Path, params: ReaderParams, rule: SourceRule, key: EntryKey
) -> Recording:
    for recording in reader.read(path, params):
        group = _first(rule.group, recording.group, key.group)
        if (group, recording.sequence) == (key.group, key.sequence):
            return recording
    msg = f"{path} does not hold the entry {key}."
    raise ReaderError(msg, "Was the file renamed or its rule changed? Scan the sources again.")


def _ordered(recording: Recording, wanted: tuple[str, ...], path: Path) -> pl.DataFrame:
    """Return the table with the keypoints numbered as the dataset numbers them."""
    found = recording.keypoints
    if not wanted or found == tuple(wanted):
        return recording.table
    if set(found) != set(wanted):
        lacks, extra = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
        parts = [f"lacks {', '.join(lacks)}"] * bool(lacks)
        parts += [f"has {', '.join(extra)} besides"] * bool(extra)
        msg = f"{path} has other keypoints than the dataset: it {' and '.join(parts)}."
        raise ReaderError(
            msg, f"The dataset has: {', '.join(wanted)}; give other recordings their own dataset."
        )
    names = {
        f"pose{part}{here}": f"pose{part}{wanted.index(keypoint)}"
        for here, keypoint in enumerate(found)
        for part in "XYP"
    }
    return recording.table.rename(names, strict=False)


def _frame_rate(
    recordings: Sequence[Recording],
    params: ReaderParams,
    facts: RecordingFacts,
    path: Path,
    reader: Reader,
) -> float:
    rates = {recording.fps for recording in recordings if recording.fps is not None}
    if len(rates) > 1:
        msg = f"The files of {path.parent} that make one entry have several frame rates: {rates}."
        raise ReaderError(msg, "They are not one recording.")
    for rate in (*rates, params.fps, facts.fps):
        if rate is not None:
            return rate
    msg = f"{path}: the format {reader.name!r} does not tell the frames per second."
    raise ReaderError(msg, "Give fps in the dataset or as a parameter of the reader.")


def _check_unit(
    recordings: Sequence[Recording], params: ReaderParams, facts: RecordingFacts, path: Path
) -> None:
    told = [recording.unit for recording in recordings] + [params.unit, facts.unit]
    units = list(dict.fromkeys(unit for unit in told if unit is not None))
    if len(units) > 1:
        msg = f"{path} is in {units[0]}, the dataset in {units[1]}."
        raise ReaderError(msg, "Convert the file, or give it a dataset of its own.")
