"""Heading of each individual from its keypoints."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
import polars as pl
from pydantic import Field, field_validator, model_validator

from mosaic_dagster.errors import MissingColumnError
from mosaic_dagster.features.kernels.angles import direction
from mosaic_dagster.features.kernels.keypoints import keypoint_columns, principal_axis
from mosaic_dagster.features.library.rows import (
    keypoint_numbers,
    keypoints,
    order_rows,
    resolve_keypoint,
)
from mosaic_dagster.features.output import META_COLUMNS, values_schema, with_values
from mosaic_dagster.features.params import DatasetFacts, Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register


class HeadingParams(Params):
    """Parameters of :class:`Heading`.

    Attributes
    ----------
    method
        ``two_point`` looks from the rear keypoint to the front one; ``pca`` takes the longest axis
        through all keypoints.
    front_idx, rear_idx
        Keypoints by number or by the dataset's name for them.
    output_col
        Name of the result.
    """

    method: Literal["two_point", "pca"] = "two_point"
    front_idx: int | str = 0
    rear_idx: int | str = 1
    output_col: str = Field(default="ANGLE", min_length=1)

    @field_validator("output_col")
    @classmethod
    def _free(cls, column: str) -> str:
        if column in {*META_COLUMNS, "is_axis"}:
            msg = "is the name of a column with another meaning"
            raise ValueError(msg)
        return column

    @model_validator(mode="after")
    def _two_ends(self) -> Self:
        if self.method == "two_point" and self.front_idx == self.rear_idx:
            msg = f"front_idx and rear_idx are both {self.front_idx!r}"
            raise ValueError(msg)
        return self

    def resolve(self, facts: DatasetFacts) -> Self:
        """Turn names of keypoints into numbers."""
        resolved = super().resolve(facts)
        if resolved.method == "pca":
            return resolved
        ends = {
            "front_idx": resolve_keypoint(resolved.front_idx, facts),
            "rear_idx": resolve_keypoint(resolved.rear_idx, facts),
        }
        return type(self).from_overrides(resolved.model_dump() | ends)


@register
class Heading(Feature[HeadingParams]):
    """Direction in which an individual points, radians in [-pi, pi] from +x towards +y.

    With image coordinates (y down) positive is clockwise on the screen. ``is_axis`` is true where
    the direction is an axis only, whose sign is arbitrary (method ``pca``).

    Notes
    -----
    ``two_point``: NaN where either keypoint is missing or both coincide. ``pca``: over the finite
    keypoints of the row, NaN below two of them; see
    :func:`~mosaic_dagster.features.kernels.keypoints.principal_axis`. Rows keep their order.
    """

    name = "heading"
    version = "1.0"
    Params = HeadingParams

    def input_columns(self) -> tuple[str, ...]:
        """Frame, identity, and both ends for ``two_point``."""
        if self.params.method == "pca":
            return ("frame", "id")
        ends = keypoint_numbers((self.params.rear_idx, self.params.front_idx))
        return ("frame", "id", *keypoint_columns(ends))

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """The heading and whether it is an axis."""
        values = {self.params.output_col: pl.Float64(), "is_axis": pl.Boolean()}
        return values_schema(schema, values)

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Compute the heading for one recording."""
        self.check_columns(table.schema)
        order_rows(table)  # refuses repeated rows; the computation is row by row
        if self.params.method == "pca":
            points = keypoints(table)
            if points.shape[1] < 2:
                msg = (
                    f"heading by pca needs two keypoints or more; the table has {points.shape[1]}."
                )
                raise MissingColumnError(msg, "Keypoints are columns poseX0, poseY0, poseX1, …")
            angle = principal_axis(points)
        else:
            ends = keypoint_numbers((self.params.rear_idx, self.params.front_idx))
            dx, dy = np.diff(keypoints(table, ends), axis=1)[:, 0].T
            angle = direction(dx, dy)
        is_axis = np.full(table.height, self.params.method == "pca")
        return with_values(table, {self.params.output_col: angle, "is_axis": is_axis})
