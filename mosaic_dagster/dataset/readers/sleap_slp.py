"""SLEAP projects, ``*.slp``: predictions and corrections of one or several videos.

The file lists frames, the instances in each, and the points of all instances. Only that is read:
no video is opened, and of the video's path no more than the file name is used. Pixels, with the
centre of the first pixel at (0, 0). The file does not tell its frame rate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mosaic_dagster.dataset.readers.base import Names, ReaderParams, Recording
from mosaic_dagster.dataset.readers.hdf5 import (
    attribute,
    find,
    number_attribute,
    open_hdf5,
    read_array,
    read_texts,
    sniff_hdf5,
)
from mosaic_dagster.dataset.readers.pose_rows import found_rows, keep_longest, pose_table
from mosaic_dagster.dataset.readers.sleap_analysis import SleapParams
from mosaic_dagster.errors import ReaderError

_WHAT = "The reader 'sleap_slp'"
_REMEDY = "Is this a project that SLEAP saved?"
_FIELDS = {
    "frames": ("frame_id", "video", "frame_idx", "instance_id_start", "instance_id_end"),
    "instances": ("instance_type", "track", "point_id_start", "point_id_end", "skeleton"),
    "points": ("x", "y", "visible"),
    "pred_points": ("x", "y", "visible", "score"),
}
_TABLES = tuple(_FIELDS)
_CENTRE_OF_PIXEL = 1.1
"""Format from which on the origin is the centre of the first pixel, not its corner."""

Records = NDArray[np.void]


@dataclass(frozen=True)
class _Instances:
    """One row per instance: video, frame, track (-1: none), kind, first point, number in file."""

    video: NDArray[np.int64]
    frame: NDArray[np.int64]
    track: NDArray[np.int64]
    predicted: NDArray[np.bool_]
    start: NDArray[np.int64]

    def take(self, rows: NDArray[Any]) -> _Instances:
        return _Instances(
            self.video[rows],
            self.frame[rows],
            self.track[rows],
            self.predicted[rows],
            self.start[rows],
        )


class SleapSlp:
    """Reads the tracks of SLEAP projects."""

    name: ClassVar[str] = "sleap_slp"
    version: ClassVar[str] = "1"
    extensions: ClassVar[tuple[str, ...]] = (".slp",)
    merges: ClassVar[bool] = False
    params: ClassVar[type[ReaderParams]] = SleapParams

    def sniff(self, path: Path) -> bool:
        """Whether it has the tables of a project.

        Raises
        ------
        MissingExtraError
            The file is HDF5 and h5py is not installed.
        ReaderError
            The file is HDF5 and damaged.
        """
        return sniff_hdf5(path, _WHAT, *_TABLES, "metadata")

    def sequences(self, path: Path) -> list[Names]:
        """List one recording per video: called as the file, with several ``file/video``."""
        with open_hdf5(path, _WHAT) as file:
            videos = np.unique(_records(file, "frames")["video"])
            return [(None, name) for name in _sequences(path, file, videos).values()]

    def keypoints(self, path: Path, params: ReaderParams) -> tuple[str, ...]:  # noqa: ARG002
        """Nodes of the skeleton, in the order of the points."""
        with open_hdf5(path, _WHAT) as file:
            return _nodes(file)

    def read(self, path: Path, params: ReaderParams) -> list[Recording]:
        """Read the recordings in the file.

        Of a predicted and a corrected instance of one track in one frame the corrected one is
        taken; it has no confidence (NaN). Points that are not visible are missing. Instances
        without a track are left out and counted, unless the file has no tracks and one instance
        per frame: then that is the animal.

        Raises
        ------
        ReaderError
            The file is damaged, its tables do not fit one another, it has several skeletons, or
            several untracked instances in a frame and no tracks.
        MissingExtraError
            h5py is not installed.
        """
        n_longest = params.n_longest if isinstance(params, SleapParams) else None
        with open_hdf5(path, _WHAT) as file:
            nodes = _nodes(file)
            instances = _instances(file)
            points, scores = _points(file, instances, len(nodes))
            tracks = _track_names(file)
            names = _sequences(path, file, np.unique(_records(file, "frames")["video"]))
        recordings = []
        for video, sequence in names.items():
            rows = np.flatnonzero(instances.video == video)
            part = instances.take(rows)
            chosen, ids, notes = _choice(path, part)
            picked = rows[chosen]
            found = found_rows(points[picked])
            table = pose_table(
                part.frame[chosen][found],
                ids[found],
                points[picked][found],
                scores[picked][found],
                tracks if len(tracks) > int(ids.max(initial=0)) else (),
            )
            table, left_out = keep_longest(table.sort("id", "frame"), n_longest)
            recordings.append(Recording(sequence, None, table, nodes, notes=left_out | notes))
        return recordings


def _records(file: Any, name: str) -> Records:
    """One of the tables, with all the fields that are used here."""
    records = read_array(file, name, 1)
    missing = [field for field in _FIELDS[name] if field not in (records.dtype.names or ())]
    if missing:
        msg = f"{file.filename}: the table {name!r} has no {missing[0]!r}."
        raise ReaderError(msg, _REMEDY)
    return records


def _metadata(file: Any) -> Mapping[str, Any]:
    group = find(file, "metadata")
    try:
        stored = json.loads(str(attribute(group, "json") if group is not None else ""))
    except ValueError:
        stored = None
    if not isinstance(stored, dict):
        msg = f"{file.filename} has no readable metadata."
        raise ReaderError(msg, _REMEDY)
    return stored


def _nodes(file: Any) -> tuple[str, ...]:
    """Names of the nodes; the skeleton orders them, the list of all nodes names them."""
    metadata = _metadata(file)
    try:
        names = [node["name"] for node in metadata["nodes"]]
        skeletons = [
            tuple(str(names[node["id"]]) for node in skeleton["nodes"])
            for skeleton in metadata["skeletons"]
        ]
    except (KeyError, IndexError, TypeError) as error:
        msg = f"{file.filename}: the metadata name no skeleton ({error!r})."
        raise ReaderError(msg, _REMEDY) from error
    used = np.unique(_records(file, "instances")["skeleton"])
    if len(skeletons) != 1 and len(used) != 1:
        msg = f"{file.filename} has {len(skeletons)} skeletons, of which {len(used)} are used."
        raise ReaderError(msg, "Save a project with one skeleton.")
    return skeletons[0] if len(skeletons) == 1 else skeletons[int(used[0])]


def _track_names(file: Any) -> tuple[str, ...]:
    """Names of the tracks; each is stored as the text of a list that ends with it."""
    names = []
    for number, text in enumerate(read_texts(file, "tracks_json") if _has_tracks(file) else ()):
        try:
            names.append(str(json.loads(text)[-1]))
        except (ValueError, IndexError, TypeError, KeyError):
            names.append(f"track_{number}")
    return tuple(names)


def _has_tracks(file: Any) -> bool:
    tracks = find(file, "tracks_json")
    return tracks is not None and bool(getattr(tracks, "size", 0))


def _sequences(path: Path, file: Any, videos: Sequence[int] | NDArray[Any]) -> dict[int, str]:
    """Name of the recording by number of the video; names that come twice get the number."""
    numbers = [int(video) for video in videos]
    if len(numbers) < 2:
        return dict.fromkeys(numbers or [0], path.stem)
    stored = read_texts(file, "videos_json") if find(file, "videos_json") is not None else ()
    stems = {n: _video_stem(stored[n]) if n < len(stored) else "" for n in numbers}
    repeated = {stem for stem in stems.values() if list(stems.values()).count(stem) > 1}
    names = {
        n: f"{stem}_{n}" if stem in repeated else stem or f"video_{n}" for n, stem in stems.items()
    }
    if len(set(names.values())) < len(names):
        names = {n: f"video_{n}" for n in numbers}
    return {n: f"{path.stem}/{name}" for n, name in names.items()}


def _video_stem(text: str) -> str:
    """Name of the video's file without folders and ending; its folders are its author's."""
    try:
        video = json.loads(text)
        backend = video.get("backend", video)
        filename = backend.get("filename", video.get("filename", ""))
    except (ValueError, AttributeError):
        return ""
    first = filename[0] if isinstance(filename, list) and filename else filename
    return PureWindowsPath(str(first)).stem if first else ""


def _instances(file: Any) -> _Instances:
    """All instances with the frame and video of each."""
    frames, instances = _records(file, "frames"), _records(file, "instances")
    start, end = (frames[f"instance_id_{edge}"].astype(np.int64) for edge in ("start", "end"))
    if len(frames) and not (
        (start <= end).all() and start.min() >= 0 and end.max() <= len(instances)
    ):
        msg = f"{file.filename}: a frame has instances that are not in the file."
        raise ReaderError(msg, "Save the project again in SLEAP.")
    counts = end - start
    inside = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    rows = np.repeat(start, counts) + inside
    own = np.repeat(np.arange(len(frames)), counts)
    return _Instances(
        video=frames["video"].astype(np.int64)[own],
        frame=frames["frame_idx"].astype(np.int64)[own],
        track=instances["track"].astype(np.int64)[rows],
        predicted=instances["instance_type"][rows] == 1,
        start=instances["point_id_start"].astype(np.int64)[rows],
    )


def _points(
    file: Any, instances: _Instances, n_nodes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates (instances, nodes, 2) and scores (instances, nodes), NaN where missing."""
    points = np.full((len(instances.start), n_nodes, 2), np.nan)
    scores = np.full((len(instances.start), n_nodes), np.nan)
    for name, which in (("pred_points", instances.predicted), ("points", ~instances.predicted)):
        table, start = _records(file, name), instances.start[which]
        if len(start) and not 0 <= start.min() <= start.max() <= len(table) - n_nodes:
            msg = f"{file.filename}: an instance has points that are not in {name!r}."
            raise ReaderError(msg, "Save the project again in SLEAP.")
        part = table[start[:, None] + np.arange(n_nodes)]
        coordinates = np.stack([part["x"], part["y"]], axis=-1).astype(np.float64)
        points[which] = np.where(part["visible"][..., None], coordinates, np.nan)
        if name == "pred_points":
            scores[which] = part["score"]
    version = number_attribute(find(file, "metadata"), "format_id")
    return points - 0.5 * (version is not None and version < _CENTRE_OF_PIXEL), scores


