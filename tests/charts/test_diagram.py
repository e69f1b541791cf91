"""The picture of a pipeline."""

from __future__ import annotations

import pytest
from matplotlib.patches import FancyBboxPatch

from mosaic_dagster.charts import diagram
from mosaic_dagster.charts.diagram import _wrap
from mosaic_dagster.errors import UnknownStepError

STEPS = {"speed": ["tracks"], "clusters": ["speed"], "report": ["clusters", "speed"]}


def boxes(figure):
    return [p for p in figure.axes[0].patches if isinstance(p, FancyBboxPatch)]


def test_every_step_and_every_input_is_there(figure_of, texts_of):
    """A pipeline without its tracks does not show where it begins."""
    figure = figure_of(diagram, STEPS, {"speed": "per-frame"}, "larvae")
    assert set(texts_of(figure)) == {
        "tracks", "speed", "clusters", "report", "larvae", "input", "per-frame",
    }  # fmt: skip
    assert len(boxes(figure)) == 4


def test_kinds_are_told_apart_and_highlights_stand_out(figure_of):
    """Order of boxes: tracks (grey), speed and clusters (equal), report (white, thick frame)."""
    kinds = {"speed": "tag", "clusters": "tag"}
    found = boxes(figure_of(diagram, STEPS, kinds, highlight=["report"]))
    fills = [box.get_facecolor() for box in found]
    assert fills[1] == fills[2]
    assert len(set(fills)) == 3
    assert [box.get_linewidth() > 2 for box in found] == [False, False, False, True]


def test_only_edges_between_highlighted_steps_are_black(figure_of):
    """speed to report goes past the layer of clusters, in two pieces; both must be black."""
    figure = figure_of(diagram, STEPS, highlight=["speed", "report"])
    edges = [p for p in figure.axes[0].patches if not isinstance(p, FancyBboxPatch)]
    assert sum(edge.get_edgecolor()[:3] == (0.0, 0.0, 0.0) for edge in edges) == 2
    assert len(edges) == 5


def test_boxes_are_inside_and_do_not_overlap(figure_of):
    """Thirty steps with names of 24 letters."""
    names = [f"pair_posedistance_pca_{i:02d}" for i in range(30)]
    steps = {name: [names[i // 3]] if i else [] for i, name in enumerate(names)}
    figure = figure_of(diagram, steps)
    extents = [box.get_bbox().extents for box in boxes(figure)]
    wide, high = figure.axes[0].get_xlim()[1], figure.axes[0].get_ylim()[1]
    for i, (left, low, right, top) in enumerate(extents):
        assert min(left, low) > 0
        assert right < wide
        assert top < high
        for other in extents[i + 1 :]:
            apart = other[0] > right or other[2] < left or other[1] > top or other[3] < low
            assert apart


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("speed", ["speed"]),
        ("pair_posedistance_pca", ["pair_", "posedistance_", "pca"]),
        ("labels/behavior", ["labels/", "behavior"]),
        ("a" * 20, ["a" * 16, "aaaa"]),
        ("", [""]),
    ],
)
def test_names_are_broken_where_people_would(name, lines):
    """Joined, the lines are the name: nothing is cut off."""
    assert _wrap(name) == lines
    assert "".join(lines) == name


@pytest.mark.parametrize("options", [{"kinds": {"sped": "tag"}}, {"highlight": ["sped"]}])
def test_a_name_that_is_no_step_is_refused(options):
    """A misspelt name would leave its step without colour and say nothing."""
    with pytest.raises(UnknownStepError, match="'sped'"):
        diagram(STEPS, **options)
