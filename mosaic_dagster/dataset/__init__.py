from mosaic_dagster.dataset.dataset import Dataset
from mosaic_dagster.dataset.files import Refusal
from mosaic_dagster.dataset.identity import tracks_action_key
from mosaic_dagster.dataset.manifest import DatasetDeclaration, Manifest, SourceRule, check_name
from mosaic_dagster.dataset.paths import base_of, recorded_path, resolve_path
from mosaic_dagster.dataset.readers import READERS, Reader, ReaderParams, Recording, get_reader
from mosaic_dagster.dataset.reading import read_entry, read_tracks, resolve_params
from mosaic_dagster.dataset.scan import FoundSource, SourceScan, scan_sources
from mosaic_dagster.dataset.scope import Scope
from mosaic_dagster.dataset.tracks import Repairs, normalize_tracks, validate_tracks
from mosaic_dagster.keys import EntryKey

__all__ = [
    "READERS",
    "Dataset",
    "DatasetDeclaration",
    "EntryKey",
    "FoundSource",
    "Manifest",
    "Reader",
    "ReaderParams",
    "Recording",
    "Refusal",
    "Repairs",
    "Scope",
    "SourceRule",
    "SourceScan",
    "base_of",
    "check_name",
    "get_reader",
    "normalize_tracks",
    "read_entry",
    "read_tracks",
    "recorded_path",
    "resolve_params",
    "resolve_path",
    "scan_sources",
    "tracks_action_key",
    "validate_tracks",
]
