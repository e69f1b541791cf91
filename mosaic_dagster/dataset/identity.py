"""What makes the tracks or labels of an entry the same tracks or labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mosaic_dagster.hashing import digest
from mosaic_dagster.keys import EntryKey


def source_action_key(
    asset: str,
    key: EntryKey,
    source_sha256: Iterable[str],
    reader: str,
    reader_version: str,
    params: Mapping[str, Any],
) -> str:
    """Compute the action key (64 hex digits) of what is read from an entry's source files.

    Parameters
    ----------
    asset
        ``tracks``, or ``labels/<kind>``.
    key
        The entry.
    source_sha256
        sha256 of each source file, in any order: names and places of files do not count.
    reader, reader_version
        Which code reads them.
    params
        The reader's parameters after :func:`~mosaic_dagster.dataset.sources.resolve_params`,
        so with what comes from the dataset as it will be used.
    """
    return digest(
        {
            "kind": asset,
            "group": key.group,
            "sequence": key.sequence,
            "sources": sorted(source_sha256),
            "reader": reader,
            "reader_version": reader_version,
            "params": dict(params),
        }
    )


def source_run_id(asset: str) -> str:
    """Run id, and name of the feature, under which reading an asset is recorded.

    Examples
    --------
    >>> source_run_id("tracks"), source_run_id("labels/behavior")
    ('tracks', 'labels-behavior')
    """
    return asset.replace("/", "-")
