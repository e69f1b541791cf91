"""Columns brought to mean 0 and standard deviation 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray
from mosaic_dagster.features.library.rows import numbers
from mosaic_dagster.features.library.template_fit import (
    Arrays,
    TemplateFitted,
    TemplateParams,
)
from mosaic_dagster.features.output import feature_columns, key_first
from mosaic_dagster.features.registry import register
from mosaic_dagster.store.content.codecs import encode_table, save_arrays


@register
class GlobalScaler(TemplateFitted[TemplateParams]):
    """``(value - mean) / std`` with mean and std of the templates; other columns stay.

    float32 columns stay float32, all others become float64. The standard deviation is that of the
    population (ddof 0); a constant column is only centred. NaN passes through.

    State: ``scaler.npz`` (mean, scale, columns) and ``scaled_templates.parquet`` (the templates,
    row by row, scaled).
    """

    name = "global-scaler"
    version = "1.0"
    Params = TemplateParams
    state_file = "scaler.npz"

    @classmethod
    def state_arrays(cls) -> tuple[str, ...]:
        """Mean and scale of each column."""
        return ("mean", "scale")

    def fit_templates(self, values: FloatArray, usable: BoolArray) -> Arrays:
        """Mean and scale of the finite templates."""
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler().fit(values[usable])
        return {
            "mean": scaler.mean_,
            "scale": scaler.scale_,
            "n_templates": np.array(int(usable.sum())),
        }

    def save_state(self, folder: Path) -> None:
        """Write ``scaler.npz`` and, after a fit, the scaled templates."""
        save_arrays(folder / self.state_file, **self.fitted())
        if self.templates is not None:
            scaled = self._scale(self.templates)
            (folder / "scaled_templates.parquet").write_bytes(encode_table(scaled))

    def output_schema(self, schema: pl.Schema) -> pl.Schema | None:
        """Columns and types of the input; None while unfitted if a column would change its type."""
        if self.state is None:
            floats = all(schema[name].is_float() for name in feature_columns(schema))
            return pl.Schema({n: schema[n] for n in key_first(schema)}) if floats else None
        changed = {name: _scaled_type(schema[name]) for name in self.columns() if name in schema}
        return pl.Schema({name: changed.get(name, schema[name]) for name in key_first(schema)})

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Scale one recording."""
        self.check_columns(table.schema)
        return self._scale(table).select(key_first(table.columns))

    def state_notes(self) -> dict[str, Any]:
        """Number of templates and of columns."""
        state = self.fitted()
        return {"n_templates": int(state["n_templates"]), "n_columns": len(state["columns"])}

    def _scale(self, table: pl.DataFrame) -> pl.DataFrame:
        state = self.fitted()
        scaled = []
        for name, mean, scale in zip(self.columns(), state["mean"], state["scale"], strict=True):
            values = numbers(table, name)
            values -= mean
            values /= scale
            scaled.append(pl.Series(name, values).cast(_scaled_type(table.schema[name])))
        return table.with_columns(scaled)


def _scaled_type(dtype: pl.DataType) -> pl.DataType:
    return pl.Float32() if dtype == pl.Float32 else pl.Float64()
