"""The content of one file, kept while the recordings in it are read one after another.

A file with many recordings is asked for each of them by itself. Parsing hundreds of megabytes for
every recording would take hours, so each process remembers the last file it parsed, and no more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class ParsedFile:
    """Remembers what was parsed last; a file that changed is parsed again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: Hashable = None
        self._content: Any = None

    def get(self, path: Path, parser: Hashable, parse: Callable[[], T]) -> T:
        """Return what ``parse`` makes of a file, from memory if it was the last one.

        Parameters
        ----------
        path
            The file; its size, time and inode tell whether it is still the same.
        parser
            Tells apart ways to parse the same file.
        parse
            Reads the file.
        """
        with self._lock:
            facts = path.stat()
            key = (str(path), facts.st_size, facts.st_mtime_ns, facts.st_ino, parser)
            if key != self._key:
                self.forget()
                self._content = parse()
                self._key = key
            content: T = self._content
            return content

    def forget(self) -> None:
        """Give the memory back."""
        self._key = self._content = None


PARSED = ParsedFile()
"""The last file with several recordings that this process parsed."""
