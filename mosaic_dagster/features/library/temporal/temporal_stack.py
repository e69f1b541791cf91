"""Each row with its neighbours in time, and a summary of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
import psutil
from pydantic import Field, field_validator

from mosaic_dagster.errors import FeatureError, MissingColumnError
from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray
from mosaic_dagster.features.kernels.gaussian_float32 import gaussian_float32
from mosaic_dagster.features.kernels.smoothing import gaussian_finite
from mosaic_dagster.features.library.pair_filter import (
    NeighborTables,
    PairFilterReference,
    nearest_pairs,
)
from mosaic_dagster.features.library.rows import RowOrder, columns_of, need_fps, order_rows
from mosaic_dagster.features.output import feature_columns, values_schema, with_values
from mosaic_dagster.features.params import FromDataset, Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register
from mosaic_dagster.keys import EntryKey

_MEMORY_SHARE = 0.8
_LONG = 256
"""Rows of a run from which on it is shifted as a whole."""
_SUFFIXES = {"mean": "mean", "std": "std", "variance": "var"}

Floats32 = npt.NDArray[np.float32]
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
        base = columns_of(table, columns)[:, rows.order]
        window = self._pool_window(table) if self.params.add_pool and table.height else None
        stacked = np.empty((len(names), table.height), dtype=np.float32)
        n_stacked = self._stack(base, rows, stacked)
        if window is not None:
            pooled = _pool(base, rows.runs, self.params.pool_stats, *window)
            for target, statistic in zip(stacked[n_stacked:], pooled, strict=True):
                target[rows.order] = statistic
        return with_values(table, dict(zip(names, stacked, strict=True)))

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

    def _stack(self, base: FloatArray, rows: RowOrder, stacked: Floats32) -> int:
        """Fill the first rows of ``stacked`` with the values at all offsets, and count them."""
        offsets, sigma = [0], 0.0
        if self.params.use_temporal_stack:
            offsets, sigma = self.params.offsets(), self.params.sigma_stack
        smooth = gaussian_float32(base, rows.runs, sigma) if sigma > 0 else base.astype(np.float32)
        n = len(smooth)
        targets = {offset: stacked[k * n : (k + 1) * n] for k, offset in enumerate(offsets)}
        _shift(smooth, rows, targets)
        return len(offsets) * len(smooth)


def _shift(smooth: Floats32, rows: RowOrder, targets: Mapping[int, Floats32]) -> None:
    """Fill each target, in the order of the table, with the values so many rows further on."""
    places = [_even_slice(rows.order[run]) for run in rows.runs]
    if len(rows.order) < _LONG * len(places) or None in places:
        return _shift_row_by_row(smooth, rows, targets)
    for offset, target in targets.items():
        for run, place in zip(rows.runs, places, strict=True):
            values, shifted = smooth[:, run], target[:, place]
            n_rows = values.shape[1]
            begin = min(max(-offset, 0), n_rows)
            end = max(min(n_rows - offset, n_rows), begin)
            shifted[:, :begin] = values[:, :1]
            shifted[:, begin:end] = values[:, begin + offset : end + offset]
            shifted[:, end:] = values[:, -1:]
    return None


def _even_slice(places: IntArray) -> slice | None:
    """The same places as a slice; None where they do not ascend in even steps."""
    step = int(places[1] - places[0]) if len(places) > 1 else 1
    if step <= 0 or (np.diff(places) != step).any():
        return None
    return slice(int(places[0]), int(places[-1]) + 1, step)


def _shift_row_by_row(smooth: Floats32, rows: RowOrder, targets: Mapping[int, Floats32]) -> None:
    lengths = [run.stop - run.start for run in rows.runs]
    first = rows.restore(np.repeat([run.start for run in rows.runs], lengths))
    last = rows.restore(np.repeat([run.stop - 1 for run in rows.runs], lengths))
    positions = rows.restore(np.arange(len(rows.order)))
    for offset, target in targets.items():
        source = np.clip(positions + offset, first, last)
        for values, shifted in zip(smooth, target, strict=True):
            # All is in range, but any other mode would make a copy first.
            np.take(values, source, out=shifted, mode="clip")


def _pool(
    base: FloatArray,
    runs: list[slice],
    stats: tuple[Statistic, ...],
    sigma: float,
    truncate: float,
) -> Iterator[FloatArray | Floats32]:
    """Statistics of each column, one statistic after the other."""
    if set(stats) <= {"mean"}:
        for _ in stats:
            yield from gaussian_float32(base, runs, sigma, truncate)
        return
    mean, squares = np.empty(base.shape), np.empty(base.shape)
    for run in runs:
        mean[:, run] = gaussian_finite(base[:, run].T, sigma, truncate).T
        squares[:, run] = gaussian_finite(base[:, run].T ** 2, sigma, truncate).T
    variance = np.maximum(squares - mean**2, 0.0)
    known = {"mean": mean, "variance": variance, "std": np.sqrt(variance)}
    for stat in stats:
        yield from known[stat]


def _values(schema: pl.Schema) -> list[str]:
    columns = feature_columns(schema)
    if not columns:
        msg = f"temporal-stack found no numeric value among the columns {', '.join(schema)}."
        raise MissingColumnError(msg, "Read a step that makes numbers.")
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
