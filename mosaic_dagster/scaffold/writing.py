"""Write a project so that it is there as a whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mosaic_dagster.errors import ProjectError
from mosaic_dagster.scaffold.names import NewProject
from mosaic_dagster.scaffold.project import project_files

_REMEDY = "Choose another folder, or check your rights and the space on the disk."


def write_project(folder: Path, project: NewProject) -> list[str]:
    """Write the files of a new project.

    They are written to a temporary folder beside and renamed at the end, so that a failure or an
    interrupt leaves nothing.

    Parameters
    ----------
    folder
        Where; it must not be there yet, or be empty. The folder above it must be there.
    project
        What.

    Returns
    -------
    list of str
        Paths of the files below the folder, sorted.

    Raises
    ------
    ProjectError
        Something is there already, or nothing can be written.
    """
    folder = folder.absolute()
    try:
        is_there = _check_free(folder)
        files = project_files(project)
        # An empty folder is filled, not replaced: someone's shell may stand in it.
        beside = Path(
            tempfile.mkdtemp(prefix=".mosaic-init-", dir=folder if is_there else folder.parent)
        )
        try:
            _write(beside / "project", files)
            _take(beside / "project", folder, is_there)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        msg = f"No project can be written to {folder}: {error.strerror or error}."
        raise ProjectError(msg, _REMEDY) from error
    return list(files)


def _check_free(folder: Path) -> bool:
    """Whether the folder is there, and empty."""
    if folder.is_dir():
        there = sorted(path.name for path in folder.iterdir())
        if not there:
            return True
        shown = ", ".join(there[:3]) + (", …" if len(there) > 3 else "")
        msg = f"{folder} is not empty: it holds {shown}."
        raise ProjectError(msg, "Name a folder that is not there yet; nothing was written.")
    if folder.exists() or folder.is_symlink():
        msg = f"{folder} is there already, and is no folder."
        raise ProjectError(msg, "Name a folder that is not there yet; nothing was written.")
    if not folder.parent.is_dir():
        msg = f"There is no folder {folder.parent}."
        raise ProjectError(msg, "Make it first, or correct the path.")
    return False


def _write(place: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _take(made: Path, folder: Path, is_there: bool) -> None:
    """Bring the finished project to its place."""
    if not is_there:
        made.rename(folder)
        return
    moved: list[Path] = []
    try:
        for path in sorted(made.iterdir()):
            target = folder / path.name
            path.rename(target)
            moved.append(target)
    except BaseException:
        for target in moved:
            shutil.rmtree(target) if target.is_dir() else target.unlink()
        raise
