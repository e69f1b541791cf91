"""What people should know about labelled templates: counts, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import polars as pl

from mosaic_dagster.features.library.supervised._class_pools import LabelCounts
from mosaic_dagster.features.library.supervised._entry_split import SPLITS, Split, SplitRule
from mosaic_dagster.keys import EntryKey


def template_notes(
    chosen: pl.DataFrame,
    targets: Mapping[int, int],
    counts: LabelCounts,
    splits: Sequence[Split | None],
    keys: Sequence[EntryKey],
    rule: SplitRule | Mapping[str, Split],
    test_fraction: float,
) -> dict[str, Any]:
    """Counts of templates and entries, names of the classes, and warnings.

    Parameters
    ----------
    chosen
        The templates, with ``label`` and ``split``.
    targets
        Rows wanted of each class in each split.
    counts, splits
        The labelled entries and their splits.
    keys
        All entries that were offered.
    rule, test_fraction
        How the entries were to be split.
    """
    found = dict(chosen.group_by("split", "label").len().select(_PAIR, "len").iter_rows())
    made = {
        split: {label: found.get(f"{split} {label}", 0) for label in targets} for split in SPLITS
    }
    entries = {split: list(splits).count(split) for split in SPLITS}
    warnings = [*_label_warnings(counts, keys), *_split_warnings(rule, counts, keys)]
    for split in SPLITS:
        if entries[split]:
            warnings += _shortages(split, made[split], targets)
        elif split == "train" or test_fraction > 0:
            warnings.append(f"no labelled entry is for {split}ing")
    return {
        "n_templates": {s: {str(c): n for c, n in made[s].items()} for s in SPLITS},
        "n_entries": entries,
        "classes": {str(c): " / ".join(sorted(counts.names[c])) for c in targets},
        "warnings": warnings,
    }


_PAIR = pl.format("{} {}", "split", "label").alias("pair")


def _shortages(split: Split, made: Mapping[int, int], targets: Mapping[int, int]) -> Iterator[str]:
    for label, wanted in targets.items():
        if not made[label]:
            yield f"class {label} has no row in the {split} entries"
        elif made[label] < wanted:
            yield f"class {label} has only {made[label]} of {wanted} rows in the {split} entries"


def _label_warnings(counts: LabelCounts, keys: Sequence[EntryKey]) -> Iterator[str]:
    unlabelled = len(keys) - len(counts.keys)
    if unlabelled:
        yield f"{unlabelled} of {len(keys)} entries have no usable labelled row"
    if counts.conflicts:
        yield f"{counts.conflicts} rows have several classes; the later one counts"
    for label in counts.classes:
        if len(counts.names[label]) > 1:
            yield f"class {label} is called {' and '.join(sorted(counts.names[label]))}"


def _split_warnings(
    rule: SplitRule | Mapping[str, Split], counts: LabelCounts, keys: Sequence[EntryKey]
) -> Iterator[str]:
    if not isinstance(rule, Mapping):
        return
    offered, labelled = [str(key) for key in keys], [str(key) for key in counts.keys]
    for name in sorted(set(rule) - set(offered)):
        near = get_close_matches(name, offered, n=1)
        hint = f"; the nearest is {near[0]}" if near else ""
        yield f"split names {name}, which is not among the entries{hint}"
    left = [name for name in labelled if name not in rule]
    if left:
        yield f"split does not name {len(left)} labelled entries, such as {left[0]}"
