"""The rows that a chain is applied to: one matrix, or one for each source until they are joined."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from inspect import signature
from typing import Any

import numpy as np

from mosaic_dagster.errors import ReplayError, StoreValueError


class Sources:
    """Matrices on their way through the transforms of a chain.

    Parameters
    ----------
    X
        Matrix of rows by columns, or a mapping from source index to such a matrix. Copied, so that
        no operator can change what the caller holds.
    named
        Sources that the chain has operators for.
    only
        The one source that the chain is for, or None.
    wavelengths
        What operators with a parameter of this name get; a mapping has one value per source.

    Raises
    ------
    StoreValueError
        A matrix is not two-dimensional, sources are missing, or they differ in their rows.
    """

    def __init__(self, X: Any, named: Sequence[int], only: int | None, wavelengths: Any) -> None:
        self.tables: dict[int, Any]
        if isinstance(X, Mapping):
            self.tables = _several(X, named, only)
        else:
            self.tables = {_only_source(named, only): _matrix(X, "X")}
        self.rows = int(next(iter(self.tables.values())).shape[0])
        self._one_at_first = len(self.tables) == 1
        self._wavelengths = wavelengths
        if isinstance(wavelengths, Mapping):
            self._wavelengths = {int(source): given for source, given in wavelengths.items()}

    def transform(self, operators: Sequence[Any], source: int, step: Any) -> None:
        """Pass one source through operators, in order."""
        table = self.tables[source]
        for operator in operators:
            table = _transformed(operator, table, self._wavelengths_of(source), step)
        self.tables[source] = table

    def join(self) -> Any:
        """Put the sources side by side, in source order, and return the one matrix."""
        if len(self.tables) > 1:
            joined = np.hstack([np.asarray(table) for table in self.tables.values()])
            if isinstance(self._wavelengths, Mapping):
                given = [self._wavelengths.get(source) for source in self.tables]
                known = all(value is not None for value in given)
                self._wavelengths = np.concatenate(given) if known else None  # type: ignore[arg-type]
            self.tables = {next(iter(self.tables)): joined}
        return next(iter(self.tables.values()))

    @property
    def joined(self) -> bool:
        """Whether there were several sources that are one matrix now."""
        return not self._one_at_first and len(self.tables) == 1

    def _wavelengths_of(self, source: int) -> Any:
        if isinstance(self._wavelengths, Mapping):
            return self._wavelengths.get(source)
        return self._wavelengths


def _several(X: Mapping[Any, Any], named: Sequence[int], only: int | None) -> dict[int, Any]:
    given = {int(source): table for source, table in X.items()}
    wanted = sorted(set(named) if only is None else {only})
    if missing := [source for source in wanted if source not in given]:
        msg = f"X has the sources {sorted(given)}; the chain also needs {missing}."
        raise StoreValueError(msg, "Give one matrix per source.")
    chosen = sorted(given) if only is None else [only]
    if not chosen:
        msg = "X has no source."
        raise StoreValueError(msg, "Give one matrix per source.")
    tables = {source: _matrix(given[source], f"X[{source}]") for source in chosen}
    if len({len(table) for table in tables.values()}) > 1:
        rows = {source: len(table) for source, table in tables.items()}
        msg = f"The sources of X differ in their number of rows: {rows}."
        raise StoreValueError(msg, "Give the same samples, in one order, for every source.")
    return tables


def _only_source(named: Sequence[int], only: int | None) -> int:
    if only is not None:
        return only
    if len(named) > 1:
        msg = f"X is one matrix; the chain has operators for the sources {sorted(named)}."
        raise StoreValueError(msg, "Give a dict {source index: matrix}.")
    return named[0] if named else 0


def _matrix(value: Any, name: str) -> Any:
    try:
        matrix = np.array(value)
    except ValueError as error:
        msg = f"{name} is no matrix: {error}"
        raise StoreValueError(msg, "Give a dense matrix of rows by columns.") from error
    if matrix.ndim != 2:
        msg = f"{name} has {matrix.ndim} dimensions, not 2."
        raise StoreValueError(msg, "Give a dense matrix of rows by columns.")
    return matrix


def _transformed(operator: Any, table: Any, wavelengths: Any, step: Any) -> Any:
    transform = getattr(operator, "transform", None)
    if transform is None:
        msg = f"{type(operator).__name__} at step {step} of the chain has no transform."
        raise ReplayError(msg, "Save its step with the role that it has, such as 'split'.")
    if wavelengths is None and getattr(operator, "requires_wavelengths", False) is True:
        msg = f"{type(operator).__name__} at step {step} of the chain needs wavelengths."
        raise StoreValueError(msg, "Pass wavelengths=, one value per column of X.")
    operator_class: Any = type(operator)
    if wavelengths is not None and _takes_wavelengths(operator_class):
        return transform(table, wavelengths=wavelengths)
    return transform(table)


@lru_cache(maxsize=512)
def _takes_wavelengths(operator_class: Hashable) -> bool:
    """Reading a signature takes longer than a small transform, hence once per class."""
    transform = getattr(operator_class, "transform", None)
    try:
        return transform is not None and "wavelengths" in signature(transform).parameters
    except (TypeError, ValueError):  # compiled code without a signature
        return False
