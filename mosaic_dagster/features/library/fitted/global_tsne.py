"""A t-SNE map of templates, and the place of every other row on it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from mosaic_dagster.errors import FitError
from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray
from mosaic_dagster.features.kernels.nearest_rows import nearest_others, nearest_rows
from mosaic_dagster.features.library.fitted._opentsne import (
    Descent,
    Neighbors,
    fit_map,
    place_rows,
    require,
)
from mosaic_dagster.features.library.template_fit import (
    Arrays,
    TemplateFitted,
    TemplateParams,
)
from mosaic_dagster.features.output import values_schema, with_values
from mosaic_dagster.features.params import NotIdentity
from mosaic_dagster.features.registry import register
from mosaic_dagster.store.content.codecs import save_arrays

_FEWEST = 4
"""Fewest templates: (n - 1) / 3 neighbours is a perplexity of 1, below which there is no map."""


class TsneFit(BaseModel):
    """How the map of the templates is optimised.

    Attributes
    ----------
    learning_rate
        ``auto`` is the number of templates over the exaggeration of the phase.
    exaggeration_iters, exaggeration, exaggeration_momentum
        The first phase, in which attraction is multiplied.
    iters, momentum
        The second phase.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    learning_rate: Literal["auto"] | Annotated[float, Field(gt=0)] = "auto"
    exaggeration_iters: int = Field(default=250, ge=0)
    exaggeration: float = Field(default=12.0, gt=0)
    exaggeration_momentum: float = Field(default=0.5, ge=0, lt=1)
    iters: int = Field(default=750, ge=0)
    momentum: float = Field(default=0.8, ge=0, lt=1)


