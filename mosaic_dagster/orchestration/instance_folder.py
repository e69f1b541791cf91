"""Where the Dagster instance of a project is, whichever process asks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mosaic_dagster.store import exclusive


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


@contextmanager
def made_once(folder: str) -> Iterator[None]:
    """Let one process at a time make or open the databases of an instance.

    Dagster makes the tables of a new database without looking whether another process is doing
    so, and the second of two first commands would fail.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    with exclusive(Path(folder) / ".opening.lock"):
        yield
