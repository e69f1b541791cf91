"""Artifacts: fitted objects as files named by their content, and the rows that describe them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import duckdb
import polars as pl

from mosaic_dagster.errors import (
    ArtifactCorruptError,
    ObjectMissingError,
    StateError,
    StoreValueError,
    UnknownIdError,
)
from mosaic_dagster.hashing import digest_bytes, digest_file
from mosaic_dagster.store.content.objects import StoredObject
from mosaic_dagster.store.content.sweep import put_back
from mosaic_dagster.store.database.journal.kinds import CLAIM
from mosaic_dagster.store.database.migrations import utc_now
from mosaic_dagster.store.formats import EXTENSIONS, FORMATS, decode, encode
from mosaic_dagster.store.workspace import collection, references
from mosaic_dagster.store.workspace.frames import frame, record
from mosaic_dagster.store.workspace.json_columns import known_id, text, text_or_none, whole
from mosaic_dagster.store.workspace.opened import OpenWorkspace

ID_PREFIX = "art_"


def save(
    workspace: OpenWorkspace, obj: Any, operator_class: str, artifact_type: str, format: str
) -> str:
    """Serialise an object, store it and claim it; the identifier is made of its digest.

    Raises
    ------
    StoreValueError
        The format is unknown or cannot hold the object; nothing was stored.
    """
    workspace.check_writable()
    encoded = encode(obj, format)
    return save_bytes(
        workspace, encoded.data, encoded.ext, operator_class, artifact_type, encoded.format
    )


def save_bytes(
    workspace: OpenWorkspace,
    data: bytes,
    ext: str,
    operator_class: str,
    artifact_type: str,
    format: str,
) -> str:
    """Store bytes that are an encoded object already, and claim them.

    Raises
    ------
    StoreTypeError
        The class or the type is no text; nothing was stored.
    """
    workspace.check_writable()
    text_or_none(operator_class, "operator_class")
    text_or_none(artifact_type, "artifact_type")
    stored = _put(workspace, data, ext)
    identifier = ID_PREFIX + stored.digest
    now = time.time_ns() // 1000
    digest, size = stored.digest, stored.size
    values = [identifier, stored.path, digest, operator_class, artifact_type, format, size, now]
    workspace.append(CLAIM, values)
    # A collector that did not see the claim yet may have taken the file away meanwhile; one that
    # takes it from here on looks for claims first.
    while not workspace.objects.exists(stored.digest, stored.ext):
        workspace.objects.put(data, stored.ext)
    return identifier


def load(workspace: OpenWorkspace, artifact_id: str) -> Any:
    """Return the object of an artifact, made anew from its file.

    Raises
    ------
    UnknownIdError
        There is no such artifact.
    ObjectMissingError
        Its file is gone.
    ArtifactCorruptError
        Its bytes are not those that were saved; nothing was deserialised.
    UntrustedArtifactError
        Its format runs code, and the store does not allow that.
    """
    return _decoded(workspace, row_of(workspace, artifact_id))


def loader(workspace: OpenWorkspace, artifact_ids: Iterable[str]) -> Callable[[str], Any]:
    """Return a function that loads these artifacts, each once while it is remembered.

    The objects are shared by all callers, who must not change them. Otherwise as :func:`load`.
    """
    # An identifier that is made of the hash stands for one content for ever.
    hashes = {name: name.removeprefix(ID_PREFIX) for name in artifact_ids}
    known = {name: workspace.loaded.get((name, digest)) for name, digest in hashes.items()}
    names = ("artifact_id", "artifact_path", "content_hash", "format")
    query = f"SELECT {', '.join(names)} FROM main.artifacts WHERE artifact_id IN (SELECT unnest(?))"
    unknown = [name for name, obj in known.items() if obj is None]
    found = []
    if unknown:
        with workspace.reading() as con:
            found = con.execute(query, [unknown]).fetchall()
    rows = {row[0]: dict(zip(names, row, strict=True)) for row in found}

    def loaded(artifact_id: str) -> Any:
        if known.get(artifact_id) is not None:
            return known[artifact_id]
        row = rows.get(artifact_id) or row_of(workspace, artifact_id)
        # An identifier may have come to name other content since it was remembered.
        key = (artifact_id, row["content_hash"])
        obj = workspace.loaded.get(key)
        if obj is None:
            obj = _decoded(workspace, row)
            workspace.loaded.put(key, obj)
        return obj

    return loaded


def _decoded(workspace: OpenWorkspace, row: dict[str, Any]) -> Any:
    return decode(bytes_of(workspace, row), row["format"], trusted=workspace.allow_pickle)


def bytes_of(workspace: OpenWorkspace, row: dict[str, Any]) -> bytes:
    """Bytes of the artifact in a row of the table, checked against its hash."""
    path: Path = workspace.objects.root / row["artifact_path"]
    try:
        if not path.exists():
            put_back(workspace.objects, row["content_hash"])
        data = path.read_bytes()
    except FileNotFoundError as error:
        msg = f"The file {path} of artifact {row['artifact_id']!r} is gone."
        raise ObjectMissingError(msg, "Restore it, or train again.") from error
    if digest_bytes(data) != row["content_hash"]:
        msg = f"The file {path} of artifact {row['artifact_id']!r} was altered."
        raise ArtifactCorruptError(msg, "Restore it from a backup, or train again.")
    return data


def file_of(workspace: OpenWorkspace, artifact_id: str) -> Path:
    """Absolute path of an artifact's file; UnknownIdError for an unknown identifier."""
    return Path(workspace.objects.root / row_of(workspace, artifact_id)["artifact_path"])


