"""Features that change coordinates of tracks in place: which ones, and the table they give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Self

import polars as pl
from pydantic import Field, field_validator

from mosaic_dagster.errors import MissingColumnError
from mosaic_dagster.features.kernels.arrays import FloatArray
from mosaic_dagster.features.kernels.keypoints import keypoint_columns, keypoint_indices
from mosaic_dagster.features.library.rows import keypoint_numbers, resolve_keypoint
from mosaic_dagster.features.output import key_first
from mosaic_dagster.features.params import DatasetFacts, NotIdentity, Params


class CoordinateParams(Params):
    """Which coordinates a feature works on.

    Attributes
    ----------
    include_centroid
        Whether X and Y are among them.
    keypoint_names
        Keypoints by number or by the dataset's name for them; None means all.
    fps
        Taken for uniformity and without effect: windows and gaps are counted in frames.
    """

    include_centroid: bool = True
    keypoint_names: tuple[Annotated[int, Field(ge=0)] | str, ...] | None = None
    fps: Annotated[float | None, Field(gt=0), NotIdentity("frames are the clock")] = None

    @field_validator("keypoint_names")
    @classmethod
    def _different(cls, chosen: tuple[int | str, ...] | None) -> tuple[int | str, ...] | None:
        if chosen is not None and (not chosen or len(set(chosen)) < len(chosen)):
            msg = "names no keypoint, or one twice"
            raise ValueError(msg)
        return chosen

    def resolve(self, facts: DatasetFacts) -> Self:
        """Turn names of keypoints into numbers."""
        resolved = super().resolve(facts)
        if resolved.keypoint_names is None:
            return resolved
        numbers = tuple(resolve_keypoint(name, facts) for name in resolved.keypoint_names)
        return type(self).from_overrides(resolved.model_dump() | {"keypoint_names": numbers})

    def chosen_keypoints(self, columns: Iterable[str]) -> tuple[int, ...]:
        """Numbers of the keypoints to work on."""
        if self.keypoint_names is None:
            return keypoint_indices(columns)
        return keypoint_numbers(self.keypoint_names)

    def needed_columns(self) -> tuple[str, ...]:
        """Columns that the parameters name, with frame and identity."""
        centre = ("X", "Y") if self.include_centroid else ()
        chosen = keypoint_numbers(self.keypoint_names or ())
        return ("frame", "id", *centre, *keypoint_columns(chosen))

    def chosen_columns(self, columns: Iterable[str], feature: str) -> list[str]:
        """Coordinate columns to work on, the centre first.

        Raises
        ------
        MissingColumnError
            There is none.
        """
        columns = list(columns)
        centre = ["X", "Y"] if self.include_centroid else []
        chosen = [*centre, *keypoint_columns(self.chosen_keypoints(columns))]
        if not chosen:
            msg = f"{feature} found no coordinate to work on; the table has {', '.join(columns)}."
            raise MissingColumnError(
                msg, "Keypoints are columns poseX0, poseY0, …; X, Y count too."
            )
        return chosen


def changed_schema(schema: pl.Schema, changed: Iterable[str]) -> pl.Schema:
    """Schema of what :func:`with_changed` gives."""
    types = dict(schema) | {name: pl.Float64() for name in changed}
    return pl.Schema({name: types[name] for name in key_first(schema)})


def with_changed(table: pl.DataFrame, changed: Mapping[str, FloatArray]) -> pl.DataFrame:
    """All columns of the table, some of them replaced; keys first and origin last."""
    replaced = [pl.Series(name, values) for name, values in changed.items()]
    return table.with_columns(replaced).select(key_first(table.columns))
