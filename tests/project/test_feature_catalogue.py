"""The catalogue of features in the docs is complete, and calls each by its family."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mosaic_dagster.features import get_feature, list_features

PAGE = Path(__file__).resolve().parents[2] / "docs" / "features.md"
LIBRARY = "mosaic_dagster.features.library."


def catalogued() -> list[tuple[str, str]]:
    """Family and name of each row of the page's tables, in order."""
    found = []
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]:
        family = section.partition("\n")[0]
        found += [(family, name) for name in re.findall(r"^\| `([a-z0-9-]+)` \|", section, re.M)]
    return found


def offered() -> list[tuple[str, str]]:
    """Family and name of each feature of this package; other tests register some of their own."""
    modules = {name: get_feature(name).__module__ for name in list_features()}
    return [
        (module.removeprefix(LIBRARY).partition(".")[0], name)
        for name, module in modules.items()
        if module.startswith(LIBRARY)
    ]


@pytest.mark.slow
def test_every_feature_is_in_the_catalogue_once_and_nothing_else() -> None:
    """A feature that nobody finds is written again; one that is not there costs an afternoon."""
    assert sorted(catalogued()) == sorted(offered())


def test_every_row_says_what_it_computes_reads_and_gives() -> None:
    """A name alone helps nobody to choose."""
    rows = re.findall(r"^\| `[a-z0-9-]+` \|.*$", PAGE.read_text(encoding="utf-8"), re.M)
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row for row in cells if len(row) != 4 or not all(row)] == []
