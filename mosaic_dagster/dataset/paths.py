"""Where relative paths of a dataset start, and how paths are written down.

Paths in the manifest are kept as the user gave them. Relative ones start at the *base*: the
project folder when the workspace lies in one (``<project>/workspaces/<dataset>`` with a
``dagster.yaml`` in the project), else the workspace itself. Paths recorded in the registry are
written relative to the base where they lie below it, so that a project can be moved as a whole.
"""

from __future__ import annotations

import os
from functools import lru_cache
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
    absolute = path if path.is_absolute() else path.absolute()
    return absolute.as_posix().removeprefix(_prefix(base.absolute()))


def absolute_text(recorded: str, base: Path) -> str:
    """Absolute path of a recorded one, as text with forward slashes; quicker than a ``Path``."""
    return os.path.join(_prefix(base.absolute()), recorded)  # noqa: PTH118 - called for each of many thousand sources


@lru_cache(16)
def _prefix(base: Path) -> str:
    """What the text of a path below an absolute base starts with."""
    return base.as_posix().rstrip("/") + "/"


def lies_at(path: str, root: str) -> bool:
    """Whether an absolute path is ``root``, or lies below it."""
    return path == root or path.startswith(root.rstrip("/") + "/")
