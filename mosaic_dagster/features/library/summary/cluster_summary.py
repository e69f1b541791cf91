"""How often, how long and in which order behaviour clusters occur."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import polars as pl
from pydantic import Field, field_validator

from mosaic_dagster.features.kernels.runs import find_constant
from mosaic_dagster.features.library.rows import RowOrder, identity_of, need_fps, order_rows
from mosaic_dagster.features.output import META_COLUMNS
from mosaic_dagster.features.params import FromDataset, Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register

_CLUSTER_VALUES = ("cluster", "share", "n_bouts", "mean_bout_s", "median_bout_s")
_TRANSITION_VALUES = ("cluster", "next_cluster", "count", "probability")


class ClusterSummaryParams(Params):
    """Parameters of :class:`ClusterSummary`.

    Attributes
    ----------
    cluster_col
        Column that holds the cluster of each row: whole numbers or text, null for none.
    fps
        Frames per second for tables that do not say it.
    """

    cluster_col: str = Field(default="cluster", min_length=1)
    fps: Annotated[float | None, Field(gt=0), FromDataset("fps")] = None

    @field_validator("cluster_col")
    @classmethod
    def _not_a_key(cls, column: str) -> str:
        if column in META_COLUMNS:
            msg = "is a key column, not a cluster"
            raise ValueError(msg)
        return column


@register
class ClusterSummary(Feature[ClusterSummaryParams]):
    """Share, bouts and transitions of the clusters of each individual (or pair).

    One table in two parts, told apart by the text column ``table``; what does not apply to a part
    is null. Take them apart with :func:`cluster_rows` and :func:`transition_rows`.

    ``cluster``: ``share`` of the individual's labelled frames, ``n_bouts``, ``mean_bout_s`` and
    ``median_bout_s`` in seconds. ``transition``: ``count`` of bouts of ``cluster`` that are
    followed by one of ``next_cluster``, and ``probability`` = count / all counts out of
    ``cluster``.

    Notes
    -----
    A bout is a maximal stretch of successive frames with the same cluster; it lasts its number of
    frames / fps. Frame gaps and nulls end a bout, and no transition is counted across them. An
    individual without a labelled frame has no row. Rows are sorted by individual, part, cluster
    and next cluster.
    """

    name = "cluster-summary"
    version = "1.0"
    category = "summary"
    Params = ClusterSummaryParams

    def input_columns(self) -> tuple[str, ...]:
        """The frame and the cluster."""
        return ("frame", self.params.cluster_col)

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """Both parts side by side."""
        cluster = schema[self.params.cluster_col]
        if cluster.is_float():
            cluster = pl.Int64()
        columns: dict[str, pl.DataType] = {name: schema[name] for name in identity_of(schema)}
        columns |= {"table": pl.String(), "cluster": cluster, "next_cluster": cluster}
        columns |= {"share": pl.Float64(), "n_bouts": pl.Int64()}
        columns |= {"mean_bout_s": pl.Float64(), "median_bout_s": pl.Float64()}
        columns |= {"count": pl.Int64(), "probability": pl.Float64(), "fps": pl.Float64()}
        columns |= {name: schema[name] for name in ("group", "sequence") if name in schema}
        return pl.Schema(columns)

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Summarise one recording."""
        self.check_columns(table.schema)
        schema = self.output_schema(table.schema)
        cluster = table[self.params.cluster_col]
        if cluster.dtype.is_float():
            cluster = cluster.fill_nan(None).cast(pl.Int64)
        if cluster.null_count() == table.height:
            return pl.DataFrame(schema=schema)
        fps = need_fps(table, self.params.fps, self.name)
        identity = identity_of(table.columns)
        bouts = _bouts(table.with_columns(cluster.alias("cluster")), order_rows(table), identity)
        parts = [_summarise(bouts, identity, fps), _count_transitions(bouts, identity)]
        summary = pl.concat(parts, how="diagonal")
        origin = {c: table[c][0] for c in ("group", "sequence") if c in table.columns}
        summary = summary.with_columns(
            pl.lit(fps).alias("fps"), *(pl.lit(v).alias(c) for c, v in origin.items())
        )
        summary = summary.select(pl.col(c).cast(t) for c, t in schema.items())
        return summary.sort([*identity, "table", "cluster", "next_cluster"])


def cluster_rows(table: pl.DataFrame) -> pl.DataFrame:
    """The part of a cluster-summary table with one row per individual and cluster."""
    return _part(table, "cluster", _CLUSTER_VALUES)


def transition_rows(table: pl.DataFrame) -> pl.DataFrame:
    """The part of a cluster-summary table with one row per individual and pair of clusters."""
    return _part(table, "transition", _TRANSITION_VALUES)


def _part(table: pl.DataFrame, name: str, values: tuple[str, ...]) -> pl.DataFrame:
    origin = [c for c in ("fps", "group", "sequence") if c in table.columns]
    columns = [*identity_of(table.columns), *values, *origin]
    return table.filter(pl.col("table") == name).select(columns)


def _bouts(table: pl.DataFrame, rows: RowOrder, identity: list[str]) -> pl.DataFrame:
    """One row per bout in order of time: identity, cluster, n_frames, next_cluster."""
    ordered = table.select(*identity, "cluster")[rows.order]
    codes = ordered["cluster"].rle_id().cast(pl.Int64).to_numpy()
    null = ordered["cluster"].is_null().to_numpy()
    found = list(_find_bouts(rows, codes, null))
    starts = np.array([start for start, _, _ in found], dtype=np.int64)
    bouts = ordered[starts].with_columns(
        pl.Series("n_frames", [stop - start for start, stop, _ in found], dtype=pl.Int64),
        pl.Series("followed", [followed for _, _, followed in found], dtype=pl.Boolean),
    )
    following = pl.col("cluster").shift(-1)
    return bouts.with_columns(pl.when("followed").then(following).alias("next_cluster"))


def _find_bouts(
    rows: RowOrder, codes: np.ndarray, null: np.ndarray
) -> Iterator[tuple[int, int, bool]]:
    """First row, row after the last, and whether another bout follows at once."""
    for run in rows.runs:
        pieces = find_constant(codes[run])
        for position, piece in enumerate(pieces):
            start, stop = run.start + piece.start, run.start + piece.stop
            if not null[start]:
                last = position + 1 == len(pieces)
                yield start, stop, not last and not null[stop]


def _summarise(bouts: pl.DataFrame, identity: list[str], fps: float) -> pl.DataFrame:
    frames = pl.col("n_frames")
    summary = bouts.group_by([*identity, "cluster"]).agg(
        labelled=frames.sum(),
        n_bouts=pl.len().cast(pl.Int64),
        mean_bout_s=frames.mean() / fps,
        median_bout_s=frames.median() / fps,
    )
    total = pl.col("labelled").sum()
    share = pl.col("labelled") / (total.over(identity) if identity else total)
    return summary.select(
        *identity,
        pl.lit("cluster").alias("table"),
        "cluster",
        share.alias("share"),
        "n_bouts",
        "mean_bout_s",
        "median_bout_s",
    )


def _count_transitions(bouts: pl.DataFrame, identity: list[str]) -> pl.DataFrame:
    followed = bouts.filter(pl.col("next_cluster").is_not_null())
    counts = followed.group_by([*identity, "cluster", "next_cluster"]).agg(
        pl.len().cast(pl.Int64).alias("count")
    )
    out_of = pl.col("count").sum().over([*identity, "cluster"])
    return counts.with_columns(
        pl.lit("transition").alias("table"), (pl.col("count") / out_of).alias("probability")
    )
