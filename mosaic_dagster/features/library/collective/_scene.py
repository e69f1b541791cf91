"""What the features of a group read from a table: which rows, who belongs together, headings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import polars as pl
from pydantic import Field, field_validator, model_validator

from mosaic_dagster.errors import FeatureError, MissingColumnError
from mosaic_dagster.features.expressions import FilterExpression, compile_filter, filter_columns
from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray
from mosaic_dagster.features.kernels.derivatives import step_difference
from mosaic_dagster.features.kernels.scenes import divide
from mosaic_dagster.features.library.rows import RowOrder, numbers
from mosaic_dagster.features.output import META_COLUMNS
from mosaic_dagster.features.params import Params


class SceneParams(Params):
    """Parameters of features that look at all animals of a frame together.

    Attributes
    ----------
    heading_source
        ``orientation`` takes ANGLE; ``velocity`` the direction from the individual's previous row;
        ``auto`` takes ANGLE where the table has it.
    subgroup_col
        Column that divides the animals of a frame; each subgroup is looked at by itself. Rows
        whose subgroup is missing or below 0 belong to none.
    filter_expr
        Condition on the rows that are used; the others count as absent.
    exclude_cols
        Flags; a row where one is true (or a number other than 0) counts as absent.
    """

    heading_source: Literal["auto", "orientation", "velocity"] = "auto"
    subgroup_col: str | None = Field(default=None, min_length=1)
    filter_expr: FilterExpression | None = None
    exclude_cols: tuple[str, ...] = ()

    @field_validator("subgroup_col")
    @classmethod
    def _not_a_key(cls, column: str | None) -> str | None:
        if column in META_COLUMNS:
            msg = "is a key column, not a subgroup"
            raise ValueError(msg)
        return column

    @model_validator(mode="after")
    def _not_a_result(self) -> Self:
        if self.subgroup_col in self.emitted_names():
            msg = f"subgroup_col {self.subgroup_col!r} is the name of a column of the result"
            raise ValueError(msg)
        return self

    @classmethod
    def emitted_names(cls) -> frozenset[str]:
        """Every value column that the feature may make."""
        return frozenset()

    def needed_columns(self) -> tuple[str, ...]:
        """Columns that the parameters name, and those of frame, identity and position."""
        named: list[str] = ["frame", "id", "X", "Y"]
        if self.heading_source == "orientation":
            named.append("ANGLE")
        if self.subgroup_col is not None:
            named.append(self.subgroup_col)
        if self.filter_expr is not None:
            named += filter_columns(self.filter_expr)
        return tuple(dict.fromkeys([*named, *self.exclude_cols]))

    def heading_kind(self, schema: pl.Schema) -> Literal["orientation", "velocity"]:
        """Where headings come from in a table of this schema."""
        if self.heading_source == "auto":
            return "orientation" if "ANGLE" in schema else "velocity"
        return self.heading_source

    def used_rows(self, table: pl.DataFrame) -> pl.DataFrame:
        """The rows that no condition takes out."""
        if self.filter_expr is not None:
            table = table.filter(compile_filter(self.filter_expr, table.schema))
        return without_excluded(table, self.exclude_cols)


def without_excluded(table: pl.DataFrame, flags: Sequence[str]) -> pl.DataFrame:
    """Rows where no flag is true or other than 0; a missing flag (null, NaN) excludes nothing.

    Raises
    ------
    MissingColumnError
        A flag is not a column of the table.
    FeatureError
        A flag is neither a truth value nor a number.
    """
    for flag in flags:
        if flag not in table.columns:
            msg = f"The table has no column {flag!r} to exclude rows by."
            raise MissingColumnError(msg, f"It has: {', '.join(table.columns)}.")
        if not (table[flag].dtype.is_numeric() or table[flag].dtype == pl.Boolean):
            msg = f"The column {flag!r} holds {table[flag].dtype}, which is no flag."
            raise FeatureError(msg, "Use a column of truth values or numbers, or filter_expr.")
        value = pl.col(flag).cast(pl.Float64).fill_nan(None).fill_null(0.0)
        table = table.filter(value == 0)
    return table


def check_ids(table: pl.DataFrame) -> None:
    """Refuse a row that is about nobody.

    Raises
    ------
    FeatureError
        An id is null.
    """
    if table["id"].null_count():
        frame = table.filter(pl.col("id").is_null())["frame"][0]
        msg = f"A row of frame {frame} has no id."
        raise FeatureError(msg, "Give every row the id of its individual, or leave it out.")


@dataclass(frozen=True)
class Scenes:
    """The rows of a table that belong to scenes, scene by scene, sorted by id within a scene.

    Attributes
    ----------
    rows
        Positions in the table, shape (n_rows,).
    scene
        Number of each of these rows' scene, increasing, shape (n_rows,).
    heads
        Position in the table of the first row of each scene, shape (n_scenes,).
    """

    rows: IntArray
    scene: IntArray
    heads: IntArray

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self.heads)

    def present(self, wanted: BoolArray) -> tuple[IntArray, IntArray]:
        """Table positions and scenes of the rows where ``wanted`` (in table order) is true."""
        taken = wanted[self.rows]
        return self.rows[taken], self.scene[taken]


def find_scenes(table: pl.DataFrame, subgroup_col: str | None) -> Scenes:
    """The scenes of a table, sorted by frame, then subgroup.

    Parameters
    ----------
    table
        A table with ``frame`` and ``id``.
    subgroup_col
        Column that divides the frames; rows where it is null, NaN or below 0 are in no scene.
    """
    key = ["frame", *([subgroup_col] if subgroup_col is not None else [])]
    keys = table.select(*key, "id").with_row_index("row of the table")
    if subgroup_col is not None:
        keys = keys.filter(_is_subgroup(subgroup_col, table.schema[subgroup_col]))
    keys = keys.sort([*key, "id"])
    scene = keys.select(pl.struct(key).rle_id().cast(pl.Int64)).to_series().to_numpy()
    rows = keys["row of the table"].to_numpy().astype(np.int64)
    first = np.flatnonzero(np.diff(scene, prepend=-1))
    return Scenes(rows, scene, rows[first])


def _is_subgroup(column: str, dtype: pl.DataType) -> pl.Expr:
    known = pl.col(column).is_not_null()
    if dtype.is_float():
        known = known & ~pl.col(column).is_nan()
    return known & (pl.col(column) >= 0) if dtype.is_numeric() else known


@dataclass(frozen=True)
class Steps:
    """How each individual moved since its previous row, in the order of the table.

    Attributes
    ----------
    dx, dy
        Displacement in the unit of the positions; NaN without a previous row, where one of the
        two positions is missing, and across too many frames.
    """

    dx: FloatArray
    dy: FloatArray

    def direction(self) -> tuple[FloatArray, FloatArray]:
        """Unit vectors, NaN where there is no step or the animal did not move."""
        length = np.hypot(self.dx, self.dy)
        return divide(self.dx, length), divide(self.dy, length)


def find_steps(table: pl.DataFrame, rows: RowOrder, max_frames: int | None = None) -> Steps:
    """Displacement of each row from the row before of the same individual.

    Parameters
    ----------
    table
        A table with X and Y.
    rows
        Its rows by individual.
    max_frames
        Longest step in frames; None for any.
    """
    dx, dy = (step_difference(rows.sort(table, c), rows.identity) for c in "XY")
    if max_frames is not None:
        gap = step_difference(rows.frames.astype(np.float64), rows.identity)
        dx[gap > max_frames] = np.nan
        dy[gap > max_frames] = np.nan
    return Steps(rows.restore(dx), rows.restore(dy))


def unit_headings(
    table: pl.DataFrame, steps: Steps, kind: Literal["orientation", "velocity"]
) -> tuple[FloatArray, FloatArray]:
    """Unit vector along each row's heading, NaN where unknown; shape (n_rows,) each."""
    if kind == "velocity":
        return steps.direction()
    angle = numbers(table, "ANGLE")
    return np.cos(angle), np.sin(angle)
