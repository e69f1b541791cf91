"""Posture of a pair as principal components of the distances between its keypoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from pydantic import Field, model_validator

# Not inside the fit: a limit on threads holds only for libraries that are loaded by then, and the
# bytes of the components depend on it.
from sklearn.decomposition import IncrementalPCA

from mosaic_dagster.errors import FeatureError, FitError, ParamsError
from mosaic_dagster.features.inputs import InputStream
from mosaic_dagster.features.kernels.arrays import FloatArray
from mosaic_dagster.features.kernels.pair_distances import (
    DistanceLayout,
    distance_rows,
    layout,
    project_both,
)
from mosaic_dagster.features.kernels.pairing import PairRows
from mosaic_dagster.features.library.interpolated import CleanRows, clean_rows
from mosaic_dagster.features.library.pairs._batches import RowBatches
from mosaic_dagster.features.library.pairs._pair_table import match_rows, pair_schema, pair_table
from mosaic_dagster.features.library.pose import PoseConfig
from mosaic_dagster.features.output import FeatureTable
from mosaic_dagster.features.params import DatasetFacts, InterpolationConfig, Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.content.codecs import load_arrays, save_arrays

_STATE = "pca.npz"
_ARRAYS = (
    "components",
    "mean",
    "explained_variance",
    "explained_variance_ratio",
    "n_rows",
    "skipped_entries",
    "skipped_reasons",
)

Arrays = dict[str, np.ndarray[Any, Any]]


class PairPosedistancePcaParams(Params):
    """Parameters of :class:`PairPosedistancePca`.

    Attributes
    ----------
    interpolation
        Which holes in the keypoints are filled, and which rows are dropped.
    pose
        The keypoints that are read.
    include_intra_A, include_intra_B, include_inter
        Whether distances inside the focal animal, inside its partner and between both count.
    duplicate_perspective
        Whether each pair is also seen, and fitted on, with the higher id as focal animal.
    n_components
        Number of components.
    batch_size
        Rows that one step of the fit takes in.
    """

    interpolation: InterpolationConfig = InterpolationConfig()
    pose: PoseConfig = PoseConfig()
    include_intra_A: bool = True  # noqa: N815  # the animals of a pair are A and B everywhere
    include_intra_B: bool = True  # noqa: N815
    include_inter: bool = True
    duplicate_perspective: bool = True
    n_components: int = Field(default=6, ge=1)
    batch_size: int = Field(default=5000, ge=1)

    @model_validator(mode="after")
    def _enough_distances(self) -> Self:
        if not (self.include_intra_A or self.include_intra_B or self.include_inter):
            msg = "include_intra_A, include_intra_B and include_inter are all false"
            raise ValueError(msg)
        n_distances = len(self.layout().own)
        if self.n_components > n_distances:
            msg = f"n_components is {self.n_components} and there are {n_distances} distance(s)"
            raise ValueError(msg)
        if self.n_components > self.batch_size:
            msg = f"n_components {self.n_components} is above batch_size {self.batch_size}"
            raise ValueError(msg)
        return self

    def layout(self) -> DistanceLayout:
        """Which distances make a row."""
        return layout(
            self.pose.count(),
            intra_a=self.include_intra_A,
            intra_b=self.include_intra_B,
            inter=self.include_inter,
        )

    def resolve(self, facts: DatasetFacts) -> Self:
        """Turn names of keypoints into numbers."""
        resolved = super().resolve(facts)
        pose = resolved.pose.resolve(facts)
        return type(self).from_overrides(resolved.model_dump() | {"pose": pose})


@dataclass
class _Fit:
    """What a fit in progress holds."""

    batches: RowBatches
    model: Any
    skipped: dict[str, str] = field(default_factory=dict)


@register
class PairPosedistancePca(Feature[PairPosedistancePcaParams]):
    """Principal components of the distances between the keypoints of two animals.

    One row per frame and ordered pair as in ``pair-position``. Columns ``PC0``, ``PC1``, …
    (float32, unit of the tracks), in order of falling variance. What is projected are the
    distances inside A, (1, 0), (2, 0), (2, 1), …, those inside B, and those from each keypoint of
    A to each of B.

    Notes
    -----
    Tracks are cleaned as for ``pair-position``; pairs with a dropped row have no row. The fit is
    the incremental decomposition of Ross et al., International Journal of Computer Vision 77 (2008)
    125, over the rows of all entries in the order of their keys, of perspective 0 and then 1. Its
    batches are filled across entries, and the last takes up what is left over. The sign of a
    component is such that its largest loading by absolute value is positive. A row's scores depend
    on that row alone. Entries without a pair are left out of the fit and named in its notes.
    State: ``pca.npz``. Notes of a table: n_filled, n_median, n_dropped, n_pairs.
    """

    name = "pair-posedistance-pca"
    version = "1.0"
    fits = "stream"
    scope_dependent = True
    Params = PairPosedistancePcaParams

    state: Arrays | None = None
    _fit: _Fit | None = None

    def input_columns(self) -> tuple[str, ...]:
        """Frame, identity and the keypoints that are read."""
        return ("frame", "id", *self.params.pose.columns())

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """Pairs and one column per component."""
        self.check_columns(schema)
        return pair_schema(schema, self._names())

    def load_state(
        self,
        folder: Path | None,
        artifacts: Mapping[str, Path],
        lookups: Mapping[str, Mapping[EntryKey, Path]],
    ) -> bool:
        """Read the fitted arrays where there are any."""
        del artifacts, lookups
        if folder is None:
            return False
        arrays = load_arrays(folder / _STATE)
        missing = set(_ARRAYS) - set(arrays)
        if missing:
            msg = f"{_STATE} is not a state of {self.name}: no array {min(missing)!r}."
            raise ParamsError(msg, f"Refer to the state of a {self.name} step.")
        self.state = arrays
        return True

    def fit(self, stream: InputStream) -> None:
        """One pass over the entries, from the start."""
        self._fit = None
        super().fit(stream)

    def partial_fit(self, key: EntryKey, table: pl.DataFrame) -> None:
        """Take in the distances of one entry, or note why there are none."""
        if self._fit is None:
            model = IncrementalPCA(n_components=self.params.n_components)
            self._fit = _Fit(RowBatches(self.params.batch_size), model)
        clean, pairs = self._read(table)
        if not pairs.n_pairs:
            alone = table["id"].n_unique() < 2
            reason = "fewer than two animals" if alone else "no frame with two complete animals"
            self._fit.skipped[str(key)] = reason
        for rows in self._fit_rows(clean, pairs):
            for batch in self._fit.batches.add(rows):
                _take_in(self._fit.model, batch)

    def finalize(self) -> None:
        """Take in the last batch and keep the components."""
        fit, self._fit = self._fit, None
        n_rows = 0 if fit is None else fit.batches.n_rows
        last = None if fit is None else fit.batches.last()
        if fit is None or last is None or n_rows < self.params.n_components:
            msg = (
                f"{self.name} cannot find {self.params.n_components} component(s) in {n_rows} "
                "row(s) of pairs."
            )
            raise FitError(msg, "Lower n_components, or add recordings of two animals or more.")
        _take_in(fit.model, last)
        if not fit.model.var_.any():
            msg = f"{self.name}: the distances are the same in all {n_rows} rows."
            raise FitError(msg, "Check the keypoints in the tracks.")
        self.state = {
            "components": _signed(fit.model.components_),
            "mean": fit.model.mean_,
            "explained_variance": fit.model.explained_variance_,
            "explained_variance_ratio": fit.model.explained_variance_ratio_,
            "n_rows": np.array(n_rows, dtype=np.int64),
            "skipped_entries": np.array(list(fit.skipped), dtype=np.str_),
            "skipped_reasons": np.array(list(fit.skipped.values()), dtype=np.str_),
        }

    def save_state(self, folder: Path) -> None:
        """Write ``pca.npz``."""
        save_arrays(folder / _STATE, **self.fitted())

    def state_notes(self) -> dict[str, Any]:
        """Rows of the fit, what the components explain, and the entries that were left out."""
        state = self.fitted()
        entries, reasons = state["skipped_entries"].tolist(), state["skipped_reasons"].tolist()
        return {
            "n_rows": int(state["n_rows"]),
            "explained_variance": state["explained_variance"].tolist(),
            "explained_variance_ratio": state["explained_variance_ratio"].tolist(),
            "skipped": dict(zip(entries, reasons, strict=True)),
        }

    def fitted(self) -> Arrays:
        """The state.

        Raises
        ------
        FeatureError
            Nothing is loaded or fitted yet.
        """
        if self.state is None:
            msg = f"{self.name} is not fitted."
            raise FeatureError(msg, "Call load_state, and fit where it returns False.")
        return self.state

    def apply(self, table: pl.DataFrame) -> FeatureTable:
        """Project one recording."""
        state = self.fitted()
        clean, pairs = self._read(table)
        plan = self.params.layout()
        x, y = np.split(clean.values, 2)
        blocks = distance_rows(x, y, pairs.first, pairs.second, plan)
        n_rows = len(pairs.first)
        own, swapped = project_both(blocks, plan, state["components"], state["mean"], n_rows)
        values = {name: (own[k], swapped[k]) for k, name in enumerate(self._names())}
        both = self.params.duplicate_perspective
        notes = {**clean.notes, "n_pairs": pairs.n_pairs}
        return FeatureTable(pair_table(table, clean, pairs, values, both=both), notes)

    def _names(self) -> list[str]:
        return [f"PC{k}" for k in range(self.params.n_components)]

    def _read(self, table: pl.DataFrame) -> tuple[CleanRows, PairRows]:
        self.check_columns(table.schema)
        columns = self.params.pose.columns_by_axis()
        clean = clean_rows(table, columns, self.params.interpolation, angles=())
        return clean, match_rows(clean)

    def _fit_rows(self, clean: CleanRows, pairs: PairRows) -> Iterator[FloatArray]:
        """Distances of perspective 0, then of perspective 1, in blocks of rows."""
        plan = self.params.layout()
        x, y = np.split(clean.values, 2)
        by_key = pairs.order[pairs.order < len(pairs.first)]
        first, second = pairs.first[by_key], pairs.second[by_key]
        for places in (plan.own, plan.swapped)[: 1 + self.params.duplicate_perspective]:
            for block in distance_rows(x, y, first, second, plan):
                yield np.ascontiguousarray(block.T)[:, places]


def _take_in(model: Any, batch: FloatArray) -> None:
    # While all rows so far are the same, the shares of variance are 0 / 0.
    with np.errstate(divide="ignore", invalid="ignore"):
        model.partial_fit(batch, check_input=False)


def _signed(components: FloatArray) -> FloatArray:
    largest = np.abs(components).argmax(axis=1)
    signs = np.where(components[np.arange(len(components)), largest] < 0, -1.0, 1.0)
    return np.asarray(components * signs[:, None])
