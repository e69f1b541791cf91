"""Json files: read whole with clear errors, or looked at to recognise a format."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mosaic_dagster.errors import ReaderError

_HEAD_BYTES = 1 << 16
_SPACE = re.compile(r"[ \t\r\n]*")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


@dataclass(frozen=True)
class Member:
    """A member of the objects of a file, not of those inside lists.

    Attributes
    ----------
    path
        Names of the members that lead to it, and its own.
    opens
        The brackets with which its value begins, such as ``[[[`` or ``{``; empty for a number,
        a text or a value beyond what was looked at.
    """

    path: tuple[str, ...]
    opens: str


def read_json(path: Path) -> Any:
    """Read a json file.

    Raises
    ------
    ReaderError
        It cannot be read, or is no json; says at which line.
    """
    with _told(path):
        return json.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))


def walk_json(path: Path, depth: int) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the members of nested objects one by one, so that one is in memory at a time.

    Nested lists of numbers need ten times the space of their text, which a big file as a whole
    might not find.

    Parameters
    ----------
    path
        The file.
    depth
        How many objects lead to a member; a value on the way that is no object is yielded with
        the fewer names that lead to it.

    Yields
    ------
    tuple
        Names that lead to the member, and its value.

    Raises
    ------
    ReaderError
        The file cannot be read, or is no json; says at which line.
    """
    with _told(path):
        text = path.read_bytes().removeprefix(b"\xef\xbb\xbf").decode()
        walk = _Walk(text)
        yield from walk.value((), depth)
        if walk.peek():
            raise walk.error("Extra data")


class _Walk:
    """A place in a json text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self._decoder = json.JSONDecoder()

    def error(self, msg: str) -> json.JSONDecodeError:
        return json.JSONDecodeError(msg, self.text, self.place)

    def peek(self) -> str:
        """Return the next character that is no space; empty at the end."""
        match = _SPACE.match(self.text, self.place)
        self.place = self.place if match is None else match.end()
        return self.text[self.place : self.place + 1]

    def take(self, wanted: str) -> str:
        found = self.peek()
        if not found or found not in wanted:
            raise self.error(f"Expecting {' or '.join(map(repr, wanted))}")
        self.place += 1
        return found

    def value(self, names: tuple[str, ...], depth: int) -> Iterator[tuple[tuple[str, ...], Any]]:
        if not depth or self.peek() != "{":
            yield names, self._decoded()
            return
        self.take("{")
        if self.peek() == "}":
            self.take("}")
            return
        while True:
            if self.peek() != '"':
                raise self.error("Expecting a name in double quotes")
            name = self._decoded()
            self.take(":")
            yield from self.value((*names, name), depth - 1)
            if self.take(",}") == "}":
                return

    def _decoded(self) -> Any:
        self.peek()
        value, self.place = self._decoder.raw_decode(self.text, self.place)
        return value


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}."
        raise ReaderError(msg, "Check that the file is there and that you may read it.") from error
    except json.JSONDecodeError as error:
        msg = f"{path}, line {error.lineno}, column {error.colno}: {error.msg}."
        raise ReaderError(msg, "The file is damaged or cut short; export it again.") from error
    except (UnicodeDecodeError, RecursionError) as error:
        msg = f"{path} is not readable json: {error}."
        raise ReaderError(msg, "The file is damaged; export it again.") from error


def json_outline(path: Path) -> list[Member]:
    """List the first members of a json file, from its first 64 KiB."""
    with path.open("rb") as file:
        text = file.read(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf").decode(errors="replace")
    return list(_members(text))


def _members(text: str) -> Iterator[Member]:
    containers: list[str] = []
    names: list[str] = []
    last, found, opens = "", None, ""
    for match in _TOKEN.finditer(text):
        token = match[0]
        if found is not None and token in "{[":
            opens += token
        elif found is not None:
            yield Member(found, opens)
            found = None
        if token in "{[":
            containers.append(token)
            names.append("")
        elif token in "}]" and containers:
            containers.pop()
            names.pop()
        elif token == ":" and containers and "[" not in containers:
            names[-1] = _text(last)
            found, opens = tuple(names), ""
        last = token
    if found is not None:
        yield Member(found, opens)


def _text(token: str) -> str:
    try:
        return str(json.loads(token))
    except json.JSONDecodeError:
        return token
