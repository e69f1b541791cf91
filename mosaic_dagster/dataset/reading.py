"""From the source files of one entry to its tracks: paths in, a table out, no store involved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from mosaic_dagster.dataset.files import list_files
from mosaic_dagster.dataset.manifest import SourceRule
from mosaic_dagster.dataset.readers.base import (
    CollectionReader,
    Reader,
    ReaderParams,
    Recording,
    reader_params,
)
from mosaic_dagster.dataset.readers.registry import AUTO, READERS
from mosaic_dagster.dataset.sources import (
    RecordingFacts,
    endings_of,
    entry_keys,
    first_name,
    named,
    track_reader,
)
from mosaic_dagster.dataset.tracks import Repairs, normalize_tracks
from mosaic_dagster.errors import ReaderError, TracksError
from mosaic_dagster.keys import EntryKey


class _NoFacts:
    fps: float | None = None
    unit: str | None = None
    keypoints: tuple[str, ...] = ()


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
    reader = track_reader(rule, paths[0])
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
    notes = {name: note for recording in recordings for name, note in recording.notes.items()}
    return table, replace(repairs, unparsable_values=unparsable, notes=notes)


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
        if file.path != root and READERS.passes_over(format, file.path):
            continue
        reader = track_reader(rule, file.path)
        for key in entry_keys(reader, rule, root, file.path):
            sources.setdefault(key, []).append(file.path)
            readers[key] = reader.name
    if not sources:
        msg = f"There are no tracking files at {root}."
        raise ReaderError(msg, READERS.formats())
    facts = _NoFacts()
    return {
        key: read_entry(paths, rule.model_copy(update={"format": readers[key]}), facts, key)[0]
        for key, paths in sorted(sources.items())
    }


def file_keypoints(path: Path, rule: SourceRule) -> tuple[str, ...]:
    """Names of the keypoints in a file, from its header; for a manifest that names none yet."""
    reader = track_reader(rule, path)
    return reader.keypoints(path, reader_params(reader, rule.params))


def _recording(
    reader: Reader, path: Path, params: ReaderParams, rule: SourceRule, key: EntryKey
) -> Recording:
    def is_wanted(group: str | None, sequence: str) -> bool:
        group = first_name(rule.group, group, key.group)
        return (group, named(rule, sequence, path)) == (key.group, key.sequence)

    if isinstance(reader, CollectionReader):
        for names in reader.listed(path, params):
            if is_wanted(*names):
                return reader.read_one(path, params, names)
    else:
        for recording in reader.read(path, params):
            if is_wanted(recording.group, recording.sequence):
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
