"""Which videos belong to which recording: the media index."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import polars as pl

from mosaic_dagster.errors import EntryNotFoundError, ParamsError, ReaderError, ScopeError
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.media.poses import require_columns
from mosaic_dagster.media.stream import VideoStream
from mosaic_dagster.media.video import Video, probe


@dataclass(frozen=True)
class MediaFile:
    """One video of one recording.

    Attributes
    ----------
    name
        Name of the file.
    path
        Where it is; below the root of the index relative to it, with ``/``.
    size_bytes
        Its size.
    mtime
        When it was changed, seconds since 1970.
    group, sequence
        The recording.
    video_order
        Place among the recording's videos from the same camera, from 0.
    width, height
        Pixels.
    fps
        Frames per second; 0 when the file does not say.
    n_frames
        Number of frames.
    codec
        Four letters; empty when unknown.
    camera
        Name of the camera; empty when there is one.
    sync_id
        What videos of several cameras have in common that show the same time; may be empty.
    cm_per_pixel
        Text, as it was entered; empty means uncalibrated.
    """

    name: str
    path: str
    size_bytes: int
    mtime: float
    group: str
    sequence: str
    video_order: int
    width: int
    height: int
    fps: float
    n_frames: int
    codec: str = ""
    camera: str = ""
    sync_id: str = ""
    cm_per_pixel: str = ""

    @property
    def key(self) -> EntryKey:
        """The recording."""
        return EntryKey(self.group, self.sequence)

    @property
    def scale_cm(self) -> float | None:
        """Centimetres for each pixel; None when uncalibrated.

        Raises
        ------
        ParamsError
            The text is not a number above 0.
        """
        if not self.cm_per_pixel.strip():
            return None
        try:
            scale = float(self.cm_per_pixel)
        except ValueError:
            scale = math.nan
        if not (math.isfinite(scale) and scale > 0):
            msg = f"cm_per_pixel of {self.path} is {self.cm_per_pixel!r}."
            raise ParamsError(msg, "Write a number above 0, or nothing when uncalibrated.")
        return scale


_TYPES = {"str": pl.String(), "int": pl.Int64(), "float": pl.Float64()}
MEDIA_SCHEMA = pl.Schema({field.name: _TYPES[str(field.type)] for field in fields(MediaFile)})
"""Columns of a media index."""


def index_media(
    key: EntryKey,
    videos: Sequence[str | Path],
    *,
    root: str | Path | None = None,
    camera: str = "",
    sync_id: str = "",
    cm_per_pixel: str = "",
    count: bool = False,
) -> list[MediaFile]:
    """Look at the videos of one recording from one camera.

    Parameters
    ----------
    key
        The recording.
    videos
        Files in their order: the second begins where the first ends.
    root
        Paths below it are kept relative to it.
    camera, sync_id, cm_per_pixel
        As :class:`MediaFile` has them.
    count
        Count the frames in place of believing the headers.

    Raises
    ------
    MissingExtraError
        OpenCV is not installed.
    ReaderError
        A file is not there or not a video.
    ParamsError
        ``cm_per_pixel`` is not a number above 0.
    """
    files = []
    for order, given in enumerate(videos):
        path = Path(given)
        facts = probe(path, count=count)
        stat = path.stat()
        file = MediaFile(
            path.name, _written(path, root), stat.st_size, stat.st_mtime, key.group, key.sequence,
            order, facts.width, facts.height, facts.fps, facts.n_frames, facts.codec, camera,
            sync_id, cm_per_pixel,
        )  # fmt: skip
        _ = file.scale_cm  # a wrong text is refused when it is entered
        files.append(file)
    return files


def media_table(files: Iterable[MediaFile]) -> pl.DataFrame:
    """A media index as a table, sorted by group, sequence, camera and order."""
    rows = [astuple(file) for file in files]
    table = pl.DataFrame(rows, schema=MEDIA_SCHEMA, orient="row")
    return table.sort("group", "sequence", "camera", "video_order")


def media_files(table: pl.DataFrame) -> list[MediaFile]:
    """The rows of a media index; the inverse of :func:`media_table`.

    Raises
    ------
    MissingColumnError
        A column is missing.
    """
    require_columns(table, MEDIA_SCHEMA.names(), "The media index")
    rows = table.select(MEDIA_SCHEMA.names()).cast(MEDIA_SCHEMA)
    return [MediaFile(*row) for row in rows.iter_rows()]


def find_media(table: pl.DataFrame, key: EntryKey, *, camera: str | None = None) -> list[MediaFile]:
    """The videos of one recording from one camera, in their order.

    Parameters
    ----------
    table
        The media index.
    key
        The recording.
    camera
        None when there is one.

    Raises
    ------
    EntryNotFoundError
        The index has no video of the recording, or of the camera.
    ScopeError
        There are several cameras, or two videos have the same place in the order.
    """
    files = [file for file in media_files(table) if file.key == key]
    cameras = sorted({file.camera for file in files})
    if camera is not None:
        files = [file for file in files if file.camera == camera]
    if not files:
        whose = f"{str(key)!r}" if camera is None else f"{str(key)!r} from camera {camera!r}"
        msg = f"The media index has no video of {whose}."
        known = ", ".join(map(repr, cameras))
        remedy = f"Its cameras: {known}." if known else "Add its videos with index_media."
        raise EntryNotFoundError(msg, remedy)
    if camera is None and len(cameras) > 1:
        msg = f"{str(key)!r} was recorded by the cameras {', '.join(map(repr, cameras))}."
        raise ScopeError(msg, "Choose one of them.")
    orders = Counter(file.video_order for file in files)
    if twice := [order for order, n in orders.items() if n > 1]:
        msg = f"Several videos of {str(key)!r} have the video_order {min(twice)}."
        raise ScopeError(msg, "Number the videos of one camera 0, 1, 2, ….")
    return sorted(files, key=lambda file: file.video_order)


def open_stream(
    table: pl.DataFrame,
    key: EntryKey,
    *,
    root: str | Path | None = None,
    camera: str | None = None,
) -> VideoStream:
    """Open the videos of a recording as one row of frames.

    Parameters
    ----------
    table
        The media index.
    key
        The recording.
    root
        What relative paths are relative to.
    camera
        None when there is one.

    Raises
    ------
    MissingExtraError
        OpenCV is not installed.
    EntryNotFoundError
        The index has no video of the recording, or of the camera.
    ScopeError
        There are several cameras, or two videos have the same place in the order.
    ReaderError
        A video is not there, not a video, or has another size in bytes than in the index.
    """
    videos: list[Video] = []
    try:
        for file in find_media(table, key, camera=camera):
            path = Path(file.path) if root is None else Path(root) / file.path
            _check_unchanged(path, file)
            videos.append(Video(path, n_frames=file.n_frames))
        return VideoStream(videos)
    except Exception:
        for video in videos:
            video.close()
        raise


def _check_unchanged(path: Path, file: MediaFile) -> None:
    if path.is_file() and path.stat().st_size != file.size_bytes:
        msg = f"{path} has {path.stat().st_size} bytes; in the media index it has "
        raise ReaderError(f"{msg}{file.size_bytes}.", "Index it again.")


def _written(path: Path, root: str | Path | None) -> str:
    if root is not None:
        absolute, base = path.resolve(), Path(root).resolve()
        if absolute.is_relative_to(base):
            return absolute.relative_to(base).as_posix()
    return path.as_posix()
