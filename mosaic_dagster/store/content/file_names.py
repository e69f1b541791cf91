"""Names of files for people, made safe for every system."""

from __future__ import annotations

import re

LONGEST_FILE_NAME = 120
"""Characters that a safe name has at most."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def safe_file_name(name: str, default: str = "output") -> str:
    """Turn a text into part of a file name: ASCII, no separators, no leading dots, short."""
    return _UNSAFE.sub("_", name).lstrip(".")[:LONGEST_FILE_NAME] or default
