"""Sizes of clusters: shares, and what is said of many groups."""

from __future__ import annotations

import polars as pl

from mosaic_dagster.charts import cluster_sizes


def sizes(rows: list[tuple[object, str | None, int | None]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["cluster", "group", "count"], orient="row")


def heights(axis):
    return [[round(bar.get_height(), 6) for bar in group] for group in axis.containers]


def test_shares_are_of_the_frames_of_a_group(figure_of):
    """g has 3 + 1 frames, h 2: 75 % and 25 %, 0 % and 100 %."""
    table = sizes([(0, "g", 3), (1, "g", 1), (1, "h", 2)])
    axis = figure_of(cluster_sizes, table).axes[0]
    assert heights(axis) == [[75, 25], [0, 100]]


def test_frames_of_no_cluster_count_and_have_their_bar(figure_of, texts_of):
    """Left out, the clusters would look larger than they are: 1 of 4 frames is 25 %."""
    figure = figure_of(cluster_sizes, sizes([(0, "g", 1), (None, "g", 3), (0, "g", None)]))
    assert heights(figure.axes[0]) == [[25, 75]]
    assert "none" in texts_of(figure)


def test_a_named_cluster_without_frames_keeps_its_place(figure_of, texts_of):
    """Else the bars of two pictures do not stand at the same places."""
    figure = figure_of(cluster_sizes, sizes([(1, "g", 1)]), names={0: "rest", 1: "attack"})
    assert heights(figure.axes[0]) == [[0, 100]]
    assert {"rest", "attack"} <= set(texts_of(figure))


def test_many_groups_are_a_grid_and_what_is_left_out_is_told(figure_of, texts_of):
    """61 groups of bars cannot be told apart; of the rows 60 are drawn."""
    few = [(c, f"r{i:02d}", c + 1) for i in range(4) for c in (0, 1)]
    axis = figure_of(cluster_sizes, sizes(few)).axes[0]
    assert axis.images[0].get_array().shape == (4, 2)
    assert [t.get_text() for t in axis.texts][:2] == ["33", "67"]
    many = [(0, f"r{i:02d}", 1) for i in range(61)]
    assert "60 of 61 rows drawn." in texts_of(figure_of(cluster_sizes, sizes(many)))


def test_a_hundred_clusters_fit_on_the_page(figure_of):
    """A picture 75 inches wide is shrunk until nothing in it can be read."""
    figure = figure_of(cluster_sizes, sizes([(c, "g", 1) for c in range(100)]))
    assert figure.get_figwidth() == 9.0
