"""The disk below a workspace: space, rights, and a file system on which its promises hold."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from mosaic_dagster.health.finding import Finding, State
from mosaic_dagster.store import exclusive

LEAST_BYTES = 1_000_000_000
"""Free space below which a run is likely to end with a full disk."""

FULL_BYTES = 50_000_000
"""Free space below which hardly a result can be stored."""

LEAST_SHARE = 0.02
"""Share of free file entries below which a run is likely to end for want of them."""

NETWORK = frozenset({
    "nfs", "nfs4", "cifs", "smb", "smbfs", "smb2", "smb3", "afs", "sshfs", "fuse.sshfs", "9p",
    "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "fuse.glusterfs", "davfs", "fuse.s3fs",
    "fuse.rclone", "fuse.gcsfuse", "drvfs",
})  # fmt: skip
"""Types of file systems that other machines hold."""

_GIGABYTE = 1e9
_PROBE_SECONDS = 2.0


def check_space(about: str, folder: Path) -> Iterator[Finding]:
    """Free bytes and free file entries."""
    usage = shutil.disk_usage(folder)
    told = f"{usage.free / _GIGABYTE:.1f} GB of {usage.total / _GIGABYTE:.1f} GB are free"
    remedy = "Make room: `mosaic clean`, `mosaic store gc --apply`, or another disk."
    if usage.free < LEAST_BYTES:
        state: State = "error" if usage.free < FULL_BYTES else "warning"
        yield Finding(about, f"Only {told} below {folder}.", state, remedy)
    else:
        yield Finding(about, f"{told} below {folder}.")
    entries = os.statvfs(folder)
    if entries.f_files and entries.f_favail < entries.f_files * LEAST_SHARE:
        what = f"Only {entries.f_favail} of {entries.f_files} file entries (inodes) are free."
        yield Finding(about, what, "warning", remedy)


def check_rights(about: str, folder: Path) -> Iterator[Finding]:
    """Whether this user may write where results go."""
    remedy = "Ask its owner for the right to write, or work in a copy of the project."
    for place in (folder, folder / "artifacts", folder / "journal", folder / "store.duckdb"):
        if place.exists() and not os.access(place, os.R_OK | os.W_OK):
            yield Finding(about, f"{place} cannot be written by this user.", "error", remedy)


def check_file_system(about: str, folder: Path) -> Iterator[Finding]:
    """Type of the file system, and a probe of what the store relies on.

    A folder of its own is made for the probe and removed at once.
    """
    kind = _type_of(folder)
    if kind in NETWORK:
        what = f"{folder} lies on a network file system ({kind})."
        remedy = (
            "One machine at a time can work with it, if its locks are reliable; "
            "a local disk is faster and safer."
        )
        yield Finding(about, what, "warning", remedy)
    if not os.access(folder, os.W_OK):
        return
    try:
        _probe(folder)
    except OSError as error:
        what = f"Locks, renaming or fsync do not work below {folder}: {error}."
        remedy = "Results could be lost there; move the workspace to a local disk."
        yield Finding(about, what, "error", remedy)
    else:
        yield Finding(about, f"Locks, renaming and fsync work ({kind or 'type unknown'}).")


def _probe(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=folder) as name:
        first, second = Path(name) / "first", Path(name) / "second"
        with exclusive(Path(name) / "lock", timeout=_PROBE_SECONDS), first.open("wb") as file:
            file.write(b"probe")
            file.flush()
            os.fsync(file.fileno())
        first.replace(second)
        if second.read_bytes() != b"probe" or first.exists():
            msg = "a renamed file is not what it was"
            raise OSError(msg)


def _type_of(folder: Path) -> str:
    """Type of the file system of the nearest mount point; empty where it is not known."""
    place = folder.resolve()
    mounts = {Path(part.mountpoint): part.fstype for part in psutil.disk_partitions(all=True)}
    return next((mounts[p] for p in (place, *place.parents) if p in mounts), "")
