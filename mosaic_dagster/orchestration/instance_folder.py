"""Where the Dagster instance of a project is, whichever process asks."""

from __future__ import annotations

import os
from pathlib import Path


def project_folder() -> Path:
    """Return the folder that a relative ``base_dir`` is below.

    It is ``DAGSTER_HOME`` if that holds a ``dagster.yaml``, else the nearest folder with one at or
    above the current folder, else the current folder. So the processes that Dagster starts
    with a temporary home agree with the one that was typed in the project.
    """
    here = Path.cwd()
    home = os.environ.get("DAGSTER_HOME")
    candidates = [Path(home).expanduser()] if home else []
    for folder in (*candidates, here, *here.parents):
        if (folder / "dagster.yaml").is_file():
            return folder.absolute()
    return here
