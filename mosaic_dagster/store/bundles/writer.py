"""Making the bytes of a bundle from a chain and its artifacts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from mosaic_dagster.errors import BundleError, StoreError, StoreValueError
from mosaic_dagster.hashing import digest_bytes
from mosaic_dagster.store.bundles.archive import zip_bytes
from mosaic_dagster.store.bundles.manifest import (
    CHAIN_FIELDS,
    CHAIN_MEMBER,
    FORMAT_VERSION,
    MANIFEST_FIELDS,
    MANIFEST_MEMBER,
    export_time,
    library_versions,
)
from mosaic_dagster.store.bundles.strict_json import parse_json
from mosaic_dagster.store.chains import artifact_ids
from mosaic_dagster.store.formats import decode, describable, encode, runs_code

_PRODUCER = "mosaic_dagster"
_ARTIFACT_FORMATS = ("auto", "keep")
_UNREADABLE = (StoreError, ImportError, AttributeError)


@dataclass(frozen=True, slots=True)
class ChainArtifact:
    """One artifact that a chain names, with its bytes.

    Parameters
    ----------
    artifact_id
        The id under which the chain names it.
    data
        The bytes as they are stored.
    format
        How they were made: 'joblib', 'arrays' and so on.
    ext
        Extension that goes with the format.
    sha256
        Hash of the bytes, 64 hex digits.
    operator_class
        Class of the object; empty or None when not known.
    """

    artifact_id: str
    data: bytes
    format: str
    ext: str
    sha256: str
    operator_class: str | None = None


def bundle_bytes(
    chain: Mapping[str, Any],
    artifacts: Sequence[ChainArtifact],
    *,
    artifact_format: str = "auto",
    exported_at: datetime | None = None,
    task_type: str | None = None,
    n_features: int | None = None,
    trusted: bool = True,
) -> bytes:
    """Bytes of the ``.n4a`` of a chain; the same chain gives the same bytes at the same time.

    Parameters
    ----------
    chain
        As the store gives it, JSON decoded.
    artifacts
        Every artifact that the chain names.
    artifact_format
        'auto' writes arrays and known estimators in a format that runs no code when it is read;
        'keep' copies the stored bytes.
    exported_at
        Time in the manifest; SOURCE_DATE_EPOCH or now when not given.
    task_type, n_features
        Facts for whoever reads the manifest.
    trusted
        Whether artifacts may be loaded whose format runs code; without it 'auto' leaves them as
        they are.

    Raises
    ------
    StoreValueError
        The format is unknown, an artifact of the chain is not given, or the chain holds what
        JSON cannot, or too much of it.
    """
    if artifact_format not in _ARTIFACT_FORMATS:
        msg = f"{artifact_format!r} is no artifact format of a bundle."
        raise StoreValueError(msg, f"Use one of {', '.join(_ARTIFACT_FORMATS)}.")
    chosen = named_artifacts(chain, artifacts)
    if artifact_format == "auto":
        chosen = [safe_artifact(artifact, trusted=trusted) for artifact in chosen]
    manifest = {
        "bundle_format_version": FORMAT_VERSION,
        "producer": _PRODUCER,
        "exported_at": export_time(exported_at),
        "task_type": task_type,
        "n_features": n_features,
        "library_versions": library_versions(),
        "model_step_index": chain["model_step_idx"],
        **{name: chain.get(name) for name in MANIFEST_FIELDS},
        "artifacts": {artifact.artifact_id: _entry(artifact) for artifact in chosen},
    }
    content = _json_bytes({name: chain[name] for name in CHAIN_FIELDS}, CHAIN_MEMBER)
    manifest["chain_sha256"] = digest_bytes(content)
    members = {_file(artifact): artifact.data for artifact in chosen}
    members[MANIFEST_MEMBER] = _json_bytes(manifest, MANIFEST_MEMBER)
    members[CHAIN_MEMBER] = content
    return zip_bytes(members)


def named_artifacts(
    chain: Mapping[str, Any], artifacts: Iterable[ChainArtifact]
) -> list[ChainArtifact]:
    """Those artifacts that a chain names, each once, in the order of their ids.

    Raises
    ------
    StoreValueError
        One of them is not given.
    """
    given = {artifact.artifact_id: artifact for artifact in artifacts}
    named = artifact_ids(chain["fold_artifacts"], chain["shared_artifacts"], chain["steps"])
    if missing := sorted(named - set(given)):
        msg = f"The chain names the artifact {missing[0]!r}, which was not given."
        raise StoreValueError(msg, "Give every artifact of the chain.")
    return [given[artifact_id] for artifact_id in sorted(named)]


def safe_artifact(artifact: ChainArtifact, *, trusted: bool = True) -> ChainArtifact:
    """Write an artifact in a format that runs no code when it is read, where there is one.

    What cannot be loaded here is left as it is; without ``trusted`` nothing is loaded whose
    format runs code.
    """
    if not (runs_code(artifact.format) or artifact.format == "skops"):
        return artifact
    try:
        obj = decode(artifact.data, artifact.format, trusted=trusted)
        if not (describable(obj) or _plain_array(obj)):
            return artifact
        encoded = encode(obj, "auto")
    except _UNREADABLE:
        return artifact
    return replace(
        artifact,
        data=encoded.data,
        format=encoded.format,
        ext=encoded.ext,
        sha256=digest_bytes(encoded.data),
    )


def _plain_array(obj: Any) -> bool:
    return isinstance(obj, np.ndarray) and not obj.dtype.hasobject


def _file(artifact: ChainArtifact) -> str:
    return f"artifacts/{artifact.sha256}.{artifact.ext.lstrip('.')}"


def _entry(artifact: ChainArtifact) -> dict[str, Any]:
    return {
        "file": _file(artifact),
        "sha256": artifact.sha256,
        "size": len(artifact.data),
        "format": artifact.format,
        "operator_class": artifact.operator_class,
    }


def _json_bytes(value: Mapping[str, Any], name: str) -> bytes:
    """Sorted JSON that :func:`parse_json` takes back."""
    try:
        data = json.dumps(value, sort_keys=True, indent=1, allow_nan=False).encode("ascii")
        parse_json(data, name)
    except (TypeError, ValueError) as error:
        reason = error.what if isinstance(error, BundleError) else f"{error}."
        msg = f"The {name} of this chain cannot be written: {reason}"
        raise StoreValueError(msg, "Its parameters must be plain, finite JSON values.") from error
    return data
