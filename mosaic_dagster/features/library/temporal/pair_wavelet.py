"""Wavelet power of features over time."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field, field_validator, model_validator

from mosaic_dagster.errors import MissingColumnError, ParamsError
from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray
from mosaic_dagster.features.kernels.interpolation import fill_holes
from mosaic_dagster.features.kernels.runs import find_stretches
from mosaic_dagster.features.kernels.smoothing import moving_mean
from mosaic_dagster.features.kernels.wavelets import (
    Morlet,
    edge_influence,
    kernel_spectra,
    wavelet_power,
)
from mosaic_dagster.features.library.rows import RowOrder, need_fps, order_rows
from mosaic_dagster.features.output import (
    FeatureTable,
    feature_columns,
    values_schema,
    with_values,
)
from mosaic_dagster.features.params import DatasetFacts, Params, SamplingConfig
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register

_TINY = float(np.finfo(np.float32).tiny)
_WAVELET = re.compile(r"cmor(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)")


class PairWaveletParams(Params):
    """Parameters of :class:`PairWavelet`.

    Attributes
    ----------
    sampling
        Frame rate for tables that do not say it, and smoothing before the transform.
    f_min, f_max, n_freq
        Lowest and highest frequency in Hz and their number, spaced evenly in octaves.
    wavelet
        ``cmorB-C``: complex Morlet of bandwidth B and centre frequency C.
    log_floor
        Lowest value of the result.
    pc_prefix
        Without ``cols``, the columns ``<prefix>0``, ``<prefix>1``, … are taken while present.
    cols
        Columns to transform; None means those of the prefix, or else all numeric ones.
    linear_interp_limit
        Longest stretch of missing values, in frames, that is bridged by a line; a longer one
        splits the signal.
    coi
        Add ``coi_f<k>``: whether the ends of the signal weigh on the value (closer than
        sqrt(B) times the scale).
    """

    sampling: SamplingConfig = SamplingConfig()
    f_min: float = Field(default=0.2, gt=0)
    f_max: float = Field(default=5.0, gt=0)
    n_freq: int = Field(default=25, ge=1)
    wavelet: str = "cmor1.5-1.0"
    log_floor: float = -3.0
    pc_prefix: str = "PC"
    cols: tuple[str, ...] | None = None
    linear_interp_limit: int = Field(default=10, ge=0)
    coi: bool = False

    @field_validator("wavelet")
    @classmethod
    def _complex_morlet(cls, name: str) -> str:
        match = _WAVELET.fullmatch(name)
        if match is None or float(match[1]) <= 0 or float(match[2]) <= 0:
            msg = "is not cmorB-C with positive numbers, such as cmor1.5-1.0"
            raise ValueError(msg)
        return name

    @field_validator("cols")
    @classmethod
    def _some(cls, columns: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if columns is not None and (not columns or len(set(columns)) < len(columns)):
            msg = "names no column, or one twice"
            raise ValueError(msg)
        return columns

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.f_min > self.f_max:
            msg = f"f_min {self.f_min} is above f_max {self.f_max}"
            raise ValueError(msg)
        return self

    def resolve(self, facts: DatasetFacts) -> Self:
        """Take the frame rate of the dataset where none is given."""
        resolved = super().resolve(facts)
        if resolved.sampling.fps_default is not None or facts.fps is None:
            return resolved
        sampling = resolved.sampling.model_copy(update={"fps_default": facts.fps})
        return resolved.model_copy(update={"sampling": sampling})

    def frequencies(self) -> FloatArray:
        """Frequencies in Hz, shape (n_freq,)."""
        return np.geomspace(self.f_min, self.f_max, self.n_freq)

    def morlet(self) -> Morlet:
        """The wavelet."""
        bandwidth, _, center = self.wavelet.removeprefix("cmor").partition("-")
        return Morlet(float(bandwidth), float(center))


@register
class PairWavelet(Feature[PairWaveletParams]):
    """Log power of a complex Morlet transform of each column, per pair or individual.

    Columns ``W_<col>_f<k>``, all frequencies of one column after the other, float32:
    ``max(ln(|W|² + 1.1754944e-38), log_floor)``.

    Notes
    -----
    Formula: :mod:`mosaic_dagster.features.kernels.wavelets`. A unit sine at exactly one of the
    frequencies has ``|W|² = a / 4`` with scale a = fps / (f C). Signals are zero beyond their ends.
    Each run of successive frames of one identity is a signal; missing stretches up to the limit
    are bridged, longer ones split it and stay NaN. Rows keep the order of the input. Notes of the
    table: frequencies_hz, scales, wavelet, fps, input_columns.
    """

    name = "pair-wavelet"
    version = "1.0"
    Params = PairWaveletParams

    def input_columns(self) -> tuple[str, ...]:
        """The frame and the columns that are named."""
        return ("frame", *(self.params.cols or ()))

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """One column per input column and frequency."""
        names = self._names(self._columns(schema))
        types: dict[str, pl.DataType] = {name: pl.Float32() for name in names}
        types |= {name: pl.Boolean() for name in self._coi_names()}
        return values_schema(schema, types)

    def apply(self, table: pl.DataFrame) -> FeatureTable:
        """Transform one recording."""
        self.check_columns(table.schema)
        columns = self._columns(table.schema)
        if not table.height:
            return FeatureTable(pl.DataFrame(schema=self.output_schema(table.schema)))
        fps = need_fps(table, self.params.sampling.fps_default, self.name)
        if self.params.f_max > fps / 2:
            msg = f"f_max is {self.params.f_max} Hz, above half of the {fps} frames per second."
            raise ParamsError(msg, f"Lower f_max to {fps / 2} Hz or less.")
        rows = order_rows(table)
        frequencies = self.params.frequencies()
        scales = self.params.morlet().scales(frequencies, fps)
        signals = [rows.sort(table, column) for column in columns]
        power, near_end = self._transform(signals, rows, scales)
        values: dict[str, npt.NDArray[Any]] = {
            name: rows.restore(row) for name, row in zip(self._names(columns), power, strict=True)
        }
        values |= {name: rows.restore(near_end[i]) for i, name in enumerate(self._coi_names())}
        notes = {
            "frequencies_hz": frequencies.tolist(),
            "scales": scales.tolist(),
            "wavelet": self.params.wavelet,
            "fps": fps,
            "input_columns": columns,
        }
        return FeatureTable(with_values(table, values), notes)

    def _transform(
        self, signals: list[FloatArray], rows: RowOrder, scales: FloatArray
    ) -> tuple[npt.NDArray[np.float32], BoolArray]:
        """Log power, shape (n_signals * n_scales, n_rows), and which rows are near an end.

        Rows are sorted; the latter has shape (n_scales, n_rows).
        """
        n, n_rows = len(scales), len(rows.order)
        power = np.full((len(signals) * n, n_rows), np.nan, dtype=np.float32)
        near_end = np.zeros((n, n_rows), dtype=np.bool_)
        wavelet = self.params.morlet()
        for run in rows.runs:
            spectra: dict[int, FloatArray] = {}
            for position, signal in enumerate(signals):
                for part, values in self._stretches(signal[run], rows.frames[run]):
                    length = len(values)
                    if length not in spectra:
                        spectra[length] = kernel_spectra(length, wavelet, scales)
                    found = wavelet_power(values, spectra[length])
                    found += _TINY
                    np.log(found, out=found)
                    where = slice(run.start + part.start, run.start + part.stop)
                    block = power[position * n : (position + 1) * n, where]
                    block[:] = np.maximum(found, self.params.log_floor, out=found)
                    if self.params.coi:
                        near_end[:, where] |= edge_influence(length, wavelet, scales).T
        return power, near_end

    def _stretches(self, run: FloatArray, frames: IntArray) -> Iterator[tuple[slice, FloatArray]]:
        """Rows of each stretch without a hole that is too long to bridge, and its signal."""
        limit = self.params.linear_interp_limit
        filled = fill_holes(run, frames, hole_limit=limit, edge_limit=0)
        for part in find_stretches(np.isfinite(filled)):
            yield part, moving_mean(filled[part], self.params.sampling.smooth_win)

    def _columns(self, schema: pl.Schema) -> list[str]:
        if self.params.cols is not None:
            return list(self.params.cols)
        numbered = (f"{self.params.pc_prefix}{k}" for k in itertools.count())
        columns = list(itertools.takewhile(schema.__contains__, numbered))
        columns = columns or feature_columns(schema)
        if not columns:
            msg = f"pair-wavelet found no numeric value among the columns {', '.join(schema)}."
            raise MissingColumnError(msg, "Name columns in cols.")
        return columns

    def _names(self, columns: list[str]) -> list[str]:
        return [f"W_{column}_f{k}" for column in columns for k in range(self.params.n_freq)]

    def _coi_names(self) -> list[str]:
        return [f"coi_f{k}" for k in range(self.params.n_freq)] if self.params.coi else []