class TsneMapping(BaseModel):
    """How other rows are placed on the map.

    Attributes
    ----------
    k
        Number of nearest templates that a row is drawn to.
    iters, learning_rate, exaggeration, momentum
        The descent; without iterations a row stays where it starts.
    chunk_size
        Rows that are placed together; changes memory and time only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    k: int = Field(default=25, ge=1)
    iters: int = Field(default=100, ge=0)
    learning_rate: float = Field(default=1.0, gt=0)
    exaggeration: float = Field(default=2.0, gt=0)
    momentum: float = Field(default=0.0, ge=0, lt=1)
    chunk_size: int = Field(default=50_000, ge=1)


class GlobalTsneParams(TemplateParams):
    """Parameters of :class:`GlobalTsne`.

    Attributes
    ----------
    random_state
        Seed of the jitter at the start of the fit.
    perplexity
        Effective number of neighbours of a template; at most a third of the other templates.
    knn_method
        Only ``exact``.
    n_jobs
        Most threads that place rows (the fit has one); results are the same for any number.
    fit, mapping
        See :class:`TsneFit` and :class:`TsneMapping`.
    """

    random_state: int = Field(default=42, ge=0, lt=2**32)
    perplexity: float = Field(default=50.0, ge=1)
    knn_method: Literal["exact"] = "exact"
    n_jobs: Annotated[int, NotIdentity("threads")] = Field(default=8, ge=1)
    fit: TsneFit = TsneFit()
    mapping: TsneMapping = TsneMapping()

    def identity(self) -> dict[str, Any]:
        """Values that change the result, so not the size of chunks."""
        plain = super().identity()
        plain["mapping"] = self.mapping.model_dump(exclude={"chunk_size"})
        return plain


@register
class GlobalTsne(TemplateFitted[GlobalTsneParams]):
    """Place of each row on a t-SNE map of the templates: ``tsne_x``, ``tsne_y`` (float32).

    Units are those of the map, which mean nothing but nearness. A row with a missing value is NaN.
    The place of a row does not depend on the other rows, on chunks or on threads.

    Notes
    -----
    van der Maaten, Hinton, Journal of Machine Learning Research 9 (2008) 2579; Barnes-Hut gradient:
    van der Maaten, ibid. 15 (2014) 3221; both, and the placing of rows on a fixed map
    (Poličar, Stražar, Zupan, Machine Learning 112 (2023) 721), by the package openTSNE.

    The fit starts from the first two principal components. A row starts at the median place of its
    k nearest templates, or at the place of the template that it equals, and descends the
    divergence KL(p‖q) against the fixed map, where p are Gaussian affinities to these k templates
    at a perplexity of the fit's, but at most k / 3 (and at least 1).

    State: ``global_tsne_templates.npz`` (Y: places of the templates row by row, NaN where a
    value is missing; templates, columns, perplexity, kl_divergence).
    """

    name = "global-tsne"
    version = "1.0"
    Params = GlobalTsneParams
    state_file = "global_tsne_templates.npz"

    @classmethod
    def state_arrays(cls) -> tuple[str, ...]:
        """The templates and their places."""
        return ("Y", "templates", "perplexity")

    def fit_templates(self, values: FloatArray, usable: BoolArray) -> Arrays:
        """Places of the finite templates."""
        require()
        points = values[usable]
        n = len(points)
        if n < _FEWEST:
            msg = f"global-tsne cannot make a map of {n} usable template(s)."
            raise FitError(msg, f"Extract at least {_FEWEST}, better some thousands.")
        if not np.ptp(points, axis=0).any():
            msg = f"global-tsne: all {n} usable templates are the same point."
            raise FitError(msg, "Check the features that the templates come from.")
        perplexity = min(self.params.perplexity, (n - 1) / 3)
        neighbors = nearest_others(points, min(n - 1, int(3 * perplexity)))
        fit = self.params.fit
        phases = (
            Descent(
                fit.exaggeration_iters,
                fit.exaggeration,
                fit.exaggeration_momentum,
                fit.learning_rate,
            ),
            Descent(fit.iters, 1.0, fit.momentum, fit.learning_rate),
        )
        places = np.full((len(values), 2), np.nan)
        places[usable], divergence = fit_map(
            points,
            Neighbors(*neighbors, perplexity),
            phases,
            self.params.random_state,
        )
        return {
            "Y": places,
            "templates": values,
            "perplexity": np.array(float(perplexity)),
            "kl_divergence": np.array(divergence),
        }

    def save_state(self, folder: Path) -> None:
        """Write ``global_tsne_templates.npz``."""
        save_arrays(folder / self.state_file, **self.fitted())

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """The key columns and the place."""
        return values_schema(schema, {"tsne_x": pl.Float32(), "tsne_y": pl.Float32()})

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Place the rows of one recording."""
        values = self.values(table)
        rows = np.flatnonzero(np.isfinite(values).all(axis=1))
        places = np.full((len(values), 2), np.nan, dtype=np.float32)
        size = self.params.mapping.chunk_size
        for first in range(0, len(rows), size):
            chunk = rows[first : first + size]
            places[chunk] = self._place(values[chunk])
        return with_values(table, {"tsne_x": places[:, 0], "tsne_y": places[:, 1]})

    def state_notes(self) -> dict[str, Any]:
        """How the fit went and, where the perplexity was lowered, a note."""
        state = self.fitted()
        n = int(np.isfinite(state["Y"][:, 0]).sum())
        used = float(state["perplexity"])
        notes: dict[str, Any] = {"n_templates": n, "perplexity": used}
        notes["kl_divergence"] = float(state["kl_divergence"])
        if self.params.model is None and used < self.params.perplexity:
            notes["note"] = f"perplexity {self.params.perplexity} lowered for {n} templates"
        return notes

    def _place(self, values: FloatArray) -> FloatArray:
        """Places of finite rows, shape (n_rows, 2)."""
        state, mapping = self.fitted(), self.params.mapping
        known = np.isfinite(state["Y"][:, 0])
        fixed: FloatArray = np.ascontiguousarray(state["Y"][known])
        positions, distances = nearest_rows(
            values, state["templates"][known], min(mapping.k, len(fixed))
        )
        start: FloatArray = np.median(fixed[positions], axis=1)
        same = distances[:, 0] == 0
        start[same] = fixed[positions[same, 0]]
        if not mapping.iters:
            return start
        perplexity = max(1.0, min(float(state["perplexity"]), positions.shape[1] / 3))
        descent = Descent(
            mapping.iters, mapping.exaggeration, mapping.momentum, mapping.learning_rate
        )
        threads = min(self.params.n_jobs, os.cpu_count() or 1)
        neighbors = Neighbors(positions, distances, perplexity)
        return place_rows(fixed, start, neighbors, descent, threads)
