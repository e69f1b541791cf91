"""From label files to labels of entries, and what scanning finds of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mosaic_dagster.dataset.label_reading import read_labels, read_labels_entry
from mosaic_dagster.dataset.labels import IdTags, Labels
from mosaic_dagster.dataset.labels.files import AnyLabels
from mosaic_dagster.dataset.labels.readers.boris_aggregated import BorisAggregated
from mosaic_dagster.dataset.manifest import Manifest, SourceRule
from mosaic_dagster.dataset.scan import scan_sources
from mosaic_dagster.dataset.sources import check_rule, entry_keys, resolve_params
from mosaic_dagster.errors import LabelsError, ReaderError, UnknownFormatError
from mosaic_dagster.hashing import canonical_json
from mosaic_dagster.keys import EntryKey

MANIFEST = Manifest.new(name="mice", fps=10)
HEADER = "Observation id\tSubject\tBehavior\tStart (s)\tStop (s)"
JABS = json.dumps(
    {"num_frames": 5, "labels": {"0": {"Rear": [{"start": 1, "end": 1, "present": True}]}}}
)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def to(name: str, *rows: str) -> Path:
        """Rows of observation,subject,behaviour,start,stop."""
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([HEADER, *(row.replace(",", "\t") for row in rows)]))
        return path

    return to


Write = Callable[..., Path]


def rule_of(path: Path, **fields: Any) -> SourceRule:
    return SourceRule(
        path=str(path), **{"labels": "behavior", "format": "boris_aggregated"} | fields
    )


def frames(labels: AnyLabels) -> list[int]:
    assert isinstance(labels, Labels)
    return labels.events["frame"].to_list()


def test_groups_are_folders_and_sequences_are_of_the_file(tmp_path: Path, write: Write) -> None:
    """Named as the tracks that lie in folders of the same names."""
    write("d1/a.tsv", "A,,run,0,0.2", "B,m,run,1,1.1")
    write("top.tsv", "C,,run,0,0.1")
    found = read_labels(tmp_path, fps=10)
    assert {key: frames(labels) for key, labels in found.items()} == {
        EntryKey("", "C"): [0],
        EntryKey("d1", "A"): [0, 1],
        EntryKey("d1", "B__m"): [10],
    }
    assert list(found) == sorted(found)


def test_parameters_reach_the_reader(write: Write) -> None:
    path = write("x.tsv", "A,m,run,0,0.1")
    (labels,) = read_labels(path, "boris_aggregated", fps=10, subjects={"m": [0, 1]}).values()
    assert isinstance(labels, Labels)
    assert labels.events.rows() == [(0, 0, 1, 1)]
    with pytest.raises(ReaderError, match=r"subject is not a known name .*'subjects'"):
        read_labels(path, "boris_aggregated", subject={"m": 0})


def test_each_file_is_recognised_and_notes_are_passed_over(tmp_path: Path, write: Write) -> None:
    """metadata.json beside labels is no label file, and no reason to stop; a foreign csv is."""
    write("a.tsv", "A,,run,0,0.1")
    (tmp_path / "video.json").write_text(JABS)
    (tmp_path / "metadata.json").write_text('{"fps": 30}')
    (tmp_path / "tags.csv").write_text("id,sex\n0,f\n")
    found = read_labels(tmp_path, fps=10)
    assert [key.sequence for key in found] == ["A", "tags", "video"]
    assert isinstance(found[EntryKey("", "tags")], IdTags)
    (tmp_path / "x.csv").write_text("frame,nose_x,nose_y\n0,1,2\n")
    with pytest.raises(UnknownFormatError, match=r"x.csv. Name the format"):
        read_labels(tmp_path, fps=10)


def test_two_files_of_one_entry_are_refused(tmp_path: Path, write: Write) -> None:
    """Scored by two people: taking the last file would drop one of them in silence."""
    write("ann.tsv", "A,,run,0,0.1")
    write("bob.tsv", "A,,run,0,0.1")
    with pytest.raises(ReaderError, match=r"bob.tsv and another file are both labels of /A"):
        read_labels(tmp_path, fps=10)


def test_recordings_of_one_name_in_two_groups_are_apart(tmp_path: Path) -> None:
    """Else the males of one dish get the tags of the other's."""
    (tmp_path / "tags.csv").write_text("group,sequence,id,sex\nd1,s,0,f\nd2,s,0,m\n")
    found = read_labels(tmp_path / "tags.csv")
    tags = {str(key): labels.as_mapping() for key, labels in found.items()}  # type: ignore[union-attr]
    assert tags == {"d1/s": {"0": {"sex": "f"}}, "d2/s": {"0": {"sex": "m"}}}


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match=r"no label files at .*The formats are: .*boris_events"):
        read_labels(tmp_path)
    with pytest.raises(ReaderError, match="nothing at"):
        read_labels(tmp_path / "gone")


