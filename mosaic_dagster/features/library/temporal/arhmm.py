"""Syllables of behaviour: states of an autoregressive hidden Markov model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field, model_validator
from threadpoolctl import threadpool_limits

from mosaic_dagster.errors import FeatureError, MissingColumnError, ParamsError
from mosaic_dagster.features.inputs import InputStream
from mosaic_dagster.features.kernels.arhmm import Model, log_densities, regression
from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray, IntArray
from mosaic_dagster.features.kernels.hmm import Chain, likeliest_states, pack
from mosaic_dagster.features.library.rows import matrix, order_rows
from mosaic_dagster.features.library.temporal._arhmm_fit import Arrays, Scaling, fit_states
from mosaic_dagster.features.output import (
    FeatureTable,
    feature_columns,
    values_schema,
    with_values,
)
from mosaic_dagster.features.params import NotIdentity, Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.references import ArtifactSpec, StepRef
from mosaic_dagster.features.registry import register
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.content.codecs import load_arrays, save_arrays

_STATE = "arhmm.npz"
_ARRAYS = (
    "columns",
    "mean",
    "scale",
    "center",
    "components",
    "start",
    "transitions",
    "coefficients",
    "noise",
    "usage",
    "n_lags",
    "downsample_rate",
    "report",
)
_ENTRIES = 1 << 22
"""Most numbers in the table of ways from state to state of the runs decoded together."""


class ArhmmParams(Params):
    """Parameters of :class:`Arhmm`.

    Attributes
    ----------
    model
        The file ``arhmm.npz`` of an earlier fit to use instead of fitting.
    pca_dim
        Number of principal components to model; None models the columns.
    n_states
        Number of states to begin with.
    n_lags
        Number of earlier rows that a row follows from.
    sticky_weight
        Added to the count of each state's transitions to itself.
    n_iter, tol
        Most iterations, and the relative change of the log-likelihood at which they end.
    n_restarts
        Number of fits from different starts, the likeliest of which counts.
    standardize
        Whether columns are brought to mean 0 and standard deviation 1 first.
    downsample_rate
        Take every such row of a run; the rows between have the syllable of the row before.
    prune_threshold
        States that explain a smaller share of the rows are removed.
    random_state
        Seed of the first assignment.
    backend
        Only ``numpy``.
    """

    model: StepRef | ArtifactSpec | None = None
    pca_dim: int | None = Field(default=None, ge=1)
    n_states: int = Field(default=50, ge=1)
    n_lags: int = Field(default=1, ge=1)
    sticky_weight: float = Field(default=100.0, ge=0)
    n_iter: int = Field(default=200, ge=0)
    tol: float = Field(default=1e-4, ge=0)
    n_restarts: int = Field(default=1, ge=1)
    standardize: bool = True
    downsample_rate: int | None = Field(default=None, ge=1)
    prune_threshold: float = Field(default=0.01, ge=0, lt=1)
    random_state: int = Field(default=42, ge=0)
    backend: Annotated[Literal["numpy"], NotIdentity("backend")] = "numpy"

    @model_validator(mode="after")
    def _names_a_file(self) -> Self:
        if isinstance(self.model, StepRef) and self.model.artifact is None:
            msg = f"model refers to step {self.model.step!r} but names no artifact of it"
            raise ValueError(msg)
        return self


@register
class Arhmm(Feature[ArhmmParams]):
    """Syllable of each row: the likeliest path through states that each move in their own way.

    Column ``syllable``: 0 … n-1 (int32), numbered by falling share of the fitted rows. Rows keep
    the order of the input. The syllables of a run depend on that run alone.

    Notes
    -----
    Model and fit: :mod:`mosaic_dagster.features.kernels.arhmm`; states begin as k-means clusters.
    Each run of successive frames of one identity is a sequence. Values that are missing or
    infinite count as 0, before the columns are standardised, and notes tell the number of such
    rows. The first ``n_lags`` rows of a run take the syllable of the row after them; a
    run of no more rows than that (after downsampling) is null. All rows of the scope are held in
    memory while fitting.

    State: ``arhmm.npz`` (columns, mean, scale, center and components of the rows; start,
    transitions, coefficients, noise and usage of the states; n_lags, downsample_rate, report).
    """

    name = "arhmm"
    version = "1.0"
    category = "global"
    fits = "stream"
    scope_dependent = True
    Params = ArhmmParams

    state: Arrays | None = None

    def input_columns(self) -> tuple[str, ...]:
        """The frame and, once they are known, the columns that were fitted."""
        return ("frame", *(() if self.state is None else self._columns()))

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """The key columns and the syllable."""
        return values_schema(schema, {"syllable": pl.Int32()})

    def load_state(
        self,
        folder: Path | None,
        artifacts: Mapping[str, Path],
        lookups: Mapping[str, Mapping[EntryKey, Path]],
    ) -> bool:
        """Own state, else the state that ``model`` refers to."""
        del lookups
        if folder is not None:
            self.state = _read_state(folder / _STATE)
        elif self.params.model is not None:
            if "model" not in artifacts:
                msg = "arhmm was not given the file of its model."
                raise FeatureError(msg, "Give model a StepRef to an arhmm step.")
            self.state = _read_state(artifacts["model"])
        return self.state is not None

    def fit(self, stream: InputStream) -> None:
        """Collect the runs of all entries, then fit."""
        first: EntryKey | None = None
        columns: list[str] = []
        runs: list[FloatArray] = []
        for key, table in stream():
            names = feature_columns(table)
            if first is None:
                first, columns = key, names
            _check_columns(key, names, first, columns)
            runs += [values for _, values, _ in _runs(table, names, self.params.downsample_rate)]
        if not columns:
            msg = f"arhmm found no numeric value column in {stream.n_entries} entries."
            raise MissingColumnError(msg, "Let it read a feature, such as posture or PCA.")
        self.state = fit_states(runs, self.params) | {
            "columns": np.array(columns, dtype=np.str_),
            "n_lags": np.array(self.params.n_lags),
            "downsample_rate": np.array(self.params.downsample_rate or 1),
        }

    def save_state(self, folder: Path) -> None:
        """Write ``arhmm.npz``."""
        save_arrays(folder / _STATE, **self._fitted())

    def apply(self, table: pl.DataFrame) -> FeatureTable:
        """Decode one recording."""
        state = self._fitted()
        self.check_columns(table.schema)
        lags, rate = int(state["n_lags"]), int(state["downsample_rate"])
        syllables = np.full(table.height, -1, dtype=np.int32)
        runs = list(_runs(table, self._columns(), rate))
        long = [run for run in runs if len(run[1]) > lags]
        for batch in _batches(len(long), len(state["start"])):
            decoded = self._decode([values for _, values, _ in long[batch]], lags)
            for (rows, _, _), states in zip(long[batch], decoded, strict=True):
                padded = np.concatenate([np.repeat(states[:1], lags), states])
                syllables[rows] = padded[np.arange(len(rows)) // rate]
        column = pl.Series(syllables, dtype=pl.Int32)
        notes = {
            "n_rows_filled": sum(filled for _, _, filled in runs),
            "n_rows_null": int((syllables < 0).sum()),
        }
        return FeatureTable(with_values(table, {"syllable": column.set(column < 0, None)}), notes)

    def state_notes(self) -> dict[str, Any]:
        """How the fit went."""
        state = self._fitted()
        likelihood, n_iter, converged, n_rows, n_runs, n_pruned = state["report"].tolist()
        return {
            "n_states": len(state["start"]),
            "n_states_pruned": int(n_pruned),
            "log_likelihood": likelihood,
            "n_iter": int(n_iter),
            "converged": bool(converged),
            "n_rows": int(n_rows),
            "n_runs": int(n_runs),
            "usage": state["usage"].tolist(),
        }

    def _decode(self, runs: list[FloatArray], lags: int) -> list[npt.NDArray[np.int32]]:
        """States of each run's rows from the first one that has all its lags."""
        state = self._fitted()
        scaling = Scaling(state["mean"], state["scale"], state["center"], state["components"])
        model = Model(
            Chain(state["start"], state["transitions"]), state["coefficients"], state["noise"]
        )
        scaled = [scaling.apply(values) for values in runs]
        with threadpool_limits(1):
            parts = [log_densities(model, regression([values], lags)) for values in scaled]
        lengths = [len(values) - lags for values in runs]
        packing = pack(lengths)
        densities = np.concatenate(parts)[packing.rows]
        states = packing.unpack(likeliest_states(model.chain, densities, packing))
        return np.split(states, np.cumsum(lengths)[:-1])

    def _columns(self) -> list[str]:
        return [str(column) for column in self._fitted()["columns"]]

    def _fitted(self) -> Arrays:
        if self.state is None:
            msg = "arhmm is not fitted."
            raise FeatureError(msg, "Call load_state, and fit where it returns False.")
        return self.state


