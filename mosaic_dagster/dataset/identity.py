"""What makes the tracks or labels of an entry the same tracks or labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from json.encoder import encode_basestring_ascii
from typing import Any

from mosaic_dagster.hashing import canonical_json, digest_bytes
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
    return SourceKeys(asset, reader, reader_version, params).of(key, source_sha256)


class SourceKeys:
    """Action keys of many entries that one reader reads alike; see :func:`source_action_key`.

    The digest is that of the canonical JSON of kind, group, sequence, sources, reader,
    reader_version and params, of which only three differ from entry to entry.
    """

    def __init__(
        self, asset: str, reader: str, reader_version: str, params: Mapping[str, Any]
    ) -> None:
        alike = {
            "kind": asset, "params": params, "reader": reader, "reader_version": reader_version,
        }  # fmt: skip
        # The names are sorted: group comes before all of these, sequence and sources after them.
        self._alike = canonical_json(alike)[1:-1]
        self._groups: dict[str, str] = {}

    def of(self, key: EntryKey, source_sha256: Iterable[str]) -> str:
        """Compute the action key of one entry."""
        if key.group not in self._groups:
            self._groups[key.group] = encode_basestring_ascii(key.group)
        group, sequence = self._groups[key.group], encode_basestring_ascii(key.sequence)
        sources = ",".join([f'"{sha256}"' for sha256 in sorted(source_sha256)])
        text = f'{{"group":{group},{self._alike},"sequence":{sequence},"sources":[{sources}]}}'
        return digest_bytes(text.encode())


def source_run_id(asset: str) -> str:
    """Run id, and name of the feature, under which reading an asset is recorded.

    Examples
    --------
    >>> source_run_id("tracks"), source_run_id("labels/behavior")
    ('tracks', 'labels-behavior')
    """
    return asset.replace("/", "-")
