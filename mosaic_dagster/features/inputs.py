"""What a feature reads: its declared inputs, and several tables joined into one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import polars as pl

from mosaic_dagster.errors import AlignmentError, ParamsError
from mosaic_dagster.features.output import IDENTITY_COLUMNS, META_COLUMNS, key_first
from mosaic_dagster.features.references import Result
from mosaic_dagster.keys import EntryKey

InputItem = str | Result


class Inputs(tuple[InputItem, ...]):
    """Ordered inputs of a feature: ``"tracks"`` and results of other features.

    A feature narrows what it takes by a subclass with other class attributes.

    Raises
    ------
    ParamsError
        An input is given twice, is of a kind that the feature does not take, or their number
        is wrong.
    """

    accepts: ClassVar[frozenset[Literal["tracks", "result"]]] = frozenset({"tracks", "result"})
    require: ClassVar[Literal["nonempty", "empty", "any"]] = "nonempty"
    __slots__ = ()

    def __new__(cls, items: Sequence[InputItem] = ()) -> Inputs:
        """Check and keep the items."""
        inputs = super().__new__(cls, items)
        inputs._check()
        return inputs

    def _check(self) -> None:
        names = [item if isinstance(item, str) else item.model_dump_json() for item in self]
        if len(set(names)) < len(names):
            msg = f"An input is given twice: {', '.join(names)}."
            raise ParamsError(msg, "Name each input once.")
        for item in self:
            kind = "tracks" if item == "tracks" else "result"
            if isinstance(item, str) and item != "tracks":
                msg = f"{item!r} is not an input."
                raise ParamsError(msg, "Plain text is only ever 'tracks'; use Result(feature=…).")
            if kind not in self.accepts:
                msg = f"This feature does not read {item!r}."
                raise ParamsError(msg, f"It reads: {', '.join(sorted(self.accepts))}.")
        if self.require == "nonempty" and not self:
            msg = "This feature needs at least one input."
            raise ParamsError(msg, "Name what it reads, such as 'tracks'.")
        if self.require == "empty" and self:
            msg = "This feature takes no input."
            raise ParamsError(msg, "Leave the inputs out.")


@dataclass(frozen=True)
class InputStream:
    """The joined input table of each entry; calling it starts a fresh pass.

    Attributes
    ----------
    keys
        The entries, sorted.
    load
        Reads the table of one entry.
    """

    keys: tuple[EntryKey, ...]
    load: Callable[[EntryKey], pl.DataFrame]

    @property
    def n_entries(self) -> int:
        """Number of entries in one pass."""
        return len(self.keys)

    def __call__(self) -> Iterator[tuple[EntryKey, pl.DataFrame]]:
        """Iterate over (entry, table); tables are read one at a time."""
        for key in self.keys:
            yield key, self.load(key)


JoinOn = Literal["id1", "id2"]
"""Which animal of a pair an individual's row belongs to."""


def join_inputs(
    tables: Sequence[pl.DataFrame], names: Sequence[str], on: JoinOn | None = None
) -> pl.DataFrame:
    """Join the input tables of one entry, left to right.

    The key is ``frame`` and the identity (``id``, or ``id1``, ``id2`` and ``perspective``, or
    nothing for one row per frame). A table per frame is repeated over the individuals or pairs
    of the others. Time, fps, group and sequence come from the first table. A value column that
    is there already is renamed ``<column>__<position of the input>``. Key columns come first,
    those of the origin last.

    Parameters
    ----------
    tables, names
        The tables, and what they are called in messages.
    on
        Joins tables of individuals to tables of pairs: each pair gets the row of this animal.

    Raises
    ------
    AlignmentError
        A table has no ``frame``, a table repeats a key, or one is per individual and
        another per pair and ``on`` is not given.
    """
    if len(tables) == 1:
        return tables[0]
    for table, name in zip(tables, names, strict=True):
        _check_unique(table, name)
    joined = tables[0]
    for position, table in enumerate(tables[1:], start=1):
        joined = _join(joined, table, names[position], position, on)
    return joined.select(key_first(joined.columns))


def _identity(table: pl.DataFrame) -> tuple[str, ...]:
    return tuple(column for column in IDENTITY_COLUMNS if column in table.columns)


def _check_unique(table: pl.DataFrame, name: str) -> None:
    if "frame" not in table.columns:
        msg = f"The input {name!r} has no column 'frame', so it cannot be joined."
        raise AlignmentError(msg, "Use it as the only input of a step.")
    key = ["frame", *_identity(table)]
    repeated = table.select(key).is_duplicated()
    if repeated.any():
        example: dict[str, Any] = table.select(key).filter(repeated).row(0, named=True)
        msg = f"The input {name!r} has more than one row for {example}."
        raise AlignmentError(msg, "Each input must have one row per frame and identity.")


def _join(
    left: pl.DataFrame, right: pl.DataFrame, name: str, position: int, on: JoinOn | None
) -> pl.DataFrame:
    ids_left, ids_right = _identity(left), _identity(right)
    if ids_left and ids_right and ids_left != ids_right:
        if on is None or ("id",) not in (ids_left, ids_right):
            msg = (
                f"The input {name!r} is keyed by {', '.join(ids_right)} and the inputs before it "
                f"by {', '.join(ids_left)}."
            )
            raise AlignmentError(msg, "Bring both to individuals or pairs first, or set join_on.")
        left, right = (
            table.rename({"id": on}) if ids == ("id",) else table
            for table, ids in ((left, ids_left), (right, ids_right))
        )
        ids_left, ids_right = _identity(left), _identity(right)
    # The finer table decides the rows; the coarser one is repeated over its identities.
    shared = ["frame", *(column for column in ids_right if column in ids_left)]
    kept = ["frame", *ids_right]
    carried = _rename_clashes(right.select(*kept, *_values(right)), left, position, keep=set(kept))
    return left.join(carried, on=shared, how="inner", maintain_order="left_right")


def _values(table: pl.DataFrame) -> list[str]:
    return [column for column in table.columns if column not in META_COLUMNS]


def _rename_clashes(
    table: pl.DataFrame, left: pl.DataFrame, position: int, keep: set[str]
) -> pl.DataFrame:
    clashes = [c for c in table.columns if c in left.columns and c not in keep]
    return table.rename({column: f"{column}__{position}" for column in clashes})
