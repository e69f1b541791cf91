"""Which Dagster instance a command is about."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def dagster_home(root: Path) -> Iterator[None]:
    """The project's own Dagster instance, unless the user named another; undone at the end."""
    defaults = {"DAGSTER_HOME": str(root), "DAGSTER_DISABLE_TELEMETRY": "1"}
    added = {name: value for name, value in defaults.items() if not os.environ.get(name)}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
