"""A sample of labelled rows from all recordings, for training and for testing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import polars as pl
from pydantic import Field, field_validator, model_validator

from mosaic_dagster.dataset.labels import Labels, align_labels, read_labels_file
from mosaic_dagster.errors import FeatureError, FitError
from mosaic_dagster.features.inputs import InputStream
from mosaic_dagster.features.kernels.arrays import FloatArray, IntArray
from mosaic_dagster.features.kernels.sampling import farthest_first, named_generator, smallest
from mosaic_dagster.features.library.entries import entry_of
from mosaic_dagster.features.library.rows import matrix
from mosaic_dagster.features.library.supervised._class_pools import (
    ClassPools,
    LabelCounts,
    class_targets,
)
from mosaic_dagster.features.library.supervised._entry_split import (
    Split,
    SplitRule,
    split_entries,
)
from mosaic_dagster.features.library.supervised._template_notes import template_notes
from mosaic_dagster.features.library.template_rows import (
    FirstColumns,
    complete_rows,
    same_columns,
    with_origin,
)
from mosaic_dagster.features.output import feature_columns, values_schema, with_values
from mosaic_dagster.features.params import Params, PoolConfig
from mosaic_dagster.features.protocol import Feature
from mosaic_dagster.features.references import GroundTruthLabelsSource
from mosaic_dagster.features.registry import register
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.content.codecs import encode_table, read_notes, read_table

_TEMPLATES = "templates.parquet"
_PROVENANCE = "template_provenance.parquet"
_ROWS = "template_rows.parquet"
_ADDED = {"split": pl.String(), "label": pl.Int64()}

Count = Annotated[int, Field(ge=1)]


class ExtractLabeledTemplatesParams(Params):
    """Parameters of :class:`ExtractLabeledTemplates`.

    Attributes
    ----------
    labels
        The behaviour labels, by their kind.
    directed
        Whether a label of the pair (a, b) holds for the row of (a, b) only, not for that of (b, a).
    background_class
        Class of the rows without a label in entries that have labels; None leaves them out.
    n_per_class
        Rows wanted of each class in each split: one number, or one for each class that is wanted.
    n_total
        Rows wanted in each split; each class that is found gives the same number.
    strategy
        ``random``: a uniform sample of a class; ``farthest_first``: rows that lie far apart.
    pool
        The rows of a class in a split that are chosen from. ``size`` (default: the rows wanted) are
        drawn: ``reservoir`` at random from all, ``exact`` from each entry in proportion to its
        rows of the class; ``max_entry_fraction`` limits the share of one entry.
    split
        How entries are split: ``random``; ``stratified``, so that classes have like shares;
        ``group``, whole groups together; or the split of each entry by ``"group/sequence"``.
    test_fraction
        Share of the labelled entries (or groups) for testing: at least one and not all, unless it
        is 0 or 1. Not used where ``split`` names the entries.
    random_state
        Seed.
    """

    labels: GroundTruthLabelsSource = GroundTruthLabelsSource()
    directed: bool = False
    background_class: int | None = None
    n_per_class: Count | dict[int, Count] | None = None
    n_total: int | None = Field(default=None, ge=1)
    strategy: Literal["random", "farthest_first"] = "random"
    pool: PoolConfig = PoolConfig()
    split: SplitRule | dict[str, Split] = "random"
    test_fraction: float = Field(default=0.2, ge=0, le=1)
    random_state: int = Field(default=42, ge=0)

    @field_validator("split")
    @classmethod
    def _names_entries(cls, split: SplitRule | dict[str, Split]) -> SplitRule | dict[str, Split]:
        for text in split if isinstance(split, dict) else ():
            EntryKey.parse(text)
        return split

    @model_validator(mode="after")
    def _one_number(self) -> Self:
        if (self.n_per_class is None) == (self.n_total is None):
            given = "neither is given" if self.n_total is None else "both are given"
            msg = f"give exactly one of n_per_class and n_total; {given}"
            raise ValueError(msg)
        if self.n_per_class == {}:
            msg = "n_per_class names no class"
            raise ValueError(msg)
        return self


@register
class ExtractLabeledTemplates(Feature[ExtractLabeledTemplatesParams]):
    """Choose labelled template rows of each class, and say of every row its split and label.

    The result has the key columns of the input, ``split`` (text: ``train``, ``test``, null in an
    entry that is in neither) and ``label`` (Int64, null where unlabelled). The values of the input
    are not stored again: join by frame and identity, as an input beside the step that made them.

    State: ``templates.parquet`` (the value columns in natural order and the input's types,
    ``label``, ``split``), ``template_rows.parquet`` (group, sequence, frame and identity of each
    template, same rows) and ``template_provenance.parquet`` (group, sequence, split, count,
    proportion of each entry).

    Notes
    -----
    Entries are split whole, so both perspectives of a pair and neighbouring frames are never on
    both sides. Only entries with a usable labelled row are split; rows without a label and rows
    with a missing or infinite value are never templates. Every row has a random priority from a
    generator seeded by ``random_state`` and its entry's key, and the rows with the smallest
    priorities are taken, so that another entry leaves the draws of the others alone. With
    ``max_entry_fraction`` m and n entries of a split that hold a class, one entry gives at most
    max(1, floor(max(m, 1/n) P)) of the P rows of its pool. Templates are sorted by split, class,
    entry and row, farthest-first ones by choice. Labelled entries are read twice, and memory holds
    two pools for each split and class and one table.
    """

    name = "extract-labeled-templates"
    version = "1.0"
    category = "global"
    fits = "stream"
    scope_dependent = True
    Params = ExtractLabeledTemplatesParams

    templates: pl.DataFrame | None = None
    provenance: pl.DataFrame | None = None
    rows: pl.DataFrame | None = None
    notes: Mapping[str, Any] = {}
    label_files: Mapping[EntryKey, Path] = {}

    def output_schema(self, schema: pl.Schema) -> pl.Schema:
        """The key columns, the split and the label."""
        return values_schema(schema, _ADDED)

    def load_state(
        self,
        folder: Path | None,
        artifacts: Mapping[str, Path],
        lookups: Mapping[str, Mapping[EntryKey, Path]],
    ) -> bool:
        """Read the three tables where they were made, and take up the labels."""
        del artifacts
        self.label_files = lookups.get("labels", {})
        if folder is None:
            return False
        self.templates = read_table(folder / _TEMPLATES)
        self.provenance = read_table(folder / _PROVENANCE)
        self.rows = read_table(folder / _ROWS)
        self.notes = read_notes(folder / _PROVENANCE)
        return True

    def fit(self, stream: InputStream) -> None:
        """Count the labelled rows of each class, split the entries, then draw."""
        params = self.params
        counts = self._count(stream)
        targets = class_targets(counts.classes, params.n_per_class, params.n_total)
        splits = split_entries(
            counts.keys,
            counts.matrix(list(targets)),
            params.split,
            params.test_fraction,
            params.random_state,
        )
        pools = ClassPools(counts, splits, targets, params.pool)
        values: list[str] = []
        for position, key in enumerate(counts.keys):
            table = stream.load(key)
            values = feature_columns(table)
            rows, classes = self._labelled(key, table, values)
            lots = named_generator(params.random_state, str(key)).random(table.height)[rows]
            pools.add(position, classes, rows, lots, with_origin(key, table, values))
        chosen = self._choose(pools, values)
        self._keep(chosen, values, stream, dict(zip(counts.keys, splits, strict=True)))
        self.notes = template_notes(
            chosen,
            targets,
            counts,
            splits,
            keys=stream.keys,
            rule=params.split,
            test_fraction=params.test_fraction,
        )

    def save_state(self, folder: Path) -> None:
        """Write the three tables."""
        for name, table in (
            (_TEMPLATES, self.templates),
            (_PROVENANCE, self.provenance),
            (_ROWS, self.rows),
        ):
            if table is None:
                msg = "extract-labeled-templates is not fitted."
                raise FitError(msg, "Call fit, or load_state with a folder.")
            notes = self.notes if name == _PROVENANCE else None
            (folder / name).write_bytes(encode_table(table, notes))

    def apply(self, table: pl.DataFrame) -> pl.DataFrame:
        """Split and label of the rows of one recording."""
        if self.provenance is None:
            msg = "extract-labeled-templates is not fitted."
            raise FeatureError(msg, "Call load_state, and fit where it returns False.")
        if not table.height:
            return pl.DataFrame(schema=self.output_schema(table.schema))
        key = entry_of(table, self.name)
        mine = (pl.col("group") == key.group) & (pl.col("sequence") == key.sequence)
        found = self.provenance.filter(mine)["split"]
        split = found[0] if len(found) else None
        label, _, _ = self._align(key, table)
        columns = pl.Series("split", [split], dtype=pl.String).new_from_index(0, table.height)
        return with_values(table, {"split": columns, "label": label})

    def state_notes(self) -> dict[str, Any]:
        """Templates by split and class, names of the classes, and warnings."""
        return dict(self.notes)

    def _count(self, stream: InputStream) -> LabelCounts:
        counts = LabelCounts()
        columns: FirstColumns = {}
        for key in stream.keys:
            if key not in self.label_files:
                continue
            table = stream.load(key)
            if not table.height:
                continue
            names = same_columns(columns, key, table)
            label, class_names, conflicts = self._align(key, table)
            usable = label.is_not_null().to_numpy() & complete_rows(table, names)
            counts.add(key, label.filter(pl.Series(usable)).to_numpy(), class_names)
            counts.conflicts += conflicts
        return counts

    def _labelled(
        self, key: EntryKey, table: pl.DataFrame, values: list[str]
    ) -> tuple[IntArray, IntArray]:
        """Positions of the usable labelled rows, and their classes."""
        label, _, _ = self._align(key, table)
        usable = label.is_not_null().to_numpy() & complete_rows(table, values)
        rows = np.flatnonzero(usable).astype(np.int64)
        return rows, label.gather(rows).to_numpy()

    def _align(self, key: EntryKey, table: pl.DataFrame) -> tuple[pl.Series, dict[int, str], int]:
        """Class of each row, names of the classes, and rows with several classes."""
        path = self.label_files.get(key)
        if path is None:
            return align_labels(table, None).labels, {}, 0
        labels = read_labels_file(path)
        if not isinstance(labels, Labels):
            msg = f"The labels of kind {self.params.labels.kind!r} are id tags, not behaviour."
            raise FeatureError(msg, "Name a kind of behaviour labels in labels.")
        background = self.params.background_class
        aligned = align_labels(table, labels, directed=self.params.directed, background=background)
        names = {} if background is None else {background: "background"}
        return aligned.labels, names | labels.label_map, aligned.conflicts

    def _choose(self, pools: ClassPools, values: list[str]) -> pl.DataFrame:
        """The templates with their origin, label and split."""
        parts = []
        for split, label, rows, lots in pools.collect():
            if not rows.height:
                continue
            chosen = rows[self._pick(rows, lots, values, pools.targets[label])]
            added = (pl.lit(label, pl.Int64).alias("label"), pl.lit(split).alias("split"))
            parts.append(chosen.with_columns(added))
        if not parts:
            msg = "extract-labeled-templates found no row to choose: no labelled entry has a split."
            raise FitError(msg, "Name labelled entries in split.")
        return pl.concat(parts, how="vertical_relaxed")

    def _pick(
        self, rows: pl.DataFrame, lots: FloatArray, values: list[str], target: int
    ) -> IntArray:
        if self.params.strategy == "farthest_first":
            rng = np.random.default_rng(self.params.random_state)
            return farthest_first(matrix(rows, values), target, rng)
        return smallest(lots, target)

    def _keep(
        self,
        chosen: pl.DataFrame,
        values: list[str],
        stream: InputStream,
        splits: Mapping[EntryKey, Split | None],
    ) -> None:
        self.templates = chosen.select(*values, "label", "split")
        self.rows = chosen.drop(*values, "label", "split")
        text = {"group": pl.String, "sequence": pl.String, "split": pl.String}
        entries = [(key.group, key.sequence, splits.get(key)) for key in stream.keys]
        counts = self.rows.group_by("group", "sequence").agg(pl.len().cast(pl.Int64).alias("count"))
        self.provenance = (
            pl.DataFrame(entries, schema=text, orient="row")
            .join(counts, on=["group", "sequence"], how="left", maintain_order="left")
            .with_columns(pl.col("count").fill_null(0))
            .with_columns((pl.col("count") / chosen.height).alias("proportion"))
        )
