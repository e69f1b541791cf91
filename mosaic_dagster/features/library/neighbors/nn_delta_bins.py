"""Turning and acceleration by the place of the nearest neighbour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mosaic_dagster.features.kernels.arrays import BoolArray, IntArray
from mosaic_dagster.features.library.neighbors._bins import BinnedResponses, Histogram
from mosaic_dagster.features.library.neighbors._rows import is_given, need_column, order_by_frame
from mosaic_dagster.features.library.rows import matrix, numbers
from mosaic_dagster.features.output import ORIGIN_COLUMNS
from mosaic_dagster.features.params import Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register

_RESPONSE = ("neighbor_x", "neighbor_y", "dangle", "dspeed")
_VALUES: dict[str, pl.DataType] = {
    "dim": pl.String(),
    "Exp": pl.String(),
    "Trial": pl.String(),
    "center_category": pl.String(),
    "neighbor_category": pl.String(),
    "group_size": pl.Int64(),
    "metric": pl.String(),
    "bin_idx": pl.Int64(),
    "value": pl.Float64(),
    "bin_x": pl.Int64(),
    "bin_y": pl.Int64(),
    "sum_value": pl.Float64(),
    "count": pl.Int64(),
    "bin_center": pl.Float64(),
    "bin_center_x": pl.Float64(),
    "bin_center_y": pl.Float64(),
}
_SORT = ("dim", "Exp", "Trial", "group_size", "center_category", "neighbor_category", "metric")
_ALL = "all"
_NEIGHBOR = "neighbor_category"


class CategorySpec(BaseModel):
    """A category made of a column: whether it lies above, or not above, one of its quantiles.

    Attributes
    ----------
    source_col
        A column of numbers.
    new_col
        Name of the category, to be used as focal_category_col or neighbor_category_col.
    quantile
        Which quantile of the finite values (linear between ranks).
    op
        ``>`` or ``<=``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    source_col: str = Field(min_length=1)
    new_col: str = Field(min_length=1)
    quantile: float = Field(default=0.75, ge=0, le=1)
    op: Literal[">", "<="] = ">"


class NnDeltaBinsParams(Params):
    """Parameters of :class:`NnDeltaBins`.

    Attributes
    ----------
    nbins
        Number of edges between -binmax and binmax; there is one bin less.
    binmax
        Largest offset of the neighbour, unit of the tracks.
    max_for_avg
        One-dimensional turns are averaged over neighbours up to this far ahead, speeds over
        neighbours up to half of it aside.
    antisymm
        Whether turns also count mirrored, the neighbour on the other side and the turn negative.
    focal_category_col, neighbor_category_col
        Category of the animal and of its neighbour; may be absent.
    group_size_col, exp_col, trial_col
        Size of the group, experiment and trial; may be absent.
    category_specs
        Categories to make first.
    exclude_cols
        Rows in which one of these is true (or neither 0 nor missing) are left out.
    nonfocal_flag_col, nonfocal_flag_value
        The quantiles of category_specs are those of the rows where the column has this value; of
        all rows where the column is absent.
    """

    nbins: int = Field(default=45, ge=2)
    binmax: float = Field(default=14.0, gt=0)
    max_for_avg: float = Field(default=5.0, gt=0)
    antisymm: bool = True
    focal_category_col: str = Field(default="Focal_fish", min_length=1)
    neighbor_category_col: str = Field(default="neighbor_focal", min_length=1)
    group_size_col: str = Field(default="group_size", min_length=1)
    exp_col: str = Field(default="Exp", min_length=1)
    trial_col: str = Field(default="Trial", min_length=1)
    category_specs: tuple[CategorySpec, ...] = ()
    exclude_cols: tuple[str, ...] = ()
    nonfocal_flag_col: str = Field(default="Focal_fish", min_length=1)
    nonfocal_flag_value: bool | int | str = False

    @model_validator(mode="after")
    def _categories_are_new(self) -> Self:
        made = [spec.new_col for spec in self.category_specs]
        for position, name in enumerate(made):
            if name in _RESPONSE or name in made[:position]:
                msg = f"category_specs make the column {name!r}, which is there already"
                raise ValueError(msg)
        return self


