"""Labels as this package stores and exports them: a Parquet table, with facts in its metadata.

Behaviour labels are ``frame``, ``id1``, ``id2`` and ``label``; a table that lost its metadata in
another program is read as well, if its column ``name`` still says what the classes are called.
Tags of individuals are known by the metadata alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from mosaic_dagster.dataset.labels.behavior import SCHEMA, Labels
from mosaic_dagster.dataset.labels.files import PAIR_FORMAT, TAGS_FORMAT, AnyLabels
from mosaic_dagster.dataset.labels.id_tags import IdTags
from mosaic_dagster.dataset.labels.readers.base import (
    LabelledRecording,
    LabelReaderParams,
    frame_rate,
)
from mosaic_dagster.dataset.readers.base import Names
from mosaic_dagster.dataset.readers.parquet_tables import (
    parquet_columns,
    read_columns,
    read_parquet,
)
from mosaic_dagster.errors import ReaderError
from mosaic_dagster.store.content.codecs import read_notes

NAME = "name"

_ORIGIN = ("group", "sequence")


class LabelParquet:
    """Reads labels of this package; the recordings are those that the table names."""

    name: ClassVar[str] = "label_parquet"
    version: ClassVar[str] = "1"
    extensions: ClassVar[tuple[str, ...]] = (".parquet",)
    merges: ClassVar[bool] = False
    params: ClassVar[type[LabelReaderParams]] = LabelReaderParams

    def sniff(self, path: Path) -> bool:
        """Whether it has the columns of behaviour labels, or says that it holds tags."""
        columns = parquet_columns(path)
        tags = "id" in columns and _notes(path).get("format") == TAGS_FORMAT
        return set(SCHEMA) <= set(columns) or tags

    def labelled(self, path: Path, params: LabelReaderParams) -> list[Names]:  # noqa: ARG002
        """List the recordings in the file; one called as the file, where it names none.

        Raises
        ------
        ReaderError
            The file is no readable Parquet.
        """
        read_columns(path)
        return [names for names, _ in _recordings(path, read_parquet(path))]

    def read(self, path: Path, params: LabelReaderParams) -> list[LabelledRecording]:
        """Labels of every recording in the file.

        Raises
        ------
        ReaderError
            It is no readable Parquet, holds something else, or does not name its classes.
        LabelsError
            Its events or tags are impossible.
        """
        columns = read_columns(path)
        notes = _notes(path)
        is_tags = notes.get("format") == TAGS_FORMAT
        lacking = [] if is_tags else [name for name in SCHEMA if name not in columns]
        if lacking or notes.get("format") not in (None, PAIR_FORMAT, TAGS_FORMAT):
            msg = f"{path} holds no labels: it has the columns {', '.join(columns)}."
            raise ReaderError(msg, f"Behaviour labels have: {', '.join(SCHEMA)}, {NAME}.")
        table = read_parquet(path)
        names = {} if is_tags else _class_names(path, table, notes)
        found = []
        for (group, sequence), part in _recordings(path, table):
            made = _tags(part, notes) if is_tags else _events(path, part, names, notes, params)
            found.append(LabelledRecording(sequence, group, made))
        return found


def _recordings(path: Path, table: pl.DataFrame) -> list[tuple[Names, pl.DataFrame]]:
    """Rows of each recording, in the order in which they appear."""
    if not table.height or "sequence" not in table.columns:
        return [((None, path.stem), table)]
    by = [column for column in _ORIGIN if column in table.columns]
    found: list[tuple[Names, pl.DataFrame]] = []
    for values, part in table.partition_by(by, as_dict=True, maintain_order=True).items():
        told = dict(zip(by, values, strict=True))
        if not told["sequence"] or ("group" in told and told["group"] is None):
            msg = f"{path}: a row does not say which recording it belongs to."
            raise ReaderError(msg, "Fill the columns group and sequence, or leave them out.")
        group = None if "group" not in told else str(told["group"])
        found.append(((group, str(told["sequence"])), part))
    return found


def _notes(path: Path) -> dict[str, Any]:
    try:
        notes: Any = read_notes(path)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException, json.JSONDecodeError):
        return {}
    return notes if isinstance(notes, dict) else {}


def _class_names(path: Path, table: pl.DataFrame, notes: dict[str, Any]) -> dict[int, str]:
    if notes.get("format") == PAIR_FORMAT:
        return {int(number): str(name) for number, name in notes["names"].items()}
    if NAME not in table.columns:
        msg = f"{path} does not say what its classes are called."
        raise ReaderError(msg, f"Give it a column {NAME!r} with the name of each label.")
    pairs = table.select("label", NAME).unique().sort("label", NAME)
    if pairs.null_count().sum_horizontal().item() or pairs["label"].is_duplicated().any():
        msg = f"{path}: the columns 'label' and {NAME!r} do not give each class one name."
        raise ReaderError(msg, "Name every class, and in one way.")
    return {int(number): str(name) for number, name in pairs.iter_rows()}


def _events(
    path: Path,
    table: pl.DataFrame,
    names: dict[int, str],
    notes: dict[str, Any],
    params: LabelReaderParams,
) -> AnyLabels:
    told = notes.get("fps")
    fps = params.fps if told is None else frame_rate(path, float(told), params)
    return Labels(table.select(*SCHEMA), names, fps, notes.get("notes", {}))


def _tags(table: pl.DataFrame, notes: dict[str, Any]) -> AnyLabels:
    return IdTags(table.drop(*_ORIGIN, strict=False), notes.get("meta", {}))
