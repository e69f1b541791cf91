"""The files below a folder with the facts that tell whether they changed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mosaic_dagster.errors import ReaderError
from mosaic_dagster.hashing import digest_file


@dataclass(frozen=True)
class ListedFile:
    """A regular file: size in bytes, time of modification in ns, inode number."""

    path: Path
    size: int
    mtime_ns: int
    inode: int

    @property
    def facts(self) -> tuple[int, int, int]:
        """What is compared to know whether a file may have changed."""
        return (self.size, self.mtime_ns, self.inode)


@dataclass(frozen=True)
class Refusal:
    """A file that cannot be a source, and why.

    Attributes
    ----------
    path
        The file or folder.
    reason
        What is wrong and what to do.
    """

    path: Path
    reason: str


@dataclass(frozen=True)
class Listing:
    """Files and refusals, each sorted by path."""

    files: tuple[ListedFile, ...]
    refused: tuple[Refusal, ...]


def list_files(root: Path, endings: Sequence[str]) -> Listing:
    """Files with one of the endings (lower case) at or below ``root``.

    Hidden files and folders are passed over. A root that is named itself is taken whatever its
    name, and may be a link; below it, links, special files, folders that may not be listed and
    names that are not UTF-8 are refused one by one.
    """
    files: list[ListedFile] = []
    refused: list[Refusal] = []
    for found in _list(root, tuple(endings)):
        (files if isinstance(found, ListedFile) else refused).append(found)  # type: ignore[arg-type]
    return Listing(
        tuple(sorted(files, key=lambda file: file.path)),
        tuple(sorted(refused, key=lambda refusal: refusal.path)),
    )


def hash_file(file: ListedFile) -> str:
    """sha256 of a file that does not change meanwhile.

    Raises
    ------
    ReaderError
        The file may not be read, or is being written.
    """
    try:
        digest = digest_file(file.path)
        after = _listed(file.path, file.path.stat())
    except OSError as error:
        msg = f"{file.path} cannot be read: {error.strerror or error}."
        raise ReaderError(msg, "Check that it is there and that you may read it.") from error
    if after.facts != file.facts:
        msg = f"{file.path} changed while it was read."
        raise ReaderError(msg, "Try again when the program that writes it is done.")
    return digest


def _list(root: Path, endings: tuple[str, ...]) -> Iterator[ListedFile | Refusal]:
    try:
        facts = root.stat()
    except FileNotFoundError:
        yield Refusal(root, f"There is nothing at {root}. Is the path right, the disk mounted?")
        return
    except OSError as error:
        yield Refusal(root, f"{root} cannot be read: {error.strerror or error}.")
        return
    if stat.S_ISDIR(facts.st_mode):
        yield from _walk(root, endings)
    else:
        yield _judge(root, facts)


def _walk(folder: Path, endings: tuple[str, ...]) -> Iterator[ListedFile | Refusal]:
    try:
        with os.scandir(folder) as listing:
            found = sorted(listing, key=lambda item: item.name)
    except OSError as error:
        yield Refusal(folder, f"{folder} cannot be listed: {error.strerror or error}.")
        return
    for item in found:
        path = Path(item.path)
        if item.name.startswith("."):
            continue
        if item.is_dir(follow_symlinks=False):
            yield from _walk(path, endings)
        elif item.name.lower().endswith(endings) or (item.is_symlink() and path.is_dir()):
            yield _judge(path, item.stat(follow_symlinks=False))


def _judge(path: Path, facts: os.stat_result) -> ListedFile | Refusal:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return Refusal(path, f"The name of {str(path)!r} is not UTF-8. Rename it.")
    if stat.S_ISLNK(facts.st_mode):
        return Refusal(path, f"{path} is a link. Name what it points to in a rule of its own.")
    if not stat.S_ISREG(facts.st_mode):
        return Refusal(path, f"{path} is not a regular file. Take it out of the folder.")
    return _listed(path, facts)


def _listed(path: Path, facts: os.stat_result) -> ListedFile:
    return ListedFile(path, facts.st_size, facts.st_mtime_ns, facts.st_ino)
