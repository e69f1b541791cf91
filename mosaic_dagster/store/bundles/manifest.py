"""What the JSON of a bundle says, and whether it agrees with itself."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mosaic_dagster.errors import BundleError, StoreValueError
from mosaic_dagster.store.chains import artifact_ids, checked_chain
from mosaic_dagster.store.formats import EXTENSIONS

FORMAT_VERSION = "2.0"
MANIFEST_MEMBER = "manifest.json"
CHAIN_MEMBER = "chain.json"

LIBRARIES = {
    "numpy": "numpy",
    "scikit-learn": "scikit-learn",
    "joblib": "joblib",
    "mosaic_dagster": "mosaic-dagster",
}
CHAIN_FIELDS = ("steps", "model_step_idx", "fold_artifacts", "shared_artifacts")
MANIFEST_FIELDS = (
    "chain_id",
    "model_class",
    "preprocessings",
    "fold_strategy",
    "fold_weights",
    "branch_path",
    "source_index",
)

_REFUSED = "It was not made by this package or was changed since; nothing of it was used."


class Member(BaseModel):
    """What the manifest says of one artifact."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}\z")
    size: int = Field(ge=0)
    format: str
    operator_class: str | None = None


class _Manifest(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", protected_namespaces=())

    bundle_format_version: str
    model_step_index: int
    model_class: str
    preprocessings: str = ""
    fold_strategy: str = "per_fold"
    fold_weights: dict[str, float] | None = None
    branch_path: list[int] | None = None
    source_index: int | None = None
    library_versions: dict[str, str] = {}
    artifacts: dict[str, Member]


class _Chain(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", protected_namespaces=())

    steps: list[dict[str, Any]]
    model_step_idx: int
    fold_artifacts: dict[str, str | None] | None = None
    shared_artifacts: dict[str, Any] | None = None


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that objects in bundles come from."""
    return {
        "python": platform.python_version(),
        **{name: metadata.version(package) for name, package in LIBRARIES.items()},
    }


def export_time(given: datetime | None = None) -> str:
    """ISO text, in UTC, of the time that a bundle names: given, SOURCE_DATE_EPOCH, or now.

    A given time without a zone counts as UTC.

    Raises
    ------
    StoreValueError
        SOURCE_DATE_EPOCH is no number of seconds.
    """
    if given is not None:
        given = given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
        return given.isoformat()
    fixed = os.environ.get("SOURCE_DATE_EPOCH")
    if not fixed:
        return datetime.now(UTC).isoformat()
    try:
        return datetime.fromtimestamp(int(fixed), UTC).isoformat()
    except (ValueError, OverflowError, OSError) as error:
        msg = f"SOURCE_DATE_EPOCH is {fixed!r}, which is no number of seconds since 1970."
        raise StoreValueError(msg, "Correct or unset it.") from error


def checked_manifest(content: Any, path: Path) -> dict[str, Any]:
    """Return the content of ``manifest.json`` when it has the known version and shape.

    Raises
    ------
    BundleError
        It has not.
    """
    version = content.get("bundle_format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        msg = f"{path} has the bundle format version {version!r}; {FORMAT_VERSION!r} is known."
        raise BundleError(msg, "Export it again, or read it with the version that made it.")
    try:
        _Manifest.model_validate(content)
    except ValidationError as error:
        raise BundleError(f"{path}: {MANIFEST_MEMBER}: {_first(error)}.", _REFUSED) from error
    return dict(content)


def joined_chain(
    manifest: Mapping[str, Any], content: Any, path: Path
) -> tuple[dict[str, Any], dict[str, Member]]:
    """Put the chain together and return it with the artifacts by their ids.

    Parameters
    ----------
    manifest
        As :func:`checked_manifest` returned it.
    content
        Content of ``chain.json``.
    path
        The bundle, for the error.

    Raises
    ------
    BundleError
        The chain is none, or both do not name the same model step and the same artifacts.
    """
    try:
        read = _Chain.model_validate(content)
    except ValidationError as error:
        raise BundleError(f"{path}: {CHAIN_MEMBER}: {_first(error)}.", _REFUSED) from error
    facts = _Manifest.model_validate(manifest)
    if facts.model_step_index != read.model_step_idx:
        msg = f"{path}: the manifest and the chain name different model steps."
        raise BundleError(msg, _REFUSED)
    chain = {
        **{name: getattr(facts, name) for name in MANIFEST_FIELDS if name != "chain_id"},
        **_normalised(read, facts, path),
        "chain_id": manifest.get("chain_id"),
    }
    named = artifact_ids(chain["fold_artifacts"], chain["shared_artifacts"], chain["steps"])
    if unequal := sorted(named ^ set(facts.artifacts)):
        msg = f"{path}: only one of the manifest and the chain names the artifact {unequal[0]!r}."
        raise BundleError(msg, _REFUSED)
    for member in facts.artifacts.values():
        _check_member(member, path)
    return chain, dict(facts.artifacts)


def _normalised(read: _Chain, facts: _Manifest, path: Path) -> dict[str, Any]:
    try:
        checked = checked_chain(
            read.steps,
            read.model_step_idx,
            facts.fold_strategy,
            read.fold_artifacts,
            read.shared_artifacts,
            facts.branch_path,
            facts.source_index,
            facts.fold_weights or None,
        )
    except (StoreValueError, TypeError, KeyError, AttributeError) as error:
        raise BundleError(f"{path}: {CHAIN_MEMBER}: {error}", _REFUSED) from error
    return {name: getattr(checked, name) for name in (*CHAIN_FIELDS, "fold_weights")}


def _check_member(member: Member, path: Path) -> None:
    if member.format not in EXTENSIONS:
        msg = f"{path}: {member.file} has the unknown format {member.format!r}."
        raise BundleError(msg, f"Known are {', '.join(EXTENSIONS)}.")
    if not member.file.startswith(f"artifacts/{member.sha256}."):
        msg = f"{path}: the member {member.file} is not named by its hash {member.sha256}."
        raise BundleError(msg, _REFUSED)


def _first(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
