"""The nearest other animal of each animal in each frame."""

from __future__ import annotations

import numpy as np
import polars as pl

from mosaic_dagster.features.kernels.angles import ego, wrap
from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray
from mosaic_dagster.features.kernels.neighbors import nearest_in_frame
from mosaic_dagster.features.library.neighbors._rows import known_animals, order_by_frame
from mosaic_dagster.features.library.rows import numbers
from mosaic_dagster.features.output import values_schema, with_values
from mosaic_dagster.features.params import Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register


@register
class NearestNeighbor(Feature[Params]):
    """The nearest other animal in the same frame, and where it is.

    Columns: ``nn_id`` (Int64, null for none); ``nn_delta_x``, ``nn_delta_y`` (neighbour minus
    focal, axes of the image) and ``nn_dist``, unit of the tracks; ``nn_delta_angle`` (only with
    ANGLE: heading of the neighbour minus own, radians in [-pi, pi)); ``nn_delta_x_ego`` (ahead of
    the focal animal), ``nn_delta_y_ego`` (along its ``(-sin, cos)`` axis, with y down its right);
    ``nn_ego_unrotated``: true without ANGLE, where these are the offsets along the image's axes.

    Notes
    -----
    Distance is Euclidean between X, Y; of animals at the same distance the smallest id counts. An
    animal with a missing or infinite position is nobody's neighbour and has none; an animal alone
    in its frame has none. Without a neighbour every offset is NaN. A missing heading of the focal
    animal leaves its ego offsets NaN, and of either animal ``nn_delta_angle``. Each frame stands
    for itself. Rows keep the order of the input.
    """

    name = "nearest-neighbor"
    version = "1.0"

    def input_columns(self) -> tuple[str, ...]:
        """Frame, identity and centre."""
        return ("frame", "id", "X", "Y")

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """Columns by whether there is an ANGLE."""
        angle = ["nn_delta_angle"] if "ANGLE" in schema else []
        offsets = ["nn_delta_x", "nn_delta_y", "nn_dist", *angle]
        offsets += ["nn_delta_x_ego", "nn_delta_y_ego"]
        values: dict[str, pl.DataType] = {"nn_id": pl.Int64()}
        values |= {name: pl.Float64() for name in offsets}
        return values_schema(schema, {**values, "nn_ego_unrotated": pl.Boolean()})

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Find the neighbours of one recording."""
        self.check_columns(table.schema)
        ids = known_animals(table)
        order = order_by_frame(table)
        frames = table["frame"].cast(pl.Int64).to_numpy()[order]
        x, y = numbers(table, "X"), numbers(table, "Y")
        neighbor = np.empty_like(order)
        nearest = nearest_in_frame(frames, x[order], y[order])
        neighbor[order] = np.where(nearest >= 0, order[nearest], -1)
        has = neighbor >= 0
        nn_id = pl.Series(ids[neighbor] if len(ids) else ids).set(pl.Series(~has), None)
        heading = numbers(table, "ANGLE") if "ANGLE" in table.columns else None
        offsets = _offsets(neighbor, x, y, heading)
        unrotated = np.full(table.height, heading is None)
        return with_values(table, {"nn_id": nn_id, **offsets, "nn_ego_unrotated": unrotated})


def _offsets(
    neighbor: IntArray, x: FloatArray, y: FloatArray, heading: FloatArray | None
) -> dict[str, FloatArray]:
    dx, dy = _difference(x, neighbor), _difference(y, neighbor)
    offsets = {"nn_delta_x": dx, "nn_delta_y": dy, "nn_dist": np.hypot(dx, dy)}
    ahead, aside = dx.copy(), dy.copy()
    if heading is not None:
        offsets["nn_delta_angle"] = wrap(_difference(heading, neighbor))
        ahead, aside = ego(dx, dy, heading)
    return {**offsets, "nn_delta_x_ego": ahead, "nn_delta_y_ego": aside}


def _difference(values: FloatArray, neighbor: IntArray) -> FloatArray:
    """Value of the neighbour minus own, NaN without a neighbour."""
    if not len(values):
        return values
    return np.where(neighbor >= 0, values[neighbor] - values, np.nan)
