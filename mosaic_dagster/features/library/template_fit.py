"""What the features share that are fitted on an artifact of templates."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, TypeVar

import numpy as np
import polars as pl
from pydantic import model_validator

from mosaic_dagster.errors import FeatureError, FitError, ParamsError
from mosaic_dagster.features.inputs import Inputs, InputStream
from mosaic_dagster.features.kernels.arrays import BoolArray, FloatArray
from mosaic_dagster.features.library.rows import columns_of, matrix
from mosaic_dagster.features.output import feature_columns
from mosaic_dagster.features.params import Params
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.references import ArtifactSpec, ParquetLoadSpec, StepRef
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.content.codecs import load_arrays

Arrays = dict[str, np.ndarray[Any, Any]]


class TemplateParams(Params):
    """Parameters of every feature that is fitted on templates.

    Attributes
    ----------
    templates
        The table of templates to fit on, such as ``StepRef("tmpl", "templates.parquet")``.
    model
        The state of an earlier fit to use instead.
    """

    templates: StepRef | ArtifactSpec | None = None
    model: StepRef | ArtifactSpec | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.templates is None) == (self.model is None):
            given = "neither is given" if self.templates is None else "both are given"
            msg = f"give exactly one of templates (to fit) and model (fitted before); {given}"
            raise ValueError(msg)
        for name in ("templates", "model"):
            reference = getattr(self, name)
            if isinstance(reference, StepRef) and reference.artifact is None:
                msg = f"{name} refers to step {reference.step!r} but names no artifact of it"
                raise ValueError(msg)
        return self


class TemplateInputs(Inputs):
    """Any inputs; without one the feature is fitted and never applied."""

    require = "any"


P = TypeVar("P", bound=TemplateParams)


class TemplateFitted(Feature[P]):
    """Base of the features that are fitted on templates.

    The state is the file ``state_file`` (named arrays, among them ``columns``); a subclass
    fits it in :meth:`fit_templates` and uses ``self.state`` in ``apply``. Rows of the templates
    with a missing value are left out of the fit.
    """

    category = "global"
    fits: ClassVar[Literal["templates"]] = "templates"
    Inputs = TemplateInputs
    state_file: ClassVar[str]

    state: Arrays | None = None
    templates: pl.DataFrame | None = None

    @abstractmethod
    def fit_templates(self, values: FloatArray, usable: BoolArray) -> Arrays:
        """Arrays of the state.

        Parameters
        ----------
        values
            Templates, shape (n_templates, n_columns); NaN where missing.
        usable
            Whether a row is finite, shape (n_templates,); at least one is.
        """

    def load_state(
        self,
        folder: Path | None,
        artifacts: Mapping[str, Path],
        lookups: Mapping[str, Mapping[EntryKey, Path]],
    ) -> bool:
        """Own state, else the state that ``model`` refers to, else the templates to fit on."""
        del lookups
        if folder is not None:
            self.state = self._read_state(folder / self.state_file)
        elif "model" in artifacts:
            self.state = self._read_state(artifacts["model"])
        elif "templates" in artifacts:
            self.templates = self._read_templates(artifacts["templates"])
        else:
            msg = f"{self.name} was given neither the file of its templates nor that of its model."
            raise FeatureError(msg, "Give templates or model a StepRef.")
        return self.state is not None

    def fit(self, stream: InputStream) -> None:
        """Fit on the templates; the stream is not read."""
        del stream
        table = self.templates
        if table is None:
            msg = f"{self.name} has no templates to fit on."
            raise FitError(msg, "Call load_state with the file of the templates first.")
        values = matrix(table, table.columns)
        usable: BoolArray = np.asarray(np.isfinite(values).all(axis=1))
        if not usable.any():
            msg = f"{self.name}: none of the {table.height} templates is free of missing values."
            raise FitError(msg, "Fill gaps before, or choose other columns.")
        columns = np.array(table.columns, dtype=np.str_)
        self.state = self.fit_templates(values, usable) | {"columns": columns}

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

    def columns(self) -> list[str]:
        """Columns that the state was fitted on."""
        return [str(column) for column in self.fitted()["columns"]]

    def input_columns(self) -> tuple[str, ...]:
        """Columns of the templates, once they are known."""
        return () if self.state is None else tuple(self.columns())

    def values(self, table: pl.DataFrame) -> FloatArray:
        """Fitted columns of a table, shape (n_rows, n_columns); NaN where missing."""
        self.check_columns(table.schema)
        return matrix(table, self.columns())

    def values_by_column(self, table: pl.DataFrame) -> FloatArray:
        """Fitted columns of a table, shape (n_columns, n_rows); NaN where missing."""
        self.check_columns(table.schema)
        return columns_of(table, self.columns())

    def _read_state(self, path: Path) -> Arrays:
        arrays = load_arrays(path) if path.suffix == ".npz" else {}
        missing = {"columns", *self.state_arrays()} - set(arrays)
        if missing:
            msg = f"{path.name} is not a state of {self.name}: no array {min(missing)!r}."
            raise ParamsError(msg, f"Refer to the file {self.state_file} of a {self.name} step.")
        return arrays

    @classmethod
    @abstractmethod
    def state_arrays(cls) -> tuple[str, ...]:
        """Names of the arrays in the state, besides ``columns``."""

    def _read_templates(self, path: Path) -> pl.DataFrame:
        reference = self.params.templates
        spec = reference.load if isinstance(reference, ArtifactSpec) else ParquetLoadSpec()
        if not isinstance(spec, ParquetLoadSpec):
            msg = f"{self.name} reads templates with column names, not {spec.kind!r} arrays."
            raise ParamsError(msg, "Refer to templates.parquet.")
        table = spec.load(path)
        chosen = spec.columns if spec.columns is not None else feature_columns(table)
        if not chosen or not table.height:
            msg = f"{path.name} holds {table.height} rows with {len(chosen)} numeric columns."
            raise FitError(msg, "Templates need at least one row and one numeric column.")
        return table.select(chosen)
