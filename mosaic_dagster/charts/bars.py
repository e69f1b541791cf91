"""Sizes of clusters as bars."""

from __future__ import annotations

import polars as pl

from mosaic_dagster.charts.canvas import new_axes, new_figure, palette, to_png


def cluster_sizes(counts: pl.DataFrame, title: str = "", by: str = "group") -> bytes:
    """Share of frames in each cluster, one bar per group of recordings.

    Parameters
    ----------
    counts
        Columns ``cluster``, the column ``by``, and ``count`` (frames).
    title
        Title of the picture.
    by
        The column that tells the bars of one cluster apart.

    Returns
    -------
    bytes
        A PNG picture.
    """
    groups = counts[by].unique().sort().to_list()
    clusters = counts["cluster"].unique().sort().to_list()
    colours = palette(clusters)
    figure = new_figure(1.8 + 0.75 * max(4, len(clusters)), 3.6)
    axis = new_axes(figure)[0]
    width = 0.8 / max(len(groups), 1)
    for position, group in enumerate(groups):
        rows = counts.filter(pl.col(by) == group)
        total = rows["count"].sum() or 1
        share = dict(zip(rows["cluster"], rows["count"] / total * 100, strict=True))
        places = [i + (position - (len(groups) - 1) / 2) * width for i in range(len(clusters))]
        bars = axis.bar(
            places, [share.get(c, 0.0) for c in clusters], width * 0.92, label=str(group),
            color=[colours[c] for c in clusters], edgecolor="black", linewidth=0.4,
            hatch="" if position == 0 else "//" * position,
        )  # fmt: skip
        axis.bar_label(bars, fmt="%.0f", fontsize=7, padding=1)
    axis.set_xticks(range(len(clusters)), [str(cluster) for cluster in clusters])
    axis.set(title=title, xlabel="cluster", ylabel="share of frames (%)")
    if len(groups) > 1:
        figure.legend(title=by, loc="outside right upper", frameon=False)
    return to_png(figure)
