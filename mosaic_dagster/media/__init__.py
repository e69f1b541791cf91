"""Videos of recordings: crops of animals, overlays, frames for annotation.

Needs OpenCV, which the extra ``images`` installs. Pictures are arrays of bytes, red first.
"""

from mosaic_dagster.media.clips import Clip
from mosaic_dagster.media.cropping import CropParams
from mosaic_dagster.media.egocentric import egocentric_crop
from mosaic_dagster.media.index import (
    MEDIA_SCHEMA,
    MediaFile,
    find_media,
    index_media,
    media_files,
    media_table,
    open_stream,
)
from mosaic_dagster.media.interaction import INTERACTION_CROP, interaction_crops
from mosaic_dagster.media.layers import GroupOutlines, IdCircles, Layer, PairFocus, PairRoles
from mosaic_dagster.media.overlay import IdStyle, Overlay, OverlayStyle
from mosaic_dagster.media.palette import colour_of
from mosaic_dagster.media.sampling import (
    diverse_rows,
    frame_pictures,
    sample_feature_frames,
    sample_frames,
    uniform_frames,
)
from mosaic_dagster.media.stream import VideoStream
from mosaic_dagster.media.video import FrameSource, Video, VideoFacts, probe
from mosaic_dagster.media.writing import mp4_bytes, png_bytes, write_mp4

__all__ = [
    "INTERACTION_CROP",
    "MEDIA_SCHEMA",
    "Clip",
    "CropParams",
    "FrameSource",
    "GroupOutlines",
    "IdCircles",
    "IdStyle",
    "Layer",
    "MediaFile",
    "Overlay",
    "OverlayStyle",
    "PairFocus",
    "PairRoles",
    "Video",
    "VideoFacts",
    "VideoStream",
    "colour_of",
    "diverse_rows",
    "egocentric_crop",
    "find_media",
    "frame_pictures",
    "index_media",
    "interaction_crops",
    "media_files",
    "media_table",
    "mp4_bytes",
    "open_stream",
    "png_bytes",
    "probe",
    "sample_feature_frames",
    "sample_frames",
    "uniform_frames",
    "write_mp4",
]
