"""The files behind records."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from mosaic_dagster.errors import ArtifactCorruptError, ObjectDamagedError
from mosaic_dagster.store.artifact_registry.artifact_record import ArtifactRecord
from mosaic_dagster.store.content.objects import ContentStore
from mosaic_dagster.store.formats import decode


def load_object(objects: ContentStore, record: ArtifactRecord, *, trusted: bool = True) -> Any:
    """Object of a record; its bytes are checked before anything is made of them.

    Only the content hash and the extension choose the file, so that a record from elsewhere
    cannot name one outside the objects.

    Raises
    ------
    ObjectMissingError
        The file has gone.
    ArtifactCorruptError
        The bytes do not have the recorded hash.
    UntrustedArtifactError
        The format runs code and ``trusted`` is false.
    """
    try:
        data = objects.get(record.digest, _ext(record))
    except ObjectDamagedError as error:
        msg = f"The artifact {record.artifact_id!r} was changed: {error.what}"
        raise ArtifactCorruptError(msg, "Fit it again, or restore the file.") from error
    return decode(data, record.format, trusted=trusted)


def has_file(objects: ContentStore, record: ArtifactRecord) -> bool:
    """Whether the file of a record is there."""
    return objects.exists(record.digest, _ext(record))


def _ext(record: ArtifactRecord) -> str:
    return PurePosixPath(record.path).suffix.removeprefix(".")
