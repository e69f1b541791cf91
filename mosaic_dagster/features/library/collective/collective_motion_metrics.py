"""Order, shape and motion of the group in each frame."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field, model_validator

from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray
from mosaic_dagster.features.kernels.derivatives import step_difference
from mosaic_dagster.features.kernels.group_motion import (
    centroid_motion,
    group_shape,
    group_state,
    heading_order,
)
from mosaic_dagster.features.kernels.hulls import alpha_area, hull_area
from mosaic_dagster.features.kernels.scenes import (
    divide,
    from_centroid,
    scene_count,
    scene_mean,
)
from mosaic_dagster.features.library.collective._scene import (
    SceneParams,
    Scenes,
    Steps,
    check_ids,
    find_scenes,
    find_steps,
    unit_headings,
)
from mosaic_dagster.features.library.rows import RowOrder, find_fps, numbers, order_rows
from mosaic_dagster.features.output import ORIGIN_COLUMNS, values_schema, with_values
from mosaic_dagster.features.params import FromDataset
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register

_COUNTS = ("n_ids", "n_ids_heading", "n_at_centroid", "n_centroid_common", "alpha_n_triangles")
_TEXTS = ("heading_source", "state")
_ALWAYS = (
    "n_ids",
    "n_ids_heading",
    "heading_source",
    "centroid_x",
    "centroid_y",
    "polarization",
    "mean_heading",
    "rotation_signed",
    "rotation",
    "n_at_centroid",
    "state",
    "centroid_speed",
    "centroid_heading",
    "n_centroid_common",
    "group_angvel",
    "sd_major",
    "sd_minor",
    "elongation",
    "principal_axis_angle",
)
_OF_HEADINGS = ("polarization", "mean_heading", "rotation_signed", "rotation")
_BY_PARAMETER = ("area", "alpha_n_triangles", "density", "mean_speed")


class CollectiveMotionMetricsParams(SceneParams):
    """Parameters of :class:`CollectiveMotionMetrics`; see also :class:`SceneParams`.

    Attributes
    ----------
    area_method
        ``convex_hull``, ``alpha_shape`` (the Delaunay triangles with a circumradius below
        ``alpha``) or ``none``.
    alpha
        Radius for ``alpha_shape``, in the unit of the tracks.
    min_individuals
        With fewer animals (for order: with fewer headings) values are NaN.
    fps
        Frames per second for tables that do not say it.
    max_frame_gap
        Longest step in frames over which an individual's displacement counts; None for any.
    min_group_speed
        At this speed of the centroid or below it has no heading.
    speed_col
        Column to average as ``mean_speed``.
    """

    area_method: Literal["convex_hull", "alpha_shape", "none"] = "convex_hull"
    alpha: float | None = Field(default=None, gt=0)
    min_individuals: int = Field(default=3, ge=1)
    fps: Annotated[float | None, Field(gt=0), FromDataset("fps")] = None
    max_frame_gap: int | None = Field(default=None, ge=1)
    min_group_speed: float = Field(default=0.0, ge=0)
    speed_col: str | None = Field(default=None, min_length=1)

    @classmethod
    def emitted_names(cls) -> frozenset[str]:
        """Every value column that some parameters make."""
        return frozenset((*_ALWAYS, *_BY_PARAMETER))

    @model_validator(mode="after")
    def _alpha_where_needed(self) -> Self:
        if self.area_method == "alpha_shape" and self.alpha is None:
            msg = "alpha is needed for area_method 'alpha_shape'"
            raise ValueError(msg)
        return self

    def value_names(self) -> list[str]:
        """The value columns that these parameters make, in order."""
        names = list(_ALWAYS)
        if self.area_method != "none":
            triangles = ["alpha_n_triangles"] if self.area_method == "alpha_shape" else []
            names += ["area", *triangles, "density"]
        return [*names, *(["mean_speed"] if self.speed_col is not None else [])]


@register
class CollectiveMotionMetrics(Feature[CollectiveMotionMetricsParams]):
    """How a group is ordered, spread and moving, one row per frame (and subgroup).

    Unit headings u, offsets r from the centroid of the positions, e = ``r / |r|``, velocities v,
    sums over the n animals of a row (n_h with a heading); a × b = ax by - ay bx. Columns:

    - ``n_ids`` (finite positions), ``n_ids_heading``, ``heading_source``;
      ``centroid_x``, ``centroid_y``;
    - ``polarization`` = ``|sum u| / n_h``; ``mean_heading`` of sum u (rad); ``rotation_signed`` =
      sum(e × u) / n_h and ``rotation``, its size; ``n_at_centroid`` animals have no e;
    - ``state``: Polarized, Milling, Swarm, Transitional or Undefined, by 0.35 and 0.65;
    - ``centroid_speed``, ``centroid_heading`` of the mean v; ``n_centroid_common``: animals with a
      v; ``group_angvel`` = mean of (r × (v - mean v)) / r² (rad per unit of time);
    - ``sd_major``, ``sd_minor``, ``elongation``, ``principal_axis_angle`` (an axis, rad);
    - ``area``, ``alpha_n_triangles``, ``density`` = n_ids / area, ``mean_speed``.

    Notes
    -----
    v is the displacement since the individual's previous row, where both positions are finite,
    the step is at most ``max_frame_gap`` and the subgroup is the same, divided by the frame
    difference / fps, else by the difference of ``time``, else by the frame difference. Headings by
    ``velocity`` are directions of displacements (over at most ``max_frame_gap`` too). An animal
    without a finite position counts for nothing. Fewer than ``min_individuals``: values NaN
    (counts stay). Elongation is inf on a line. The hull has no area (NaN) for points on a line;
    density is NaN unless the area is above 0. Alpha shapes call a triangulation frame by frame.
    Rows are sorted by frame, then subgroup; a frame without a row that is used has none.
    """

    name = "collective-motion-metrics"
    version = "1.0"
    category = "summary"
    Params = CollectiveMotionMetricsParams

    def input_columns(self) -> tuple[str, ...]:
        """Frame, identity, position and what the parameters name."""
        speed = [self.params.speed_col] if self.params.speed_col is not None else []
        return (*self.params.needed_columns(), *speed)

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """Columns by the parameters."""
        types: dict[str, pl.DataType] = {}
        if self.params.subgroup_col is not None:
            types[self.params.subgroup_col] = schema[self.params.subgroup_col]
        for name in self.params.value_names():
            types[name] = pl.Int64() if name in _COUNTS else pl.Float64()
            if name in _TEXTS:
                types[name] = pl.String()
        kept = {c: schema[c] for c in ("frame", "time", *ORIGIN_COLUMNS) if c in schema}
        return values_schema(pl.Schema(kept), types)

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Compute the columns for one recording."""
        self.check_columns(table.schema)
        schema = self.output_schema(table.schema)
        check_ids(table)
        order_rows(table)  # refuses repeated rows, also among those that are taken out
        table = self.params.used_rows(table)
        scenes = find_scenes(table, self.params.subgroup_col)
        if not len(scenes):
            return pl.DataFrame(schema=schema)
        values = self._measure(table, scenes)
        heads = table[scenes.heads]
        made: dict[str, npt.NDArray[Any] | pl.Series] = {}
        if self.params.subgroup_col is not None:
            made[self.params.subgroup_col] = heads[self.params.subgroup_col]
        made |= {name: values[name] for name in self.params.value_names()}
        return with_values(heads.select(c for c in heads.columns if c in _ROW_KEYS), made)

    def _measure(self, table: pl.DataFrame, scenes: Scenes) -> dict[str, npt.NDArray[Any]]:
        params, n = self.params, len(scenes)
        by_id = order_rows(table)
        steps = find_steps(table, by_id, params.max_frame_gap)
        kind = params.heading_kind(table.schema)
        x, y = numbers(table, "X"), numbers(table, "Y")
        rows, scene = scenes.present(np.isfinite(x) & np.isfinite(y))
        headings = _take(unit_headings(table, steps, kind), rows)
        velocity = _take(self._velocity(table, by_id, steps), rows)
        x, y = x[rows], y[rows]
        offsets = from_centroid(x, y, scene, n)
        values: dict[str, npt.NDArray[Any]] = {
            "n_ids": np.bincount(scene, minlength=n),
            "n_ids_heading": scene_count(~np.isnan(headings[0]), scene, n),
            "heading_source": np.full(n, kind),
            "n_at_centroid": scene_count(offsets[2] == 0, scene, n),
            "n_centroid_common": scene_count(~np.isnan(velocity[0]), scene, n),
            "centroid_x": scene_mean(x, scene, n),
            "centroid_y": scene_mean(y, scene, n),
        }
        values |= heading_order(offsets, headings, scene, n)
        values |= centroid_motion(offsets, velocity, scene, n, params.min_group_speed)
        values |= group_shape(offsets, scene, n)
        values |= self._areas(x, y, scene, values["n_ids"])
        if params.speed_col is not None:
            values["mean_speed"] = scene_mean(numbers(table, params.speed_col)[rows], scene, n)
        return self._hide_few(values)

    def _hide_few(self, values: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """NaN where there are too few animals or headings; then the state."""
        few = values["n_ids"] < self.params.min_individuals
        few_headings = values["n_ids_heading"] < self.params.min_individuals
        for name, value in values.items():
            if name not in _COUNTS and name not in _TEXTS:
                value[few_headings if name in _OF_HEADINGS else few] = np.nan
        values["state"] = group_state(values["rotation"], values["polarization"])
        return values

    def _velocity(
        self, table: pl.DataFrame, by_id: RowOrder, steps: Steps
    ) -> tuple[FloatArray, FloatArray]:
        """Velocity of each row within its subgroup, in the order of the table."""
        fps = find_fps(table, self.params.fps)
        if fps is not None:
            clock = by_id.frames / fps
        elif "time" in table.columns:
            clock = by_id.sort(table, "time")
        else:
            clock = by_id.frames.astype(np.float64)
        dt = step_difference(clock, by_id.identity)
        dt[~(dt > 0)] = np.nan
        if self.params.subgroup_col is not None:
            dt[_changes(table[self.params.subgroup_col], by_id)] = np.nan
        dt = by_id.restore(dt)
        return steps.dx / dt, steps.dy / dt

    def _areas(
        self, x: FloatArray, y: FloatArray, scene: IntArray, n_ids: IntArray
    ) -> dict[str, npt.NDArray[Any]]:
        params, n = self.params, len(n_ids)
        if params.area_method == "none":
            return {}
        areas: dict[str, npt.NDArray[Any]] = {}
        if params.area_method == "alpha_shape":
            alpha = params.alpha or np.nan
            areas["area"], areas["alpha_n_triangles"] = alpha_area(x, y, scene, n, alpha)
        else:
            areas["area"] = hull_area(x, y, scene, n)
        return areas | {"density": divide(n_ids, areas["area"])}


_ROW_KEYS = ("frame", "time", *ORIGIN_COLUMNS)


def _take(vectors: tuple[FloatArray, FloatArray], rows: IntArray) -> tuple[FloatArray, FloatArray]:
    return vectors[0][rows], vectors[1][rows]


def _changes(subgroup: pl.Series, by_id: RowOrder) -> BoolArray:
    """Whether the subgroup differs from the row before, rows sorted by identity."""
    number = subgroup[by_id.order].rle_id().cast(pl.Int64).to_numpy()
    return np.asarray(np.diff(number, prepend=number[:1]) != 0)