def test_the_rate_of_the_dataset_counts_where_the_file_has_none(write: Write) -> None:
    """0.5 s is frame 5 at 10 fps; a parameter of the source goes before the dataset."""
    path = write("x.tsv", "A,,run,0.5,0.6")
    key = EntryKey("", "A")
    assert frames(read_labels_entry(path, rule_of(path), MANIFEST, key)[0]) == [5]
    faster = rule_of(path, params={"fps": 20})
    assert frames(read_labels_entry(path, faster, MANIFEST, key)[0]) == [10, 11]
    with pytest.raises(ReaderError, match="frames per second are not known"):
        read_labels_entry(path, rule_of(path), Manifest.new(name="mice"), key)


def test_what_was_left_out_is_told(write: Write) -> None:
    path = write("x.tsv", "A,,run,-0.2,0.1", "A,,dig,1,2")
    rule = rule_of(path, params={"behaviors": ["run"]})
    labels, notes = read_labels_entry(path, rule, MANIFEST, EntryKey("", "A"))
    assert frames(labels) == [0]
    assert notes == {"behaviors_left_out": {"dig": 1}, "negative_frames_dropped": 2}


def test_a_pattern_makes_the_names_of_the_tracks(write: Write) -> None:
    """Labels of 'clip7__m' belong to the tracks 'clip7'; the rule says how to shorten."""
    path = write("x.tsv", "clip7,m,run,0,0.1")
    rule = rule_of(path, sequence="(.*)__m", group="day 1")
    key = EntryKey("day 1", "clip7")
    assert entry_keys(BorisAggregated(), rule, path, path) == [key]
    assert frames(read_labels_entry(path, rule, MANIFEST, key)[0]) == [0]


def test_a_pattern_that_makes_one_of_two_is_refused(write: Write) -> None:
    path = write("x.tsv", "clip7,m,run,0,0.1", "clip7,f,run,0,0.1")
    with pytest.raises(ReaderError, match="makes /clip7 of several recordings"):
        entry_keys(BorisAggregated(), rule_of(path, sequence="(.*)__"), path, path)


def test_an_entry_that_the_file_does_not_label(write: Write) -> None:
    path = write("x.tsv", "A,,run,0,0.1")
    with pytest.raises(ReaderError, match=r"does not label the entry /B. Was the file renamed"):
        read_labels_entry(path, rule_of(path), MANIFEST, EntryKey("", "B"))


def test_errors_of_labels_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tags.csv"
    path.write_text("id,sex\n0,f\n0,m\n")
    with pytest.raises(LabelsError, match=r"tags.csv: The individual '0' has two rows"):
        read_labels_entry(path, rule_of(path, format="auto"), MANIFEST, EntryKey("", "tags"))


def test_parameters_are_complete_after_resolving() -> None:
    """All that changes labels is in their identity; unit and keypoints change none."""
    rule = rule_of(Path("x"), params={"subjects": {"m": [0, 1]}})
    resolved = resolve_params(BorisAggregated(), rule, MANIFEST)
    assert (resolved["fps"], resolved["background"]) == (10, "none")
    assert "keypoints" not in resolved
    other = resolve_params(BorisAggregated(), rule_of(Path("x")), MANIFEST)
    assert canonical_json(resolved) != canonical_json(other)


def test_a_rule_is_checked_against_readers_of_labels() -> None:
    """A reader of tracks named for labels would store poses as labels."""
    check_rule(rule_of(Path("x")))
    check_rule(rule_of(Path("x"), format="auto"))
    with pytest.raises(UnknownFormatError, match="no reader 'deeplabcut'"):
        check_rule(rule_of(Path("x"), format="deeplabcut"))
    with pytest.raises(ReaderError, match="subject is not a known name"):
        check_rule(rule_of(Path("x"), params={"subject": {}}))
    with pytest.raises(UnknownFormatError, match="no reader 'boris_aggregated'"):
        check_rule(SourceRule(path="x", format="boris_aggregated"))


def test_a_scan_finds_every_recording_of_a_file(tmp_path: Path, write: Write) -> None:
    """And refuses, by name, what two files label."""
    path = write("d1/a.tsv", "A,,run,0,0.2", "B,m,run,1,1.1")
    scan = scan_sources([rule_of(tmp_path)], [], tmp_path)
    assert [(str(one.key), one.path) for one in scan.new] == [("d1/A", path), ("d1/B__m", path)]
    assert {row.asset for row in scan.updates} == {"labels/behavior"}
    write("d1/b.tsv", "A,,run,0,0.2")
    again = scan_sources([rule_of(tmp_path)], [], tmp_path)
    assert [str(one.key) for one in again.new] == ["d1/B__m"]
    assert ["are both the entry d1/A" in refusal.reason for refusal in again.refused] == [True] * 2