@register
class NnDeltaBins(Feature[NnDeltaBinsParams]):
    """Mean turn and mean change of speed in bins of the neighbour's place.

    Reads the table of nn-delta-response. A long table, for each experiment, trial, group size
    and category of the animal once for all neighbours (``neighbor_category`` "all") and once for
    each category of the neighbour; a missing category or size is one of its own (null), and a
    column that is absent leaves one, "all" for categories and null for others. Columns: ``dim``
    ("1d", "2d"), ``Exp``, ``Trial``, ``center_category``, ``neighbor_category`` (as text),
    ``group_size``, ``metric`` ("turn", "speed"), ``bin_idx`` (1d), ``value`` (mean, NaN in an
    empty bin), ``bin_x``, ``bin_y`` (2d), ``sum_value``, ``count``, ``bin_center`` (1d),
    ``bin_center_x``, ``bin_center_y`` (2d). Bins are numbered from 0; centres have the unit of
    the tracks, values that of ``dangle`` or ``dspeed``.

    Notes
    -----
    Edges: nbins values from -binmax to binmax. A bin holds its lower edge and not its upper one,
    but the last bin holds binmax. 1d turn: ``dangle`` by neighbor_y over rows with 0 <=
    neighbor_x <= max_for_avg; with antisymm each row counts again at (-neighbor_y, -dangle). 1d
    speed: ``dspeed`` by neighbor_x over rows with abs(neighbor_y) <= max_for_avg / 2. 2d: over
    neighbor_x (the same edges) and neighbor_y (nbins + 1 edges, so that one bin lies straight
    ahead if nbins is odd); turns mirrored as above with antisymm, speeds always also at
    -neighbor_y. Rows that are excluded, or in which one of neighbor_x, neighbor_y, dangle and
    dspeed is missing or infinite, are dropped first. Parts are sorted by their columns, null last.
    """

    name = "nn-delta-bins"
    version = "1.0"
    category = "summary"
    Params = NnDeltaBinsParams

    def input_columns(self) -> tuple[str, ...]:
        """Responses, exclusions and what categories are made of."""
        sources = [spec.source_col for spec in self.params.category_specs]
        return tuple(dict.fromkeys([*_RESPONSE, *self.params.exclude_cols, *sources]))

    def check_columns(self, schema: Mapping[str, Any]) -> None:
        """Refuse an input that lacks a column, and say which feature makes it."""
        for column in _RESPONSE:
            need_column(schema, [column], "nn-delta-response", self.name)
        super().check_columns(schema)

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """The long table."""
        origin = {name: schema[name] for name in ORIGIN_COLUMNS if name in schema}
        return pl.Schema(_VALUES | origin)

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Bin the responses of one recording."""
        self.check_columns(table.schema)
        schema = self.output_schema(table.schema)
        kept = self._usable(table)
        if not kept.height:
            return pl.DataFrame(schema=schema)
        kept = self._add_categories(kept)
        params = self.params
        sizes = (params.nbins, params.binmax, params.max_for_avg, params.antisymm)
        binned = BinnedResponses(matrix(kept, _RESPONSE), *sizes)
        parts = [
            (about | {"dim": f"{len(histogram.edges)}d", "metric": histogram.metric}, histogram)
            for about, rows in _groups(self._cells(kept), kept.height)
            for histogram in binned.fill(rows)
        ]
        parts.sort(key=lambda part: [(part[0][c] is None, part[0][c]) for c in _SORT])
        columns = _tabulate(parts)
        for name in ORIGIN_COLUMNS:
            if name in schema:
                columns[name] = kept[name][:1].new_from_index(0, len(columns["dim"]))
        return pl.DataFrame([columns[name].alias(name) for name in schema])

    def _usable(self, table: pl.DataFrame) -> pl.DataFrame:
        usable = np.isfinite(matrix(table, _RESPONSE)).all(axis=1)
        for column in self.params.exclude_cols:
            usable &= ~_is_true(table[column])
        kept = table[np.flatnonzero(usable)]
        # Sums are rounded by their order: take the rows in one that the table does not decide.
        if "frame" in kept.columns and "id" in kept.columns:
            order = order_by_frame(kept)
            return kept if is_given(order) else kept[order]
        return kept.sort(_RESPONSE)

    def _add_categories(self, table: pl.DataFrame) -> pl.DataFrame:
        """Add the categories; null where their source is missing."""
        among = np.ones(table.height, dtype=np.bool_)
        flag = self.params.nonfocal_flag_col
        if flag in table.columns:
            among = _equals(table[flag], self.params.nonfocal_flag_value)
        made = []
        for spec in self.params.category_specs:
            source = numbers(table, spec.source_col)
            known = np.isfinite(source)
            pool = source[known & among]
            limit = np.quantile(pool, spec.quantile) if len(pool) else np.nan
            holds = source > limit if spec.op == ">" else source <= limit
            category = pl.Series(spec.new_col, holds)
            made.append(category.set(pl.Series(~known | np.isnan(limit)), None))
        return table.with_columns(made)

    def _cells(self, table: pl.DataFrame) -> dict[str, pl.Series]:
        """Experiment, trial, size and categories of each row, those that the table has."""
        params = self.params
        texts = {
            "Exp": params.exp_col,
            "Trial": params.trial_col,
            "center_category": params.focal_category_col,
            _NEIGHBOR: params.neighbor_category_col,
        }
        cells = {
            name: table[column].cast(pl.String)
            for name, column in texts.items()
            if column in table.columns
        }
        if params.group_size_col in table.columns:
            sizes = numbers(table, params.group_size_col)
            cells["group_size"] = pl.Series(sizes, nan_to_null=True).cast(pl.Int64)
        return cells


def _groups(
    cells: Mapping[str, pl.Series], n_rows: int
) -> Iterator[tuple[dict[str, Any], IntArray]]:
    """What each part of the result is about, and its rows."""
    absent = {"Exp": None, "Trial": None, "group_size": None, "center_category": _ALL}
    outer = {name: column for name, column in cells.items() if name != _NEIGHBOR}
    for names, rows in _split(outer, np.arange(n_rows)):
        about = absent | names
        yield about | {_NEIGHBOR: _ALL}, rows
        if _NEIGHBOR in cells:
            for neighbor, some in _split({_NEIGHBOR: cells[_NEIGHBOR][rows]}, rows):
                yield about | neighbor, some


def _split(
    columns: Mapping[str, pl.Series], rows: IntArray
) -> Iterator[tuple[dict[str, Any], IntArray]]:
    """Values of the columns that occur together, and the rows where they do."""
    if not columns:
        yield {}, rows
        return
    table = pl.DataFrame([column.alias(name) for name, column in columns.items()])
    groups = table.with_columns(pl.Series("row", rows)).group_by(table.columns, maintain_order=True)
    for values, part in groups:
        yield dict(zip(columns, values, strict=True)), part["row"].to_numpy()


def _tabulate(parts: Sequence[tuple[dict[str, Any], Histogram]]) -> dict[str, pl.Series]:
    """The columns of the result, one row per bin, part after part."""
    part_of = np.repeat(np.arange(len(parts)), [len(histogram.counts) for _, histogram in parts])
    columns = {
        name: pl.Series([about[name] for about, _ in parts], dtype=_VALUES[name])[part_of]
        for name in _SORT
    }
    values: list[dict[str, pl.Series]] = []
    for _, histogram in parts:
        number = np.arange(len(histogram.counts))
        own = {"value": histogram.means, "sum_value": histogram.sums, "count": histogram.counts}
        if len(histogram.edges) == 1:
            own |= {"bin_idx": number, "bin_center": histogram.centers[0]}
        else:
            x, y = histogram.centers
            bin_x, bin_y = np.divmod(number, len(y))
            own |= {"bin_x": bin_x, "bin_y": bin_y}
            own |= {"bin_center_x": x[bin_x], "bin_center_y": y[bin_y]}
        values.append(
            {
                name: pl.Series(own[name], dtype=dtype)
                if name in own
                else pl.Series([None], dtype=dtype).new_from_index(0, len(number))
                for name, dtype in _VALUES.items()
                if name not in columns
            }
        )
    return columns | {
        name: pl.concat([part[name] for part in values], rechunk=True) for name in values[0]
    }


def _equals(column: pl.Series, value: bool | int | str) -> BoolArray:
    """Whether a value of a flag is the one asked for; numbers count as flags."""
    if column.dtype == pl.String or isinstance(value, str):
        same = column.cast(pl.String) == str(value)
    else:
        same = column.cast(pl.Float64) == float(value)
    found: BoolArray = same.fill_null(value=False).to_numpy()
    return found


def _is_true(column: pl.Series) -> BoolArray:
    """Whether a value is true, not 0, or not empty; missing values are not."""
    if column.dtype == pl.String:
        true = column != ""
    else:
        true = column.cast(pl.Float64).fill_nan(None) != 0
    found: BoolArray = true.fill_null(value=False).to_numpy()
    return found
