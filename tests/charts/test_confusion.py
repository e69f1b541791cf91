"""Confusion: shares of rows, and what cells say."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from mosaic_dagster.charts import confusion
from mosaic_dagster.errors import ParamsError


def test_each_row_is_a_share_of_its_sum(figure_of, texts_of):
    """Row (3, 1): 75 % and 25 %. Row (0, 8): 0 % and 100 %. By columns 3 would be 100 %."""
    figure = figure_of(confusion, np.array([[3, 1], [0, 8]]), ["a", "b"])
    assert figure.axes[0].images[0].get_array().tolist() == [[75.0, 25.0], [0.0, 100.0]]
    assert {"75%\n3", "25%\n1", "100%\n8"} <= set(texts_of(figure))
    assert {"a  (4)", "b  (8)"} <= set(texts_of(figure))


def test_what_is_rounded_away_is_not_said_to_be_nothing(figure_of, texts_of):
    """1 of 1,000 is less than 1 %, not 0 %; and 999 are not all."""
    found = texts_of(figure_of(confusion, np.array([[999, 1], [0, 1]]), ["a", "b"]))
    assert {">99%\n999", "<1%\n1"} <= set(found)


def test_a_class_without_frames_is_marked(figure_of, texts_of):
    """White cells would say that it was never found, when there was nothing to find."""
    figure = figure_of(confusion, np.array([[0, 0], [1, 1]]), ["a", "b"])
    hatched = [p for p in figure.axes[0].patches if isinstance(p, Rectangle) and p.get_hatch()]
    assert [patch.get_xy() for patch in hatched] == [(-0.5, -0.5)]
    assert "Hatched: no frames." in texts_of(figure)


@pytest.mark.parametrize(("classes", "cell"), [(4, "100%\n1,000"), (25, "100"), (100, None)])
def test_cells_say_what_can_be_read_in_them(figure_of, texts_of, classes, cell):
    """Figures that overlap are worse than none."""
    figure = figure_of(confusion, np.eye(classes) * 1000, range(classes))
    written = {text.get_text() for text in figure.axes[0].texts}
    assert written == ({cell} if cell else set())
    assert max(figure.get_size_inches()) < 10


def test_clusters_may_be_as_many_as_they_are(figure_of, texts_of):
    """3 clusters by 2 labels; a picture of a square alone could not compare them."""
    figure = figure_of(confusion, np.ones((3, 2)), [0, 1, 2], ["x", "y"], "t", "cluster", "label")
    assert {"cluster", "label", "x", "y"} <= set(texts_of(figure))


@pytest.mark.parametrize(
    "counts", [np.ones((2, 3)), np.ones(2), np.array([[1, np.nan], [0, 1]]), -np.ones((2, 2))]
)
def test_counts_that_cannot_be_are_refused(counts):
    """Names in another order than the counts would put every figure in a wrong cell."""
    with pytest.raises(ParamsError):
        confusion(counts, ["a", "b"])
