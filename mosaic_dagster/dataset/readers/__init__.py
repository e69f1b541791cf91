from mosaic_dagster.dataset.readers.base import (
    CollectionReader,
    Reader,
    ReaderParams,
    Recording,
)
from mosaic_dagster.dataset.readers.deeplabcut_csv import DeepLabCutCsv
from mosaic_dagster.dataset.readers.keypoint_csv import KeypointCsv
from mosaic_dagster.dataset.readers.registry import (
    ENTRY_POINTS,
    READERS,
    ReaderRegistry,
    detect,
    get_reader,
)

__all__ = [
    "ENTRY_POINTS",
    "READERS",
    "CollectionReader",
    "DeepLabCutCsv",
    "KeypointCsv",
    "Reader",
    "ReaderParams",
    "ReaderRegistry",
    "Recording",
    "detect",
    "get_reader",
]
