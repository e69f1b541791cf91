"""Labels as objects of the store: a Parquet table with what else is known beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from mosaic_dagster.dataset.labels.behavior import SCHEMA, Labels
from mosaic_dagster.dataset.labels.id_tags import IdTags
from mosaic_dagster.errors import LabelsError
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.content.codecs import encode_table, read_notes, read_table

PAIR_FORMAT = "individual_pair_v1"
TAGS_FORMAT = "id_tags_v1"

AnyLabels = Labels | IdTags


def encode_labels(labels: AnyLabels, key: EntryKey) -> bytes:
    """Labels of an entry as the bytes of a Parquet file; the same for equal labels."""
    origin = (pl.lit(key.group).alias("group"), pl.lit(key.sequence).alias("sequence"))
    if isinstance(labels, IdTags):
        notes: dict[str, Any] = {"format": TAGS_FORMAT, "meta": dict(labels.meta)}
        return encode_table(labels.table.with_columns(origin), notes)
    names = labels.label_map
    notes = {
        "format": PAIR_FORMAT,
        "names": {str(number): name for number, name in names.items()},
        "fps": labels.fps,
        "notes": dict(labels.notes),
    }
    told = pl.col("label").replace_strict(names, return_dtype=pl.String).alias("name")
    return encode_table(labels.events.with_columns(told, *origin), notes)


def read_labels_file(path: Path) -> AnyLabels:
    """Read labels from the file that :func:`encode_labels` made.

    Raises
    ------
    LabelsError
        The file holds something else.
    """
    notes, table = read_notes(path), read_table(path)
    match notes.get("format"):
        case "individual_pair_v1":
            names = {int(number): name for number, name in notes["names"].items()}
            return Labels(table.select(*SCHEMA), names, notes["fps"], notes["notes"])
        case "id_tags_v1":
            return IdTags(table.drop("group", "sequence"), notes["meta"])
    msg = f"{path.name} holds no labels."
    raise LabelsError(msg, "Refer to labels that this package stored.")
