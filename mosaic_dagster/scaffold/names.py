"""What a new project is called and about, checked before anything is written."""

from __future__ import annotations

import importlib.util
import keyword
import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from mosaic_dagster.dataset.manifest import check_name
from mosaic_dagster.errors import ManifestError, ProjectError

NONE = "none"
LARVAE = "larvae"
EXAMPLES = (NONE, LARVAE)
"""What a project may begin with: nothing, or sixteen recordings with their pipeline."""

PATTERN = "lower-case letters, digits and single underscores, a letter first"

FOLDERS = frozenset({"assets", "resources", "recordings", "tests", "workspaces"})
"""Folders of a project, besides its package."""

_TAKEN = frozenset({"dataset", "definitions", "engine", "movement", "studies"})
# A module, a constant or a resource of every project is called so.

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST = 64


@dataclass(frozen=True)
class NewProject:
    """What decides the content of a new project.

    Attributes
    ----------
    name
        Of the project's package; its distribution has hyphens for underscores.
    example
        One of :data:`EXAMPLES`.
    dataset
        Name of the dataset; None is the example's, or without one the project's.
    fps
        Frames per second of recordings whose files do not tell.
    unit
        Unit of the coordinates, such as ``mm``.

    Raises
    ------
    ProjectError
        A name or value is impossible, or the example has its own.
    """

    name: str
    example: str = NONE
    dataset: str | None = None
    fps: float | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        _check_package(self.name)
        if self.example not in EXAMPLES:
            msg = f"There is no example {self.example!r}."
            raise ProjectError(msg, f"The examples are: {', '.join(EXAMPLES)}.")
        own = {"dataset": self.dataset, "fps": self.fps, "unit": self.unit}
        given = [name for name, value in own.items() if value is not None]
        if self.example != NONE and given:
            msg = f"The example {self.example!r} has its own {' and '.join(given)}."
            raise ProjectError(msg, f"Leave that out, or begin with the example {NONE!r}.")
        _check_dataset(self.dataset_name)
        if self.fps is not None and not (math.isfinite(self.fps) and self.fps > 0):
            msg = f"{self.fps} frames per second are impossible."
            raise ProjectError(msg, "Give a number above 0.")

    @classmethod
    def in_folder(cls, folder: Path, name: str | None = None, **fields: object) -> NewProject:
        """Make a project that is called as its folder, unless it has a name.

        Raises
        ------
        ProjectError
            As above; when the folder's name cannot be the project's, one that can is offered.
        """
        own = folder.name
        if name is None and not _NAME.fullmatch(own):
            offer = "_".join(re.findall(r"[a-z0-9]+", own.lower())).lstrip("0123456789_")
            msg = f"A project cannot be called as its folder, {own!r}."
            raise ProjectError(msg, f"Give it a name, such as --name {offer or 'our_lab'}.")
        return cls(own if name is None else name, **fields)  # type: ignore[arg-type]

    @property
    def distribution(self) -> str:
        """What pip calls it."""
        return self.name.replace("_", "-")

    @property
    def dataset_name(self) -> str:
        """Name of its dataset."""
        return self.dataset or (self.name if self.example == NONE else self.example)


def _check_package(name: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        msg = f"{name!r} cannot be the name of a project, since its package is called so."
        raise ProjectError(msg, f"Use {PATTERN}; at most {_LONGEST} characters.")
    if keyword.iskeyword(name) or name in sys.stdlib_module_names or name in FOLDERS:
        msg = f"{name!r} cannot be the name of a project: Python or a project uses the word."
        raise ProjectError(msg, "Choose another with --name, such as the name of your lab.")
    found = importlib.util.find_spec(name)
    if found is not None and found.origin is not None:
        msg = f"{name!r} cannot be the name of a project: {found.origin} is called so."
        raise ProjectError(msg, "Choose another with --name, or uninstall that package.")


def _check_dataset(name: str) -> None:
    try:
        check_name(name)
    except ManifestError as error:
        raise ProjectError(error.what, f"{error.remedy} Name it with --dataset.") from error
    if name in _TAKEN or keyword.iskeyword(name) or len(name) > _LONGEST:
        msg = f"{name!r} cannot be the name of a dataset in a new project, the word is taken."
        told = f"Name it otherwise with --dataset: {PATTERN}; at most {_LONGEST} characters."
        raise ProjectError(msg, told)
