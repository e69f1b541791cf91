"""Taking a bundle into a workspace: checked whole, copied, never loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mosaic_dagster.errors import BundleError, StoreValueError, UntrustedArtifactError
from mosaic_dagster.store.bundles.archive import read_archive
from mosaic_dagster.store.bundles.manifest import CHAIN_FIELDS, MANIFEST_FIELDS
from mosaic_dagster.store.bundles.writer import ChainArtifact
from mosaic_dagster.store.formats import runs_code, untrusted_types
from mosaic_dagster.store.formats.archives import FOREIGN_LIMIT

_OWN_ID = "chain_id"
_TRUST = "Pass trusted=True if you trust whoever made it."


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


def refuse_untrusted(path: Path, artifacts: Iterable[ChainArtifact]) -> None:
    """Check that loading the artifacts of a bundle of strangers is safe; none is loaded.

    The types in a skops file are compared with what skops itself trusts, not with those that our
    own workspaces may hold.

    Raises
    ------
    UntrustedArtifactError
        A format runs code, or a skops file holds other types; it lists them.
    BundleError
        A skops file is damaged, or would unpack to more than 2 GiB.
    """
    given = list(artifacts)
    if risky := sorted({each.format for each in given if runs_code(each.format)}):
        msg = f"Loading what {path} holds ({', '.join(risky)}) would run code from it."
        raise UntrustedArtifactError(msg, _TRUST)
    try:
        files = [each.data for each in given if each.format == "skops"]
        types = sorted({name for data in files for name in untrusted_types(data, FOREIGN_LIMIT)})
    except StoreValueError as error:
        msg = f"{path}: {error.what}"
        raise BundleError(msg, "Ask for the bundle again, or export it again.") from error
    if types:
        msg = f"{path} holds objects of types that are not trusted: {', '.join(types)}."
        raise UntrustedArtifactError(msg, _TRUST)


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
