"""From a label file to the labels of an entry: paths in, labels out, no store involved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mosaic_dagster.dataset.files import list_files
from mosaic_dagster.dataset.labels.files import AnyLabels
from mosaic_dagster.dataset.labels.readers.base import LabelledRecording
from mosaic_dagster.dataset.labels.readers.registry import LABEL_READERS
from mosaic_dagster.dataset.manifest import SourceRule
from mosaic_dagster.dataset.readers.base import checked_params
from mosaic_dagster.dataset.readers.registry import AUTO
from mosaic_dagster.dataset.sources import (
    RecordingFacts,
    endings_of,
    entry_keys,
    first_name,
    label_reader,
    named,
    resolve_params,
)
from mosaic_dagster.errors import LabelsError, ReaderError
from mosaic_dagster.keys import EntryKey

BEHAVIOR = "behavior"
"""Kind of labels unless another is named."""


class _NoFacts:
    fps: float | None = None
    unit: str | None = None
    keypoints: tuple[str, ...] = ()


def read_labels_entry(
    path: Path, rule: SourceRule, facts: RecordingFacts, key: EntryKey
) -> tuple[AnyLabels, dict[str, object]]:
    """Read the labels of one entry, and what is to be told about how they were read.

    Raises
    ------
    ReaderError
        The file is not in the format, or does not label the entry.
    LabelsError
        What was read does not make labels.
    """
    reader = label_reader(rule, path)
    given = resolve_params(reader, rule, facts)
    params = checked_params(reader.name, reader.params, given)
    try:
        found = reader.read(path, params)
    except LabelsError as error:
        msg = f"{path}: {error.what}"
        raise LabelsError(msg, error.remedy) from error
    for recording in found:
        if _is(recording, rule, path, key):
            return recording.labels, dict(recording.notes)
    msg = f"{path} does not label the entry {key}."
    raise ReaderError(msg, "Was the file renamed or its rule changed? Scan the sources again.")


def read_labels(path: str | Path, format: str = AUTO, **params: Any) -> dict[EntryKey, AnyLabels]:
    """Read label files without a dataset.

    Parameters
    ----------
    path
        A file, or a folder that is searched with all folders below it.
    format
        Name of a label reader, or ``auto``.
    **params
        Parameters of the reader, such as ``fps=30.0`` for files that tell times alone.

    Returns
    -------
    dict
        Labels of each entry; names as :func:`~mosaic_dagster.dataset.reading.read_tracks` gives
        them.

    Raises
    ------
    ReaderError
        Nothing is there to read, a file cannot be read, or two files label one entry.
    """
    root = Path(path).absolute()
    rule = SourceRule(path=root.as_posix(), format=format, params=params, labels=BEHAVIOR)
    listing = list_files(root, endings_of(rule))
    for refusal in listing.refused:
        raise ReaderError(refusal.reason)
    found: dict[EntryKey, AnyLabels] = {}
    for file in listing.files:
        if file.path != root and LABEL_READERS.passes_over(format, file.path):
            continue
        reader = label_reader(rule, file.path)
        chosen = rule.model_copy(update={"format": reader.name})
        for key in entry_keys(reader, rule, root, file.path):
            if key in found:
                msg = f"{file.path} and another file are both labels of {key}."
                raise ReaderError(msg, "Rename one of them.")
            found[key] = read_labels_entry(file.path, chosen, _NoFacts(), key)[0]
    if not found:
        msg = f"There are no label files at {root}."
        raise ReaderError(msg, LABEL_READERS.formats())
    return dict(sorted(found.items()))


def _is(recording: LabelledRecording, rule: SourceRule, path: Path, key: EntryKey) -> bool:
    group = first_name(rule.group, recording.group, key.group)
    return (group, named(rule, recording.sequence, path)) == (key.group, key.sequence)
