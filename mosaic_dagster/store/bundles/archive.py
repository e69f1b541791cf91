"""The ZIP file around a bundle: written byte for byte the same, read without trusting it.

Reading opens JSON members only. No member is unpacked to disk, and none is inflated beyond the
size that the archive declares for it.
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mosaic_dagster.errors import BundleError, ObjectMissingError
from mosaic_dagster.hashing import digest_bytes
from mosaic_dagster.store.bundles.manifest import (
    CHAIN_MEMBER,
    MANIFEST_MEMBER,
    Member,
    checked_manifest,
    joined_chain,
)
from mosaic_dagster.store.bundles.strict_json import MAX_JSON, parse_json
from mosaic_dagster.store.formats.archives import write_archive

ARTIFACT_FILE = re.compile(r"artifacts/[0-9a-f]{64}\.[a-z0-9]+(?:\.[a-z0-9]+)*")

_ZIP_START = b"PK\x03\x04"
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_AGAIN = "Ask for the bundle again, or export it again."
_REFUSED = "It was not made by this package or was changed since; nothing of it was used."
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    OverflowError,
)


def zip_bytes(members: Mapping[str, bytes]) -> bytes:
    """ZIP of some members, sorted, with fixed times and permissions.

    The same members give the same bytes; a member is deflated where that pays.
    """
    return write_archive({name: members[name] for name in sorted(members)})


@dataclass(frozen=True, slots=True)
class Archive:
    """A bundle whose outside and JSON were checked; made by :func:`read_archive`.

    Parameters
    ----------
    path
        The file.
    manifest
        Content of ``manifest.json``.
    chain
        The chain, as the store gives it: content of ``chain.json`` and what the manifest adds.
    members
        The artifacts by their ids.
    """

    path: Path
    manifest: dict[str, Any]
    chain: dict[str, Any]
    members: Mapping[str, Member]

    def read(self, artifact_id: str) -> bytes:
        """Bytes of one artifact, checked against the size and hash of the manifest.

        Raises
        ------
        BundleError
            The bytes are damaged, or are not those that the manifest names.
        """
        return next(data for _, data in self.read_all([artifact_id]))

    def read_all(self, artifact_ids: Iterable[str] | None = None) -> Iterator[tuple[str, bytes]]:
        """Ids and checked bytes of some artifacts, or of all, one after the other.

        Raises
        ------
        BundleError
            As for :meth:`read`.
        """
        with _opened(self.path) as file:
            for artifact_id in self.members if artifact_ids is None else artifact_ids:
                yield artifact_id, _checked_bytes(file, self.path, self.members[artifact_id])

    def check(self) -> None:
        """Read every artifact and compare it with the manifest.

        Raises
        ------
        BundleError
            As for :meth:`read`.
        """
        for _ in self.read_all():
            pass


def read_archive(path: Path, max_bytes: int = 2**31) -> Archive:
    """Open a bundle: check its members, read its JSON and check that both agree.

    Parameters
    ----------
    path
        The ``.n4a`` file.
    max_bytes
        Largest sum of the sizes that its members may declare.

    Raises
    ------
    ObjectMissingError
        The file is not there.
    BundleError
        It is no ZIP file, is cut, holds what a bundle does not hold, declares more than
        ``max_bytes``, or its JSON is malformed or contradicts the members.
    """
    if not path.is_file():
        msg = f"There is no file {path}."
        raise ObjectMissingError(msg, "Give the path of an .n4a file.")
    if path.stat().st_size > max_bytes:
        raise _too_large(path, path.stat().st_size, max_bytes)
    with _opened(path) as file:
        infos = _checked_members(path, file, max_bytes)
        manifest = checked_manifest(_json_member(path, file, infos, MANIFEST_MEMBER), path)
        content = _json_member(path, file, infos, CHAIN_MEMBER)
        if manifest.get("chain_sha256") not in (None, _digest(file, infos[CHAIN_MEMBER])):
            msg = f"{path}: the content of {CHAIN_MEMBER} is not what the manifest says."
            raise BundleError(msg, _REFUSED)
    chain, members = joined_chain(manifest, content, path)
    _check_named(path, infos, members)
    return Archive(path, manifest, chain, members)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """A file opened as ZIP, with the errors of reading it turned into ours."""
    with path.open("rb") as raw:
        if raw.read(len(_ZIP_START)) != _ZIP_START:
            msg = f"{path} is not a bundle: it does not begin as a ZIP file does."
            raise BundleError(msg, "Give the .n4a file that an export made.")
        try:
            with zipfile.ZipFile(raw) as file:
                yield file
        except BundleError:
            raise
        except _BROKEN as error:
            raise BundleError(f"{path} is cut or damaged: {error}.", _AGAIN) from error


def _too_large(path: Path, size: int, max_bytes: int) -> BundleError:
    msg = f"{path} declares {size} bytes, more than the {max_bytes} that are allowed."
    return BundleError(msg, "Raise max_bytes if you know where the bundle comes from.")


def _checked_members(
    path: Path, file: zipfile.ZipFile, max_bytes: int
) -> dict[str, zipfile.ZipInfo]:
    infos: dict[str, zipfile.ZipInfo] = {}
    for info in file.infolist():
        fault = _fault(info)
        if info.orig_filename in infos:
            fault = "is there twice"
        if fault:
            raise BundleError(f"{path}: the member {info.orig_filename!r} {fault}.", _REFUSED)
        infos[info.orig_filename] = info
    declared = sum(info.file_size for info in infos.values())
    if declared > max_bytes:
        raise _too_large(path, declared, max_bytes)
    return infos


def _fault(info: zipfile.ZipInfo) -> str:
    """What is wrong with a member by its entry alone; empty when nothing is."""
    name = info.orig_filename
    if "\\" in name or name.startswith("/") or ".." in name.split("/") or name[1:2] == ":":
        return "has a name that leads out of the bundle"
    if name not in (MANIFEST_MEMBER, CHAIN_MEMBER) and not ARTIFACT_FILE.fullmatch(name):
        return "has no place in a bundle"
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        return "is a link or another special file"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if info.compress_type not in _METHODS:
        return f"is compressed by the unknown method {info.compress_type}"
    return ""


def _json_member(
    path: Path, file: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo], name: str
) -> Any:
    if name not in infos:
        raise BundleError(f"{path} has no {name}.", _REFUSED)
    if infos[name].file_size > MAX_JSON:
        msg = f"{path}: {name} declares more than {MAX_JSON} bytes."
        raise BundleError(msg, _REFUSED)
    return parse_json(_inflated(file, infos[name]), f"{path}: {name}")


def _inflated(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Content of a member; the ZIP reader stops at the declared size and checks the CRC."""
    with file.open(info) as member:
        return member.read(info.file_size)


