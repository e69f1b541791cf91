"""A UMAP map of templates, and the place of every other row on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import Field

from mosaic_dagster.errors import FitError
from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray
from mosaic_dagster.features.library.fitted._umap import (
    fit_map,
    new_map,
    place_rows,
    require,
    restore_map,
)
from mosaic_dagster.features.library.template_fit import (
    Arrays,
    TemplateFitted,
    TemplateParams,
)
from mosaic_dagster.features.output import values_schema, with_values
from mosaic_dagster.features.registry import register
from mosaic_dagster.store.content.codecs import save_arrays

_FEWEST = 5
"""Fewest templates for the eigenvectors that the optimisation starts from."""


class GlobalUmapParams(TemplateParams):
    """Parameters of :class:`GlobalUmap`.

    Attributes
    ----------
    n_neighbors
        Nearest templates that count as near; fewer where there are fewer other templates.
    min_dist
        Distance on the map of rows that are as near as can be.
    metric
        How far apart rows are.
    random_state
        Seed of the fit and of placing rows.
    """

    n_neighbors: int = Field(default=15, ge=2)
    min_dist: float = Field(default=0.1, ge=0, le=1)
    metric: Literal["euclidean", "manhattan", "chebyshev", "cosine", "correlation"] = "euclidean"
    random_state: int = Field(default=42, ge=0, lt=2**31)


@register
class GlobalUmap(TemplateFitted[GlobalUmapParams]):
    """Place of each row on a UMAP map of the templates: ``umap_x``, ``umap_y`` (float32).

    Units are those of the map, which mean nothing but nearness. A row with a missing value is NaN.

    Notes
    -----
    McInnes, Healy, Melville, arXiv:1802.03426, by the package umap-learn, which rounds features to
    float32. Rows of one recording are placed in one call, because they share one stream of random
    numbers: the place of a row depends a little on which other rows its recording has. Equal rows
    share one place, and the order of the rows does not matter: different rows are placed once,
    sorted by value. The seed is fixed and one thread works, so that results repeat.

    State: ``umap.npz`` (Y: places of the templates row by row, NaN where a value is missing;
    templates, columns and the parameters of the fit). Loading finds the neighbours of the
    templates again and optimises nothing.
    """

    name = "global-umap"
    version = "1.0"
    Params = GlobalUmapParams
    state_file = "umap.npz"

    _map: Any = None

    @classmethod
    def state_arrays(cls) -> tuple[str, ...]:
        """The templates, their places and what they were fitted with."""
        return ("Y", "templates", "n_neighbors", "min_dist", "metric", "random_state")

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the map, which holds compiled functions and is made again from the state."""
        return {name: value for name, value in self.__dict__.items() if name != "_map"}

    def fit_templates(self, values: FloatArray, usable: BoolArray) -> Arrays:
        """Places of the finite templates."""
        require()
        points = values[usable]
        if len(points) < _FEWEST:
            msg = f"global-umap cannot make a map of {len(points)} usable template(s)."
            raise FitError(msg, f"Extract at least {_FEWEST}, better some thousands.")
        settings = self.params.model_dump(include={"min_dist", "metric", "random_state"})
        settings["n_neighbors"] = min(self.params.n_neighbors, len(points) - 1)
        places = np.full((len(values), 2), np.nan, dtype=np.float32)
        places[usable] = fit_map(new_map(**settings), points)
        arrays = {name: np.array(value) for name, value in settings.items()}
        return {"Y": places, "templates": values, **arrays}

    def save_state(self, folder: Path) -> None:
        """Write ``umap.npz``."""
        save_arrays(folder / self.state_file, **self.fitted())

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """The key columns and the place."""
        return values_schema(schema, {"umap_x": pl.Float32(), "umap_y": pl.Float32()})

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Place the rows of one recording."""
        values = self.values(table)
        usable = np.isfinite(values).all(axis=1)
        places = np.full((len(values), 2), np.nan, dtype=np.float32)
        if usable.any():
            different, back = np.unique(values[usable], axis=0, return_inverse=True)
            places[usable] = place_rows(self._ready_map(), different)[back]
        return with_values(table, {"umap_x": places[:, 0], "umap_y": places[:, 1]})

    def state_notes(self) -> dict[str, Any]:
        """Number of templates and, where there are few, the neighbours that count."""
        state = self.fitted()
        notes: dict[str, Any] = {"n_templates": int(np.isfinite(state["Y"][:, 0]).sum())}
        notes["n_neighbors"] = int(state["n_neighbors"])
        return notes

    def _ready_map(self) -> Any:
        if self._map is None:
            state = self.fitted()
            known = np.isfinite(state["Y"][:, 0])
            unfitted = new_map(
                n_neighbors=int(state["n_neighbors"]),
                min_dist=float(state["min_dist"]),
                metric=str(state["metric"]),
                random_state=int(state["random_state"]),
            )
            self._map = restore_map(unfitted, state["templates"][known], state["Y"][known])
        return self._map
