"""Csv as text."""

import csv
import io
import math
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.dataset.readers.csv_text import parse_numbers, read_csv_text, read_head
from mosaic_dagster.errors import ReaderError

cells = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=5)


@given(rows=st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=6))
def test_any_cells_survive(rows: list[list[str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Commas, quotes and foreign letters in names of animals must not shift columns."""
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([["x", "y", "z"], *rows])
    path.write_text(buffer.getvalue(), encoding="utf-8")
    text = read_csv_text(path)
    body = text.body(1, 3)
    expected = [tuple(cell.strip() for cell in row) for row in rows]
    assert [tuple(cell.strip() for cell in row) for row in body.rows()] == expected
    assert [text.line_of(row, 1) for row in range(len(rows))] == list(range(2, len(rows) + 2))


def test_lines_are_counted_as_editors_count_them(tmp_path: Path) -> None:
    """Blank lines are passed over and still counted."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"\na,b\r\n\r\n1,2\n3\n")
    text = read_csv_text(path)
    assert text.numbers == (2, 4, 5)
    with pytest.raises(ReaderError, match="line 5 has 1 cells, not 2"):
        text.body(1, 2)


def test_a_file_without_permission_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user needs to hear which file, not a traceback."""

    def denied(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(ReaderError, match=r"a\.csv cannot be read: Permission denied"):
        read_csv_text(tmp_path / "a.csv")


def test_the_head_of_any_file_can_be_looked_at(tmp_path: Path) -> None:
    """Recognising a file must not fail on binary ones."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xff\xfe,b\n" + b"x" * 100_000)
    assert read_head(path, 1) == [["\ufffd\ufffd", "b"]]


def test_numbers_missing_and_wrong() -> None:
    numbers, wrong = parse_numbers(pl.Series(["1.5", "", "NA", "x", "-2e3", "inf", "1,5"]))
    assert wrong.to_list() == [False, False, False, True, False, False, True]
    values = numbers.to_list()
    assert [values[0], values[4], values[5]] == [1.5, -2000.0, math.inf]
    assert all(math.isnan(values[i]) for i in (1, 2, 3, 6))
