"""Listing and hashing files."""

import os
from pathlib import Path

import pytest

from mosaic_dagster.dataset.files import hash_file, list_files
from mosaic_dagster.errors import ReaderError
from mosaic_dagster.hashing import digest_bytes


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def test_files_of_all_folders_in_order(tmp_path: Path) -> None:
    """Other endings and hidden files (`._a.csv` of a Mac) are not recordings."""
    touch(tmp_path, "b/2.csv", "a/1.CSV", "a/deep er/3.csv", "0.csv", "notes.txt")
    touch(tmp_path, "._0.csv", ".git/x.csv", "a/.x/y.csv")
    listing = list_files(tmp_path, [".csv"])
    found = [file.path.relative_to(tmp_path).as_posix() for file in listing.files]
    assert found == ["0.csv", "a/1.CSV", "a/deep er/3.csv", "b/2.csv"]
    assert listing.refused == ()


def test_a_file_named_itself_is_taken_whatever_its_name(tmp_path: Path) -> None:
    touch(tmp_path, "track.dat")
    (file,) = list_files(tmp_path / "track.dat", [".csv"]).files
    facts = (tmp_path / "track.dat").stat()
    assert file.facts == (facts.st_size, facts.st_mtime_ns, facts.st_ino)


def test_links_are_refused_one_by_one(tmp_path: Path) -> None:
    """A link may lead anywhere, also in a circle; the files beside it are used."""
    touch(tmp_path, "data/a.csv")
    (tmp_path / "data" / "b.csv").symlink_to(tmp_path / "data" / "a.csv")
    (tmp_path / "data" / "broken.csv").symlink_to(tmp_path / "gone")
    (tmp_path / "data" / "circle").symlink_to(tmp_path / "data")
    listing = list_files(tmp_path / "data", [".csv"])
    assert [file.path.name for file in listing.files] == ["a.csv"]
    assert [refusal.path.name for refusal in listing.refused] == ["b.csv", "broken.csv", "circle"]
    assert all("is a link" in refusal.reason for refusal in listing.refused)


def test_the_path_that_was_given_may_be_a_link(tmp_path: Path) -> None:
    """`recordings` is often a link to a larger disk."""
    touch(tmp_path, "disk/a.csv")
    (tmp_path / "recordings").symlink_to(tmp_path / "disk")
    (file,) = list_files(tmp_path / "recordings", [".csv"]).files
    assert file.path == tmp_path / "recordings" / "a.csv"


def test_nothing_there_is_said(tmp_path: Path) -> None:
    (refusal,) = list_files(tmp_path / "gone", [".csv"]).refused
    assert "nothing at" in refusal.reason
    assert "disk mounted" in refusal.reason


def test_special_files_are_refused(tmp_path: Path) -> None:
    """Opening a pipe would wait forever."""
    os.mkfifo(tmp_path / "pipe.csv")
    (refusal,) = list_files(tmp_path, [".csv"]).refused
    assert "not a regular file" in refusal.reason


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """No table can hold such a name; the others are used."""
    touch(tmp_path, "a.csv")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe4.csv")).touch()
    listing = list_files(tmp_path, [".csv"])
    assert [file.path.name for file in listing.files] == ["a.csv"]
    assert "is not UTF-8. Rename it" in listing.refused[0].reason


def test_hashing(tmp_path: Path) -> None:
    touch(tmp_path, "a.csv")
    (file,) = list_files(tmp_path, [".csv"]).files
    assert hash_file(file) == digest_bytes(b"a.csv")


def test_a_file_that_is_being_written_is_not_hashed(tmp_path: Path) -> None:
    """Its digest would stand for a half-copied recording."""
    touch(tmp_path, "a.csv")
    (file,) = list_files(tmp_path, [".csv"]).files
    (tmp_path / "a.csv").write_bytes(b"longer than before")
    with pytest.raises(ReaderError, match="changed while it was read"):
        hash_file(file)
    (tmp_path / "a.csv").unlink()
    with pytest.raises(ReaderError, match="cannot be read"):
        hash_file(file)
