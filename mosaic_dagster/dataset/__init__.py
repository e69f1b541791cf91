from mosaic_dagster.dataset.dataset import Dataset
from mosaic_dagster.dataset.files import Refusal
from mosaic_dagster.dataset.found_source import FoundSource
from mosaic_dagster.dataset.identity import source_action_key
from mosaic_dagster.dataset.label_reading import read_labels, read_labels_entry
from mosaic_dagster.dataset.label_store import load_id_labels, save_id_labels
from mosaic_dagster.dataset.labels import IdTags, Labels, align_labels
from mosaic_dagster.dataset.manifest import DatasetDeclaration, Manifest, SourceRule, check_name
from mosaic_dagster.dataset.paths import base_of, recorded_path, resolve_path
from mosaic_dagster.dataset.queries import (
    get_label_map,
    get_labels_at_frame,
    get_labels_for_individual,
    list_groups,
    list_sequences,
    query_entries,
)
from mosaic_dagster.dataset.readers import READERS, Reader, ReaderParams, Recording, get_reader
from mosaic_dagster.dataset.reading import read_entry, read_tracks
from mosaic_dagster.dataset.roots import AbsentRoot
from mosaic_dagster.dataset.scan import SourceScan, scan_sources
from mosaic_dagster.dataset.scope import Scope
from mosaic_dagster.dataset.source_stats import SourceStats, read_cursor, stat_sources
from mosaic_dagster.dataset.sources import reader_of, resolve_params
from mosaic_dagster.dataset.tracks import Repairs, normalize_tracks, validate_tracks
from mosaic_dagster.keys import EntryKey

__all__ = [
    "READERS",
    "AbsentRoot",
    "Dataset",
    "DatasetDeclaration",
    "EntryKey",
    "FoundSource",
    "IdTags",
    "Labels",
    "Manifest",
    "Reader",
    "ReaderParams",
    "Recording",
    "Refusal",
    "Repairs",
    "Scope",
    "SourceRule",
    "SourceScan",
    "SourceStats",
    "align_labels",
    "base_of",
    "check_name",
    "get_label_map",
    "get_labels_at_frame",
    "get_labels_for_individual",
    "get_reader",
    "list_groups",
    "list_sequences",
    "load_id_labels",
    "normalize_tracks",
    "query_entries",
    "read_cursor",
    "read_entry",
    "read_labels",
    "read_labels_entry",
    "read_tracks",
    "reader_of",
    "recorded_path",
    "resolve_params",
    "resolve_path",
    "save_id_labels",
    "scan_sources",
    "source_action_key",
    "stat_sources",
    "validate_tracks",
]
