"""What makes the tracks of an entry the same tracks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mosaic_dagster.hashing import digest
from mosaic_dagster.keys import EntryKey


def tracks_action_key(
    key: EntryKey,
    source_sha256: Iterable[str],
    reader: str,
    reader_version: str,
    params: Mapping[str, Any],
) -> str:
    """Compute the action key (64 hex digits) of an entry's tracks.

    Parameters
    ----------
    key
        The entry.
    source_sha256
        sha256 of each source file, in any order: names and places of files do not count.
    reader, reader_version
        Which code reads them.
    params
        The reader's parameters after :func:`~mosaic_dagster.dataset.reading.resolve_params`,
        so with fps, unit and keypoints as they will be used.
    """
    return digest(
        {
            "kind": "tracks",
            "group": key.group,
            "sequence": key.sequence,
            "sources": sorted(source_sha256),
            "reader": reader,
            "reader_version": reader_version,
            "params": dict(params),
        }
    )
