"""Clusters of rows by a hierarchy of templates, cut at a number of clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from mosaic_dagster.errors import FeatureError, FitError, ParamsError
from mosaic_dagster.features.inputs import InputStream
from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray
from mosaic_dagster.features.kernels.nearest_rows import nearest_row
from mosaic_dagster.features.library.pair_filter import (
    NeighborTables,
    PairFilterReference,
    nearest_pairs,
)
from mosaic_dagster.features.library.template_fit import (
    Arrays,
    TemplateFitted,
    TemplateParams,
)
from mosaic_dagster.features.output import values_schema, with_values
from mosaic_dagster.features.registry import register
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.content.codecs import encode_table, save_arrays


class GlobalWardParams(TemplateParams):
    """Parameters of :class:`GlobalWard`.

    Attributes
    ----------
    model
        The file ``linkage.npz`` of another global-ward step, which is cut again without
        clustering again.
    n_clusters
        Number of clusters that the hierarchy is cut into.
    pair_filter
        A nearest-neighbor step; only rows of pairs whose id2 is the nearest neighbour of id1 are
        assigned and kept. It does not change the fit.
    method
        How far apart two clusters are; ``ward``: the growth of the squared distances to the
        centroids when they merge.
    """

    n_clusters: int = Field(default=20, ge=1)
    method: Literal["ward", "average", "complete", "single", "weighted", "centroid", "median"] = (
        "ward"
    )
    pair_filter: PairFilterReference = None


@dataclass(frozen=True)
class _Cut:
    """The templates' clusters.

    Attributes
    ----------
    labels
        Cluster of each finite template, 1 and up, shape (n_usable,).
    centers
        Mean of each cluster's templates, shape (n_clusters, n_columns).
    """

    labels: npt.NDArray[np.int32]
    centers: FloatArray


@register
class GlobalWard(TemplateFitted[GlobalWardParams]):
    """Cluster of each row: that of the nearest centroid (Euclidean) of a cut hierarchy.

    Column ``cluster``: 1 … n (int32), null where a value is missing. Equal distances go to the
    lower number. The result of a row does not depend on other rows.

    Notes
    -----
    Ward, Journal of the American Statistical Association 58 (1963) 236; linkage and cut by scipy.
    Where merges happen at equal heights the cut may give fewer clusters than asked for, which the
    notes say. Memory of the fit grows with the square of the number of templates.

    State: ``linkage.npz`` (linkage, templates, columns, method), which depends on no number of
    clusters, ``cluster_centers.npz`` (centers, clusters, columns), ``artifact_labels.npz``
    (labels of the templates row by row, -1 where a value is missing) and
    ``cluster_sizes.parquet`` (cluster, count).
    """

    name = "global-ward"
    version = "1.0"
    Params = GlobalWardParams
    state_file = "linkage.npz"

    neighbor_tables: NeighborTables | None = None
    _cut: _Cut | None = None

    @classmethod
    def state_arrays(cls) -> tuple[str, ...]:
        """The hierarchy and what it is made of."""
        return ("linkage", "templates", "method")

    def load_state(
        self,
        folder: Path | None,
        artifacts: Mapping[str, Path],
        lookups: Mapping[str, Mapping[EntryKey, Path]],
    ) -> bool:
        """Take up a hierarchy and cut it, else the templates to fit on."""
        self.neighbor_tables = lookups.get("pair_filter")
        ready = super().load_state(folder, artifacts, lookups)
        if ready:
            self._cut = self._cut_linkage()
        return ready

    def fit(self, stream: InputStream) -> None:
        """Build the hierarchy of the templates and cut it; the stream is not read."""
        super().fit(stream)
        self._cut = self._cut_linkage()

    def fit_templates(self, values: FloatArray, usable: BoolArray) -> Arrays:
        """Hierarchy of the finite templates."""
        from scipy.cluster.hierarchy import linkage

        n = int(usable.sum())
        if n < 2:
            msg = f"global-ward cannot merge {n} usable template(s)."
            raise FitError(msg, "Extract at least two templates.")
        self._check_number(n)
        return {
            "linkage": linkage(values[usable], method=self.params.method),
            "templates": values,
            "method": np.array(self.params.method),
        }

    def save_state(self, folder: Path) -> None:
        """Write the hierarchy and what the cut makes of it."""
        state, cut = self.fitted(), self._clusters()
        save_arrays(folder / self.state_file, **state)
        numbers = np.arange(1, len(cut.centers) + 1, dtype=np.int32)
        save_arrays(
            folder / "cluster_centers.npz",
            centers=cut.centers,
            clusters=numbers,
            columns=state["columns"],
        )
        usable: BoolArray = np.asarray(np.isfinite(state["templates"]).all(axis=1))
        labels = np.full(len(usable), -1, dtype=np.int32)
        labels[usable] = cut.labels
        save_arrays(folder / "artifact_labels.npz", labels=labels)
        counts = np.bincount(cut.labels, minlength=len(numbers) + 1)[1:].astype(np.int64)
        sizes = pl.DataFrame({"cluster": numbers, "count": counts})
        (folder / "cluster_sizes.parquet").write_bytes(encode_table(sizes))

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """The key columns and the cluster."""
        return values_schema(schema, {"cluster": pl.Int32()})

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Assign the rows of one recording."""
        table = nearest_pairs(table, self.params.pair_filter, self.neighbor_tables, self.name)
        values = self.values(table)
        usable = np.isfinite(values).all(axis=1)
        labels = np.zeros(len(values), dtype=np.int32)
        labels[usable] = nearest_row(values[usable], self._clusters().centers) + 1
        cluster = pl.Series(labels, dtype=pl.Int32)
        return with_values(table, {"cluster": cluster.set(cluster == 0, None)})

    def state_notes(self) -> dict[str, Any]:
        """Numbers of templates and clusters, and whether there are fewer than asked for."""
        cut = self._clusters()
        n, wanted = len(cut.centers), self.params.n_clusters
        notes: dict[str, Any] = {"n_templates": len(cut.labels), "n_clusters": n}
        if n < wanted:
            notes["note"] = f"only {n} of {wanted} clusters: some merges are equally high"
        return notes

    def _cut_linkage(self) -> _Cut:
        from scipy.cluster.hierarchy import fcluster

        state = self.fitted()
        if str(state["method"]) != self.params.method:
            msg = (
                f"The hierarchy was built with method {str(state['method'])!r}, and the "
                f"parameters ask for {self.params.method!r}."
            )
            raise ParamsError(msg, f"Set method to {str(state['method'])!r}, or fit anew.")
        templates = state["templates"]
        points = templates[np.isfinite(templates).all(axis=1)]
        self._check_number(len(points))
        labels = fcluster(state["linkage"], self.params.n_clusters, criterion="maxclust")
        numbers = range(1, int(labels.max()) + 1)
        centers = np.stack([points[labels == number].mean(axis=0) for number in numbers])
        return _Cut(labels.astype(np.int32), centers)

    def _check_number(self, n_templates: int) -> None:
        if self.params.n_clusters > n_templates:
            msg = (
                f"global-ward cannot make {self.params.n_clusters} clusters of {n_templates} "
                "usable templates."
            )
            raise FitError(msg, "Lower n_clusters, or extract more templates.")

    def _clusters(self) -> _Cut:
        if self._cut is None:
            msg = f"{self.name} is not fitted."
            raise FeatureError(msg, "Call load_state, and fit where it returns False.")
        return self._cut
