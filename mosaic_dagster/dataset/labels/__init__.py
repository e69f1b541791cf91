"""What people said about a recording: behaviour by frame, and facts about individuals."""

from mosaic_dagster.dataset.labels.alignment import Alignment, align_labels
from mosaic_dagster.dataset.labels.behavior import Labels, event_frames
from mosaic_dagster.dataset.labels.files import encode_labels, read_labels_file
from mosaic_dagster.dataset.labels.id_tags import IdTags

__all__ = [
    "Alignment",
    "IdTags",
    "Labels",
    "align_labels",
    "encode_labels",
    "event_frames",
    "read_labels_file",
]
