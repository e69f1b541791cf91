"""Nothing that comes from outside can become HTML."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mosaic_dagster.reporting.markup import Markup, behind, short, table, tag, traced
from mosaic_dagster.reporting.subject import Trace, one_line

NASTY = "</title><script>alert('1')</script>\n\"&amp;"


class Seen(HTMLParser):
    """Elements and text of a page as a browser reads them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.values: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.values += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text())
def test_any_text_comes_back_as_text(text: str) -> None:
    """A recording called ``<script>`` must be shown, and not run."""
    seen = Seen(tag("p", text, title=text))
    assert seen.tags == ["p"]
    assert seen.text == one_line(text)
    assert seen.values == [one_line(text)]


def test_only_markup_is_taken_as_it_is() -> None:
    assert tag("p", Markup("<b>x</b>"), NASTY).count("<") == 4


@pytest.mark.parametrize("place", ["caption", "header", "cell", "row"])
def test_tables_escape_every_place(place: str) -> None:
    given = {"caption": "c", "header": "h", "cell": "x", "row": "r"} | {place: NASTY}
    made = table(given["caption"], ["", given["header"]], [[given["row"], given["cell"]]])
    assert "script" not in Seen(made).tags


def test_long_tables_are_cut_and_say_so() -> None:
    """Of 250 rows 200 are shown; 50 more are counted, and with 1,000 known 800."""
    rows = [[i, i] for i in range(250)]
    assert "… and 50 more." in table("t", ["a", "b"], rows)
    assert "… and 800 more." in table("t", ["a", "b"], rows, total=1000)
    assert table("t", ["a", "b"], rows).count("<tr>") == 201
    assert "more" not in table("t", ["a", "b"], rows[:3])


def test_a_digest_is_short_and_its_title_whole() -> None:
    """Twelve digits can be compared by eye, all 64 by a program."""
    digest = "0123456789abcdef" * 4
    assert short(digest) == f'<code title="{digest}">0123456789ab</code>'
    assert digest in traced([Trace("kinds", "1-a", digest, 3)])
    assert "3 results" in traced([Trace("kinds", "1-a", digest, 3)])
    assert traced([]) == ""
    assert behind("", "") == ("–", "–")
