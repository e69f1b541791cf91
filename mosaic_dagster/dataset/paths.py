"""Where relative paths of a dataset start, and how paths are written down.

Paths in the manifest are kept as the user gave them. Relative ones start at the *base*: the
project folder when the workspace lies in one (``<project>/workspaces/<dataset>`` with a
``dagster.yaml`` in the project), else the workspace itself. Paths recorded in the registry are
written relative to the base where they lie below it, so that a project can be moved as a whole.
"""

from __future__ import annotations

import os
from pathlib import Path

PROJECT_FILE = "dagster.yaml"
"""The file that marks a project folder."""


def base_of(workspace: Path) -> Path:
    """Find the folder where relative paths of this workspace start."""
    workspace = workspace.absolute()
    project = workspace.parent.parent
    return project if (project / PROJECT_FILE).is_file() else workspace


def resolve_path(text: str | Path, base: Path) -> Path:
    """Absolute path of what the manifest or the registry calls ``text``; ``~`` is the home."""
    return Path(os.path.normpath((base / Path(text).expanduser()).absolute()))


def recorded_path(path: Path, base: Path) -> str:
    """How a path is written down: relative to the base when below it, with forward slashes."""
    text, root = path.absolute().as_posix(), base.absolute().as_posix().rstrip("/") + "/"
    return text.removeprefix(root)
