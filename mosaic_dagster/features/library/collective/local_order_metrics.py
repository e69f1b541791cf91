"""Order and rotation around each animal of a group."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field, model_validator

from mosaic_dagster.errors import FeatureError
from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray
from mosaic_dagster.features.kernels.local_order import (
    disc_sums,
    outer_radius,
    shell_index,
    shell_means,
)
from mosaic_dagster.features.kernels.scenes import divide, from_centroid
from mosaic_dagster.features.library.collective._scene import (
    SceneParams,
    check_ids,
    find_scenes,
    find_steps,
    unit_headings,
)
from mosaic_dagster.features.library.rows import numbers, order_rows
from mosaic_dagster.features.output import values_schema, with_values
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.references import Result, StepRef
from mosaic_dagster.features.registry import register
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.content.codecs import read_table

_COUNTS = ("n_local_neighbors", "n_local_headings", "shell_index", "shell_n")
_VALUES = (
    "n_local_neighbors",
    "n_local_headings",
    "local_heading_x",
    "local_heading_y",
    "local_polarization",
    "dist_to_group_center",
    "radial_rotation_self",
    "local_rotation",
    "group_outer_radius",
    "shell_index",
    "shell_n",
    "shell_radial_rotation",
)


class LocalOrderMetricsParams(SceneParams):
    """Parameters of :class:`LocalOrderMetrics`; see also :class:`SceneParams`.

    Attributes
    ----------
    radius
        Animals at this distance or closer are near, in ``radius_units``.
    radius_units
        ``position`` is the unit of the tracks; ``body_scale`` multiplies the radius by the mean
        body scale of the recording.
    body_scale
        The step that makes the tables of body-scale, such as ``StepRef("scale")``.
    n_shells
        Number of shells of equal width between the centre and the outer radius.
    n_peripheral
        How many of the outermost animals give the outer radius.
    min_neighbors
        Local values need this many other near animals with a heading.
    """

    radius: float = Field(gt=0, allow_inf_nan=False)
    radius_units: Literal["position", "body_scale"] = "position"
    body_scale: StepRef | Result | None = None
    n_shells: int = Field(default=6, ge=1)
    n_peripheral: int = Field(default=5, ge=1)
    min_neighbors: int = Field(default=1, ge=0)

    @classmethod
    def emitted_names(cls) -> frozenset[str]:
        """Every value column."""
        return frozenset(_VALUES)

    @model_validator(mode="after")
    def _scale_where_needed(self) -> Self:
        if (self.body_scale is None) == (self.radius_units == "body_scale"):
            msg = "body_scale is given if and only if radius_units is 'body_scale'"
            raise ValueError(msg)
        if isinstance(self.body_scale, StepRef) and self.body_scale.artifact is not None:
            msg = "body_scale refers to a step's tables, not to a file of its state"
            raise ValueError(msg)
        return self


@register
class LocalOrderMetrics(Feature[LocalOrderMetricsParams]):
    """How the animals near each animal are ordered, and how its group turns at its distance.

    The disc of an animal holds the animals of its frame (and subgroup) within the radius, itself
    among them. Unit headings u; unit vectors e from the group's centre (the mean position) to the
    animal; a × b = ax by - ay bx. Columns:

    - ``n_local_neighbors``: others in the disc; ``n_local_headings``: those of them with a heading;
    - ``local_heading_x``, ``local_heading_y``: mean u over the disc; ``local_polarization``: its
      length, 0 to 1;
    - ``dist_to_group_center``: in the unit of the tracks; ``radial_rotation_self``: e × u;
      ``local_rotation``: its mean over the disc;
    - ``group_outer_radius``: median of the ``n_peripheral`` largest distances from the centre;
    - ``shell_index``: min(floor(distance / (outer radius / n_shells)), n_shells - 1); ``shell_n``:
      animals in that shell; ``shell_radial_rotation``: mean e × u in it.

    Notes
    -----
    An animal without a finite position is nobody's neighbour. It, and an animal in no subgroup,
    has counts -1 and values NaN. Means are over the known values. Fewer than ``min_neighbors``
    other headings: the four ``local_`` values are NaN. At the centre e is undefined (NaN); with an
    outer radius of 0 there are no shells (-1 and NaN). ``velocity`` headings are
    displacements from the individual's previous row. Rows keep their order; rows that a condition
    takes out are not in the result.
    """

    name = "local-order-metrics"
    version = "1.0"
    Params = LocalOrderMetricsParams

    _scales: Mapping[EntryKey, Path]

    def input_columns(self) -> tuple[str, ...]:
        """Frame, identity, position and what the parameters name."""
        needed = self.params.needed_columns()
        origin = ("group", "sequence") if self.params.body_scale is not None else ()
        return (*needed, *origin)

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """The same columns always."""
        types = {n: pl.Int64() if n in _COUNTS else pl.Float64() for n in _VALUES}
        return values_schema(schema, types)

    def load_state(
        self,
        folder: Path | None,
        artifacts: Mapping[str, Path],
        lookups: Mapping[str, Mapping[EntryKey, Path]],
    ) -> bool:
        """Keep where the body scales are."""
        self._scales = dict(lookups.get("body_scale", {}))
        return super().load_state(folder, artifacts, lookups)

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Compute the columns for one recording."""
        self.check_columns(table.schema)
        check_ids(table)
        order_rows(table)  # refuses repeated rows, also among those that are taken out
        table = self.params.used_rows(table)
        if not table.height:
            return pl.DataFrame(schema=self.output_schema(table.schema))
        values = self._measure(table, self._radius(table))
        return with_values(table, {name: values[name] for name in _VALUES})

    def _measure(self, table: pl.DataFrame, radius: float) -> dict[str, npt.NDArray[Any]]:
        params = self.params
        steps = find_steps(table, order_rows(table))
        headings = unit_headings(table, steps, params.heading_kind(table.schema))
        x, y = numbers(table, "X"), numbers(table, "Y")
        scenes = find_scenes(table, params.subgroup_col)
        rows, scene = scenes.present(np.isfinite(x) & np.isfinite(y))
        positions, units = (x[rows], y[rows]), (headings[0][rows], headings[1][rows])
        rx, ry, distance = from_centroid(*positions, scene, len(scenes))
        spin = divide(rx * units[1] - ry * units[0], distance)
        values: dict[str, npt.NDArray[Any]] = {}
        values |= {"dist_to_group_center": distance, "radial_rotation_self": spin}
        discs = disc_sums(positions, units, spin, scene, len(scenes), radius)
        others = discs.n_headings - np.isfinite(units[0])
        hidden = others < params.min_neighbors
        mean_x = divide(discs.heading_x, discs.n_headings)
        mean_y = divide(discs.heading_y, discs.n_headings)
        local = {
            "local_heading_x": mean_x,
            "local_heading_y": mean_y,
            "local_polarization": np.hypot(mean_x, mean_y),
            "local_rotation": divide(discs.spin, discs.n_spins),
        }
        values |= {name: np.where(hidden, np.nan, value) for name, value in local.items()}
        values |= {"n_local_neighbors": discs.n_animals - 1, "n_local_headings": others}
        values |= self._shells(distance, spin, scene, len(scenes))
        return {name: _spread(name, value, rows, table.height) for name, value in values.items()}

    def _shells(
        self, distance: FloatArray, spin: FloatArray, scene: IntArray, n_scenes: int
    ) -> dict[str, npt.NDArray[Any]]:
        n_shells = self.params.n_shells
        outer = outer_radius(distance, scene, n_scenes, self.params.n_peripheral)[scene]
        shell = shell_index(distance, outer, n_shells)
        count, rotation = shell_means(spin, shell, scene, n_scenes, n_shells)
        return {
            "group_outer_radius": outer,
            "shell_index": shell,
            "shell_n": count,
            "shell_radial_rotation": rotation,
        }

    def _radius(self, table: pl.DataFrame) -> float:
        """The radius in the unit of the tracks."""
        if self.params.body_scale is None:
            return self.params.radius
        entry = EntryKey(table["group"][0] or "", table["sequence"][0])
        path = getattr(self, "_scales", {}).get(entry)
        if path is None:
            msg = f"local-order-metrics has no body scales for the recording {entry}."
            raise FeatureError(msg, "Run body-scale for it, or set radius_units to 'position'.")
        scales = numbers(read_table(path), "scale")
        if not np.isfinite(scales).any():
            msg = f"The body scales of the recording {entry} hold no finite value."
            raise FeatureError(msg, "Check its keypoints, or set radius_units to 'position'.")
        return self.params.radius * float(np.nanmean(scales))


def _spread(name: str, values: npt.NDArray[Any], rows: IntArray, n_rows: int) -> npt.NDArray[Any]:
    """Values of some rows among all rows; the others are -1 or NaN."""
    if name in _COUNTS:
        spread: npt.NDArray[Any] = np.full(n_rows, -1, dtype=np.int64)
    else:
        spread = np.full(n_rows, np.nan)
    spread[rows] = values
    return spread
