"""A folder of recordings and what is recorded about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mosaic_dagster.dataset.manifest import SourceRule
from mosaic_dagster.dataset.scan import SourceScan, scan_sources
from mosaic_dagster.store.feature_registry.records import SourceRow

GOOD = "frame,a_x,a_y\n0,1,2\n"


@dataclass
class Lab:
    """A folder of recordings and what is recorded about it."""

    base: Path
    rules: Sequence[SourceRule] = (SourceRule(path="rec"),)
    rows: dict[tuple[str, str], SourceRow] = field(default_factory=dict)

    def write(self, name: str, content: str = GOOD) -> Path:
        path = self.base / "rec" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def scan(self, **options: Any) -> SourceScan:
        return scan_sources(self.rules, self.rows.values(), self.base, **options)

    def record(self, **options: Any) -> SourceScan:
        found = self.scan(**options)
        self.rows |= {(row.path, row.key): row for row in found.updates}
        return found


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """``dish1/a`` and ``dish2/a``, of other bytes, nothing recorded yet."""
    lab = Lab(tmp_path)
    lab.write("dish1/a.csv")
    lab.write("dish2/a.csv", GOOD + "1,1,2\n")
    return lab
