"""From the name of a label format to its reader.

A lab adds readers of its own through the entry point group ``mosaic_dagster.label_readers``.
"""

from __future__ import annotations

from pathlib import Path

from mosaic_dagster.dataset.labels.readers.base import LabelReader
from mosaic_dagster.dataset.labels.readers.bento_annot import BentoAnnot
from mosaic_dagster.dataset.labels.readers.boris_aggregated import BorisAggregated
from mosaic_dagster.dataset.labels.readers.boris_events import BorisEvents
from mosaic_dagster.dataset.labels.readers.boris_pickle import BorisPandasPickle
from mosaic_dagster.dataset.labels.readers.boris_project import BorisProject
from mosaic_dagster.dataset.labels.readers.calms21_annotations import (
    Calms21AnnotationsJson,
    Calms21AnnotationsNpy,
)
from mosaic_dagster.dataset.labels.readers.id_tags_csv import IdTagsCsv
from mosaic_dagster.dataset.labels.readers.jabs_annotations import JabsAnnotations
from mosaic_dagster.dataset.labels.readers.label_parquet import LabelParquet
from mosaic_dagster.dataset.readers.registry import ReaderRegistry

ENTRY_POINTS = "mosaic_dagster.label_readers"
"""Entry point group of label readers in other packages."""

LABEL_READERS: ReaderRegistry[LabelReader] = ReaderRegistry(
    BorisAggregated(),
    BorisEvents(),
    BorisProject(),
    BorisPandasPickle(),
    Calms21AnnotationsJson(),
    Calms21AnnotationsNpy(),
    BentoAnnot(),
    JabsAnnotations(),
    IdTagsCsv(),
    LabelParquet(),
    group=ENTRY_POINTS,
)
"""The label readers of this package and of installed ones."""


def get_label_reader(name: str) -> LabelReader:
    """Return the label reader of this name.

    Raises
    ------
    UnknownFormatError
        Nothing has this name; the nearest and all names are given.
    """
    return LABEL_READERS.find(name)


def detect_labels(path: Path) -> LabelReader:
    """Find the one label reader that recognises the file.

    Raises
    ------
    ReaderError
        The file is empty or cannot be opened.
    UnknownFormatError
        No reader recognises it, or several do.
    """
    return LABEL_READERS.detect(path)
