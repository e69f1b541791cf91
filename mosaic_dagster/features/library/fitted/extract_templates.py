"""A sample of rows from all recordings, on which others are fitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from mosaic_dagster.errors import FitError
from mosaic_dagster.features.inputs import InputStream
from mosaic_dagster.features.kernels.arrays import IntArray
from mosaic_dagster.features.kernels.sampling import (
    farthest_first,
    named_generator,
    share_quotas,
    smallest,
)
from mosaic_dagster.features.library.pair_filter import (
    NeighborTables,
    PairFilterReference,
    nearest_pairs,
)
from mosaic_dagster.features.library.row_pool import RowPool
from mosaic_dagster.features.library.rows import matrix
from mosaic_dagster.features.library.template_rows import (
    FirstColumns,
    complete_rows,
    same_columns,
    with_origin,
)
from mosaic_dagster.features.output import feature_columns
from mosaic_dagster.features.params import Params, PoolConfig
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.registry import register
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.content.codecs import encode_table, read_table

_TEMPLATES = "templates.parquet"
_PROVENANCE = "template_provenance.parquet"
_ROWS = "template_rows.parquet"


class ExtractTemplatesParams(Params):
    """Parameters of :class:`ExtractTemplates`.

    Attributes
    ----------
    n_templates
        Number of rows wanted.
    strategy
        ``random``: a uniform sample of the pool; ``farthest_first``: rows of the pool that lie
        far apart.
    pool
        The rows chosen from. ``size`` (default n_templates) rows are drawn: ``reservoir`` at
        random from all, ``exact`` from each entry in proportion to its rows;
        ``max_entry_fraction`` limits the share of one entry.
    random_state
        Seed.
    pair_filter
        Tables of a nearest-neighbor step: only pair rows where id2 is the nearest neighbour of
        id1 are chosen from, and only they pass.
    """

    n_templates: int = Field(ge=1)
    strategy: Literal["random", "farthest_first"] = "random"
    pool: PoolConfig = PoolConfig()
    random_state: int = Field(default=42, ge=0)
    pair_filter: PairFilterReference = None

    @model_validator(mode="after")
    def _pool_is_large_enough(self) -> Self:
        if self.pool.size is not None and self.pool.size < self.n_templates:
            msg = f"pool.size {self.pool.size} is smaller than n_templates {self.n_templates}"
            raise ValueError(msg)
        return self


@register
class ExtractTemplates(Feature[ExtractTemplatesParams]):
    """Choose template rows from the tables of the scope; the tables themselves pass unchanged.

    With pair_filter they pass without the rows that it leaves out.

    State: ``templates.parquet`` (the value columns, in natural order and the input's types),
    ``template_rows.parquet`` (group, sequence, frame and identity of each template, same rows)
    and ``template_provenance.parquet`` (group, sequence, count, proportion of each entry).

    Notes
    -----
    Every row gets a random priority from a generator seeded by ``random_state`` and its entry's
    key, and the rows with the smallest priorities are taken, so that another entry leaves the
    draws of the others alone. Rows with a missing or infinite value never enter. With
    ``max_entry_fraction`` m and n entries, one entry gives at most max(1, floor(max(m, 1/n) P)) of
    the P rows of the pool. Random templates are sorted by entry and row, farthest-first ones by
    choice. Memory holds two pools and one table.
    """

    name = "extract-templates"
    version = "1.0"
    category = "global"
    fits = "stream"
    parallelizable = False
    scope_dependent = True
    passthrough = True
    Params = ExtractTemplatesParams

    templates: pl.DataFrame | None = None
    provenance: pl.DataFrame | None = None
    rows: pl.DataFrame | None = None
    neighbor_tables: NeighborTables | None = None

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """The input's schema."""
        return schema

    def load_state(
        self,
        folder: Path | None,
        artifacts: Mapping[str, Path],
        lookups: Mapping[str, Mapping[EntryKey, Path]],
    ) -> bool:
        """Read the three tables where they were made, and take up the tables of neighbours."""
        del artifacts
        self.neighbor_tables = lookups.get("pair_filter")
        if folder is None:
            return False
        self.templates = read_table(folder / _TEMPLATES)
        self.provenance = read_table(folder / _PROVENANCE)
        self.rows = read_table(folder / _ROWS)
        return True

    def fit(self, stream: InputStream) -> None:
        """Draw the pool in one pass (``exact``: two), then choose the templates from it."""
        size = self.params.pool.size or self.params.n_templates
        quotas = self._quotas(stream, size)
        pool = RowPool(size)
        columns: FirstColumns = {}
        for position, (key, table) in enumerate(self._filtered(stream)):
            names = same_columns(columns, key, table)
            usable = np.flatnonzero(complete_rows(table, names))
            priorities = named_generator(self.params.random_state, str(key)).random(len(usable))
            drawn = smallest(priorities, quotas[position])
            pool.add(position, usable[drawn], priorities[drawn], with_origin(key, table, names))
        drawn_rows = pool.collect()
        if not drawn_rows.height:
            msg = f"extract-templates found no row without a missing value in {stream.n_entries}"
            raise FitError(f"{msg} entries.", "Check the features that it reads.")
        values = next(iter(columns.values()))
        self._keep(drawn_rows[self._choose(pool, drawn_rows, values)], stream.keys, values)

    def save_state(self, folder: Path) -> None:
        """Write the three tables."""
        for name, table in (
            (_TEMPLATES, self.templates),
            (_PROVENANCE, self.provenance),
            (_ROWS, self.rows),
        ):
            if table is None:
                msg = "extract-templates is not fitted."
                raise FitError(msg, "Call fit, or load_state with a folder.")
            (folder / name).write_bytes(encode_table(table))

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Give the table back, without the rows that pair_filter leaves out."""
        return nearest_pairs(table, self.params.pair_filter, self.neighbor_tables, self.name)

    def state_notes(self) -> dict[str, Any]:
        """Number of templates and, where there are fewer than wanted, a warning."""
        n = 0 if self.templates is None else self.templates.height
        wanted = self.params.n_templates
        notes: dict[str, Any] = {"n_templates": n, "n_wanted": wanted}
        if n < wanted:
            notes["warning"] = f"only {n} usable rows for {wanted} templates"
        return notes

    def _filtered(self, stream: InputStream) -> Iterator[tuple[EntryKey, pl.DataFrame]]:
        reference = self.params.pair_filter
        for key, table in stream():
            yield key, nearest_pairs(table, reference, self.neighbor_tables, self.name, key)

    def _quotas(self, stream: InputStream, size: int) -> IntArray:
        """Most rows that each entry may give, shape (n_entries,)."""
        share = self.params.pool.max_entry_fraction
        n = max(1, stream.n_entries)
        cap = None if share is None else max(1, int(max(share, 1 / n) * size))
        if self.params.pool.allocation == "exact":
            tables = (table for _, table in self._filtered(stream))
            counts = [complete_rows(table, feature_columns(table)).sum() for table in tables]
            return share_quotas(np.array(counts, dtype=np.int64), size, cap)
        return np.full(stream.n_entries, size if cap is None else cap, dtype=np.int64)

    def _choose(self, pool: RowPool, drawn: pl.DataFrame, values: list[str]) -> IntArray:
        if self.params.strategy == "farthest_first":
            rng = np.random.default_rng(self.params.random_state)
            return farthest_first(matrix(drawn, values), self.params.n_templates, rng)
        return smallest(pool.priorities, self.params.n_templates)

    def _keep(self, chosen: pl.DataFrame, keys: tuple[EntryKey, ...], values: list[str]) -> None:
        self.templates = chosen.select(values)
        self.rows = chosen.select(c for c in chosen.columns if c not in values)
        groups = pl.Series("group", [key.group for key in keys], dtype=pl.String)
        sequences = pl.Series("sequence", [key.sequence for key in keys], dtype=pl.String)
        counts = self.rows.group_by("group", "sequence").agg(pl.len().cast(pl.Int64).alias("count"))
        self.provenance = (
            pl.DataFrame([groups, sequences])
            .join(counts, on=["group", "sequence"], how="left", maintain_order="left")
            .with_columns(pl.col("count").fill_null(0))
            .with_columns((pl.col("count") / chosen.height).alias("proportion"))
        )
