"""A disk that is nearly full, or far away, is noticed before a run ends with it."""

from __future__ import annotations

import os
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest

from mosaic_dagster.health import disk
from mosaic_dagster.health.disk import check_file_system, check_rights, check_space

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    ("free", "state"), [(10**12, "ok"), (500_000_000, "warning"), (1_000_000, "error")]
)
def test_free_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: str) -> None:
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _folder: Usage(2 * 10**12, 0, free))
    found = next(iter(check_space("d", tmp_path)))
    assert found.state == state
    assert ("gc" in found.remedy) == (state != "ok")


def test_file_entries_run_out_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of 100 entries is free: less than two in a hundred."""
    monkeypatch.setattr(os, "statvfs", lambda _f: SimpleNamespace(f_files=100, f_favail=1))
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _folder: Usage(10**12, 0, 10**12))
    assert "1 of 100 file entries" in list(check_space("d", tmp_path))[-1].what


def test_the_probe_leaves_nothing_behind(tmp_path: Path) -> None:
    found = list(check_file_system("d", tmp_path))
    assert found[-1].state == "ok"
    assert list(tmp_path.iterdir()) == []


def test_a_network_file_system_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = SimpleNamespace(mountpoint=str(tmp_path), fstype="nfs4")
    monkeypatch.setattr(disk.psutil, "disk_partitions", lambda all: [part])
    first, second = check_file_system("d", tmp_path)
    assert (first.state, second.state) == ("warning", "ok")
    assert "nfs4" in first.what


def test_a_file_system_without_fsync_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is acknowledged there could be gone after a power cut."""

    def refuse(_handle: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "fsync", refuse)
    assert [row.state for row in check_file_system("d", tmp_path)][-1] == "error"


def test_a_folder_that_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != tmp_path)
    (row,) = check_rights("d", tmp_path)
    assert str(tmp_path) in row.what
