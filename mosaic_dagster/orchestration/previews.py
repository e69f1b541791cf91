"""What a person wants to see of a result at a glance: a few rows, a picture, its columns."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from mosaic_dagster.charts import quick_lines
from mosaic_dagster.features import feature_columns
from mosaic_dagster.orchestration.column_words import Recordings, told_schema
from mosaic_dagster.pipeline.results import StepResult
from mosaic_dagster.store.content.codecs import read_table

_ROWS = 5
_COLUMNS = 8
# Each panel of a picture takes 50 ms, and every step of every run draws one picture.
_PANELS = 2
_LARGEST_PICTURE = 400_000


def table_preview(table: pl.DataFrame, title: str, of: Recordings | None = None) -> dict[str, Any]:
    """Metadata of one entry's table: column schema, first rows, a plot of a few columns."""
    metadata: dict[str, Any] = {
        "dagster/column_schema": told_schema(table.schema, of),
        "columns": table.width,
    }
    if "id" in table.columns:
        metadata["individuals"] = table["id"].n_unique()
    if table.height:
        metadata["head"] = head_table(table)
        columns = feature_columns(table)
        if columns:
            metadata["preview"] = picture(quick_lines(table, columns[:_PANELS], title))
    return metadata


def head_table(table: pl.DataFrame, rows: int = _ROWS) -> dg.TableMetadataValue:
    """The first rows and columns as an inline table."""
    shown = table.select(table.columns[:_COLUMNS]).head(rows)
    return frame_table(shown)


def frame_table(table: pl.DataFrame) -> dg.TableMetadataValue:
    """A small table as inline metadata."""
    records = [
        dg.TableRecord({name: _plain(value) for name, value in row.items()})
        for row in table.iter_rows(named=True)
    ]
    schema = dg.TableSchema([dg.TableColumn(name, str(t)) for name, t in table.schema.items()])
    return dg.MetadataValue.table(records, schema)


def picture(png: bytes) -> dg.MarkdownMetadataValue:
    """A PNG picture as inline metadata; a very large one is replaced by a sentence."""
    if len(png) > _LARGEST_PICTURE:
        return dg.MetadataValue.md(f"A picture of {len(png):,} bytes; it lies in the exports.")
    text = base64.b64encode(png).decode()
    return dg.MetadataValue.md(f"![preview](data:image/png;base64,{text})")


def state_preview(files: Mapping[str, Path]) -> dict[str, Any]:
    """Metadata of a fitted state or of a callback's files: sizes, pictures, small tables."""
    metadata: dict[str, Any] = {"files": dg.MetadataValue.json(_sizes(files))}
    for name, path in files.items():
        label = name.rpartition(".")[0]
        if name.endswith(".png"):
            metadata[label] = picture(path.read_bytes())
        elif name.endswith(".parquet"):
            metadata[label] = head_table(read_table(path))
        elif name in ("notes.json", "metadata.json"):
            metadata[label] = dg.MetadataValue.md(f"```json\n{path.read_text()}\n```")
    return metadata


def result_pictures(results: Sequence[StepResult]) -> dict[str, Any]:
    """Every picture that callbacks made, by file name."""
    return {
        name.rpartition(".")[0]: picture(path.read_bytes())
        for result in results
        for name, path in result.artifacts().items()
        if name.endswith(".png")
    }


def _sizes(files: Mapping[str, Path]) -> dict[str, int]:
    return {name: path.stat().st_size for name, path in files.items()}


def _plain(value: Any) -> str | int | float | bool | None:
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)
