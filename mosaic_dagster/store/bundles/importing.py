"""Taking a bundle into a workspace: checked whole, copied, never loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mosaic_dagster.store.bundles.archive import read_archive
from mosaic_dagster.store.bundles.manifest import CHAIN_FIELDS, MANIFEST_FIELDS
from mosaic_dagster.store.bundles.writer import ChainArtifact

_OWN_ID = "chain_id"


def checked_import(
    path: Path, max_bytes: int = 2**31
) -> tuple[dict[str, Any], list[ChainArtifact]]:
    """Chain and artifacts of a bundle, after every byte of it was checked.

    The ids become ``art_`` + hash of the bytes, as the store names what it saves: an id of
    another workspace could stand for something else in this one, and re-encoded artifacts have
    other bytes than the ones their id was made of.

    Returns
    -------
    tuple
        The chain as keyword arguments for saving it, and each artifact once, in the order of
        the ids.

    Raises
    ------
    ObjectMissingError
        The file is not there.
    BundleError
        The file is malformed, unsafe, damaged or contradicts itself.
    """
    archive = read_archive(path, max_bytes)
    artifacts: dict[str, ChainArtifact] = {}
    renamed: dict[str, str] = {}
    for old, data in archive.read_all():
        member = archive.members[old]
        new = f"art_{member.sha256}"
        renamed[old] = new
        artifacts[new] = ChainArtifact(
            artifact_id=new,
            data=data,
            format=member.format,
            ext=member.file.split(".", 1)[1],
            sha256=member.sha256,
            operator_class=member.operator_class,
        )
    return _renamed_chain(archive.chain, renamed), [artifacts[name] for name in sorted(artifacts)]


def _renamed_chain(chain: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    fields = (*CHAIN_FIELDS, *MANIFEST_FIELDS)
    return {
        **{name: chain[name] for name in fields if name != _OWN_ID},
        "steps": [_renamed_step(step, names) for step in chain["steps"]],
        "fold_artifacts": _renamed(chain["fold_artifacts"], names),
        "shared_artifacts": _renamed(chain["shared_artifacts"], names),
    }


def _renamed_step(step: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    fields = ("artifact_id", "artifact_ids")
    return {**step, **{name: _renamed(step[name], names) for name in fields if name in step}}


def _renamed(ids: Any, names: Mapping[str, str]) -> Any:
    """New names of an id, of a list of ids or of a mapping to ids; None stays None."""
    if isinstance(ids, str):
        return names[ids]
    if isinstance(ids, Mapping):
        return {key: _renamed(value, names) for key, value in ids.items()}
    return ids if ids is None else [_renamed(value, names) for value in ids]
