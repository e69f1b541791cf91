"""Clusters of rows by k-means, fitted on templates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from mosaic_dagster.errors import FitError
from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray
from mosaic_dagster.features.kernels.nearest_rows import nearest_row
from mosaic_dagster.features.library.pair_filter import (
    NeighborTables,
    PairFilterReference,
    nearest_pairs,
)
from mosaic_dagster.features.library.rows import matrix
from mosaic_dagster.features.library.template_fit import (
    Arrays,
    TemplateFitted,
    TemplateParams,
)
from mosaic_dagster.features.output import values_schema, with_values
from mosaic_dagster.features.params import NotIdentity
from mosaic_dagster.features.registry import register
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.content.codecs import encode_table, save_arrays


class GlobalKmeansParams(TemplateParams):
    """Parameters of :class:`GlobalKmeans`.

    Attributes
    ----------
    k
        Number of clusters.
    random_state
        Seed of the starting centres.
    n_init
        Number of starts, the best of which counts; ``auto`` is one k-means++ start.
    max_iter
        Most iterations of one start.
    device
        Only ``cpu``.
    label_artifact_points
        Whether the clusters of the templates are kept too.
    pair_filter
        Tables of a nearest-neighbor step: only pair rows are assigned, and kept, where id2 is the
        nearest neighbour of id1. The fit sees its templates alone.
    """

    k: int = Field(default=100, ge=1)
    random_state: int = Field(default=42, ge=0)
    n_init: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    max_iter: int = Field(default=300, ge=1)
    device: Annotated[Literal["cpu"], NotIdentity("device")] = "cpu"
    label_artifact_points: bool = True
    pair_filter: PairFilterReference = None


@register
class GlobalKmeans(TemplateFitted[GlobalKmeansParams]):
    """Nearest k-means centre of each row (Euclidean, features as float32).

    Column ``cluster``: 0 … k-1 (int32), null where a value is missing. Equal distances go to the
    lower number. The result of a row does not depend on other rows. With pair_filter the rows
    whose id2 is not the nearest neighbour of id1 are left out.

    State: ``cluster_centers.npz`` (centers, columns), ``cluster_sizes.parquet`` (cluster, count
    over the templates) and ``artifact_labels.npz`` (labels of the templates row by row, -1 where a
    value is missing), if asked for.
    """

    name = "global-kmeans"
    version = "1.0"
    Params = GlobalKmeansParams
    state_file = "cluster_centers.npz"

    neighbor_tables: NeighborTables | None = None

    def load_state(
        self,
        folder: Path | None,
        artifacts: Mapping[str, Path],
        lookups: Mapping[str, Mapping[EntryKey, Path]],
    ) -> bool:
        """Take up the state, and the tables of neighbours."""
        self.neighbor_tables = lookups.get("pair_filter")
        return super().load_state(folder, artifacts, lookups)

    @classmethod
    def state_arrays(cls) -> tuple[str, ...]:
        """The centres."""
        return ("centers",)

    def fit_templates(self, values: FloatArray, usable: BoolArray) -> Arrays:
        """Centres of the finite templates."""
        from sklearn.cluster import KMeans

        points = values[usable].astype(np.float32)
        distinct = len(np.unique(points, axis=0))
        if distinct < self.params.k:
            msg = f"global-kmeans cannot make {self.params.k} clusters of {distinct} different rows"
            raise FitError(
                f"{msg} ({len(points)} usable templates).", "Lower k, or extract more templates."
            )
        kmeans = KMeans(
            n_clusters=self.params.k,
            n_init=self.params.n_init,
            max_iter=self.params.max_iter,
            random_state=self.params.random_state,
        ).fit(points)
        return {
            "centers": kmeans.cluster_centers_,
            "inertia": np.array(float(kmeans.inertia_)),
            "n_iter": np.array(int(kmeans.n_iter_)),
            "n_templates": np.array(len(points)),
        }

    def save_state(self, folder: Path) -> None:
        """Write the centres and, after a fit, what the templates were assigned to."""
        state = self.fitted()
        save_arrays(folder / self.state_file, **state)
        if self.templates is None:
            return
        labels = self._assign(matrix(self.templates, self.columns()))
        counts = np.bincount(labels[labels >= 0], minlength=len(state["centers"]))
        sizes = pl.DataFrame(
            {
                "cluster": np.arange(len(counts), dtype=np.int32),
                "count": counts.astype(np.int64),
            }
        )
        (folder / "cluster_sizes.parquet").write_bytes(encode_table(sizes))
        if self.params.label_artifact_points:
            save_arrays(folder / "artifact_labels.npz", labels=labels)

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """The key columns and the cluster."""
        return values_schema(schema, {"cluster": pl.Int32()})

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Assign the rows of one recording."""
        table = nearest_pairs(table, self.params.pair_filter, self.neighbor_tables, self.name)
        labels = self._assign(self.values(table))
        cluster = pl.Series(labels, dtype=pl.Int32)
        return with_values(table, {"cluster": cluster.set(cluster < 0, None)})

    def state_notes(self) -> dict[str, Any]:
        """How the fit went."""
        state = self.fitted()
        return {
            "k": len(state["centers"]),
            "n_templates": int(state["n_templates"]),
            "n_iter": int(state["n_iter"]),
            "inertia": float(state["inertia"]),
        }

    def _assign(self, values: FloatArray) -> npt.NDArray[np.int32]:
        """Cluster of each row, -1 where a value is missing."""
        labels = np.full(len(values), -1, dtype=np.int32)
        usable = np.isfinite(values).all(axis=1)
        points = values[usable].astype(np.float32).astype(np.float64)
        labels[usable] = nearest_row(points, self.fitted()["centers"].astype(np.float64))
        return labels
