"""What is red in the list of recordings is what failed, and only as long as it is failed."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [
    pytest.mark.dagster,
    pytest.mark.slow,
    # Dagster's own way of passing one resource to another.
    pytest.mark.filterwarnings("ignore:InitResourceContext.dagster_run is deprecated"),
]

GREEN = dict.fromkeys(["s0", "s1", "s2", "s3"], "MATERIALIZED")
BELOW = ("layered/shift", "layered/mean", "layered/side")


def test_an_undone_edit_is_green_again(lab: Any, refresh: Any, red: Any) -> None:
    """A spoilt file, then the old one: nothing is computed, and no red is left to be explained."""
    refresh()
    path = lab.record("s2", 20.0)
    good = path.read_text()
    path.write_text(good.replace("20", "oops", 1))
    assert not refresh().success
    for asset in ("tracks", *BELOW):
        assert red(asset) == GREEN | {"s2": "FAILED"}, asset
    path.write_text(good)
    done = refresh()
    assert done.success, done.errors
    assert not [line for line in done.computed if line.startswith(("toy-shift", "toy-whole"))]
    for asset in ("tracks", *BELOW, "layered/scaled", "layered/above"):
        assert red(asset) == GREEN, asset
    assert refresh().runs == []
