"""Length and bending of the body along its midline."""

from __future__ import annotations

from typing import Self

import numpy as np
import polars as pl
from pydantic import field_validator

from mosaic_dagster.errors import MissingColumnError
from mosaic_dagster.features.kernels.angles import direction, wrap
from mosaic_dagster.features.kernels.arrays import FloatArray
from mosaic_dagster.features.kernels.keypoints import keypoint_columns, keypoint_indices
from mosaic_dagster.features.library.rows import (
    keypoint_numbers,
    keypoints,
    order_rows,
    resolve_keypoint,
)
from mosaic_dagster.features.output import values_schema, with_values
from mosaic_dagster.features.params import DatasetFacts, Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register


class PostureParams(Params):
    """Parameters of :class:`Posture`.

    Attributes
    ----------
    keypoints
        The midline from front to rear, by number or by the dataset's names; None means all
        keypoints in their order.
    """

    keypoints: tuple[int | str, ...] | None = None

    @field_validator("keypoints")
    @classmethod
    def _a_line(cls, chosen: tuple[int | str, ...] | None) -> tuple[int | str, ...] | None:
        if chosen is not None and (len(chosen) < 2 or len(set(chosen)) < len(chosen)):
            msg = "a midline has at least two keypoints, each once"
            raise ValueError(msg)
        return chosen

    def resolve(self, facts: DatasetFacts) -> Self:
        """Turn names of keypoints into numbers, and None into all of them."""
        resolved = super().resolve(facts)
        chosen: tuple[int | str, ...] | None = resolved.keypoints
        if chosen is None and facts.keypoints:
            chosen = tuple(range(len(facts.keypoints)))
        if chosen is None:
            return resolved
        line = tuple(resolve_keypoint(keypoint, facts) for keypoint in chosen)
        return type(self).from_overrides(resolved.model_dump() | {"keypoints": line})


@register
class Posture(Feature[PostureParams]):
    """Segment lengths and bends of a midline through the keypoints, front to rear.

    Columns for n keypoints: ``body_length`` and ``length_0`` … ``length_{n-2}`` (unit of the
    tracks); from three keypoints also ``bend_0`` … ``bend_{n-3}`` (rad in [-pi, pi)),
    ``total_bend`` (their sum, rad) and ``curvature`` (total_bend / body_length, rad per unit).

    Notes
    -----
    Segment k goes from keypoint k to keypoint k + 1; ``bend_k`` is the angle from segment k to
    segment k + 1, positive from +x towards +y (towards the ``(-sin, cos)`` side of the segment). A
    missing keypoint makes NaN only what needs it; a segment of length 0 has no direction, so its
    bends are NaN. Rows keep the order of the input.
    """

    name = "posture"
    version = "1.0"
    Params = PostureParams

    def input_columns(self) -> tuple[str, ...]:
        """Frame, identity and the chosen keypoints."""
        chosen = self.params.keypoints
        line = () if chosen is None else keypoint_numbers(chosen)
        return ("frame", "id", *keypoint_columns(line))

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """Columns by the number of keypoints."""
        names = _names(len(self._line(schema)))
        return values_schema(schema, {name: pl.Float64() for name in names})

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Compute the columns for one recording."""
        self.check_columns(table.schema)
        order_rows(table)  # refuses repeated rows; the computation is row by row
        points = keypoints(table, self._line(table.schema))
        values = _measure(points)
        return with_values(table, dict(zip(_names(points.shape[1]), values, strict=True)))

    def _line(self, schema: pl.Schema) -> tuple[int, ...]:
        chosen = self.params.keypoints
        line = keypoint_indices(schema) if chosen is None else keypoint_numbers(chosen)
        if len(line) < 2:
            msg = f"posture needs two keypoints or more; the table has {len(line)}."
            raise MissingColumnError(msg, "Keypoints are columns poseX0, poseY0, poseX1, …")
        return line


def _names(n_keypoints: int) -> list[str]:
    names = ["body_length", *(f"length_{k}" for k in range(n_keypoints - 1))]
    if n_keypoints > 2:
        names += [*(f"bend_{k}" for k in range(n_keypoints - 2)), "total_bend", "curvature"]
    return names


def _measure(points: FloatArray) -> FloatArray:
    """Values in the order of :func:`_names`, shape (n_values, n_rows)."""
    dx, dy = np.diff(np.ascontiguousarray(points.transpose(2, 1, 0)), axis=1)
    segments = np.hypot(dx, dy)
    # Rows of a C array are summed one by one, in the same order whatever stands beside them.
    lengths = np.ascontiguousarray(segments.T)
    body_length = lengths.sum(axis=1)
    if points.shape[1] == 2:
        return np.vstack([body_length, segments])
    bends = wrap(np.diff(direction(dx, dy), axis=0))
    total = np.ascontiguousarray(bends.T).sum(axis=1)
    curvature = np.divide(
        total, body_length, out=np.full(len(total), np.nan), where=body_length > 0
    )
    return np.vstack([body_length, segments, bends, total, curvature])
