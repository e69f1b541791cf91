"""Size of each individual in each frame."""

from __future__ import annotations

import numpy as np
import polars as pl

from mosaic_dagster.errors import MissingColumnError
from mosaic_dagster.features.kernels.keypoints import pairwise_distances
from mosaic_dagster.features.library.rows import keypoints, order_rows
from mosaic_dagster.features.output import values_schema, with_values
from mosaic_dagster.features.params import Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register


@register
class BodyScale(Feature[Params]):
    """Median distance between the finite keypoints of an individual, unit of the tracks.

    Column ``scale``. A row with fewer than two finite keypoints gives no row. Rows keep the order
    of the input. (The corners of a 3-4-5 triangle have scale 4.)
    """

    name = "body-scale"
    version = "1.0"

    def input_columns(self) -> tuple[str, ...]:
        """Frame, identity and at least two keypoints."""
        return ("frame", "id")

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """The key columns and the scale."""
        return values_schema(schema, {"scale": pl.Float64()})

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Compute the scale for one recording."""
        self.check_columns(table.schema)
        order_rows(table)  # refuses repeated rows; the computation is row by row
        points = keypoints(table)
        if points.shape[1] < 2:
            msg = f"body-scale needs two keypoints or more; the table has {points.shape[1]}."
            raise MissingColumnError(msg, "Keypoints are columns poseX0, poseY0, poseX1, …")
        n_finite = np.isfinite(points).all(axis=2).sum(axis=1)
        measurable = n_finite >= 2
        scale = np.full(len(points), np.nan)
        # The median of all values is many times faster than that of those that are not missing.
        for rows, median in (
            (n_finite == points.shape[1], np.median),
            (measurable & (n_finite < points.shape[1]), np.nanmedian),
        ):
            if rows.any():
                scale[rows] = median(pairwise_distances(points[rows]), axis=1)
        return with_values(table.filter(pl.Series(measurable)), {"scale": scale[measurable]})
