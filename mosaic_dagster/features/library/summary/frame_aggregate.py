"""One number per frame from the rows of that frame."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from mosaic_dagster.errors import FeatureError, ParamsError
from mosaic_dagster.features.expressions import FilterExpression, compile_filter, filter_columns
from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray
from mosaic_dagster.features.kernels.grouped import Aggregation, aggregate
from mosaic_dagster.features.library.rows import identity_of, numbers, order_rows
from mosaic_dagster.features.output import META_COLUMNS, ORIGIN_COLUMNS
from mosaic_dagster.features.params import Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register


class FrameAggregateParams(Params):
    """Parameters of :class:`FrameAggregate`.

    Attributes
    ----------
    column
        Column to aggregate: numbers or truth values, for ``count`` without threshold any.
    agg
        ``std`` has one degree of freedom less than values; ``count`` counts known values.
    output_column
        Name of the result; None means ``<column>_<agg>``.
    filter_expr
        Only rows for which this condition holds count; see
        :mod:`mosaic_dagster.features.expressions`.
    threshold
        Aggregate whether the value is above this (1 or 0) instead of the value.
    transform
        ``abs`` takes absolute values, before the threshold.
    """

    column: str = Field(min_length=1)
    agg: Aggregation = "mean"
    output_column: str | None = Field(default=None, min_length=1)
    filter_expr: FilterExpression | None = None
    threshold: float | None = Field(default=None, allow_inf_nan=False)
    transform: Literal["none", "abs"] = "none"

    @model_validator(mode="after")
    def _free_name(self) -> Self:
        if self.output_name() in META_COLUMNS:
            msg = f"output_column {self.output_name()!r} is the name of a key column"
            raise ValueError(msg)
        return self

    def output_name(self) -> str:
        """Name of the result."""
        return self.output_column or f"{self.column}_{self.agg}"


@register
class FrameAggregate(Feature[FrameAggregateParams]):
    """Mean, median, min, max, std, sum or count of a column over the rows of each frame.

    Columns: frame, time (of the frame's first individual), the result (float64; unit of the
    column, a share with mean and threshold), then fps, group, sequence as in the input.

    Notes
    -----
    Rows are filtered, made absolute, compared with the threshold and aggregated, in this order.
    Missing and infinite values are skipped and are on neither side of the threshold. A frame with
    no known value has sum and count 0 and NaN else; std needs two values. A frame without a row, or
    without one that passes the filter, has no row in the result. Rows are sorted by frame.
    """

    name = "frame-aggregate"
    version = "1.0"
    category = "summary"
    Params = FrameAggregateParams

    def input_columns(self) -> tuple[str, ...]:
        """The frame, the column, and those of the condition."""
        condition = self.params.filter_expr
        used = () if condition is None else filter_columns(condition)
        return tuple(dict.fromkeys(("frame", self.params.column, *used)))

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """Frame, time, the result, origin."""
        self._check_types(schema)
        before = {name: schema[name] for name in ("frame", "time") if name in schema}
        after = {name: schema[name] for name in ORIGIN_COLUMNS if name in schema}
        return pl.Schema({**before, self.params.output_name(): pl.Float64(), **after})

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Aggregate one recording."""
        schema = self.output_schema(table.schema)
        if self.params.filter_expr is not None:
            table = table.filter(compile_filter(self.params.filter_expr, table.schema))
        order, frames = _by_frame(table)
        starts = np.flatnonzero(np.diff(frames, prepend=frames[:1] - 1))
        result = aggregate(self._values(table)[order], starts, self.params.agg)
        name = self.params.output_name()
        kept = table.select(column for column in schema if column != name)[order[starts]]
        return kept.with_columns(pl.Series(name, result)).select(list(schema))

    def _values(self, table: pl.DataFrame) -> FloatArray:
        if self._counts_anything() and not table.schema[self.params.column].is_numeric():
            known = table[self.params.column].is_not_null().to_numpy()
            return np.where(known, 1.0, np.nan)
        values = numbers(table, self.params.column)
        if self.params.transform == "abs":
            values = np.abs(values)
        if self.params.threshold is None:
            return values
        return np.where(np.isnan(values), np.nan, values > self.params.threshold)

    def _counts_anything(self) -> bool:
        return self.params.agg == "count" and self.params.threshold is None

    def _check_types(self, schema: pl.Schema) -> None:
        self.check_columns(schema)
        if self.params.filter_expr is not None:
            compile_filter(self.params.filter_expr, schema)
        column = self.params.column
        dtype = schema[column]
        if not (dtype.is_numeric() or dtype == pl.Boolean or self._counts_anything()):
            msg = (
                f"frame-aggregate cannot take the {self.params.agg} of {column!r}, of type {dtype}."
            )
            raise ParamsError(msg, "Name a column of numbers or truth values.")


def _by_frame(table: pl.DataFrame) -> tuple[IntArray, IntArray]:
    """Rows sorted by frame, then identity, and their frames.

    Tables without an identity may have several rows in a frame, such as one per subgroup.
    """
    if identity_of(table.columns):
        rows = order_rows(table)
        order, frames = rows.order, rows.frames
    else:
        frame = table["frame"].cast(pl.Int64)
        if frame.null_count():
            msg = f"{frame.null_count()} row(s) have no frame."
            raise FeatureError(msg, "Give every row its frame number.")
        order, frames = np.arange(table.height), frame.to_numpy()
    by_frame = np.argsort(frames, kind="stable")
    return order[by_frame], frames[by_frame]
