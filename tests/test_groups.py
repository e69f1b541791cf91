"""Tests that share one long run are marked as a group, which has to stay on one worker."""

from __future__ import annotations

import os

import pytest


@pytest.mark.xdist_group("together")
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="there is one process only")
def test_a_group_is_known_to_the_one_who_deals_out_tests(request: pytest.FixtureRequest) -> None:
    """Else each worker makes the run again, and a week is told in two halves.

    The name of the group behind the test's own is what pytest-xdist goes by; versions of pytest
    that keep another account of names lose it without a word.
    """
    if not request.config.getoption("loadgroup", default=False):
        pytest.skip("tests are not dealt out by group")
    assert request.node.nodeid.endswith("@together")
