"""Maps: what is drawn, what is left out, and which colours are shared."""

from __future__ import annotations

import time

import numpy as np
import polars as pl
import pytest

from mosaic_dagster.charts import map_2d
from mosaic_dagster.errors import ParamsError

NAMES = {0: "rest", 1: "attack"}


def points(n: int, **columns: object) -> pl.DataFrame:
    """Points (i, i mod 7)."""
    x = np.arange(n, dtype=float)
    return pl.DataFrame({"x": x, "y": x % 7, **columns}, strict=False)


def drawn(axis):
    """Number of grey and of coloured points of a panel."""
    below, above = axis.collections[:2]
    return len(below.get_offsets()), len(above.get_offsets())


def legend_of(axis):
    return [text.get_text() for text in axis.get_legend().get_texts()]


def test_points_without_a_label_are_grey_below_all_others(figure_of):
    """Null and NaN are no class: 1 grey and 2 coloured points, the grey drawn first."""
    table = points(3, label=[0, None, 1], cluster=[0.0, float("nan"), 1.0])
    figure = figure_of(map_2d, table, "x", "y", ["label", "cluster"])
    assert [drawn(axis) for axis in figure.axes] == [(1, 2), (1, 2)]
    grey = figure.axes[0].collections[0].get_facecolor()[0]
    assert np.allclose(grey[:3] * 255, 0xE4)
    assert legend_of(figure.axes[0]) == ["0", "1", "none"]


def test_points_without_a_place_are_left_out_and_counted(figure_of, texts_of):
    """NaN, infinite and null coordinates: three of five rows."""
    table = points(5, label=[0] * 5).with_columns(
        x=pl.Series([0.0, float("nan"), 2.0, 3.0, 4.0]),
        y=pl.Series([0.0, 1.0, float("inf"), None, 4.0]),
    )
    figure = figure_of(map_2d, table, "x", "y", "label")
    assert drawn(figure.axes[0]) == (0, 2)
    assert "3 rows without coordinates left out." in texts_of(figure)


def test_a_sample_is_told_and_always_the_same(figure_of, texts_of):
    """Else people take a sample for all points, or see the map change between two runs."""
    table = points(500, label=np.arange(500) % 2)
    figure = figure_of(map_2d, table, "x", "y", "label", most_points=100)
    assert drawn(figure.axes[0]) == (0, 100)
    assert "100 of 500 points drawn, a random sample." in texts_of(figure)
    pictures = [map_2d(table, "x", "y", "label", most_points=100) for _ in range(2)]
    assert pictures[0] == pictures[1]


def test_a_class_outside_the_sample_keeps_its_place_in_the_key(figure_of):
    """Colours must not depend on which points were drawn."""
    table = points(300, label=[2, *[7] * 299])
    figure = figure_of(map_2d, table, "x", "y", "label", most_points=1)
    assert legend_of(figure.axes[0]) == ["2", "7"]


def test_truth_and_prediction_share_their_colours(figure_of):
    """Attack was never predicted and rest never true: still each has its own colour in both."""
    table = points(2, truth=[1, 1], predicted=["rest", "rest"], cluster=[5, 6])
    figure = figure_of(
        map_2d, table, "x", "y", ["truth", "predicted", "cluster"], names={"truth": NAMES}
    )
    assert legend_of(figure.axes[0]) == legend_of(figure.axes[1]) == ["rest", "attack"]
    shades = [axis.collections[1].get_facecolor()[0, :3] * 255 for axis in figure.axes]
    assert np.allclose(shades[0], [0x88, 0xCC, 0xEE])
    assert np.allclose(shades[1], [0x33, 0x22, 0x88])
    assert legend_of(figure.axes[2]) == ["5", "6"]


def test_panels_show_the_same_piece_of_the_map(figure_of):
    """Else a cluster seems to lie elsewhere than its label."""
    table = points(9, a=range(9), b=[0] * 9)
    first, second = figure_of(map_2d, table, "x", "y", ["a", "b"]).axes
    assert first.get_xlim() == second.get_xlim()
    assert first.get_ylim() == second.get_ylim()


def test_both_axes_have_one_scale(figure_of):
    """Distances on a t-SNE map mean the same in all directions."""
    for x, y in ([0, 100], [0, 1]), ([0, 1], [0, 100]), ([0, 3], [0, 3]):
        table = pl.DataFrame({"x": x, "y": y, "c": [0, 1]})
        (axis,) = figure_of(map_2d, table, "x", "y", "c").axes
        height, width = np.ptp(axis.get_ylim()), np.ptp(axis.get_xlim())
        assert axis.get_box_aspect() == pytest.approx(height / width)


def test_clusters_have_their_number_on_the_map_and_classes_do_not(figure_of):
    """Among 25 colours nobody finds cluster 17 by the key alone. It stands at the point that is
    nearest to the median of x = 0, 1, 2, so at (1, 1)."""
    table = points(3, cluster=[17] * 3, label=["rest"] * 3)
    clusters, labels = figure_of(map_2d, table, "x", "y", ["cluster", "label"]).axes
    assert [(t.get_text(), t.get_position()) for t in clusters.texts] == [("17", (1.0, 1.0))]
    assert not labels.texts


@pytest.mark.parametrize(("classes", "has_legend"), [(20, True), (21, False)])
def test_from_21_classes_on_there_is_a_bar(figure_of, classes, has_legend):
    """A key of 50 lines would be larger than the map."""
    axis = figure_of(map_2d, points(classes, c=range(classes)), "x", "y", "c").axes[0]
    assert (axis.get_legend() is not None) == has_legend
    assert len(axis.child_axes) == (not has_legend)


def test_a_number_has_a_bar_that_one_outlier_does_not_take_up(figure_of):
    """Speeds 0.5 to 99.5 and one of a million: the scale ends near 100."""
    speed = [*(np.arange(199) / 2 + 0.5), 1e6]
    axis = figure_of(map_2d, points(200, speed=speed), "x", "y", "speed").axes[0]
    low, high = axis.collections[1].get_clim()
    assert 0.5 < low < 2
    assert 97 < high < 101


def test_names_of_another_column_are_refused():
    """`{0: "rest"}` without the column would be ignored, and the map show bare numbers."""
    with pytest.raises(ParamsError, match="by column"):
        map_2d(points(1, label=[0]), "x", "y", "label", names=NAMES)
    with pytest.raises(ParamsError, match="No column"):
        map_2d(points(1), "x", "y", [])


@pytest.mark.slow
def test_a_million_points_take_less_than_some_seconds():
    """The report of a pipeline draws such maps at its end."""
    table = points(1_000_000, c=np.arange(1_000_000) % 25, t=["rest", "attack"] * 500_000)
    start = time.perf_counter()
    map_2d(table, "x", "y", ["c", "t", "c"])
    assert time.perf_counter() - start < 5
