"""Readers of label files."""

from mosaic_dagster.dataset.labels.readers.base import (
    LabelledRecording,
    LabelReader,
    LabelReaderParams,
    frame_rate,
)
from mosaic_dagster.dataset.labels.readers.registry import (
    LABEL_READERS,
    detect_labels,
    get_label_reader,
)

__all__ = [
    "LABEL_READERS",
    "LabelReader",
    "LabelReaderParams",
    "LabelledRecording",
    "detect_labels",
    "frame_rate",
    "get_label_reader",
]
