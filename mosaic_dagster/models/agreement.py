"""How well clusters, which know no labels, agree with what people labelled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.optimize import linear_sum_assignment

from mosaic_dagster.dataset import Labels, align_labels
from mosaic_dagster.errors import AlignmentError, MissingColumnError, ParamsError
from mosaic_dagster.features.kernels.arrays import IntArray
from mosaic_dagster.features.output import IDENTITY_COLUMNS
from mosaic_dagster.keys import EntryKey

LabelsOf = Mapping[EntryKey, Labels] | Callable[[EntryKey], Labels | None]
"""Labels of each recording; one that is absent or None is unlabelled."""

_SCORES = (
    "ari", "ami", "homogeneity", "completeness", "v_measure", "purity", "hungarian_accuracy",
)  # fmt: skip


@dataclass(frozen=True)
class Contingency:
    """Clusters against classes, over rows that have both.

    Attributes
    ----------
    classes, clusters
        Those that occur, ascending.
    counts
        Rows of each class (rows) in each cluster (columns), shape (n_classes, n_clusters).
    """

    classes: list[int]
    clusters: list[int]
    counts: IntArray

    @classmethod
    def of(cls, label: IntArray, cluster: IntArray) -> Contingency:
        """Count class and cluster of each row, shape (n_rows,)."""
        classes, rows = np.unique(label, return_inverse=True)
        clusters, columns = np.unique(cluster, return_inverse=True)
        size = len(classes) * len(clusters)
        flat = np.bincount(rows * len(clusters) + columns, minlength=size)[:size]
        counts = flat.reshape(len(classes), len(clusters)).astype(np.int64)
        return cls(classes.tolist(), clusters.tolist(), counts)

    @property
    def purity(self) -> float:
        """Share of rows that are of the most frequent class of their cluster."""
        return float(self.counts.max(axis=0).sum() / self.counts.sum())

    def assignment(self) -> tuple[dict[int, int], float]:
        """Cluster of each class in the best one-to-one assignment, and its share of the rows.

        Classes for which no cluster is left, when there are fewer clusters, are not in it.
        """
        rows, columns = linear_sum_assignment(self.counts, maximize=True)
        mapping = {self.classes[r]: self.clusters[c] for r, c in zip(rows, columns, strict=True)}
        return mapping, float(self.counts[rows, columns].sum() / self.counts.sum())


def cluster_agreement(
    clusters: Mapping[EntryKey, pl.DataFrame] | Iterable[tuple[EntryKey, pl.DataFrame]],
    labels: LabelsOf,
    *,
    column: str = "cluster",
    directed: bool = False,
    background: int | None = None,
    max_frames: int | None = None,
    random_state: int = 42,
    include_per_sequence: bool = False,
) -> dict[str, Any]:
    """Compare clusters with labels, row by row.

    Parameters
    ----------
    clusters
        Table of each recording with ``frame``, the columns of its identity (``id``, or ``id1`` and
        ``id2``, or neither) and the clusters (whole numbers; null rows do not count).
    labels
        Labels of each recording. They find their rows by frame and identity, never by position.
    column
        The column of the clusters.
    directed, background
        See :func:`~mosaic_dagster.dataset.align_labels`.
    max_frames
        Most rows that are compared; of more, so many are drawn over all recordings.
    random_state
        Seed of the draw.
    include_per_sequence
        Whether each recording is also compared by itself, before any draw.

    Returns
    -------
    dict
        As JSON takes it: ``n_samples``, ``n_classes``, ``n_clusters``, ``ari``, ``ami``,
        ``homogeneity``, ``completeness``, ``v_measure``, ``purity`` (rows of the most frequent
        class of their cluster / rows), ``hungarian_accuracy`` (rows of the best one-to-one
        assignment / rows), ``mapping`` (class to cluster in that assignment), ``confusion``
        (``classes``, ``clusters``, ``counts``: classes by clusters), and ``per_sequence`` by
        ``group/sequence`` when it was asked for. Without any row all scores are None.

    Raises
    ------
    MissingColumnError
        A table has no column ``frame``, or none of the clusters.
    AlignmentError
        An individual or a pair has two rows in one frame.
    ParamsError
        ``max_frames`` is below 1, the clusters are no whole numbers, or the labels are a mapping
        whose keys are no entry keys.
    """
    if max_frames is not None and max_frames < 1:
        msg = f"max_frames is {max_frames}."
        raise ParamsError(msg, "Give at least 1, or None for all.")
    _check_keys(labels)
    pairs = clusters.items() if isinstance(clusters, Mapping) else clusters
    parts: list[tuple[EntryKey, IntArray]] = []
    for key, table in pairs:
        found = labels(key) if callable(labels) else labels.get(key)
        parts.append((key, _labelled(key, table, found, column, directed, background)))
    rows = np.concatenate([part for _, part in parts]) if parts else np.empty((0, 2), np.int64)
    if max_frames is not None and len(rows) > max_frames:
        rng = np.random.default_rng(random_state)
        rows = rows[np.sort(rng.choice(len(rows), max_frames, replace=False))]
    result = compare(rows[:, 0], rows[:, 1])
    if include_per_sequence:
        result["per_sequence"] = {str(key): compare(p[:, 0], p[:, 1]) for key, p in parts}
    return result


def _check_keys(labels: object) -> None:
    wrong = (
        [k for k in labels if not isinstance(k, EntryKey)] if isinstance(labels, Mapping) else []
    )
    if wrong:
        msg = f"Labels are given for {wrong[0]!r}, which is a {type(wrong[0]).__name__}."
        raise ParamsError(msg, "Use entry keys; EntryKey.parse makes one of 'group/sequence'.")


def compare(label: IntArray, cluster: IntArray) -> dict[str, Any]:
    """Compare class and cluster of each row; see :func:`cluster_agreement` for what it gives.

    Parameters
    ----------
    label, cluster
        Shape (n_rows,), without missing values.
    """
    counted = Contingency.of(label, cluster)
    result: dict[str, Any] = {
        "n_samples": len(label),
        "n_classes": len(counted.classes),
        "n_clusters": len(counted.clusters),
        **dict.fromkeys(_SCORES),
        "mapping": {},
        "confusion": {
            "classes": counted.classes,
            "clusters": counted.clusters,
            "counts": counted.counts.tolist(),
        },
    }
    if len(label):
        mapping, share = counted.assignment()
        result |= _information(label, cluster)
        result |= {"purity": counted.purity, "hungarian_accuracy": share}
        result["mapping"] = {str(name): number for name, number in mapping.items()}
    return result


def _information(label: IntArray, cluster: IntArray) -> dict[str, float]:
    # scikit-learn's metrics take half a second to import, which reading a report need not pay.
    from sklearn.metrics import (
        adjusted_mutual_info_score,
        adjusted_rand_score,
        homogeneity_completeness_v_measure,
    )

    homogeneity, completeness, v_measure = homogeneity_completeness_v_measure(label, cluster)
    return {
        "ari": float(adjusted_rand_score(label, cluster)),
        "ami": float(adjusted_mutual_info_score(label, cluster)),
        "homogeneity": float(homogeneity),
        "completeness": float(completeness),
        "v_measure": float(v_measure),
    }


def _labelled(
    key: EntryKey,
    table: pl.DataFrame,
    labels: Labels | None,
    column: str,
    directed: bool,
    background: int | None,
) -> IntArray:
    """Class and cluster of the rows that have both, shape (n_rows, 2)."""
    for needed in ("frame", column):
        if needed not in table.columns:
            msg = f"The table of {key} has no column {needed!r}; it has {', '.join(table.columns)}."
            raise MissingColumnError(msg, "Name a column that is there.")
    if not table[column].dtype.is_integer() and table[column].dtype != pl.Null:
        msg = f"The column {column!r} of {key} holds {table[column].dtype}, not whole numbers."
        raise ParamsError(msg, "Give the number of the cluster of each row, null for none.")
    identity = [c for c in IDENTITY_COLUMNS if c in table.columns]
    repeated = table.select(pl.struct("frame", *identity).is_duplicated())
    if repeated.to_series().any():
        frame = table.filter(repeated.to_series())["frame"][0]
        who = ", ".join(identity) or "none"
        msg = f"Frame {frame} of {key} has several rows that nothing tells apart (identity: {who})."
        raise AlignmentError(msg, "Keep the columns id, or id1 and id2, in the table of clusters.")
    if labels is None:  # nobody looked at it, so not even the background is known
        background = None
    aligned = align_labels(table, labels, directed=directed, background=background).labels
    both = pl.DataFrame({"label": aligned, "cluster": table[column].cast(pl.Int64)}).drop_nulls()
    return both.to_numpy().astype(np.int64).reshape(-1, 2)
