"""MARS poses as json: ``keypoints`` by frame, mouse, x and y, landmark, and ``scores``.

One recording in a file, called as the file; the same seven keypoints as CalMS21. Boxes are left
out. The frame rate is told only where there is an ``fps``.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from mosaic_dagster.dataset.readers.base import Names, ReaderParams, Recording, one_sequence
from mosaic_dagster.dataset.readers.json_text import json_outline, read_json
from mosaic_dagster.dataset.readers.pose_arrays import (
    NamedParams,
    mouse_names,
    pose_arrays,
    told_rate,
)
from mosaic_dagster.errors import ReaderError

_FIRST = {"bbox": "[[[", "bscores": "[[", "keypoints": "[[[[", "scores": "[[["}


class MarsJson:
    """Reads the pose files of MARS (top view)."""

    name: ClassVar[str] = "mars_json"
    version: ClassVar[str] = "1"
    extensions: ClassVar[tuple[str, ...]] = (".json",)
    merges: ClassVar[bool] = False
    params: ClassVar[type[ReaderParams]] = NamedParams

    def sniff(self, path: Path) -> bool:
        """Whether the file begins with one of the arrays that such a file has."""
        members = [member for member in json_outline(path) if len(member.path) == 1]
        return any(member.opens == _FIRST.get(member.path[0]) for member in members)

    def sequences(self, path: Path) -> list[Names]:
        """One recording, called as the file."""
        return one_sequence(path)

    def keypoints(self, path: Path, params: ReaderParams) -> tuple[str, ...]:
        """Names of the keypoints; the file must be read to count them."""
        return self.read(path, params)[0].keypoints

    def read(self, path: Path, params: ReaderParams) -> list[Recording]:
        """Read the recording in the file.

        Raises
        ------
        ReaderError
            The file is no json, has no keypoints, or its arrays do not fit each other.
        """
        content = read_json(path)
        if not isinstance(content, dict):
            msg = f"{path} is no object with keypoints, but {type(content).__name__}."
            raise ReaderError(msg, "A MARS file is {keypoints, scores}.")
        arrays = pose_arrays(content, str(path))
        wanted = params.names if isinstance(params, NamedParams) else ()
        names = mouse_names(arrays.keypoints.shape[3], wanted, str(path))
        rate = told_rate(content, str(path))
        return [Recording(path.stem, None, arrays.table(), names, fps=rate)]
