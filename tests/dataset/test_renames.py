"""Files and folders with another name."""

from __future__ import annotations

from typing import Any

from mosaic_dagster.dataset.manifest import SourceRule


def told(scan: Any) -> list[tuple[str, str, str]]:
    return [(r.row.path, str(r.now.key), r.now.path.name) for r in scan.renamed]


def test_a_renamed_folder_is_known_by_the_bytes_in_it(lab: Any) -> None:
    """The old recording must not only look deleted: people would search their backups."""
    lab.record()
    (lab.base / "rec/dish1").rename(lab.base / "rec/dish7")
    found = lab.record()
    assert [str(source.key) for source in found.new] == ["dish7/a"]
    assert [row.key for row in found.vanished] == ["dish1/a"]
    assert told(found) == [("rec/dish1/a.csv", "dish7/a", "a.csv")]
    assert told(lab.scan()) == told(found)  # also once the new one is recorded


def test_a_file_of_other_bytes_is_no_renamed_one(lab: Any) -> None:
    lab.record()
    (lab.base / "rec/dish1/a.csv").unlink()
    lab.write("dish1/b.csv", "frame,a_x,a_y\n0,5,5\n")
    found = lab.scan()
    assert [row.key for row in found.vanished] == ["dish1/a"]
    assert found.renamed == ()


def test_the_same_recording_in_another_file_is_told_as_such(lab: Any) -> None:
    """Only the ending was written otherwise: the recording keeps its name."""
    lab.record()
    (lab.base / "rec/dish1/a.csv").rename(lab.base / "rec/dish1/a.CSV")
    (renamed,) = lab.scan().renamed
    assert renamed.is_same_entry
    assert renamed.now.path.name == "a.CSV"


def test_of_several_equal_files_the_same_sequence_is_meant(lab: Any) -> None:
    """Two copies under other names: dish7/a has the name, dish7/b has not."""
    lab.record()
    content = (lab.base / "rec/dish1/a.csv").read_text()
    (lab.base / "rec/dish1/a.csv").unlink()
    lab.write("dish7/a.csv", content)
    lab.write("dish7/b.csv", content)
    assert told(lab.scan()) == [("rec/dish1/a.csv", "dish7/a", "a.csv")]


def test_equal_files_without_a_name_in_common_are_not_guessed_among(lab: Any) -> None:
    """Label files without an event are all alike; naming one of them would mislead."""
    lab.rules = (SourceRule(path="rec"),)
    lab.record()
    content = (lab.base / "rec/dish1/a.csv").read_text()
    (lab.base / "rec/dish1/a.csv").unlink()
    lab.write("dish7/x.csv", content)
    lab.write("dish7/y.csv", content)
    assert lab.scan().renamed == ()
