"""Tables for people, pipes and programs."""

from __future__ import annotations

import json
import sys

import polars as pl
import pytest

from mosaic_dagster.cli.tables import one_line, plain, print_table, size_text


def test_text_is_aligned_and_complete(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns that run into each other cannot be cut out with awk; numbers stand to the right."""
    print_table(pl.DataFrame({"run_id": ["a", "long name"], "n": [5, 10]}))
    assert capsys.readouterr().out == "run id      n\na           5\nlong name  10\n"


def test_json_is_valid_where_numbers_are_not_finite(capsys: pytest.CaptureFixture[str]) -> None:
    """``NaN`` is no JSON: programs would stop at it."""
    print_table(pl.DataFrame({"x": [1.5, float("nan"), float("inf")]}), as_json=True)
    assert json.loads(capsys.readouterr().out) == [{"x": 1.5}, {"x": None}, {"x": None}]


def test_a_table_without_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """Programs expect a list, people a header."""
    print_table(pl.DataFrame(schema={"x": pl.Int64}), as_json=True)
    print_table(pl.DataFrame(schema={"x": pl.Int64}))
    assert capsys.readouterr().out == "[]\nx\n"


def test_a_terminal_gets_a_drawn_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Square brackets in a name must not be taken for colours and vanish."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_table(pl.DataFrame({"name": ["[red]a"], "state": ["fresh"]}))
    out = capsys.readouterr().out
    assert "[red]a" in out
    assert "───" in out


def test_a_name_cannot_move_the_cursor() -> None:
    """A file called ``\\x1b[2J`` would clear the screen of whoever lists it."""
    assert one_line("a\nb\x1b[2J") == "a b\\x1b[2J"


def test_a_name_that_is_not_unicode_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """A stray byte in a file name would end the report."""
    print_table(pl.DataFrame({"x": [1]}))
    assert json.loads(json.dumps(plain({"file": "a\udcff"}))) == {"file": "a\udcff"}
    assert one_line("a\udcff") == "a\\udcff"


def test_sizes_and_paths(tmp_path: object) -> None:
    """1234567 bytes / 1000² = 1.2 MB."""
    assert size_text(1_234_567) == "1.2 MB"
    assert size_text(0) == "0 B"
