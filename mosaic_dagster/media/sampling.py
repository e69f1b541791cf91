"""Choose frames that are worth annotating: evenly in time, or as different as possible."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import polars as pl
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits

from mosaic_dagster.errors import FitError, ParamsError
from mosaic_dagster.media.arrays import FloatArray, IntArray
from mosaic_dagster.media.pictures import shrink, to_grey
from mosaic_dagster.media.poses import floats, require_columns
from mosaic_dagster.media.video import FrameSource
from mosaic_dagster.media.writing import png_bytes

_NOT_FEATURES = {
    "frame", "time", "id", "id1", "id2", "perspective", "group", "sequence", "fps", "label",
    "split", "entity_level",
}  # fmt: skip


def uniform_frames(n_frames: int, n: int) -> IntArray:
    """Frames spread evenly from the first to the last, shape (min(n, n_frames),).

    Parameters
    ----------
    n_frames
        Number of frames of the recording.
    n
        Number wanted; one alone is frame 0.

    Raises
    ------
    ParamsError
        A number is below 1.
    """
    _check_count(n)
    if n_frames < 1:
        msg = f"A recording of {n_frames} frames has none to choose."
        raise ParamsError(msg, "Give a recording with frames.")
    chosen: IntArray = np.rint(np.linspace(0, n_frames - 1, min(n, n_frames))).astype(np.int64)
    return chosen


def diverse_rows(rows: FloatArray, n: int, seed: int = 0) -> IntArray:
    """Positions of rows that differ as much as possible, ascending.

    Parameters
    ----------
    rows
        Shape (n_rows, n_columns). Rows that are not finite are never chosen.
    n
        Number wanted; fewer usable rows give them all.
    seed
        Of the clustering.

    Raises
    ------
    ParamsError
        The number is below 1.
    FitError
        No row is finite.

    Notes
    -----
    Mini-batch k-means (Sculley, WWW 2010, 1177) makes at most n clusters; from each comes the row
    nearest to its centre. What is then missing is filled by the row farthest (Euclidean) from all
    chosen ones, again and again. Equal rows are chosen twice only when nothing else is left.
    """
    _check_count(n)
    usable = np.flatnonzero(np.isfinite(rows).all(axis=1))
    if not len(usable):
        msg = f"None of {len(rows)} rows has values in all columns, so none can be chosen."
        raise FitError(msg, "Choose columns that have values.")
    points = np.ascontiguousarray(rows[usable], dtype=np.float64)
    if n >= len(points):
        return usable
    chosen = _cluster_representatives(points, n, seed)
    picked: IntArray = usable[np.sort(_farthest_fill(points, chosen, n))]
    return picked


def sample_frames(
    source: FrameSource,
    n: int,
    *,
    method: Literal["uniform", "kmeans"] = "uniform",
    candidates: int = 500,
    width: int = 30,
    seed: int = 0,
) -> IntArray:
    """Choose frames of a video, ascending.

    Parameters
    ----------
    source
        The video, or the videos in a row.
    n
        Number wanted; a shorter video gives all of its frames.
    method
        ``uniform``: evenly in time. ``kmeans``: frames that look different.
    candidates
        With ``kmeans``, this many frames, evenly in time, are looked at (at least n).
    width
        With ``kmeans``, they are made grey and shrunk to this width.
    seed
        Of the clustering.

    Raises
    ------
    MissingExtraError
        OpenCV is not installed.
    ParamsError
        The number is below 1, or the method is unknown.
    ReaderError
        The video is cut off.
    """
    n_frames = source.facts.n_frames
    if method == "uniform":
        return uniform_frames(n_frames, n)
    if method != "kmeans":
        msg = f"The method {method!r} is unknown."
        raise ParamsError(msg, "Choose one of: uniform, kmeans.")
    _check_count(n)
    _check_count(width)
    looked_at = uniform_frames(n_frames, max(n, candidates))
    small = [to_grey(shrink(source.frame(int(f)), width)).ravel() for f in looked_at]
    return looked_at[diverse_rows(np.array(small, dtype=np.float64), n, seed)]


def sample_feature_frames(
    table: pl.DataFrame, n: int, *, columns: Sequence[str] | None = None, seed: int = 0
) -> IntArray:
    """Choose frames in which features differ, ascending, each once.

    Parameters
    ----------
    table
        A feature table of one recording with ``frame``.
    n
        Number of rows wanted; individuals may share a frame, so it can be fewer frames.
    columns
        What counts; None takes all columns of numbers but keys and labels. Each is divided by its
        standard deviation.
    seed
        Of the clustering.

    Raises
    ------
    MissingColumnError
        A column is not there.
    ParamsError
        The number is below 1.
    FitError
        No row has values in all columns, or there is no column to go by.
    """
    chosen = _feature_names(table) if columns is None else list(columns)
    require_columns(table, ["frame", *chosen], "The feature table")
    if not chosen:
        msg = "The feature table has no column of numbers to choose frames by."
        raise FitError(msg, "Name the columns.")
    values = floats(table, chosen)
    complete = values[np.isfinite(values).all(axis=1)]
    spread = complete.std(axis=0) if len(complete) else np.ones(len(chosen))
    values = values / np.where(spread > 0, spread, 1.0)
    frames = table["frame"].cast(pl.Int64).to_numpy()
    return np.unique(frames[diverse_rows(values, n, seed)])


def frame_pictures(
    source: FrameSource, frames: Iterable[int], name: str = "frame"
) -> list[tuple[bytes, str, str]]:
    """Frames as PNG files ``(data, name, extension)``, as the ``outputs`` of a step are given.

    Raises
    ------
    MissingExtraError
        OpenCV is not installed.
    ScopeError
        The video has no such frame.
    ReaderError
        The video is cut off.
    """
    return [(png_bytes(source.frame(int(f))), f"{name}_{int(f):06d}", "png") for f in frames]


def _feature_names(table: pl.DataFrame) -> list[str]:
    schema = table.schema
    return [name for name in schema if schema[name].is_numeric() and name not in _NOT_FEATURES]


def _cluster_representatives(points: FloatArray, n: int, seed: int) -> list[int]:
    """The row nearest to the centre of each cluster that is not empty, each row once."""
    _, distinct = np.unique(points, axis=0, return_index=True)
    if len(distinct) <= n:
        return [int(row) for row in distinct]
    # More threads could add numbers up in another order, and so choose other rows.
    with threadpool_limits(1):
        model = MiniBatchKMeans(n_clusters=n, random_state=seed, n_init=3).fit(points)
    distance = ((points - model.cluster_centers_[model.labels_]) ** 2).sum(axis=1)
    order = np.lexsort((np.arange(len(points)), distance, model.labels_))
    _, first = np.unique(model.labels_[order], return_index=True)
    return [int(row) for row in order[first]]


def _farthest_fill(points: FloatArray, chosen: list[int], n: int) -> list[int]:
    """Add the row farthest from all chosen ones until there are n."""
    filled = list(chosen)
    nearest = np.full(len(points), np.inf)
    for row in filled:
        np.minimum(nearest, ((points - points[row]) ** 2).sum(axis=1), out=nearest)
    nearest[filled] = -1.0
    while len(filled) < n:
        row = int(np.argmax(nearest))
        filled.append(row)
        np.minimum(nearest, ((points - points[row]) ** 2).sum(axis=1), out=nearest)
        nearest[row] = -1.0
    return filled


def _check_count(n: int) -> None:
    if n < 1:
        msg = f"{n} is not a number of frames, columns or pixels."
        raise ParamsError(msg, "Give a whole number above 0.")
