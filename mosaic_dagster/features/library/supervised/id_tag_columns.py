"""Facts about individuals as columns: focal or not, sex, treatment, group size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import polars as pl
from pydantic import Field, model_validator

from mosaic_dagster.dataset.labels import IdTags, read_labels_file
from mosaic_dagster.errors import FeatureError, ParamsError
from mosaic_dagster.features.library.entries import entry_of
from mosaic_dagster.features.output import META_COLUMNS, FeatureTable, values_schema, with_values
from mosaic_dagster.features.params import Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.references import LabelsSource
from mosaic_dagster.features.registry import register
from mosaic_dagster.keys import EntryKey

_ID = "text of the id"


class IdTagColumnsParams(Params):
    """Parameters of :class:`IdTagColumns`.

    Attributes
    ----------
    labels
        The id tags, by their kind.
    fields
        Tags to add, in this order; None adds all that a recording's file has. Name them to have
        the same columns in every recording.
    field_renames
        Column of a tag, where it is not the tag's own name.
    """

    labels: LabelsSource = LabelsSource(kind="id_tags")
    fields: tuple[str, ...] | None = Field(default=None, min_length=1)
    field_renames: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _columns_are_distinct(self) -> Self:
        reserved = [c for c in self.field_renames.values() if c in META_COLUMNS or not c]
        if reserved:
            msg = f"field_renames gives a tag the name {reserved[0]!r}, which is taken"
            raise ValueError(msg)
        if self.fields is None:
            return self
        unknown = sorted(self.field_renames.keys() - set(self.fields))
        if unknown:
            msg = f"field_renames names {unknown[0]!r}, which is not among the fields"
            raise ValueError(msg)
        columns = [self.field_renames.get(name, name) for name in self.fields]
        repeated = [c for i, c in enumerate(columns) if c in columns[:i] or c in META_COLUMNS]
        if repeated:
            msg = f"the column {repeated[0]!r} is taken twice or is a key column"
            raise ValueError(msg)
        return self


@register
class IdTagColumns(Feature[IdTagColumnsParams]):
    """Tags of each row's individual, one column per tag, in the type that the tags have.

    The result has the key columns of its input and the tags; join it by frame and id. Ids are
    compared as text, whole numbers without a decimal point. An individual without tags has null.
    Facts about the recording (``meta__…``) are no tags.

    Notes
    -----
    A recording without tags is no error. With ``fields`` it has these columns, all null and of the
    type Null; without, no column can be known and it has the key columns alone. Either is noted,
    as is a tag that the recording's file does not have.
    """

    name = "id-tag-columns"
    version = "1.0"
    category = "tag"
    Params = IdTagColumnsParams

    tag_files: Mapping[EntryKey, Path] = {}
    _loaded: bool = False

    def input_columns(self) -> tuple[str, ...]:
        """The individual."""
        return ("id",)

    def load_state(
        self,
        folder: Path | None,
        artifacts: Mapping[str, Path],
        lookups: Mapping[str, Mapping[EntryKey, Path]],
    ) -> bool:
        """Take up the files of the tags; there is nothing to fit."""
        del folder, artifacts
        self.tag_files = lookups.get("labels", {})
        self._loaded = True
        return True

    def output_schema(self, schema: pl.Schema) -> pl.Schema | None:
        """None, since the types are those of each recording's tags; known where there are none."""
        if self.tag_files or not self._loaded:
            return None
        return values_schema(schema, dict.fromkeys(self._columns(None).values(), pl.Null()))

    def apply(self, table: pl.DataFrame) -> FeatureTable:
        """Look up the tags of one recording."""
        self.check_columns(table.schema)
        tags = self._tags_of(table)
        columns = self._columns(tags)
        found = _by_row(table, tags)
        nothing = pl.Series("nothing", [None] * table.height, dtype=pl.Null)
        values = {
            column: found[field] if field in found.columns else nothing
            for field, column in columns.items()
        }
        return FeatureTable(with_values(table, values), _notes(tags, columns))

    def _columns(self, tags: IdTags | None) -> dict[str, str]:
        """Column of each tag."""
        fields = self.params.fields or (tags.fields if tags is not None else ())
        columns = {name: self.params.field_renames.get(name, name) for name in fields}
        names = list(columns.values())
        repeated = [name for i, name in enumerate(names) if name in names[:i]]
        if repeated:
            msg = f"Two tags would be in the column {repeated[0]!r}."
            raise ParamsError(msg, "Change field_renames, or name the fields to add.")
        return columns

    def _tags_of(self, table: pl.DataFrame) -> IdTags | None:
        if not self.tag_files:
            return None
        if table.height:
            path = self.tag_files.get(entry_of(table, self.name))
        else:
            # Without rows only a single file can be meant.
            path = next(iter(self.tag_files.values())) if len(self.tag_files) == 1 else None
        if path is None:
            return None
        tags = read_labels_file(path)
        if not isinstance(tags, IdTags):
            msg = f"The labels of kind {self.params.labels.kind!r} are behaviour, not id tags."
            raise FeatureError(msg, "Name a kind of id tags in labels.")
        return tags


def _by_row(table: pl.DataFrame, tags: IdTags | None) -> pl.DataFrame:
    """Tags of each row's individual, in the order of the rows."""
    if tags is None:
        return pl.DataFrame()
    rows = pl.DataFrame({_ID: id_texts(table["id"])})
    known = tags.table.rename({"id": _ID})
    return rows.join(known, on=_ID, how="left", maintain_order="left").drop(_ID)


def id_texts(ids: pl.Series) -> pl.Series:
    """Ids as text; whole numbers without a decimal point, whatever type they are kept in."""
    if ids.dtype.is_float():
        whole = ids.cast(pl.Int64, strict=False)
        if ((whole.cast(ids.dtype) == ids) | ids.is_null() | ids.is_nan()).all():
            return whole.cast(pl.String)
    return ids.cast(pl.String)


def _notes(tags: IdTags | None, columns: Mapping[str, str]) -> dict[str, str]:
    if tags is None:
        return {"warning": "this recording has no id tags"}
    absent = [field for field in columns if field not in tags.fields]
    if absent:
        return {"warning": f"the id tags of this recording have no field {', '.join(absent)}"}
    return {}
