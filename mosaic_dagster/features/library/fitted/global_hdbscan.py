"""Clusters of rows by density, with noise, fitted on templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from mosaic_dagster.errors import FitError
from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray
from mosaic_dagster.features.kernels.nearest_rows import nearest_row, nearest_rows
from mosaic_dagster.features.library.template_fit import (
    Arrays,
    TemplateFitted,
    TemplateParams,
)
from mosaic_dagster.features.output import values_schema, with_values
from mosaic_dagster.features.registry import register
from mosaic_dagster.store.content.codecs import encode_table, save_arrays


class GlobalHdbscanParams(TemplateParams):
    """Parameters of :class:`GlobalHdbscan`.

    Attributes
    ----------
    min_cluster_size
        Fewest templates of a cluster.
    min_samples
        Number of templates, itself among them, that lie within a template's core distance; None
        means min_cluster_size.
    cluster_selection_epsilon
        Clusters nearer to each other than this (unit of the features) are not split.
    cluster_selection_method
        ``eom``: the clusters that persist longest; ``leaf``: the smallest ones.
    allow_single_cluster
        Whether all templates may be one cluster.
    """

    min_cluster_size: int = Field(default=5, ge=2)
    min_samples: int | None = Field(default=None, ge=1)
    cluster_selection_epsilon: float = Field(default=0.0, ge=0)
    cluster_selection_method: Literal["eom", "leaf"] = "eom"
    allow_single_cluster: bool = False


@register
class GlobalHdbscan(TemplateFitted[GlobalHdbscanParams]):
    """Density cluster of each row, and null for noise.

    Column ``cluster``: 0 … n-1 (int32), null for noise and where a value is missing. The result of
    a row does not depend on other rows.

    Notes
    -----
    Campello, Moulavi, Sander, PAKDD 2013, by scikit-learn (Euclidean). The *members* of a cluster
    are its templates; noise templates belong to none. The *reach* of a member is its core
    distance: that to its ``min_samples``-th nearest template, itself counted. A row goes to the
    cluster of the nearest member of any cluster (of equally near ones the earlier template) if it
    lies within that member's reach, and is noise otherwise. So each member keeps its cluster, and
    a row in a sparse part of a cluster may be farther from it than one beside a dense part.

    State: ``hdbscan.npz`` (members, labels, reach, columns), ``artifact_labels.npz`` (labels of the
    templates row by row, -1 for noise and where a value is missing) and ``cluster_sizes.parquet``
    (cluster, count).
    """

    name = "global-hdbscan"
    version = "1.0"
    Params = GlobalHdbscanParams
    state_file = "hdbscan.npz"

    @classmethod
    def state_arrays(cls) -> tuple[str, ...]:
        """The members, their clusters and how far they reach."""
        return ("members", "labels", "reach")

    def fit_templates(self, values: FloatArray, usable: BoolArray) -> Arrays:
        """Members of the clusters, and the reach of each."""
        from sklearn.cluster import HDBSCAN

        points = values[usable]
        samples = self.params.min_samples or self.params.min_cluster_size
        needed = max(samples, self.params.min_cluster_size)
        if len(points) < needed:
            msg = f"global-hdbscan needs {needed} usable templates and has {len(points)}."
            raise FitError(msg, "Lower min_cluster_size and min_samples, or extract more.")
        settings = self.params.model_dump(exclude={"templates", "model", "min_samples"})
        found = HDBSCAN(**settings, min_samples=samples, n_jobs=1, copy=True).fit(points).labels_
        if found.max() < 0:
            msg = f"global-hdbscan found no cluster among {len(points)} templates, only noise."
            raise FitError(msg, "Lower min_cluster_size or min_samples, or extract more templates.")
        member = found >= 0
        _, distances = nearest_rows(points[member], points, samples)
        labels = np.full(len(values), -1, dtype=np.int32)
        labels[usable] = found
        return {
            "members": points[member],
            "labels": found[member].astype(np.int32),
            "reach": distances[:, -1],
            "artifact_labels": labels,
        }

    def save_state(self, folder: Path) -> None:
        """Write the members and what became of the templates."""
        state = self.fitted()
        save_arrays(folder / self.state_file, **state)
        save_arrays(folder / "artifact_labels.npz", labels=state["artifact_labels"])
        counts = np.bincount(state["labels"])
        sizes = pl.DataFrame(
            {
                "cluster": np.arange(len(counts), dtype=np.int32),
                "count": counts.astype(np.int64),
            }
        )
        (folder / "cluster_sizes.parquet").write_bytes(encode_table(sizes))

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """The key columns and the cluster."""
        return values_schema(schema, {"cluster": pl.Int32()})

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Assign the rows of one recording."""
        labels = self._assign(self.values(table))
        cluster = pl.Series(labels, dtype=pl.Int32)
        return with_values(table, {"cluster": cluster.set(cluster < 0, None)})

    def state_notes(self) -> dict[str, Any]:
        """Numbers of templates, clusters and noise."""
        state = self.fitted()
        return {
            "n_clusters": int(state["labels"].max()) + 1,
            "n_members": len(state["labels"]),
            "n_templates": len(state["artifact_labels"]),
        }

    def _assign(self, values: FloatArray) -> npt.NDArray[np.int32]:
        """Cluster of each row, -1 for noise and where a value is missing."""
        state = self.fitted()
        labels = np.full(len(values), -1, dtype=np.int32)
        usable = np.flatnonzero(np.isfinite(values).all(axis=1))
        points = values[usable]
        member = nearest_row(points, state["members"])
        offsets = points - state["members"][member]
        distances = np.sqrt((offsets**2).sum(axis=1))
        within = distances <= state["reach"][member]
        labels[usable] = np.where(within, state["labels"][member], -1)
        return labels
