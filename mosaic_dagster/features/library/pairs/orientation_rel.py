"""How the body of one individual lies in the frame of another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field, field_validator

from mosaic_dagster.errors import FeatureError, MissingColumnError
from mosaic_dagster.features.kernels.arrays import FloatArray
from mosaic_dagster.features.kernels.frame_pairs import blocks, ordered_pairs
from mosaic_dagster.features.kernels.keypoints import keypoint_indices, pairwise_distances
from mosaic_dagster.features.kernels.relative_pose import Bodies, relative_pose, sorted_quantile
from mosaic_dagster.features.library.pairs._frame_rows import BLOCK, by_frame, pair_schema
from mosaic_dagster.features.library.rows import numbers
from mosaic_dagster.features.params import Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.references import Result, StepRef
from mosaic_dagster.features.registry import register
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.content.codecs import read_table


class OrientationRelParams(Params):
    """Parameters of :class:`OrientationRel`.

    Attributes
    ----------
    scale
        The tables of a body-scale step; lengths are divided by the mean of the recording's own.
        None: by the median distance between the focal one's own keypoints in the frame.
    nearest_k
        How many of the other's keypoints are listed by distance.
    quantiles
        Quantiles of the distances, 0 to 1.
    """

    scale: StepRef | Result | None = None
    nearest_k: int = Field(default=3, ge=0)
    quantiles: tuple[float, ...] = (0.25, 0.5, 0.75)

    @field_validator("quantiles")
    @classmethod
    def _distinct(cls, quantiles: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 <= q <= 1 for q in quantiles):
            msg = "holds a number that is not between 0 and 1"
            raise ValueError(msg)
        if len({round(100 * q) for q in quantiles}) < len(quantiles):
            msg = "holds two numbers of the same percentage, which would be one column"
            raise ValueError(msg)
        return quantiles

    def value_names(self) -> list[str]:
        """Names of the columns of numbers."""
        spread = ("min", "median", "max")
        return [
            *("dx", "dy", "dtheta"),
            *(f"dist_{name}" for name in spread),
            *(f"dist_q{round(100 * q)}" for q in self.quantiles),
            *(f"{axis}_{name}" for axis in "xy" for name in spread),
            *(f"near_{k}" for k in range(self.nearest_k)),
        ]


@register
class OrientationRel(Feature[OrientationRelParams]):
    """Keypoints of each other individual in the body frame of the focal one, in body lengths.

    Per frame and ordered pair, id1 focal: ``dx``, ``dy`` (centroid of the other), ``dtheta``
    (its heading minus the focal one's, rad in [-pi, pi)), ``dist_min``, ``dist_median``,
    ``dist_max`` and ``dist_q<percent>`` (distances of its keypoints from the focal centroid),
    ``x_min`` … ``y_max`` (their coordinates), ``near_0``, ``near_1``, … (the smallest distances,
    ascending, NaN where there are fewer), ``scale_source`` (``entry``: the body-scale step;
    ``local``: the focal one's own keypoints).

    Notes
    -----
    A keypoint p becomes R(-ANGLE) (p - c) / s, where c is the mean of the focal one's finite
    keypoints and s the scale: x ahead, y along (-sin, cos) of the heading. Missing keypoints are
    left out. All but ``dtheta`` is NaN where the focal heading is missing, either has fewer than
    two finite keypoints, or the scale is 0; ``dtheta`` is NaN where a heading is missing. Quantiles
    are linear between neighbours. A recording whose body-scale table has no value falls back to
    the local scale. Rows are in the order of frame, id1, id2.
    """

    name = "orientation-rel"
    version = "1.0"
    Params = OrientationRelParams

    _scales: Mapping[EntryKey, Path] = MappingProxyType({})

    def load_state(
        self,
        folder: Path | None,
        artifacts: Mapping[str, Path],
        lookups: Mapping[str, Mapping[EntryKey, Path]],
    ) -> bool:
        """Keep where the scale of each recording is."""
        del folder, artifacts
        self._scales = dict(lookups.get("scale", {}))
        return True

    def input_columns(self) -> tuple[str, ...]:
        """Frame, identity and heading; at least two keypoints."""
        return ("frame", "id", "ANGLE")

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """Keys of the pair, numbers, and where the scale is from."""
        values: dict[str, pl.DataType] = dict.fromkeys(self.params.value_names(), pl.Float64())
        return pair_schema(schema, values | {"scale_source": pl.String()}, perspective=True)

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Compare all pairs of one recording."""
        self.check_columns(table.schema)
        n_keypoints = len(keypoint_indices(table.columns))
        if n_keypoints < 2:
            msg = f"orientation-rel needs two keypoints or more; the table has {n_keypoints}."
            raise MissingColumnError(msg, "Keypoints are columns poseX0, poseY0, poseX1, …")
        rows = by_frame(table)
        scale = self._scale(table)
        points = rows.keypoints()
        bodies = Bodies.of(
            points, rows.sort("ANGLE"), _local_scale(points) if scale is None else scale
        )
        names = self.params.value_names()
        pairs = ordered_pairs(rows.frames)
        values = np.empty((len(names), len(pairs[0])))
        for block in blocks(len(pairs[0]), max(1, BLOCK // n_keypoints)):
            within = (pairs[0][block], pairs[1][block])
            part = values[:, block]
            relative_pose(bodies, within, self.params.quantiles, self.params.nearest_k, part)
        source = pl.repeat("local" if scale is None else "entry", values.shape[1], eager=True)
        columns: dict[str, npt.NDArray[Any] | pl.Series] = dict(zip(names, values, strict=True))
        return rows.pair_table(pairs, columns | {"scale_source": source}, perspective=True)

    def _scale(self, table: pl.DataFrame) -> float | None:
        """Mean scale of the recording; None asks for the local one."""
        reference = self.params.scale
        if reference is None or not table.height:
            return None
        if not {"group", "sequence"} <= set(table.columns):
            msg = "orientation-rel looks up the scale by group and sequence, which its input lacks."
            raise MissingColumnError(msg, "Add both columns, or leave the parameter scale out.")
        entry = EntryKey(table["group"][0], table["sequence"][0])
        if entry not in self._scales:
            msg = f"orientation-rel has no scale for the recording {entry}."
            raise FeatureError(msg, "Compute the body-scale step for it first.")
        column = getattr(reference, "column", None) or "scale"
        known = numbers(read_table(self._scales[entry]), column)
        known = known[np.isfinite(known)]
        return float(known.mean()) if len(known) else None


def _local_scale(points: FloatArray) -> FloatArray:
    """Median distance between the finite keypoints of each row, shape (n_rows,)."""
    distances = np.sort(pairwise_distances(points), axis=1)
    return sorted_quantile(distances, np.isfinite(distances).sum(axis=1), 0.5)