def _runs(
    table: pl.DataFrame, columns: list[str], rate: int | None
) -> Iterator[tuple[IntArray, FloatArray, int]]:
    """Rows of each run, the values of every ``rate``-th of them, and how many rows were filled."""
    rows = order_rows(table)
    values = matrix(table, columns)[rows.order]
    missing = ~np.isfinite(values)
    values[missing] = 0.0
    filled: BoolArray = np.asarray(missing.any(axis=1))
    for run in rows.runs:
        yield rows.order[run], values[run][:: rate or 1], int(filled[run].sum())


def _batches(n_runs: int, n_states: int) -> Iterator[slice]:
    size = max(1, _ENTRIES // n_states**2)
    return (slice(first, first + size) for first in range(0, n_runs, size))


def _check_columns(key: EntryKey, names: list[str], first: EntryKey, known: list[str]) -> None:
    for lacking, having, difference in (
        (key, first, set(known) - set(names)),
        (first, key, set(names) - set(known)),
    ):
        if difference:
            msg = f"Entry {lacking} lacks the column {min(difference)!r}, which {having} has."
            raise MissingColumnError(msg, "arhmm needs the same columns in every entry.")


def _read_state(path: Path) -> Arrays:
    arrays = load_arrays(path) if path.suffix == ".npz" else {}
    missing = set(_ARRAYS) - set(arrays)
    if missing:
        msg = f"{path.name} is not a state of arhmm: no array {min(missing)!r}."
        raise ParamsError(msg, f"Refer to the file {_STATE} of an arhmm step.")
    return arrays
