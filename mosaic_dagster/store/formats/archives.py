"""Zip archives whose bytes depend on their members alone."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.formats.compression import LEVEL, worth_compressing

FOREIGN_LIMIT = 2**31

_DATE = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_MODE = 0o644 << 16


def write_archive(members: Mapping[str, bytes]) -> bytes:
    """Zip members in the order given, with fixed dates and modes, deflated where that pays."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            member = zipfile.ZipInfo(name, _DATE)
            member.create_system = _UNIX
            member.external_attr = _MODE
            pays = worth_compressing(data)
            member.compress_type = zipfile.ZIP_DEFLATED if pays else zipfile.ZIP_STORED
            archive.writestr(member, data, compresslevel=LEVEL if pays else None)
    return buffer.getvalue()


def read_archive(data: bytes, limit: int | None = None) -> dict[str, bytes]:
    """Members of an archive by name; see :func:`check_archive` for the errors."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        _check(archive, limit)
        return {name: archive.read(name) for name in archive.namelist()}


def check_archive(data: bytes, limit: int | None = None) -> None:
    """Look at the list of members, without unpacking any.

    Raises
    ------
    StoreValueError
        A name stands twice, or the members would take more than ``limit`` bytes.
    zipfile.BadZipFile
        The bytes are not an archive.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        _check(archive, limit)


def _check(archive: zipfile.ZipFile, limit: int | None) -> None:
    names = archive.namelist()
    if len(set(names)) != len(names):
        msg = "The archive has two members of one name."
        raise StoreValueError(msg, "Do not use it; ask whoever made it for a new one.")
    size = sum(member.file_size for member in archive.infolist())
    if limit is not None and size > limit:
        msg = f"The archive would unpack to {size} bytes, more than the {limit} that are allowed."
        raise StoreValueError(msg, "Load it as trusted if you know where it comes from.")