def row_of(workspace: OpenWorkspace, artifact_id: str) -> dict[str, Any]:
    """Columns of an artifact.

    Raises
    ------
    UnknownIdError
        There is no such artifact.
    """
    query = "SELECT * FROM main.artifacts WHERE artifact_id = ?"
    with workspace.reading() as con:
        row = record(con, query, [known_id(artifact_id)])
    if row is None:
        msg = f"There is no artifact {artifact_id!r}."
        raise UnknownIdError(msg, "list_artifacts() names what there is.")
    return row


def listed(workspace: OpenWorkspace) -> pl.DataFrame:
    """All rows of the table, ordered by identifier."""
    with workspace.reading() as con:
        return frame(con, "SELECT * FROM main.artifacts ORDER BY artifact_id")


def register(
    workspace: OpenWorkspace,
    artifact_id: str,
    path: str | Path,
    content_hash: str,
    operator_class: str,
    artifact_type: str,
    format: str,
    size_bytes: int,
    replace: bool,
) -> str:
    """Name a stored file by an identifier of the caller's, with one open claim.

    Raises
    ------
    ObjectMissingError
        The file is not there.
    StoreValueError
        The path leaves ``artifacts/``, or the bytes do not have this hash.
    StateError
        The identifier names something else: never replaced without ``replace``, and not while a
        live chain names it.
    """
    relative = _checked_path(workspace, str(path), content_hash)
    _check_facts(artifact_id, content_hash, format)
    values = [
        text(artifact_id, "artifact_id"),
        relative,
        content_hash,
        text_or_none(operator_class, "operator_class"),
        text_or_none(artifact_type, "artifact_type"),
        text(format, "format"),
        whole(size_bytes, "size_bytes"),
        utc_now(),
    ]
    with workspace.writing() as con:
        # Again inside the lease: a collector may have taken the file since its bytes were read.
        _existing(workspace, relative)
        if _is_registered(con, artifact_id, content_hash, relative, replace):
            return artifact_id
        con.execute(
            "INSERT INTO main.artifacts (artifact_id, artifact_path, content_hash, "
            "operator_class, artifact_type, format, size_bytes, created_at, ref_count, "
            "open_claims) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, 1)",
            values,
        )
    return artifact_id


def _check_facts(artifact_id: str, content_hash: str, format: str) -> None:
    """Refuse what would make another object of the file when it is loaded."""
    is_ours = text(artifact_id, "artifact_id").startswith(ID_PREFIX)
    if is_ours and artifact_id != ID_PREFIX + content_hash:
        msg = f"{artifact_id!r} does not belong to content with the hash {content_hash}."
        raise StoreValueError(msg, f"Identifiers with {ID_PREFIX!r} are made of the hash.")
    if format not in FORMATS:
        msg = f"{format!r} is no format of an artifact."
        raise StoreValueError(msg, f"Use one of {', '.join(FORMATS)}.")


def _is_registered(
    con: duckdb.DuckDBPyConnection,
    artifact_id: str,
    content_hash: str,
    path: str,
    replace: bool,
) -> bool:
    """Whether an identifier names this file already; another one it named is forgotten."""
    query = "SELECT * FROM main.artifacts WHERE artifact_id = ?"
    known = record(con, query, [artifact_id])
    if known is None:
        return False
    if (known["content_hash"], known["artifact_path"]) == (content_hash, path):
        return True
    if not replace or artifact_id in references.named_by_chains(con):
        msg = f"Artifact {artifact_id!r} names other content already."
        raise StateError(msg, "Delete the run that uses it, or take another identifier.")
    con.execute("DELETE FROM main.artifacts WHERE artifact_id = ?", [artifact_id])
    return False


def release(workspace: OpenWorkspace, artifact_id: str) -> bool:
    """Drop an artifact that no chain names; whether a file went with it.

    Raises
    ------
    StateError
        A live chain names it.
    """
    with workspace.session():
        with workspace.writing(outermost=True) as con:
            if artifact_id in references.named_by_chains(con):
                msg = f"Artifact {artifact_id!r} is used by a chain."
                raise StateError(msg, "Delete the run of the chain first.")
            con.execute(
                "UPDATE main.artifacts SET ref_count = 0, open_claims = 0 WHERE artifact_id = ?",
                [artifact_id],
            )
        return collection.remove_unreferenced(workspace, [artifact_id]) > 0


def _put(workspace: OpenWorkspace, data: bytes, ext: str) -> StoredObject:
    """Store bytes; equal bytes in two formats are one file, with the extension of the first."""
    digest = digest_bytes(data)
    others = sorted({*EXTENSIONS.values()} - {ext})
    known = workspace.objects.exists(digest, ext)
    for other in () if known else others:
        if workspace.objects.exists(digest, other):
            return workspace.objects.put(data, other, digest=digest)
    return workspace.objects.put(data, ext, digest=digest)


def _checked_path(workspace: OpenWorkspace, path: str, content_hash: str) -> str:
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts or "\\" in path:
        msg = f"{path!r} does not lie inside {workspace.objects.root}."
        raise StoreValueError(msg, "Give a path relative to the artifacts.")
    file = workspace.objects.root / relative
    if not file.resolve().is_relative_to(workspace.objects.root.resolve()):
        msg = f"{path!r} leads out of {workspace.objects.root}."
        raise StoreValueError(msg, "Copy the file into the artifacts.")
    if digest_file(_existing(workspace, relative.as_posix())) != content_hash:
        msg = f"The content of {file} does not have the hash {content_hash}."
        raise StoreValueError(msg, "Give the sha256 of its bytes, 64 hex digits.")
    return relative.as_posix()


def _existing(workspace: OpenWorkspace, relative: str) -> Path:
    file: Path = workspace.objects.root / relative
    if not file.is_file():
        msg = f"There is no file {file}."
        raise ObjectMissingError(msg, "Store the file first.")
    return file