def _choice(
    path: Path, instances: _Instances
) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, Any]]:
    """Which instances of a video make its tracks, the id of each, and what was left out."""
    table = pl.DataFrame(
        {
            "row": np.arange(len(instances.frame)),
            "frame": instances.frame,
            "track": instances.track,
            "predicted": instances.predicted,
        }
    )
    tracked = table.filter(pl.col("track") >= 0)
    untracked = table.height - tracked.height
    notes: dict[str, Any] = {}
    if table.height and not tracked.height:
        tracked = table.with_columns(track=pl.lit(0, pl.Int64))
    elif untracked:
        notes["untracked_instances_left_out"] = untracked
    corrected = tracked.filter(~pl.col("predicted")).select("frame", "track").unique()
    doubled = tracked.filter(pl.col("predicted")).join(corrected, on=["frame", "track"], how="semi")
    if doubled.height:
        notes["corrected_predictions_left_out"] = doubled.height
        tracked = tracked.join(doubled, on="row", how="anti")
    repeated = tracked.filter(tracked.select("frame", "track").is_duplicated())
    if repeated.height:
        frame, track = repeated.select("frame", "track").row(0)
        whose = (
            f"instances of track {track}" if instances.track.max() >= 0 else "untracked instances"
        )
        msg = f"{path}: frame {frame} has several {whose}."
        raise ReaderError(msg, "Track the animals in SLEAP, then save the project.")
    tracked = tracked.sort("track", "frame")
    return tracked["row"].to_numpy(), tracked["track"].to_numpy(), notes
