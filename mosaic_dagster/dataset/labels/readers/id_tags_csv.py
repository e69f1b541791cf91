"""Tags of individuals as a table of text: a column ``id`` and one for each tag.

With a column ``sequence``, and ``group`` if wanted, a file tags several recordings; without them
its recording is called as the file. Columns ``meta__…`` are facts of the recording.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from mosaic_dagster.dataset.labels.id_tags import META_PREFIX, IdTags
from mosaic_dagster.dataset.labels.readers.base import LabelledRecording, LabelReaderParams
from mosaic_dagster.dataset.labels.readers.delimited import TextTable, head_rows, read_rows
from mosaic_dagster.dataset.readers.base import Names
from mosaic_dagster.errors import ReaderError

TagType = Literal["focal", "category", "multi", "number"]

ID, SEQUENCE, GROUP = "id", "sequence", "group"

_TRUE, _FALSE = ("true", "yes", "y", "1", "1.0"), ("false", "no", "n", "0", "0.0")


class IdTagsParams(LabelReaderParams):
    """Parameters of :class:`IdTagsCsv`.

    Attributes
    ----------
    types
        What a tag is: ``focal`` (yes or no), ``category`` (text, and what a tag is that is not
        named here), ``multi`` (several texts in a cell) or ``number``.
    separator
        What separates the texts of a ``multi`` tag, in the file and in the labels.
    """

    types: dict[str, TagType] = Field(default_factory=dict)
    separator: str = Field(default=";", min_length=1)

    @model_validator(mode="after")
    def _tags_only(self) -> Self:
        for name in self.types:
            if name in (ID, SEQUENCE, GROUP):
                msg = f"types names {name!r}, which is no tag"
                raise ValueError(msg)
        return self


class IdTagsCsv:
    """Reads tags of individuals, separated by commas, tabs or semicolons."""

    name: ClassVar[str] = "id_tags_csv"
    version: ClassVar[str] = "1"
    extensions: ClassVar[tuple[str, ...]] = (".csv", ".tsv")
    merges: ClassVar[bool] = False
    params: ClassVar[type[LabelReaderParams]] = IdTagsParams

    def sniff(self, path: Path) -> bool:
        """Whether the first row names an id and tags, and no frames, which tracks have."""
        header = next(head_rows(path), ())
        return ID in header and len(header) > 1 and "frame" not in header

    def labelled(self, path: Path, params: LabelReaderParams) -> list[Names]:  # noqa: ARG002
        """List the recordings whose individuals the file tags."""
        return list(_recordings(path, _opened(path)))

    def read(self, path: Path, params: LabelReaderParams) -> list[LabelledRecording]:
        """Tags of every recording; an empty cell is null.

        Raises
        ------
        ReaderError
            There is no column ``id``, a row names no individual, or a cell does not fit the
            type of its tag (names the line).
        """
        asked = IdTagsParams.model_validate(params.model_dump())
        table = _opened(path)
        unknown = [name for name in asked.types if not table.has(name)]
        if unknown:
            msg = f"{path} has no tag {unknown[0]!r}, which the parameter types names."
            raise ReaderError(msg, f"Its columns are: {', '.join(table.names)}.")
        return [
            LabelledRecording(sequence, group, _tags(table, rows, asked))
            for (group, sequence), rows in _recordings(path, table).items()
        ]


def _opened(path: Path) -> TextTable:
    table = read_rows(path).below(0)
    table.check([ID, *(name for name in table.names if name != ID)])
    if not table.rows:
        msg = f"{path} has a header and no rows."
        raise ReaderError(msg, "Give each individual a row.")
    return table


def _recordings(path: Path, table: TextTable) -> dict[Names, list[int]]:
    """Rows of each recording."""
    found: dict[Names, list[int]] = {}
    for row in range(len(table.rows)):
        group = table.cell(row, GROUP) if table.has(GROUP) else None
        sequence = table.needed_text(row, SEQUENCE) if table.has(SEQUENCE) else path.stem
        found.setdefault((group, sequence), []).append(row)
    return found


def _tags(table: TextTable, rows: list[int], asked: IdTagsParams) -> IdTags:
    columns = [pl.Series(ID, [table.needed_text(row, ID) for row in rows], dtype=pl.String)]
    meta = {}
    for name in table.names:
        if name.startswith(META_PREFIX):
            meta[name.removeprefix(META_PREFIX)] = _fact(table, rows, name)
        elif name not in (ID, SEQUENCE, GROUP):
            kind = asked.types.get(name, "category")
            values = [_value(table, row, name, kind, asked.separator) for row in rows]
            columns.append(pl.Series(name, values, dtype=_DTYPES[kind]))
    return IdTags(pl.DataFrame(columns), {name: fact for name, fact in meta.items() if fact})


_DTYPES: Mapping[TagType, Any] = {
    "focal": pl.Boolean,
    "category": pl.String,
    "multi": pl.String,
    "number": pl.Float64,
}


def _value(table: TextTable, row: int, name: str, kind: TagType, separator: str) -> object:
    if kind == "number":
        return table.number(row, name)
    text = table.cell(row, name)
    if not text:
        return None
    if kind == "focal":
        return _truth(text, lambda: table.error(row, name, repr(text), "yes or no"))
    if kind == "multi":
        parts = [part.strip() for part in text.split(separator)]
        return separator.join(dict.fromkeys(part for part in parts if part)) or None
    return text


def _truth(text: str, error: Callable[[], ReaderError]) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise error()


def _fact(table: TextTable, rows: list[int], name: str) -> str:
    """Return what all rows of a recording say of it; empty when none says anything."""
    facts = {table.cell(row, name) for row in rows} - {""}
    if len(facts) > 1:
        told = " and ".join(map(repr, sorted(facts)))
        msg = f"{table.path}: the column {name!r} says {told} of one recording."
        raise ReaderError(msg, "It is a fact of the whole recording; give it once.")
    return facts.pop() if facts else ""
