"""Files of poses that the package movement reads: NWB, Lightning Pose, Anipose and others.

The parameter ``source_software`` says what wrote the file; only NWB files are recognised by
themselves. Formats that have a reader of their own here are left to it where movement's way would
unpickle parts of the file or look for the author's video.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from mosaic_dagster.dataset.readers.base import Names, ReaderParams, Recording, one_sequence
from mosaic_dagster.dataset.readers.hdf5 import check_hdf5, is_hdf5
from mosaic_dagster.dataset.xarray_bridge import from_xarray, load_poses
from mosaic_dagster.errors import ReaderError, TracksError

_ENDINGS = {
    "NWB": ".nwb",
    "LightningPose": ".csv",
    "Anipose": ".csv",
    "DeepLabCut": ".csv",
    "SLEAP": ".h5",
}
_OWN_READERS = {
    ("DeepLabCut", ".h5"): "deeplabcut_h5",
    ("SLEAP", ".slp"): "sleap_slp",
}
_HDF5 = frozenset({".nwb", ".h5"})


class MovementParams(ReaderParams):
    """Parameters of :class:`MovementPoses`.

    Attributes
    ----------
    source_software
        What wrote the file: NWB, LightningPose, Anipose, DeepLabCut or SLEAP.
    """

    source_software: Literal["NWB", "LightningPose", "Anipose", "DeepLabCut", "SLEAP"] = "NWB"


class MovementPoses:
    """Reads what movement reads."""

    name: ClassVar[str] = "movement"
    version: ClassVar[str] = "1"
    extensions: ClassVar[tuple[str, ...]] = (".nwb", ".csv", ".h5", ".slp")
    merges: ClassVar[bool] = False
    params: ClassVar[type[ReaderParams]] = MovementParams

    def sniff(self, path: Path) -> bool:
        """Whether it is HDF5 and its name ends in ``.nwb``; other files must be named."""
        return path.name.lower().endswith(".nwb") and is_hdf5(path)

    def sequences(self, path: Path) -> list[Names]:
        """One recording, called as the file."""
        return one_sequence(path)

    def keypoints(self, path: Path, params: ReaderParams) -> tuple[str, ...]:
        """Names of the keypoints; the whole file is read for them."""
        return self.read(path, params)[0].keypoints

    def read(self, path: Path, params: ReaderParams) -> list[Recording]:
        """Read the recording in the file.

        What movement and the packages below it warn of is in the notes. A third coordinate is
        kept in columns ``z_{keypoint}``.

        Raises
        ------
        ReaderError
            The file cannot be read, is not of the software that was named, or has a reader of
            its own.
        MissingExtraError
            movement is not installed.
        """
        software = params.source_software if isinstance(params, MovementParams) else "NWB"
        _check_ending(path, software)
        loaded = load_poses(path, software)
        try:
            table, keypoints, fps = from_xarray(loaded.dataset)
        except TracksError as error:
            msg = f"{path}: {error.what}"
            raise ReaderError(msg, error.remedy) from error
        notes: dict[str, Any] = {"source_software": software}
        if loaded.warnings:
            notes["warnings"] = list(loaded.warnings)
        return [Recording(path.stem, None, table, keypoints, fps=fps, notes=notes)]


def _check_ending(path: Path, software: str) -> None:
    ending = path.suffix.lower()
    if ending in _HDF5:
        check_hdf5(path)
    if (software, ending) in _OWN_READERS:
        msg = f"{path} is not read through movement."
        raise ReaderError(msg, f"Take the format {_OWN_READERS[software, ending]!r} for it.")
    if ending != _ENDINGS[software]:
        msg = f"{path} does not end in {_ENDINGS[software]}, as files of {software} do."
        raise ReaderError(msg, "Name what wrote the file in the parameter source_software.")
