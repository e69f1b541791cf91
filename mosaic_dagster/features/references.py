"""How a parameter refers to what another step made.

In a declared pipeline a reference is a :class:`StepRef`. Outside pipelines, where there are no
steps, :class:`Result` and its kin name a feature's run. Plain text is never a reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mosaic_dagster.errors import ParamsError
from mosaic_dagster.store.content.codecs import load_arrays, read_table


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StepRef(_Frozen):
    """What a step of the same pipeline made.

    Parameters
    ----------
    step
        Name of the step.
    artifact
        A file of the step's fitted state, such as ``templates.parquet``. Without it the
        reference means the step's table of each entry.
    column
        One column of that table.
    """

    step: str
    artifact: str | None = None
    column: str | None = None

    def __init__(self, step: str, artifact: str | None = None, column: str | None = None) -> None:
        super().__init__(step=step, artifact=artifact, column=column)  # type: ignore[call-arg]


class LabelsSource(_Frozen):
    """Labels of one kind, entry by entry; entries without labels are unlabelled.

    Parameters
    ----------
    kind
        Kind of the labels, as they were ingested or added.
    """

    kind: str = Field(pattern="^[a-z][a-z0-9]*(_[a-z0-9]+)*$")


class GroundTruthLabelsSource(LabelsSource):
    """What people labelled: the kind ``behavior`` unless another is named."""

    kind: str = Field(default="behavior", pattern="^[a-z][a-z0-9]*(_[a-z0-9]+)*$")


class Result(_Frozen):
    """The tables of one run of a feature; ``run_id`` None means its latest finished run."""

    feature: str
    run_id: str | None = None


class ResultColumn(Result):
    """One column of a feature's tables."""

    column: str


class TracksColumn(_Frozen):
    """One column of the tracks."""

    column: str


class ParquetLoadSpec(_Frozen):
    """Read a Parquet artifact as a matrix.

    ``columns`` are read if given; else ``drop_columns`` are left out and, with
    ``numeric_only``, everything that is not a number.
    """

    kind: Literal["parquet"] = "parquet"
    columns: tuple[str, ...] | None = None
    drop_columns: tuple[str, ...] = ()
    numeric_only: bool = True
    transpose: bool = False

    def load(self, path: Path) -> pl.DataFrame:
        """Read the table (transposed columns are named ``column_0``, …)."""
        table = read_table(path, columns=self.columns)
        if self.columns is None:
            table = table.drop(self.drop_columns, strict=False)
            if self.numeric_only:
                table = table.select(pl.selectors.numeric())
        return table.transpose() if self.transpose else table


class NpzLoadSpec(_Frozen):
    """Read one array of an npz artifact as float32; one dimension becomes one row."""

    kind: Literal["npz"] = "npz"
    key: str
    transpose: bool = False

    def load(self, path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Read the array, shape (rows, columns)."""
        arrays = load_arrays(path)
        if self.key not in arrays:
            msg = f"{path.name} has no array {self.key!r}; it has {', '.join(arrays)}."
            raise ParamsError(msg, "Name one of these as key.")
        array = np.atleast_2d(np.asarray(arrays[self.key], dtype=np.float32))
        return array.T if self.transpose else array


class JoblibLoadSpec(_Frozen):
    """Read a joblib artifact of this workspace, or one value of the mapping in it."""

    kind: Literal["joblib"] = "joblib"
    key: str | None = None

    def load(self, path: Path) -> Any:
        """Load the object; only ever called on artifacts that this workspace made."""
        import joblib

        value = joblib.load(path)
        if self.key is None:
            return value
        if not isinstance(value, Mapping) or self.key not in value:
            held = ", ".join(map(str, value)) if isinstance(value, Mapping) else "no mapping"
            msg = f"{path.name} has no value {self.key!r}; it has {held}."
            raise ParamsError(msg, "Name one of these as key, or none for the whole.")
        return value[self.key]


LoadSpec = Annotated[ParquetLoadSpec | NpzLoadSpec | JoblibLoadSpec, Field(discriminator="kind")]


class ArtifactSpec(Result):
    """A file that a fitted feature's run keeps as its state.

    Parameters
    ----------
    pattern
        Glob over the names of the state's files; exactly one must match.
    load
        How the file is read; its kind must fit the pattern's extension.
    """

    pattern: str = ""
    load: LoadSpec = ParquetLoadSpec()

    @model_validator(mode="after")
    def _fill_and_check_pattern(self) -> Self:
        if not self.pattern:
            object.__setattr__(self, "pattern", f"*.{self.load.kind}")
        extension = self.pattern.rpartition(".")[2]
        if extension != self.load.kind:
            msg = f"the pattern {self.pattern!r} does not fit the load spec {self.load.kind!r}"
            raise ValueError(msg)
        return self

    @classmethod
    def from_result(cls, result: Result, **spec: Any) -> ArtifactSpec:
        """An artifact of the run that ``result`` names."""
        return cls(feature=result.feature, run_id=result.run_id, **spec)


Reference = StepRef | ArtifactSpec | ResultColumn | Result
"""What a parameter that refers to another step may be."""
