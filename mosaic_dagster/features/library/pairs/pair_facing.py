"""Who points at whom: angle between a body and the direction to another one."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field, model_validator

from mosaic_dagster.features.kernels.angles import direction
from mosaic_dagster.features.kernels.arrays import FloatArray
from mosaic_dagster.features.kernels.frame_pairs import Pairs, blocks, ordered_pairs
from mosaic_dagster.features.library.pairs._frame_rows import BLOCK, by_frame, pair_schema
from mosaic_dagster.features.library.rows import keypoint_numbers, resolve_keypoint
from mosaic_dagster.features.params import DatasetFacts, Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register

_VALUES = ("body_angle_deg", "bearing_deg", "angle_diff_deg", "distance")


class PairFacingParams(Params):
    """Parameters of :class:`PairFacing`.

    Attributes
    ----------
    angle_thresh_deg
        An individual faces another one below this angle, degrees.
    dist_thresh
        And below this distance: cm with ``cm_per_pixel``, else the unit of the tracks.
    cm_per_pixel
        Factor for distances; None leaves them as they are.
    pose_head_index, pose_abdomen_index
        Keypoints by number or by the dataset's name for them.
    body_axis_from
        The end at which the body axis begins. With ``head_to_abdomen`` facing means that the
        *abdomen* points at the other; ``abdomen_to_head`` is the line of sight.
    x_prefix, y_prefix
        Columns of keypoint k are ``<x_prefix>k`` and ``<y_prefix>k``.
    """

    angle_thresh_deg: float = Field(default=45.0, ge=0, le=180)
    dist_thresh: float = Field(default=3.0, gt=0)
    cm_per_pixel: float | None = Field(default=None, gt=0)
    pose_head_index: int | str = 3
    pose_abdomen_index: int | str = 5
    body_axis_from: Literal["head_to_abdomen", "abdomen_to_head"] = "head_to_abdomen"
    x_prefix: str = "poseX"
    y_prefix: str = "poseY"

    @model_validator(mode="after")
    def _two_ends(self) -> Self:
        if self.pose_head_index == self.pose_abdomen_index:
            msg = f"pose_head_index and pose_abdomen_index are both {self.pose_head_index!r}"
            raise ValueError(msg)
        return self

    def resolve(self, facts: DatasetFacts) -> Self:
        """Turn names of keypoints into numbers."""
        resolved = super().resolve(facts)
        ends = {
            name: resolve_keypoint(getattr(resolved, name), facts)
            for name in ("pose_head_index", "pose_abdomen_index")
        }
        return type(self).from_overrides(resolved.model_dump() | ends)


@register
class PairFacing(Feature[PairFacingParams]):
    """Angle between the body axis of one individual and its bearing to another, both orders.

    Columns per frame and ordered pair: ``focal_id`` and ``target_id`` (the same as id1 and id2),
    ``body_angle_deg`` (direction of the focal body axis), ``bearing_deg`` (direction from the focal
    head to the target's head), both degrees in [-180, 180] from +x towards +y; ``angle_diff_deg``
    (their difference, 0 to 180), ``distance`` (head to head) and ``is_facing`` (angle and distance
    both below their thresholds).

    Notes
    -----
    Every two individuals with a row in the frame give two rows, in the order of frame, id1, id2;
    ``time`` is the focal one's. A missing keypoint, a body without length or heads at one place
    give NaN angles, and what is NaN is never facing. By default the body axis points backwards,
    see ``body_axis_from``.
    """

    name = "pair-facing"
    version = "1.0"
    Params = PairFacingParams

    def input_columns(self) -> tuple[str, ...]:
        """Frame, identity, head and abdomen."""
        return ("frame", "id", *self._columns())

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """Keys of the pair, angles, distance and verdict."""
        values: dict[str, pl.DataType] = {"focal_id": schema["id"], "target_id": schema["id"]}
        values |= {name: pl.Float64() for name in _VALUES}
        return pair_schema(schema, values | {"is_facing": pl.Boolean()}, perspective=True)

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Compare all pairs of one recording."""
        self.check_columns(table.schema)
        rows = by_frame(table)
        head_x, head_y, abdomen_x, abdomen_y = (rows.sort(column) for column in self._columns())
        dx, dy = abdomen_x - head_x, abdomen_y - head_y
        backwards = self.params.body_axis_from == "head_to_abdomen"
        body = np.degrees(direction(dx, dy) if backwards else direction(-dx, -dy))
        pairs = ordered_pairs(rows.frames)
        values = np.empty((len(_VALUES), len(pairs[0])))
        for block in blocks(len(pairs[0]), BLOCK):
            within = (pairs[0][block], pairs[1][block])
            self._compare(body, head_x, head_y, within, values[:, block])
        columns: dict[str, npt.NDArray[Any] | pl.Series] = {
            name: rows.ids(end) for name, end in zip(("focal_id", "target_id"), pairs, strict=True)
        }
        columns |= dict(zip(_VALUES, values, strict=True))
        near = values[3] < self.params.dist_thresh
        columns["is_facing"] = (values[2] < self.params.angle_thresh_deg) & near
        return rows.pair_table(pairs, columns, perspective=True)

    def _columns(self) -> list[str]:
        ends = keypoint_numbers((self.params.pose_head_index, self.params.pose_abdomen_index))
        prefixes = (self.params.x_prefix, self.params.y_prefix)
        return [f"{prefix}{k}" for k in ends for prefix in prefixes]

    def _compare(
        self, body: FloatArray, x: FloatArray, y: FloatArray, pairs: Pairs, out: FloatArray
    ) -> None:
        """Fill the rows of ``out``, shape (4, n_pairs)."""
        focal, target = pairs
        dx, dy = x[target] - x[focal], y[target] - y[focal]
        out[0] = body[focal]
        out[1] = np.degrees(direction(dx, dy))
        out[2] = np.abs((out[1] - out[0] + 180.0) % 360.0 - 180.0)
        out[3] = np.hypot(dx, dy) * (self.params.cm_per_pixel or 1.0)
