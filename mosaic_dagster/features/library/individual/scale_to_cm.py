"""Lengths in centimetres."""

from __future__ import annotations

import re
from typing import Annotated, Self

import polars as pl
from pydantic import Field, field_validator

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features.library.rows import numbers
from mosaic_dagster.features.output import META_COLUMNS, values_schema, with_values
from mosaic_dagster.features.params import DatasetFacts, FromDataset, Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register

_BASES = frozenset(
    {"X", "Y", "SPEED", "VX", "VY", "AX", "AY", "speed", "vx", "vy"}
    | {"nn_dist", "distance", "AB_dist", "AB_dx_egoA", "AB_dy_egoA"}
    | {"speed_smooth", "speed_step"}
)
_LENGTH = re.compile(r"(poseX|poseY|bbox_|midline_|nn_delta_).*|.*(_v_para|_v_perp|_speed)")
_PIXELS = ("px", "pixel", "pixels")
_ANGLE = re.compile(r"nn_delta_angle.*|.*_ang_speed")
_CONFIDENCE = re.compile(r"poseP\d+")


class ScaleToCmParams(Params):
    """Parameters of :class:`ScaleToCm`.

    Attributes
    ----------
    cm_per_pixel
        Centimetres per unit of the tracks; None takes the dataset's calibration.
    suffix
        Added to the name of a scaled column.
    columns
        Columns to scale; None takes all that are lengths by their names.
    """

    cm_per_pixel: Annotated[
        float | None, Field(gt=0, allow_inf_nan=False), FromDataset("cm_per_pixel")
    ] = None
    suffix: str = "_cm"
    columns: tuple[str, ...] | None = None

    @field_validator("columns")
    @classmethod
    def _lengths(cls, columns: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if columns is None:
            return None
        if not columns or len(set(columns)) < len(columns):
            msg = "names no column, or one twice"
            raise ValueError(msg)
        for column in columns:
            if column in META_COLUMNS or _CONFIDENCE.fullmatch(column):
                msg = f"{column!r} is a key or a confidence, not a length"
                raise ValueError(msg)
        return columns

    def resolve(self, facts: DatasetFacts) -> Self:
        """Take the calibration of the dataset where none is given.

        Raises
        ------
        ParamsError
            The dataset is not in pixels, or its calibration is not above 0.
        """
        if facts.unit is not None and facts.unit.lower() not in _PIXELS:
            msg = f"scale-to-cm is for tracks in pixels; those of the dataset are in {facts.unit}."
            raise ParamsError(msg, "Leave the step out, or correct the unit in the manifest.")
        resolved = super().resolve(facts)
        return type(self).from_overrides(resolved.model_dump())


@register
class ScaleToCm(Feature[ScaleToCmParams]):
    """Lengths of the input times ``cm_per_pixel``, under their name and the suffix (float64).

    Columns taken for lengths, if numeric: X, Y, SPEED, VX, VY, AX, AY, speed, vx, vy, nn_dist,
    distance and AB_dist, also followed by ``#…``; ``poseX…``, ``poseY…``, ``bbox_…``,
    ``midline_…``; ``nn_delta_…`` but for the angle; ``…_v_para``, ``…_v_perp``, ``…_speed``.
    Name others in ``columns``.

    Notes
    -----
    Speeds become cm per unit of their time, accelerations likewise. NaN stays NaN, infinities
    become NaN. Columns that end with the suffix already are left out. Each row is scaled by
    itself; rows keep the order of the input.
    """

    name = "scale-to-cm"
    version = "1.0"
    Params = ScaleToCmParams

    def input_columns(self) -> tuple[str, ...]:
        """The columns that are named."""
        return self.params.columns or ()

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """The key columns and the scaled ones."""
        names = self._columns(schema)
        return values_schema(schema, {f"{n}{self.params.suffix}": pl.Float64() for n in names})

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Scale one recording."""
        self.check_columns(table.schema)
        names = self._columns(table.schema)
        scale = self.params.cm_per_pixel
        if scale is None:
            msg = "scale-to-cm needs cm_per_pixel, and neither parameters nor dataset have it."
            raise FeatureError(msg, "Set cm_per_pixel in the parameters or in the manifest.")
        scaled = {f"{name}{self.params.suffix}": numbers(table, name) * scale for name in names}
        return with_values(table, scaled)

    def _columns(self, schema: pl.Schema) -> list[str]:
        if self.params.columns is None:
            names = [n for n, t in schema.items() if t.is_numeric() and self._is_length(n)]
            if not names:
                msg = f"scale-to-cm found no length among the columns {', '.join(schema)}."
                raise MissingColumnError(msg, "Name the columns to scale in columns.")
            return names
        self.check_columns(schema)
        for name in self.params.columns:
            if not schema[name].is_numeric():
                msg = f"scale-to-cm cannot scale the column {name!r} of type {schema[name]}."
                raise ParamsError(msg, "Name numeric columns only.")
        return list(self.params.columns)

    def _is_length(self, name: str) -> bool:
        if self.params.suffix and name.endswith(self.params.suffix):
            return False
        known = name.partition("#")[0] in _BASES or _LENGTH.fullmatch(name) is not None
        return known and not _ANGLE.fullmatch(name)
