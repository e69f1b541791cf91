"""One parsed file in memory."""

import os
from pathlib import Path

from mosaic_dagster.dataset.readers.parsed_file import ParsedFile


def test_a_file_is_parsed_once_until_it_changes(tmp_path: Path) -> None:
    """Seventy recordings in a file of 500 MB: without this it is parsed seventy times."""
    path, parsed = tmp_path / "a", ParsedFile()
    path.write_text("one")
    calls: list[str] = []

    def parse() -> str:
        calls.append(path.read_text())
        return calls[-1]

    assert [parsed.get(path, "text", parse) for _ in range(3)] == ["one"] * 3
    assert calls == ["one"]
    path.write_text("two")
    os.utime(path, ns=(1, 1))
    assert parsed.get(path, "text", parse) == "two"
    assert parsed.get(path, "other parser", parse) == "two"
    assert calls == ["one", "two", "two"]


def test_only_one_file_is_kept(tmp_path: Path) -> None:
    """Two are twice the memory; a folder of such files must not fill it."""
    first, second, parsed = tmp_path / "a", tmp_path / "b", ParsedFile()
    calls: list[Path] = []
    for path in (first, second):
        path.write_text("x")
    for path in (first, second, first):
        parsed.get(path, "", lambda path=path: calls.append(path))  # type: ignore[misc]
    assert calls == [first, second, first]
