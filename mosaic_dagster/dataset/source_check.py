"""Compare the bytes of all recorded source files with what is recorded of them.

A scan reads a file again when its size, time of modification or inode differ. A program that puts
all three back as they were can change a file unseen; this finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mosaic_dagster.dataset.paths import absolute_text, lies_at, recorded_path, resolve_path
from mosaic_dagster.store.feature_registry.records import SourceRow

if TYPE_CHECKING:
    from mosaic_dagster.dataset.dataset import Dataset

CheckState = Literal["as recorded", "changed", "not there", "cannot be used"]


@dataclass(frozen=True)
class CheckedSource:
    """A recorded source file, by its recorded path, and how its bytes compare."""

    path: str
    state: CheckState


def check_sources(dataset: Dataset) -> list[CheckedSource]:
    """Read every recorded source file, and record those that changed.

    The next run finds the entries of a changed file stale (*source changed*). Files that are new
    or gone are left to the next run.

    Parameters
    ----------
    dataset
        The dataset.

    Returns
    -------
    list of CheckedSource
        One for each recorded file that a source rule still names, sorted by path.

    Raises
    ------
    ReaderError
        A rule names an unknown format or parameter.
    """
    known = _still_named(dataset)
    states: dict[str, CheckState] = {}
    changed = []
    for asset in sorted({row.asset for row in known}):
        scan = dataset.scan(asset, rehash=True)
        at = {(row.path, row.key) for row in known if row.asset == asset}
        here = [source for source in scan.present if source.at(dataset.base) in at]
        paths = {recorded_path(source.path, dataset.base) for source in here}
        altered = {source.at(dataset.base) for source in scan.changed}
        refused = {recorded_path(refusal.path, dataset.base) for refusal in scan.refused}
        for path, key in at:
            if (path, key) in altered:
                states[path] = "changed"
            elif path in paths:
                states.setdefault(path, "as recorded")
            else:
                states.setdefault(path, "cannot be used" if path in refused else "not there")
        changed += [row for row in scan.updates if (row.path, row.key) in altered]
    if changed:
        dataset.registry.put_sources(changed)
    return [CheckedSource(path, states[path]) for path in sorted(states)]


def _still_named(dataset: Dataset) -> list[SourceRow]:
    roots: dict[str, list[str]] = {}
    for rule in dataset.manifest.sources:
        root = resolve_path(rule.path, dataset.base).as_posix()
        roots.setdefault(rule.asset, []).append(root)
    return [
        row
        for row in dataset.registry.sources()
        if any(
            lies_at(absolute_text(row.path, dataset.base), root)
            for root in roots.get(row.asset, ())
        )
    ]
