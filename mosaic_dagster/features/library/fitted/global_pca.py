"""Principal components of features, fitted on templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import field_validator

from mosaic_dagster.errors import FitError
from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray
from mosaic_dagster.features.kernels.rowwise import project_columns
from mosaic_dagster.features.library.template_fit import (
    Arrays,
    TemplateFitted,
    TemplateParams,
)
from mosaic_dagster.features.output import values_schema, with_values
from mosaic_dagster.features.registry import register
from mosaic_dagster.store.content.codecs import save_arrays


class GlobalPcaParams(TemplateParams):
    """Parameters of :class:`GlobalPca`.

    Attributes
    ----------
    n_components
        Number of components, or the share of variance (above 0, below 1) that they explain.
    whiten
        Whether each component is divided by its standard deviation over the templates.
    """

    n_components: int | float = 10
    whiten: bool = False

    @field_validator("n_components")
    @classmethod
    def _count_or_share(cls, n: int | float) -> int | float:
        if isinstance(n, int) and n >= 1:
            return n
        if isinstance(n, float) and (n.is_integer() and n >= 1):
            return int(n)
        if not 0 < n < 1:
            msg = "must be a whole number from 1 on, or a share of variance between 0 and 1"
            raise ValueError(msg)
        return n


@register
class GlobalPca(TemplateFitted[GlobalPcaParams]):
    """Scores on the principal components of the templates.

    Columns ``PC0``, ``PC1``, … (float64, unit of the features, or none when whitened), components
    in order of falling variance. A row with a missing value is NaN.

    Notes
    -----
    The sign of a component is such that its largest loading by absolute value is positive. State:
    ``pca.npz`` (components, mean, explained_variance, explained_variance_ratio, columns).
    """

    name = "global-pca"
    version = "1.0"
    Params = GlobalPcaParams
    state_file = "pca.npz"

    @classmethod
    def state_arrays(cls) -> tuple[str, ...]:
        """Axes, centre and variances."""
        return ("components", "mean", "explained_variance", "explained_variance_ratio")

    def fit_templates(self, values: FloatArray, usable: BoolArray) -> Arrays:
        """Exact decomposition of the finite templates."""
        from sklearn.decomposition import PCA

        points = values[usable]
        n = self.params.n_components
        if len(points) < 2 or n > min(points.shape):
            msg = (
                f"global-pca cannot find {n} component(s) in {points.shape[0]} usable template(s) "
                f"of {points.shape[1]} column(s)."
            )
            raise FitError(msg, "Lower n_components, or extract more templates.")
        if not np.ptp(points, axis=0).any():
            msg = f"global-pca: all {len(points)} usable templates are the same point."
            raise FitError(msg, "Check the features that the templates come from.")
        pca = PCA(n_components=n, svd_solver="full").fit(points)
        components = pca.components_
        largest = np.abs(components).argmax(axis=1)
        signs = np.where(components[np.arange(len(components)), largest] < 0, -1.0, 1.0)
        return {
            "components": components * signs[:, None],
            "mean": pca.mean_,
            "explained_variance": pca.explained_variance_,
            "explained_variance_ratio": pca.explained_variance_ratio_,
            "n_templates": np.array(len(points)),
        }

    def save_state(self, folder: Path) -> None:
        """Write ``pca.npz``."""
        save_arrays(folder / self.state_file, **self.fitted())

    def output_schema(self, schema: pl.Schema) -> pl.Schema | None:
        """One column per component; None while their number is not known."""
        if self.state is not None:
            n = len(self.state["components"])
        elif self.params.templates is not None and isinstance(self.params.n_components, int):
            n = self.params.n_components
        else:
            return None
        return values_schema(schema, {f"PC{k}": pl.Float64() for k in range(n)})

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Project one recording."""
        state = self.fitted()
        values = self.values_by_column(table)
        values -= state["mean"][:, None]
        scores = project_columns(values, state["components"])
        if self.params.whiten:
            variance = state["explained_variance"]
            scores /= np.sqrt(np.where(variance > 0, variance, 1.0))[:, None]
        return with_values(table, {f"PC{k}": scores[k] for k in range(len(scores))})

    def state_notes(self) -> dict[str, Any]:
        """Number of templates, and what the components explain."""
        state = self.fitted()
        return {
            "n_templates": int(state["n_templates"]),
            "explained_variance": state["explained_variance"].tolist(),
            "explained_variance_ratio": state["explained_variance_ratio"].tolist(),
        }
