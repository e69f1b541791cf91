"""Tables as xarray data sets and back: the only module that knows xarray and movement.

Poses have movement's layout: ``position`` (time, space, keypoints, individuals) and ``confidence``
(time, keypoints, individuals), time in seconds, or in frames where the rate is not known. Both
packages come with the extra ``movement``; only :func:`load_poses` imports movement itself, which
needs a log folder, replaces how warnings are shown and prints to the terminal when imported: all
of that is kept away from the process.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mosaic_dagster.errors import ReaderError, TracksError
from mosaic_dagster.extras import need

EXTRA = "movement"
"""The extra that installs movement and xarray."""

LOADERS = {
    "NWB": "from_nwb_file",
    "LightningPose": "from_lp_file",
    "Anipose": "from_anipose_file",
    "DeepLabCut": "from_dlc_file",
    "SLEAP": "from_sleap_file",
}
"""The function of movement for each software that writes poses."""

_DIMS = ("time", "space", "keypoints", "individuals")
_CENTRE = "centroid"
_UNNAMED = re.compile(r"id_[0-9]+")
_KEYS = ("frame", "id", "id1", "id2")
_FACTS = ("group", "sequence", "fps")
_OFF_GRID = 1e-2
_IMPORTING = threading.Lock()


@dataclass(frozen=True)
class LoadedPoses:
    """What movement made of a file.

    Attributes
    ----------
    dataset
        ``xarray.Dataset`` of poses.
    warnings
        What was said about it on the way, each once.
    """

    dataset: Any
    warnings: tuple[str, ...]


def to_xarray(
    table: pl.DataFrame, keypoints: Sequence[str], fps: float | None, unit: str | None = None
) -> Any:
    """Return tracks as a data set of poses in movement's layout.

    Parameters
    ----------
    table
        Tracks: ``frame``, ``id`` and ``poseX{k}``, ``poseY{k}``, maybe ``poseP{k}``; without any
        keypoint ``X`` and ``Y``, which become the keypoint ``centroid``.
    keypoints
        Names of the keypoints 0, 1, …; ignored where the table has none.
    fps
        Frames per second; None counts time in frames.
    unit
        Unit of the coordinates; becomes the attribute ``units`` of ``position``.

    Returns
    -------
    xarray.Dataset
        Every frame from the first to the last is there; NaN where an animal has no row or no
        point, and for confidences that the table does not have. Individuals are named by the
        column ``individual``, else ``id_0``, …. The centre, a heading and extras are not in it.

    Raises
    ------
    TracksError
        There are no coordinates, not as many keypoints as names, or an animal is twice in a
        frame.
    MissingExtraError
        xarray is not installed.
    """
    xarray = need("xarray", EXTRA, "Making a data set of poses")
    parts, names = _parts(table, keypoints)
    if table.select("frame", "id").is_duplicated().any():
        msg = "The table has an animal twice in one frame."
        raise TracksError(msg, "Use normalize_tracks first, which says where.")
    ids = table["id"].unique().sort()
    frames = table["frame"].to_numpy()
    first = int(frames.min()) if len(frames) else 0
    n_frames = int(frames.max()) - first + 1 if len(frames) else 0
    values = np.full((n_frames, 3, len(names), len(ids)), np.nan)
    places = ids.search_sorted(table["id"]).to_numpy() if len(ids) else frames
    for k, columns in enumerate(parts):
        for part, column in enumerate(columns):
            if column is not None:
                values[frames - first, part, k, places] = table[column].to_numpy()
    times = np.arange(first, first + n_frames)
    position = (_DIMS, values[:, :2], {} if unit is None else {"units": unit})
    confidence = (_DIMS[:1] + _DIMS[2:], values[:, 2])
    attributes = {"ds_type": "poses", "source_software": "mosaic_dagster"}
    return xarray.Dataset(
        {"position": position, "confidence": confidence},
        {
            "time": times if fps is None else times / fps,
            "space": ["x", "y"],
            "keypoints": list(names),
            "individuals": _individuals(table, ids),
        },
        attributes
        | ({"time_unit": "frames"} if fps is None else {"time_unit": "seconds", "fps": fps}),
    )


def from_xarray(dataset: Any) -> tuple[pl.DataFrame, tuple[str, ...], float | None]:
    """Return a data set of poses, or of boxes, as a table of tracks.

    Parameters
    ----------
    dataset
        ``xarray.Dataset`` with ``position`` and maybe ``confidence``; without the dimension
        ``keypoints`` its one point is called ``centroid``.

    Returns
    -------
    tuple
        A table with ``frame``, ``id``, ``poseX{k}``, ``poseY{k}``, ``poseP{k}`` where the data
        set has any confidence, ``z_{keypoint}`` where it has a third coordinate, and
        ``individual`` where several animals have names; names of the keypoints; frames per
        second, None where the data set counts time in frames. An animal without a single finite
        coordinate in a frame has no row in it.

    Raises
    ------
    TracksError
        There are no positions, or times are not those of frames at one rate.
    """
    position = _with_dims(dataset, "position", _DIMS)
    space = [str(name) for name in position["space"].values]
    if space[:2] != ["x", "y"]:
        msg = f"The data set's space is {', '.join(space)}, not x and y."
        raise TracksError(msg, "Give positions in Cartesian coordinates.")
    names = tuple(str(name) for name in position["keypoints"].values)
    individuals = [str(name) for name in position["individuals"].values]
    fps = dataset.attrs.get("fps")
    rate = None if fps is None or dataset.attrs.get("time_unit") == "frames" else float(fps)
    frames = _frames(np.asarray(position["time"].values), rate)
    values = np.moveaxis(np.asarray(position.values, dtype=np.float64), -1, 0)
    found = np.isfinite(values).any(axis=(2, 3))
    animals, rows = np.nonzero(found)
    columns: dict[str, Any] = {"frame": frames[rows], "id": animals.astype(np.int64)}
    confidence = _confidence(dataset)
    for k, name in enumerate(names):
        columns[f"poseX{k}"], columns[f"poseY{k}"] = (
            values[animals, rows, 0, k],
            values[animals, rows, 1, k],
        )
        if confidence is not None:
            columns[f"poseP{k}"] = confidence[animals, rows, k]
        if len(space) > 2:
            columns[f"z_{name}"] = values[animals, rows, 2, k]
    table = pl.DataFrame(columns)
    if len(individuals) > 1 and not all(map(_UNNAMED.fullmatch, individuals)):
        named = pl.Series([individuals[animal] for animal in animals.tolist()], dtype=pl.String)
        table = table.with_columns(individual=named)
    return table, names, rate


def features_to_xarray(table: pl.DataFrame) -> Any:
    """Return a table of features as a data set with a variable per feature.

    Parameters
    ----------
    table
        A result of a feature: ``frame`` and, as far as it has them, ``id``, or ``id1`` and
        ``id2``, and ``perspective``; the values; ``group``, ``sequence``.

    Returns
    -------
    xarray.Dataset
        Dimensions are those of frame, id, id1, id2 that the table has, and ``perspective`` where
        a pair has two; a combination without a row is NaN, or an empty text. Whole numbers and
        truth values become floats where a combination is missing. ``time`` is a coordinate of
        ``frame``; group, sequence and fps are attributes.

    Raises
    ------
    TracksError
        There is neither frame nor id, or a combination has two rows.
    MissingExtraError
        xarray is not installed.
    """
    xarray = need("xarray", EXTRA, "Making a data set of features")
    keys = [name for name in _KEYS if name in table.columns]
    if "perspective" in table.columns and table.select(keys).is_duplicated().any():
        keys.append("perspective")
    if not keys or table.select(keys).is_duplicated().any():
        told = (
            f"has several rows for one combination of {', '.join(keys)}" if keys else "has no key"
        )
        msg = f"The table of features {told}."
        raise TracksError(msg, "Give the table of one entry, with a row per frame and animal.")
    labels = {key: table[key].unique().sort() for key in keys}
    places = tuple(labels[key].search_sorted(table[key]).to_numpy() for key in keys)
    shape = tuple(len(labels[key]) for key in keys)
    known = {*keys, *_FACTS, "time", "perspective"}
    variables = {
        name: (keys, _grid(table[name], places, shape))
        for name in table.columns
        if name not in known
    }
    coordinates: dict[str, Any] = {key: labels[key].to_numpy() for key in keys}
    if "time" in table.columns and "frame" in keys:
        times = table.group_by("frame").agg(pl.col("time").first()).sort("frame")
        coordinates["time"] = ("frame", times["time"].to_numpy())
    facts = {name: table[name][0] for name in _FACTS if name in table.columns and table.height}
    return xarray.Dataset(variables, coordinates, facts)


def load_poses(path: Path, source_software: str) -> LoadedPoses:
    """Read a file of poses with movement.

    Parameters
    ----------
    path
        The file.
    source_software
        One of :data:`LOADERS`.

    Raises
    ------
    ReaderError
        movement cannot read the file; says why.
    MissingExtraError
        movement is not installed.
    """
    module = _import_movement(source_software)
    said: list[str] = []
    with _listening(said):
        try:
            dataset = getattr(module, LOADERS[source_software])(path)
        except Exception as error:  # of the packages below, each has errors of its own
            msg = f"{path} could not be read as a file of {source_software}: {error}"
            remedy = "Is it complete, and written by the software that was named?"
            raise ReaderError(msg, remedy) from error
    texts = (text.replace(str(path), path.name).strip() for text in said)
    return LoadedPoses(dataset, tuple(dict.fromkeys(texts)))


def _parts(
    table: pl.DataFrame, keypoints: Sequence[str]
) -> tuple[list[tuple[str, str, str | None]], tuple[str, ...]]:
    """Columns of x, y and confidence of each keypoint, and the names."""
    n_points = sum(re.fullmatch(r"poseX[0-9]+", column) is not None for column in table.columns)
    if not n_points:
        if not {"X", "Y"} <= set(table.columns):
            msg = "The table has no coordinates."
            raise TracksError(msg, "Give tracks: poseX0 and poseY0 and so on, or X and Y.")
        return [("X", "Y", None)], (_CENTRE,)
    if len(keypoints) != n_points:
        msg = f"The table has {n_points} keypoints, and {len(keypoints)} names were given."
        raise TracksError(msg, "Give the names of poseX0, poseX1, … in this order.")
    scored = [f"poseP{k}" if f"poseP{k}" in table.columns else None for k in range(n_points)]
    return [(f"poseX{k}", f"poseY{k}", scored[k]) for k in range(n_points)], tuple(keypoints)


def _individuals(table: pl.DataFrame, ids: pl.Series) -> list[str]:
    if "individual" in table.columns:
        named = table.group_by("id").agg(pl.col("individual").first()).sort("id")["individual"]
        if not named.null_count() and named.n_unique() == len(ids):
            return [str(name) for name in named]
    return [f"id_{number}" for number in ids]


def _with_dims(dataset: Any, name: str, dims: tuple[str, ...]) -> Any:
    """A variable with its dimensions in order; keypoints and individuals of one are added."""
    if name not in dataset.data_vars:
        msg = f"The data set has no {name!r}."
        raise TracksError(msg, "Give a data set of poses or boxes, as movement makes them.")
    array = dataset[name]
    for dim, label in (("keypoints", _CENTRE), ("individuals", "id_0")):
        if dim not in array.dims:
            array = array.expand_dims({dim: [label]})
    if set(array.dims) != set(dims):
        msg = f"{name!r} has the dimensions {', '.join(map(str, array.dims))}."
        raise TracksError(msg, f"It must have {', '.join(dims)}.")
    return array.transpose(*dims)


def _confidence(dataset: Any) -> NDArray[np.float64] | None:
    """Confidence as (individual, frame, keypoint); None where there is none at all."""
    if "confidence" not in dataset.data_vars:
        return None
    array = _with_dims(dataset, "confidence", _DIMS[:1] + _DIMS[2:])
    values = np.moveaxis(np.asarray(array.values, dtype=np.float64), -1, 0)
    return None if np.isnan(values).all() else values


def _frames(times: NDArray[Any], fps: float | None) -> NDArray[np.int64]:
    exact = times.astype(np.float64) * (1.0 if fps is None else fps)
    if not np.isfinite(exact).all():
        msg = "The data set has a time that is no number."
        raise TracksError(msg, "Give each position a finite time.")
    frames = np.rint(exact).astype(np.int64)
    if (np.abs(exact - frames) > _OFF_GRID).any() or (np.diff(frames) < 1).any():
        what = "frames" if fps is None else f"{fps:g} frames per second"
        msg = f"The times of the data set are not those of {what}, one after the other."
        raise TracksError(msg, "Resample it, or correct its attribute fps.")
    return frames


def _grid(
    values: pl.Series, places: tuple[NDArray[Any], ...], shape: tuple[int, ...]
) -> NDArray[Any]:
    whole = len(values) == int(np.prod(shape)) and not values.null_count()
    if values.dtype.is_numeric() or values.dtype == pl.Boolean:
        filled = values if whole else values.cast(pl.Float64).fill_null(np.nan)
        grid = np.full(shape, 0 if whole else np.nan, dtype=filled.to_numpy().dtype)
        grid[places] = filled.to_numpy()
        return grid
    texts = np.full(shape, "", dtype=object)
    texts[places] = values.cast(pl.String).fill_null("").to_list()
    return texts.astype(np.str_)


def _import_movement(source_software: str) -> Any:
    """Import movement without its side effects; leave it alone where somebody imported it."""
    name, what = "movement.io.load_poses", f"Reading files of {source_software} through movement"
    with _IMPORTING:
        if "movement" in sys.modules:
            return need(name, EXTRA, what)
        shown = warnings.showwarning
        with (
            tempfile.TemporaryDirectory() as home,
            _environment({"HOME": home, "USERPROFILE": home}),
        ):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    module = need(name, EXTRA, what)
            finally:
                warnings.showwarning = shown
            # Closes its log file, which lies in the temporary folder, and its printing.
            need("movement.utils.logging", EXTRA, what).logger.remove()
        return module


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _listening(said: list[str]) -> Iterator[None]:
    """Collect what movement warns of, by Python's warnings and by its own log."""
    logger = need("movement.utils.logging", EXTRA, "Reading through movement").logger
    sink = logger.add(said.append, level="WARNING", format="{message}")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        said.extend(str(warning.message) for warning in caught)
    finally:
        logger.remove(sink)
