"""Where the code location that every project begins with lies: once, whoever installed it."""

from __future__ import annotations

from pathlib import Path

from mosaic_dagster.errors import ProjectError

MARKS = ("dagster.yaml", "assets/definitions.py", "resources/__init__.py")
"""Files that tell the folder."""


def shipped_root() -> Path:
    """Folder with ``assets/``, ``resources/``, ``recordings/`` and their settings.

    An installed wheel has it beside this module, a source checkout at its root.

    Raises
    ------
    ProjectError
        It is in neither place.
    """
    here = Path(__file__).absolute().parent
    for folder in (here / "shipped", here.parents[1]):
        if all((folder / mark).is_file() for mark in MARKS):
            return folder
    msg = f"This installation of mosaic-dagster ({here.parent}) lacks the files of a new project."
    raise ProjectError(msg, "Install mosaic-dagster again.")
