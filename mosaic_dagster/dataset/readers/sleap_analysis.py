"""SLEAP analysis files: one array of points of all tracks, ``*.analysis.h5``.

The axes of the array are (track, xy, node, frame) unless its attribute ``dims`` names them.
Older files have no scores; then the table has no confidences. Pixels. The file does not tell its
frame rate, and the path of the video in it is not used.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mosaic_dagster.dataset.readers.base import Names, ReaderParams, Recording
from mosaic_dagster.dataset.readers.hdf5 import (
    as_text,
    attribute,
    find,
    open_hdf5,
    read_array,
    read_texts,
    sniff_hdf5,
)
from mosaic_dagster.dataset.readers.pose_rows import found_rows, keep_longest, pose_table
from mosaic_dagster.errors import ReaderError

_ORDER = ("track", "xy", "node", "frame")
_PLAIN_ORDER = ("frame", "node", "xy", "track")
_WANTED = ("frame", "track", "node", "xy")
_ENDING = ".analysis"
_WHAT = "The reader 'sleap_analysis_h5'"


class SleapParams(ReaderParams):
    """Parameters of the readers of SLEAP files.

    Attributes
    ----------
    n_longest
        How many tracks to keep, the longest ones; None keeps all. A tracker that loses an animal
        leaves short fragments.
    """

    n_longest: int | None = Field(default=None, ge=1)


class SleapAnalysisH5:
    """Reads SLEAP analysis files with one or several tracks."""

    name: ClassVar[str] = "sleap_analysis_h5"
    version: ClassVar[str] = "1"
    extensions: ClassVar[tuple[str, ...]] = (".h5",)
    merges: ClassVar[bool] = False
    params: ClassVar[type[ReaderParams]] = SleapParams

    def sniff(self, path: Path) -> bool:
        """Whether it has the arrays ``tracks`` and ``node_names``.

        Raises
        ------
        MissingExtraError
            The file is HDF5 and h5py is not installed.
        ReaderError
            The file is HDF5 and damaged.
        """
        return sniff_hdf5(path, _WHAT, "tracks", "node_names")

    def sequences(self, path: Path) -> list[Names]:
        """One recording, called as the file without ``.analysis.h5``."""
        return [(None, path.stem.removesuffix(_ENDING) or path.stem)]

    def keypoints(self, path: Path, params: ReaderParams) -> tuple[str, ...]:  # noqa: ARG002
        """Names of the nodes in the order of the file."""
        with open_hdf5(path, _WHAT) as file:
            return read_texts(file, "node_names")

    def read(self, path: Path, params: ReaderParams) -> list[Recording]:
        """Read the recording in the file.

        A track has no row in a frame without a single point of it. Tracks are numbered as in
        the file; the column ``individual`` keeps their names where there are several.

        Raises
        ------
        ReaderError
            The file is damaged, or its arrays do not fit one another.
        MissingExtraError
            h5py is not installed.
        """
        n_longest = params.n_longest if isinstance(params, SleapParams) else None
        with open_hdf5(path, _WHAT) as file:
            nodes = read_texts(file, "node_names")
            points = _points(file, nodes)
            scores = _scores(file, points)
            names = _track_names(file, points.shape[1])
        n_frames, n_tracks = points.shape[:2]
        rows = points.reshape(n_frames * n_tracks, len(nodes), 2)
        kept = np.flatnonzero(found_rows(rows))
        confidence = None if scores is None else scores.reshape(len(rows), len(nodes))[kept]
        table = pose_table(kept // n_tracks, kept % n_tracks, rows[kept], confidence, names)
        table, notes = keep_longest(table, n_longest)
        ((_, sequence),) = self.sequences(path)
        return [Recording(sequence, None, table, nodes, notes=notes)]


def _points(file: Any, nodes: Sequence[str]) -> NDArray[np.float64]:
    """Points as (frame, track, node, xy)."""
    values = _numbers(file, "tracks", 4)
    order = _order(file, "tracks", _ORDER)
    points = values.transpose([order.index(axis) for axis in _WANTED])
    if points.shape[2:] != (len(nodes), 2):
        msg = (
            f"{file.filename}: 'tracks' has the shape {values.shape} for "
            f"({', '.join(order)}), which does not fit {len(nodes)} nodes and 2 coordinates."
        )
        raise ReaderError(msg, "Export it again from SLEAP.")
    return points


def _scores(file: Any, points: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Scores as (frame, track, node), or None where the file has none."""
    if find(file, "point_scores") is None:
        return None
    values = _numbers(file, "point_scores", 3)
    default = tuple(axis for axis in _order(file, "tracks", _ORDER) if axis != "xy")
    order = _order(file, "point_scores", default)
    scores = values.transpose([order.index(axis) for axis in _WANTED[:3]])
    if scores.shape != points.shape[:3]:
        msg = f"{file.filename}: 'point_scores' has the shape {values.shape}, unlike 'tracks'."
        raise ReaderError(msg, "Export it again from SLEAP.")
    return scores


def _numbers(file: Any, name: str, ndim: int) -> NDArray[np.float64]:
    values = read_array(file, name, ndim)
    if values.dtype.kind not in "iuf":
        msg = f"{file.filename}: {name!r} holds {values.dtype}, not numbers."
        raise ReaderError(msg, "Export it again from SLEAP.")
    return values.astype(np.float64)


def _order(file: Any, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the axes of an array: its attribute ``dims``, else what all files have."""
    if attribute(file, "transpose") in (False, 0) and name == "tracks":
        default = _PLAIN_ORDER
    stored = attribute(find(file, name), "dims")
    if stored is None:
        return default
    try:
        dims = json.loads(stored) if isinstance(stored, str) else list(map(as_text, stored))
        order = tuple(str(dim) for dim in dims)
    except (ValueError, TypeError):
        order = ()
    if sorted(order) != sorted(default):
        msg = f"{file.filename}: the attribute 'dims' of {name!r} is {stored!r}."
        raise ReaderError(msg, f"It must name {', '.join(default)} in some order.")
    return order


def _track_names(file: Any, n_tracks: int) -> tuple[str, ...]:
    names = read_texts(file, "track_names") if find(file, "track_names") is not None else ()
    if names and len(names) != n_tracks:
        # Two tracks look like the two coordinates: only the names tell that axes are swapped.
        msg = f"{file.filename}: 'tracks' has {n_tracks} tracks, 'track_names' {len(names)}."
        raise ReaderError(msg, "Export it again from SLEAP.")
    return names or tuple(f"track_{number}" for number in range(n_tracks))