def _digest(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    return digest_bytes(_inflated(file, info))


def _check_named(
    path: Path, infos: Mapping[str, zipfile.ZipInfo], members: Mapping[str, Member]
) -> None:
    """Refuse members that the manifest does not name, and names without a member."""
    present = set(infos) - {MANIFEST_MEMBER, CHAIN_MEMBER}
    if extra := sorted(present - {member.file for member in members.values()}):
        raise BundleError(f"{path}: the manifest does not name the member {extra[0]}.", _REFUSED)
    for member in members.values():
        if member.file not in present:
            msg = f"{path}: the member {member.file} of the manifest is absent."
            raise BundleError(msg, _REFUSED)
        if infos[member.file].file_size != member.size:
            found = infos[member.file].file_size
            msg = f"{path}: {member.file} has {found} bytes, the manifest says {member.size}."
            raise BundleError(msg, _REFUSED)


def _checked_bytes(file: zipfile.ZipFile, path: Path, member: Member) -> bytes:
    try:
        info = file.getinfo(member.file)
    except KeyError as error:
        msg = f"{path}: the member {member.file} has gone since the bundle was opened."
        raise BundleError(msg, _AGAIN) from error
    data = _inflated(file, info) if info.file_size == member.size else b""
    if len(data) != member.size or digest_bytes(data) != member.sha256:
        msg = f"{path}: the content of {member.file} is not what the manifest says."
        raise BundleError(msg, _REFUSED)
    return data
