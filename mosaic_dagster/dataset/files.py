"""The files below a folder with the facts that tell whether they changed."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mosaic_dagster.errors import ReaderError
from mosaic_dagster.hashing import digest_file


@dataclass(slots=True, unsafe_hash=True)
class ListedFile:
    """A regular file: size in bytes, time of modification in ns, inode number.

    Never changed, and not frozen because a scan makes thousands.
    """

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


RootState = Literal["there", "missing", "empty", "unreadable"]
"""What is at the place that a rule names; empty is a folder without a single visible file."""


@dataclass(frozen=True)
class Listing:
    """Files and refusals, each sorted by path.

    Attributes
    ----------
    files, refused
        What was found.
    state
        What is at the root.
    problem
        Why the root cannot be read; empty unless that is its state.
    """

    files: tuple[ListedFile, ...]
    refused: tuple[Refusal, ...]
    state: RootState = "there"
    problem: str = ""


def list_files(root: Path, endings: Sequence[str]) -> Listing:
    """Files with one of the endings (lower case) at or below ``root``.

    Hidden files and folders are passed over. A root that is named itself is taken whatever its
    name, and may be a link; below it, links, special files, folders that may not be listed and
    names that are not UTF-8 are refused one by one.
    """
    try:
        facts = root.stat()
        if stat.S_ISDIR(facts.st_mode):
            os.scandir(root).close()
    except (FileNotFoundError, NotADirectoryError):
        reason = f"There is nothing at {root}. Is the path right, the disk mounted?"
        return Listing((), (Refusal(root, reason),), "missing")
    except OSError as error:
        problem = error.strerror or str(error)
        reason = f"{root} cannot be read: {problem}."
        return Listing((), (Refusal(root, reason),), "unreadable", problem)
    walk = _Walk(tuple(endings))
    if stat.S_ISDIR(facts.st_mode):
        walk.look_into(root)
    else:
        walk.judge(root, facts)
    return Listing(
        tuple(walk.files),
        tuple(sorted(walk.refused, key=_place)),
        "there" if walk.saw_any else "empty",
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


def _place(found: Refusal) -> tuple[str, ...]:
    return found.path.parts


def _name(item: os.DirEntry[str]) -> str:
    return item.name


@dataclass
class _Walk:
    """Looks through a folder, and remembers whether there was any file at all.

    Files come in the order of the parts of their paths, as folders are gone through by name.
    """

    endings: tuple[str, ...]
    files: list[ListedFile] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    saw_any: bool = False

    def look_into(self, folder: Path) -> None:
        """Look at all files below a folder."""
        try:
            with os.scandir(folder) as listing:
                found = [item for item in listing if not item.name.startswith(".")]
            found.sort(key=_name)
        except OSError as error:
            self.refuse(folder, f"{folder} cannot be listed: {error.strerror or error}.")
            return
        for item in found:
            try:
                self.look_at(item)
            except FileNotFoundError:
                continue  # taken away since the folder was listed
            except OSError as error:
                self.refuse(
                    Path(item.path), f"{item.path} cannot be read: {error.strerror or error}."
                )

    def look_at(self, item: os.DirEntry[str]) -> None:
        """Look at one file or folder."""
        if item.is_dir(follow_symlinks=False):
            self.look_into(Path(item.path))
            return
        self.saw_any = True
        wanted = item.name.lower().endswith(self.endings)
        if wanted or (item.is_symlink() and Path(item.path).is_dir()):
            self.judge(Path(item.path), item.stat(follow_symlinks=False))

    def judge(self, path: Path, facts: os.stat_result) -> None:
        """Take a file, or refuse it."""
        self.saw_any = True
        if not _is_utf8(str(path)):
            self.refuse(path, f"The name of {str(path)!r} is not UTF-8. Rename it.")
        elif stat.S_ISLNK(facts.st_mode):
            self.refuse(path, f"{path} is a link. Name what it points to in a rule of its own.")
        elif not stat.S_ISREG(facts.st_mode):
            self.refuse(path, f"{path} is not a regular file. Take it out of the folder.")
        else:
            self.files.append(_listed(path, facts))

    def refuse(self, path: Path, reason: str) -> None:
        """Say why something cannot be used; it is there all the same."""
        self.saw_any = True
        self.refused.append(Refusal(path, reason))


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _listed(path: Path, facts: os.stat_result) -> ListedFile:
    return ListedFile(path, facts.st_size, facts.st_mtime_ns, facts.st_ino)
