"""A pipeline shown as a picture and as a tree: people check there what reads what."""

from __future__ import annotations

import pytest

from mosaic_dagster.errors import UnknownStepError
from mosaic_dagster.pipeline.overview import step_kinds


def test_the_tree_names_everything_that_a_step_needs(layered):
    assert layered().show_text().splitlines() == [
        "tracks",
        "├─ shift",
        "│  └─ mean",
        "│     └─ scaled",
        "└─ side",
    ]


def test_only_what_a_step_needs_is_shown(layered):
    assert layered().show_text(["mean"]).splitlines() == ["tracks", "└─ shift", "   └─ mean"]
    with pytest.raises(UnknownStepError, match="mean"):
        layered().show_text(["men"])


def test_the_picture_is_a_png(layered):
    pipeline = layered()
    assert set(step_kinds(pipeline)) == {"shift", "mean", "scaled", "side"}
    assert pipeline.show(highlight=["mean"])[:8] == b"\x89PNG\r\n\x1a\n"
