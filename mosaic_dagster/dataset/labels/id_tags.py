"""Facts about individuals of one recording: focal or not, sex, treatment, a tag's colour."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from mosaic_dagster.errors import LabelsError

META_PREFIX = "meta__"
"""Fields of this prefix are about the recording, not about an individual."""


@dataclass(frozen=True)
class IdTags:
    """Tags by individual.

    Attributes
    ----------
    table
        ``id`` (text: ids are compared as text) and one column per field; one row per individual.
    meta
        Facts about the recording.

    Raises
    ------
    LabelsError
        There is no column ``id``, an individual has two rows, or a field has a reserved name.
    """

    table: pl.DataFrame
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if "id" not in self.table.columns:
            msg = f"Id tags have no column 'id'; they have {', '.join(self.table.columns)}."
            raise LabelsError(msg, "Name the individuals in a column id.")
        table = self.table.with_columns(pl.col("id").cast(pl.String))
        if table["id"].null_count():
            msg = "A row of the id tags has no id."
            raise LabelsError(msg, "Name the individual in every row.")
        repeated = table["id"].is_duplicated()
        if repeated.any():
            msg = f"The individual {table['id'].filter(repeated)[0]!r} has two rows of tags."
            raise LabelsError(msg, "Give each individual one row.")
        reserved = {"frame", "time", "id1", "id2", "perspective", "fps", "group", "sequence"}
        for name in table.columns:
            if name in reserved or name.startswith(META_PREFIX):
                msg = f"A tag cannot be called {name!r}."
                raise LabelsError(msg, "Rename the field, or give it as meta.")
        object.__setattr__(self, "table", table.select("id", *self._fields(table)))
        object.__setattr__(self, "meta", dict(self.meta))

    @staticmethod
    def _fields(table: pl.DataFrame) -> list[str]:
        return [name for name in table.columns if name != "id"]

    @property
    def fields(self) -> list[str]:
        """Names of the tags."""
        return self._fields(self.table)

    @classmethod
    def from_mapping(cls, tags: Mapping[Any, Mapping[str, Any]]) -> IdTags:
        """Tags from ``{id: {field: value}}``; ``meta__…`` fields may stand under any id.

        Raises
        ------
        LabelsError
            A field holds values of types that do not go together, or two of one recording's
            facts contradict each other.
        """
        meta: dict[str, Any] = {}
        rows = []
        for individual, fields in tags.items():
            plain = {name: v for name, v in fields.items() if not name.startswith(META_PREFIX)}
            for name in fields.keys() - plain.keys():
                short = name.removeprefix(META_PREFIX)
                if meta.setdefault(short, fields[name]) != fields[name]:
                    msg = f"The id tags say {meta[short]!r} and {fields[name]!r} for {name!r}."
                    raise LabelsError(msg, "It is a fact of the whole recording; give it once.")
            rows.append({"id": str(individual)} | plain)
        _check_alike(rows)
        try:
            table = pl.DataFrame(rows, infer_schema_length=None, schema_overrides={"id": pl.String})
        except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
            msg = f"The id tags cannot be made a table: {error}"
            raise LabelsError(msg, "Give each field values of one type.") from error
        return cls(table if rows else pl.DataFrame(schema={"id": pl.String}), meta)

    def as_mapping(self) -> dict[str, dict[str, Any]]:
        """``{id: {field: value}}``."""
        return {row.pop("id"): row for row in self.table.to_dicts()}


def _check_alike(rows: list[dict[str, Any]]) -> None:
    """Refuse a field with values of several types, which would be changed or lost in a column."""
    kinds: dict[str, tuple[str, Any]] = {}
    for row in rows:
        for name, value in row.items():
            if value is None:
                continue
            is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
            kind = "number" if is_number else type(value).__name__
            known, first = kinds.setdefault(name, (kind, value))
            if known != kind:
                msg = f"The id tags have {name!r} as {first!r} and as {value!r}."
                raise LabelsError(msg, "Give each field values of one type.")
