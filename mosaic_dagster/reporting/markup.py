"""HTML in which nothing that comes from outside can be anything but text."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence

from mosaic_dagster.reporting.pictures import PNG, Figure
from mosaic_dagster.reporting.subject import Trace, one_line

DIGITS = 12
"""Hexadecimal digits of a digest that are shown; the title of the text has all of them."""

MOST_ROWS = 200
"""Rows of a table that are shown; of more, the number of the rest is told."""

_KEPT_WHOLE = 15
"""Rows of a table that is never cut by the end of a sheet of paper."""

_VOID = frozenset({"img", "meta", "br"})


class Markup(str):
    """Text that is HTML already; any other text is escaped where it is put in."""

    __slots__ = ()


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """An element.

    Parameters
    ----------
    name
        Its name.
    children
        What it holds; what is no :class:`Markup` is escaped.
    attributes
        Escaped; ``class_`` is ``class``, and one that is None is left out.

    Examples
    --------
    >>> tag("p", "a < b", class_="x")
    '<p class="x">a &lt; b</p>'
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{joined(children)}</{name}>")


def text(value: object) -> Markup:
    """A value as text on one line."""
    if isinstance(value, Markup):
        return value
    return Markup(html.escape(one_line(str(value)), quote=True))


def joined(parts: Iterable[object], between: str = "") -> Markup:
    """Parts one after the other, escaped unless they are :class:`Markup`."""
    return Markup(between.join(text(part) for part in parts))


def short(digest: str) -> Markup:
    """The first digits of a digest, all of them in its title."""
    if not digest:
        return Markup("–")
    return tag("code", digest[:DIGITS], title=digest)


TRACED = ("run id", "digest")
"""Headers of the columns that :func:`behind` fills."""


def behind(run_id: str, digest: str) -> tuple[Markup, Markup]:
    """The cells that say what the numbers of a row were made from."""
    return tag("code", run_id) if run_id else Markup("–"), short(digest)


def traced(traces: Sequence[Trace]) -> Markup:
    """What numbers were made from: step, run id and digest of each."""
    parts = []
    for trace in traces:
        many = f", {trace.results:,} results" if trace.results > 1 else ""
        run = tag("span", trace.run_id, class_="run") if trace.run_id != trace.step else ""
        between = " " if run else ""
        parts.append(joined([trace.step, " ", run, between, short(trace.digest), many]))
    if not parts:
        return Markup("")
    return tag("span", joined(["[", joined(parts, "; "), "]"]), class_="trace")


def table(
    caption: str,
    headers: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    numbers: Iterable[int] = (),
    total: int | None = None,
    class_: str | None = None,
) -> Markup:
    """A table whose first column names the rows.

    Parameters
    ----------
    caption
        What it shows.
    headers
        Names of the columns.
    rows
        Cells; the first 200 rows are shown.
    numbers
        Columns that stand to the right.
    total
        Number of rows that there are, where it is more than are given.
    class_
        Class of the table.
    """
    given = list(rows)
    right = dict.fromkeys(numbers, "number")
    head = tag(
        "tr", joined(tag("th", h, scope="col", class_=right.get(i)) for i, h in enumerate(headers))
    )
    body = joined(_row(cells, right) for cells in given[:MOST_ROWS])
    rest = (len(given) if total is None else total) - min(len(given), MOST_ROWS)
    more = tag("p", f"… and {rest:,} more.", class_="rest") if rest > 0 else Markup("")
    made = tag(
        "table", tag("caption", caption), tag("thead", head), tag("tbody", body), class_=class_
    )
    whole = "wide keep" if len(given) <= _KEPT_WHOLE else "wide"
    return joined([tag("div", made, class_=whole), more])


def _row(cells: Sequence[object], right: dict[int, str]) -> Markup:
    first = tag("th", cells[0], scope="row")
    rest = (tag("td", cell, class_=right.get(i)) for i, cell in enumerate(cells[1:], start=1))
    return tag("tr", first, joined(rest))


def figure(told: Figure) -> Markup:
    """A picture inside the page, with its caption and what it was made from."""
    caption = tag("figcaption", tag("b", told.title), ". ", told.caption, " ", traced(told.traces))
    if not told.data:
        return tag("figure", tag("p", told.missing, class_="missing"), caption)
    width, height = _size(told)
    data = base64.b64encode(told.data).decode()
    image = tag(
        "img", src=Markup(f"data:{told.mime};base64,{data}"), alt=told.alt, width=width,
        height=height,
    )  # fmt: skip
    return tag("figure", image, caption)


def _size(told: Figure) -> tuple[int | None, int | None]:
    """Pixels of a PNG picture: a page that knows them does not jump while it is read."""
    if told.mime != PNG or len(told.data) < 24:
        return None, None
    return int.from_bytes(told.data[16:20]), int.from_bytes(told.data[20:24])
