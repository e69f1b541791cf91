"""Tables of text."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mosaic_dagster.dataset.labels.readers.delimited import delimiter_of, head_rows, read_rows
from mosaic_dagster.errors import ReaderError

Write = Callable[..., Path]


@pytest.mark.parametrize("mark", [",", "\t", ";"])
def test_the_delimiter_is_found(write: Write, mark: str) -> None:
    """Exports of one program come in all three, whatever their ending."""
    path = write("a.csv", "\ufeff" + mark.join(("id", "a", "c")) + "\r\n\r\n" + mark.join("123"))
    table = read_rows(path).below(0)
    assert (table.names, table.rows, table.lines) == (("id", "a", "c"), (("1", "2", "3"),), (3,))
    assert list(head_rows(path)) == [("id", "a", "c"), ("1", "2", "3")]


def test_a_line_of_text_with_commas_between_tabs() -> None:
    assert delimiter_of("a, b, c\t1\t2\t3") == "\t"


def test_quoted_cells_may_hold_delimiters_and_line_breaks(write: Write) -> None:
    """A comment over two lines must not shift the numbers of the lines that errors name."""
    path = write("a.csv", 'id,comment\n1,"a, b\nc"\n\n2,d\n')
    table = read_rows(path).below(0)
    assert table.rows == (("1", "a, b\nc"), ("2", "d"))
    assert table.lines == (2, 5)


def test_a_row_cut_short_is_refused(write: Write) -> None:
    """A copy that broke off would lose its last event in silence."""
    with pytest.raises(ReaderError, match=r"a.csv, line 3 has 2 cells, not 3. Is the file cut"):
        read_rows(write("a.csv", "a,b,c\n1,2,3\n4,5\n")).below(0)


def test_columns_are_checked(write: Write) -> None:
    table = read_rows(write("a.csv", "a,b,a\n1,2,3\n")).below(0)
    with pytest.raises(ReaderError, match=r"has 2 columns called 'a'. Its columns are: a, b, a"):
        table.check(["b", "a"])
    with pytest.raises(ReaderError, match=r"has no column 'c'"):
        table.check(["c"])
    assert table.cell(0, "a") == "1"
    assert table.first_of(["x", "b"]) == "b"


def test_cells_as_numbers(write: Write) -> None:
    """What is no number is told with its line; a decimal comma is not guessed at."""
    table = read_rows(write("a.tsv", "a\tb\n1.5\tNA\n1,5\tinf\n\tx\n")).below(0)
    assert (table.number(0, "a"), table.number(0, "b"), table.number(0, None)) == (1.5, None, None)
    with pytest.raises(ReaderError, match=r"line 3, column 'a' is '1,5'. .*a point for decimals"):
        table.number(1, "a")
    with pytest.raises(ReaderError, match=r"line 3, column 'b' is 'inf'"):
        table.number(1, "b")
    with pytest.raises(ReaderError, match=r"line 4, column 'a' is empty"):
        table.needed_number(2, "a")
    with pytest.raises(ReaderError, match=r"line 4, column 'a' is empty. It must be a name"):
        table.needed_text(2, "a")
    assert table.needed_text(0, "b") == "NA", "a name may be any text"


def test_what_is_no_text_is_refused(write: Write) -> None:
    with pytest.raises(ReaderError, match=r"line 1: .*field"):
        read_rows(write("a.csv", '"' + "x" * 200_000 + '",1\n'))
    with pytest.raises(ReaderError, match="empty"):
        read_rows(write("b.csv", "\n \n"))
    assert list(head_rows(write("c.csv", ""))) == []
