"""idtracker.ai trajectories: a pickled npy file with one point per animal and frame, in pixels.

The file tells its frame rate. Animals are numbered from 0; names that newer files give them
(``identities_labels``) stay in the column ``individual``. The probability of an identity is kept
as ``det_conf``; it is missing more often than the position, which may have been interpolated.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl

from mosaic_dagster.dataset.readers.base import Names, ReaderParams, Recording, one_sequence
from mosaic_dagster.dataset.readers.pose_arrays import number_array, told_rate
from mosaic_dagster.dataset.readers.restricted_pickle import (
    check_allowed,
    load_pickled,
    pickled_keys,
)
from mosaic_dagster.errors import ReaderError


class IdTrackerParams(ReaderParams):
    """Parameters of :class:`IdTracker`.

    Attributes
    ----------
    allow_pickle
        Whether the file may be opened although it is a pickle. Only plain values and arrays
        are loaded even then.
    """

    allow_pickle: bool = False


class IdTracker:
    """Reads ``trajectories.npy`` and its like; they are pickles: see ``allow_pickle``."""

    name: ClassVar[str] = "idtrackerai"
    version: ClassVar[str] = "1"
    extensions: ClassVar[tuple[str, ...]] = (".npy",)
    merges: ClassVar[bool] = False
    params: ClassVar[type[ReaderParams]] = IdTrackerParams

    def sniff(self, path: Path) -> bool:
        """Whether the file is a pickled dict of trajectories, judged without loading it."""
        return (1, "trajectories") in pickled_keys(path)

    def sequences(self, path: Path) -> list[Names]:
        """One recording, called as the file."""
        return one_sequence(path)

    def listed(self, path: Path, params: ReaderParams) -> list[Names]:
        """List the recording, called as the file, if the file may be opened at all.

        Raises
        ------
        ReaderError
            Pickles are not allowed.
        """
        check_allowed(path, allow_pickle=_allowed(params))
        return one_sequence(path)

    def keypoints(self, path: Path, params: ReaderParams) -> tuple[str, ...]:  # noqa: ARG002
        """Return nothing: an animal is one point, its centre."""
        return ()

    def read_one(self, path: Path, params: ReaderParams, names: Names) -> Recording:  # noqa: ARG002
        """Read the recording in the file, as :meth:`read`."""
        return self.read(path, params)[0]

    def read(self, path: Path, params: ReaderParams) -> list[Recording]:
        """Read the recording in the file.

        Raises
        ------
        ReaderError
            Pickles are not allowed, the file is damaged, or has no trajectories [frame, animal,
            xy].
        """
        content = load_pickled(path, allow_pickle=_allowed(params))
        if not isinstance(content, dict) or "trajectories" not in content:
            msg = f"{path} is no dict with 'trajectories'."
            raise ReaderError(msg, "Is it a trajectories file of idtracker.ai?")
        points = number_array(content["trajectories"], f"{path}, trajectories")
        if points.ndim != 3 or points.shape[2] != 2:
            msg = f"{path}: trajectories have the shape {points.shape}."
            raise ReaderError(msg, "It must be (frames, animals, 2).")
        frames, animals, _ = points.shape
        table = pl.DataFrame(
            {
                "frame": np.tile(np.arange(frames), animals),
                "id": np.repeat(np.arange(animals), frames),
                "X": points[:, :, 0].T.ravel(),
                "Y": points[:, :, 1].T.ravel(),
            }
        ).with_columns(_extras(content, frames, animals, path))
        rate = told_rate({"fps": content.get("frames_per_second")}, str(path))
        return [Recording(path.stem, None, table, (), fps=rate, unit="px")]


def _allowed(params: ReaderParams) -> bool:
    return isinstance(params, IdTrackerParams) and params.allow_pickle


def _extras(content: dict[Any, Any], frames: int, animals: int, path: Path) -> list[pl.Series]:
    extras = []
    if content.get("id_probabilities") is not None:
        sure = number_array(content["id_probabilities"], f"{path}, id_probabilities")
        if sure.size != frames * animals or sure.shape[:2] != (frames, animals):
            msg = f"{path}: id_probabilities have the shape {sure.shape}."
            raise ReaderError(msg, f"There must be one for each of {frames} × {animals} positions.")
        extras.append(pl.Series("det_conf", sure.reshape(frames, animals).T.ravel()))
    labels = content.get("identities_labels")
    if labels is not None and len(labels) == animals:
        names = np.repeat([str(label) for label in labels], frames)
        extras.append(pl.Series("individual", names, dtype=pl.String))
    return extras
