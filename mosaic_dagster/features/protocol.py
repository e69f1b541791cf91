"""What a feature is: a named, versioned computation from tables to a table.

A feature is asked in this order::

    feature = cls(inputs, params)
    feature.load_state(folder or None, artifacts, lookups)   True: ready, nothing to fit
    feature.fit(stream)                                      only when not ready
    feature.save_state(folder)                               the fitted state, as files
    feature.apply(table)                                     once per entry, in any order

``apply`` depends on its table, the parameters and the state alone. Features never keep results
between calls: the same instance serves many entries, in several processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

import polars as pl

from mosaic_dagster.errors import FeatureError, MissingColumnError
from mosaic_dagster.features.inputs import Inputs, InputStream
from mosaic_dagster.features.output import FeatureTable
from mosaic_dagster.features.params import Params
from mosaic_dagster.keys import EntryKey

P = TypeVar("P", bound=Params)

# Inside the class the name Inputs means the class attribute.
_AnyInputs = Inputs

Category = Literal["per-frame", "summary", "tag", "global", "media"]
"""How the rows of a feature's table relate to frames."""

Fits = Literal["never", "stream", "templates"]
"""What a feature is fitted on: nothing, the tables of its scope, or an artifact in its params."""


class Feature(Generic[P]):
    """Base of all features.

    Attributes
    ----------
    name, version
        Both are part of every result's identity; the version changes when results do.
    category
        See :data:`Category`.
    parallelizable
        Whether entries may be computed side by side.
    scope_dependent
        Whether the declared scope is part of the identity of the fitted state.
    fits
        See :data:`Fits`.
    passthrough
        Whether ``apply`` gives back its input unchanged, so that nothing is stored again.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    category: ClassVar[Category] = "per-frame"
    parallelizable: ClassVar[bool] = True
    scope_dependent: ClassVar[bool] = False
    fits: ClassVar[Fits] = "never"
    passthrough: ClassVar[bool] = False
    Inputs: ClassVar[type[Inputs]] = Inputs
    Params: ClassVar[type[Params]] = Params

    params: P

    def __init__(
        self,
        inputs: _AnyInputs | tuple[Any, ...] | None = None,
        params: P | Mapping[str, Any] | None = None,
    ) -> None:
        self.inputs = self.Inputs(("tracks",) if inputs is None else inputs)
        if params is None or isinstance(params, Mapping):
            params = self.Params.from_overrides(params)  # type: ignore[assignment]
        self.params = params  # type: ignore[assignment]

    # What is known before anything runs.

    def input_columns(self) -> tuple[str, ...]:
        """Columns that the joined input must have."""
        return ()

    def output_schema(self, schema: pl.Schema) -> pl.Schema | None:
        """Columns and types of the result for an input of this schema.

        None where only fitting decides (for example a share of variance).
        """
        raise NotImplementedError(type(self).__name__)

    def check_columns(self, schema: Mapping[str, Any]) -> None:
        """Refuse an input that lacks a column.

        Raises
        ------
        MissingColumnError
            Names the columns that are missing and those that are there.
        """
        missing = [column for column in self.input_columns() if column not in schema]
        if missing:
            msg = f"{self.name} needs the column(s) {', '.join(missing)}"
            raise MissingColumnError(
                f"{msg}, which its input does not have.",
                f"The input has: {', '.join(schema)}.",
            )

    # Fitted state.

    def load_state(
        self,
        folder: Path | None,
        artifacts: Mapping[str, Path],
        lookups: Mapping[str, Mapping[EntryKey, Path]],
    ) -> bool:
        """Take up a fitted state and what the parameters refer to.

        Parameters
        ----------
        folder
            The files that :meth:`save_state` wrote, or None when nothing was fitted yet.
        artifacts
            File of each parameter that refers to an artifact.
        lookups
            Table file per entry of each parameter that refers to a step's tables.

        Returns
        -------
        bool
            Whether the feature is ready; False asks for :meth:`fit`.
        """
        del folder, artifacts, lookups
        return self.fits == "never"

    def fit(self, stream: InputStream) -> None:
        """Fit on a stream of (entry, table): one pass of partial fits, unless overridden."""
        for key, table in stream():
            self.partial_fit(key, table)
        self.finalize()

    def partial_fit(self, key: EntryKey, table: pl.DataFrame) -> None:
        """Take in the table of one entry."""
        del key, table
        msg = f"{self.name} is not fitted on a stream."
        raise FeatureError(msg, "Call fit, or write partial_fit and finalize.")

    def finalize(self) -> None:
        """Finish a fit made of partial fits."""

    def save_state(self, folder: Path) -> None:
        """Write the fitted state as files whose bytes depend on the state alone."""

    def state_notes(self) -> dict[str, Any]:
        """Facts about the fitted state for people (any canonical JSON); empty by default."""
        return {}

    # One entry.

    def apply(self, table: pl.DataFrame) -> pl.DataFrame | FeatureTable:
        """Compute the result of one entry."""
        raise NotImplementedError(type(self).__name__)
