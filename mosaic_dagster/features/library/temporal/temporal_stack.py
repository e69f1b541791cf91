"""Each row with its neighbours in time, and a summary of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
import psutil
from pydantic import Field, field_validator

from mosaic_dagster.errors import FeatureError, MissingColumnError
from mosaic_dagster.features.kernels.arrays import FloatArray
from mosaic_dagster.features.kernels.smoothing import gaussian_finite
from mosaic_dagster.features.library.pair_filter import (
    NeighborTables,
    PairFilterReference,
    nearest_pairs,
)
from mosaic_dagster.features.library.rows import matrix, need_fps, order_rows
from mosaic_dagster.features.output import feature_columns, values_schema, with_values
from mosaic_dagster.features.params import FromDataset, Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register
from mosaic_dagster.keys import EntryKey

_MEMORY_SHARE = 0.8
_SUFFIXES = {"mean": "mean", "std": "std", "variance": "var"}

Statistic = Literal["mean", "std", "variance"]


class TemporalStackParams(Params):
    """Parameters of :class:`TemporalStack`.

    Attributes
    ----------
    half, skip
        Rows are stacked at offsets -half, -half + skip, … up to half.
    use_temporal_stack
        False gives the columns themselves instead of the stack.
    sigma_stack
        Gaussian smoothing before stacking, standard deviation in rows; 0 means none.
    add_pool, pool_stats
        Whether local statistics are added, and which.
    sigma_pool
        Standard deviation of the pool's window in rows; 0 or less takes it from ``win_sec``.
    fps
        Frames per second for tables that do not say it.
    win_sec
        Length of the pool's window in seconds.
    pair_filter
        Tables of a nearest-neighbor step: only pair rows are used where id2 is the nearest
        neighbour of id1.
    """

    half: int = Field(default=60, ge=0)
    skip: int = Field(default=5, ge=1)
    use_temporal_stack: bool = True
    sigma_stack: float = Field(default=30.0, ge=0)
    add_pool: bool = True
    pool_stats: tuple[Statistic, ...] = ("mean",)
    sigma_pool: float = 30.0
    fps: Annotated[float | None, Field(gt=0), FromDataset("fps")] = None
    win_sec: float = Field(default=0.5, gt=0)
    pair_filter: PairFilterReference = None

    @field_validator("pool_stats")
    @classmethod
    def _each_once(cls, stats: tuple[Statistic, ...]) -> tuple[Statistic, ...]:
        if len(set(stats)) < len(stats):
            msg = "a statistic is given twice"
            raise ValueError(msg)
        return stats

    def offsets(self) -> list[int]:
        """Offsets of the stack in rows."""
        return list(range(-self.half, self.half + 1, self.skip))


@register
class TemporalStack(Feature[TemporalStackParams]):
    """Smoothed values at several offsets in time, and Gaussian means and spreads around each row.

    Columns ``<col>__t<offset>`` (sign and at least two digits: ``t-02``, ``t+00``), all columns of
    one offset after the other, then ``<col>__pool_mean``, ``__pool_std``, ``__pool_var``; float32.

    Notes
    -----
    Computed per identity and per run of successive frames; beyond its ends a run continues with
    its first and last row. The stack is smoothed (Gaussian cut at 4 sigma), the pool is made of
    the unsmoothed values: mean = G(x), variance = max(G(x²) - G(x)², 0), in a window of ``win_sec``
    or wider. Weights are renormalised over finite rows; a value that is missing itself stays NaN.
    Rows keep the order of the input. With pair_filter rows are left out first, so that a run ends
    where the neighbour changes.
    """

    name = "temporal-stack"
    version = "1.0"
    Params = TemporalStackParams

    neighbor_tables: NeighborTables | None = None

    def load_state(
        self,
        folder: Path | None,
        artifacts: Mapping[str, Path],
        lookups: Mapping[str, Mapping[EntryKey, Path]],
    ) -> bool:
        """Take up the tables of neighbours."""
        self.neighbor_tables = lookups.get("pair_filter")
        return super().load_state(folder, artifacts, lookups)

    def input_columns(self) -> tuple[str, ...]:
        """The frame; the values are whatever numbers the input has."""
        return ("frame",)

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """Columns by the parameters and the columns of the input."""
        names = self._names(_values(schema))
        return values_schema(schema, {name: pl.Float32() for name in names})

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Stack one recording."""
        self.check_columns(table.schema)
        table = nearest_pairs(table, self.params.pair_filter, self.neighbor_tables, self.name)
        columns = _values(table.schema)
        names = self._names(columns)
        _check_memory(table.height, len(columns), len(names))
        rows = order_rows(table)
        base = matrix(table, columns)[rows.order]
        # Columns of a Fortran array are contiguous, so the table takes them without a copy.
        stacked = np.empty((table.height, len(names)), dtype=np.float32, order="F")
        window = self._pool_window(table) if self.params.add_pool and table.height else None
        for run in rows.runs:
            stacked[rows.order[run]] = self._stack(base[run], window)
        return with_values(table, {name: stacked[:, i] for i, name in enumerate(names)})

    def _names(self, columns: list[str]) -> list[str]:
        names = columns
        if self.params.use_temporal_stack:
            names = [f"{c}__t{offset:+03d}" for offset in self.params.offsets() for c in columns]
        if self.params.add_pool:
            suffixes = [_SUFFIXES[stat] for stat in self.params.pool_stats]
            names = [*names, *(f"{c}__pool_{suffix}" for suffix in suffixes for c in columns)]
        return names

    def _pool_window(self, table: pl.DataFrame) -> tuple[float, float]:
        """Standard deviation in rows, and the cut in standard deviations."""
        fps = need_fps(table, self.params.fps, self.name)
        sigma = self.params.sigma_pool
        if sigma <= 0:
            sigma = max(1.0, self.params.win_sec * fps / 6)
        width = max(1, round(self.params.win_sec * fps))
        return sigma, max(1.0, width / (2 * sigma))

    def _stack(self, base: FloatArray, window: tuple[float, float] | None) -> FloatArray:
        parts = [base]
        if self.params.use_temporal_stack:
            sigma = self.params.sigma_stack
            smooth = gaussian_finite(base, sigma) if sigma > 0 else base
            positions = np.arange(len(base))
            last = len(base) - 1
            parts = [smooth[np.clip(positions + o, 0, last)] for o in self.params.offsets()]
        if window is not None:
            parts += _pool(base, self.params.pool_stats, *window)
        return np.hstack(parts)


def _pool(
    base: FloatArray, stats: tuple[Statistic, ...], sigma: float, truncate: float
) -> list[npt.NDArray[np.float64]]:
    mean = gaussian_finite(base, sigma, truncate)
    variance = np.maximum(gaussian_finite(base**2, sigma, truncate) - mean**2, 0.0)
    known = {"mean": mean, "variance": variance, "std": np.sqrt(variance)}
    return [known[stat] for stat in stats]


def _values(schema: pl.Schema) -> list[str]:
    columns = feature_columns(schema)
    if not columns:
        msg = f"temporal-stack found no numeric value among the columns {', '.join(schema)}."
        raise MissingColumnError(msg)
    return columns


def _check_memory(n_rows: int, n_columns: int, n_out: int) -> None:
    needed = n_rows * n_out * 4
    available = psutil.virtual_memory().available
    if needed > _MEMORY_SHARE * available:
        msg = (
            f"temporal-stack would make {n_rows} rows x {n_out} columns (from {n_columns}) "
            f"x 4 bytes = {needed / 2**30:.1f} GiB; {available / 2**30:.1f} GiB are free."
        )
        raise FeatureError(msg, "Use a larger skip, a smaller half, or fewer columns.")
