"""From files to tracks."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mosaic_dagster.dataset.manifest import Manifest, SourceRule
from mosaic_dagster.dataset.readers import READERS, KeypointCsv, Recording
from mosaic_dagster.dataset.reading import file_keypoints, read_entry, read_tracks
from mosaic_dagster.dataset.sources import entry_keys, resolve_params
from mosaic_dagster.errors import ReaderError, TracksError, UnknownFormatError
from mosaic_dagster.keys import EntryKey

MANIFEST = Manifest.new(name="larvae", fps=16, unit="mm")


def write(path: Path, content: str = "frame,a_x,a_y\n0,1,2\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_groups_are_folders_and_sequences_are_files(tmp_path: Path) -> None:
    """The group is the folder below the given path: a/b, and empty at the top."""
    write(tmp_path / "top.csv")
    write(tmp_path / "dish 1" / "x.y.csv")
    write(tmp_path / "a" / "b" / "z.csv")
    assert list(read_tracks(tmp_path, fps=1)) == [
        EntryKey("", "top"),
        EntryKey("a/b", "z"),
        EntryKey("dish 1", "x.y"),
    ]
    assert list(read_tracks(tmp_path / "a", fps=1)) == [EntryKey("b", "z")]
    assert list(read_tracks(tmp_path / "a" / "b" / "z.csv", fps=1)) == [EntryKey("", "z")]


def test_a_rule_may_name_the_group(tmp_path: Path) -> None:
    path = write(tmp_path / "a" / "x.csv")
    rule = SourceRule(path=str(tmp_path), group="day 1")
    assert entry_keys(KeypointCsv(), rule, tmp_path, path) == [EntryKey("day 1", "x")]
    table, _ = read_entry([path], rule, MANIFEST, EntryKey("day 1", "x"))
    assert table["group"].to_list() == ["day 1"]


@pytest.mark.parametrize(("params", "rate"), [({}, 16.0), ({"fps": 25}, 25.0)])
def test_the_reader_parameter_goes_before_the_manifest(
    tmp_path: Path, params: dict[str, Any], rate: float
) -> None:
    """Frame 1 at 16 or at 25 fps."""
    path = write(tmp_path / "x.csv", "frame,a_x,a_y\n1,1,2\n")
    rule = SourceRule(path=str(path), params=params)
    table, _ = read_entry([path], rule, MANIFEST, EntryKey("", "x"))
    assert table["time"].to_list() == [1 / rate]
    assert resolve_params(KeypointCsv(), rule, MANIFEST)["fps"] == rate


def test_parameters_are_complete_after_resolving() -> None:
    """All that changes a table is in its identity."""
    manifest = Manifest.new(name="larvae", fps=16, unit="mm", keypoints=("a", "b"))
    resolved = resolve_params(KeypointCsv(), SourceRule(path="x"), manifest)
    assert resolved == {"fps": 16.0, "unit": "mm", "ignore": (), "keypoints": ["a", "b"]}


def test_a_unit_that_contradicts_the_dataset_is_refused(tmp_path: Path) -> None:
    """Pixels taken for millimetres are wrong by the scale of the camera."""
    path = write(tmp_path / "x.csv")
    rule = SourceRule(path=str(path), params={"unit": "px"})
    with pytest.raises(ReaderError, match="is in px, the dataset in mm"):
        read_entry([path], rule, MANIFEST, EntryKey("", "x"))


def test_what_was_repaired_is_reported(tmp_path: Path) -> None:
    """One row without a point, one infinite value."""
    path = write(tmp_path / "x.csv", "frame,a_x,a_y,b_x,b_y\n0,,,,\n1,inf,1,2,2\n")
    table, repairs = read_entry([path], SourceRule(path=str(path)), MANIFEST, EntryKey("", "x"))
    assert table["frame"].to_list() == [1]
    assert (repairs.rows_read, repairs.empty_rows_dropped, repairs.infinite_values) == (2, 1, 1)


def test_errors_of_tracks_name_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "frame,a_x,a_y\n0,1,2\n0,1,2\n")
    with pytest.raises(TracksError, match=r"x.csv: .*id 0 has more than one row in frame 0"):
        read_entry([path], SourceRule(path=str(path)), MANIFEST, EntryKey("", "x"))


def test_several_files_for_one_entry_are_refused(tmp_path: Path) -> None:
    """a.csv and a.CSV would silently become one animal's tracks, or overwrite each other."""
    write(tmp_path / "a.csv")
    write(tmp_path / "a.CSV")
    with pytest.raises(ReaderError, match=r"/a comes from several files: .*a.CSV and .*a.csv"):
        read_tracks(tmp_path, fps=1)


def test_an_entry_that_the_file_does_not_hold(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv")
    with pytest.raises(ReaderError, match="does not hold the entry /y"):
        read_entry([path], SourceRule(path=str(path)), MANIFEST, EntryKey("", "y"))


def test_other_keypoints_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "frame,a_x,a_y,c_x,c_y\n0,1,2,3,4\n")
    manifest = Manifest.new(name="larvae", fps=1, keypoints=("a", "b"))
    with pytest.raises(ReaderError, match="it lacks b and has c besides"):
        read_entry([path], SourceRule(path=str(path)), manifest, EntryKey("", "x"))


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match=r"no tracking files at .*The formats are: .*deeplabcut"):
        read_tracks(tmp_path)
    with pytest.raises(ReaderError, match="nothing at"):
        read_tracks(tmp_path / "gone")


def test_foreign_files_and_formats_are_said(tmp_path: Path) -> None:
    """A csv of something else must not be left out in silence."""
    write(tmp_path / "labels.csv", "start,stop\n")
    with pytest.raises(UnknownFormatError, match="No reader recognises"):
        read_tracks(tmp_path)
    with pytest.raises(UnknownFormatError, match="no reader 'dlc'"):
        read_tracks(tmp_path, "dlc")
    with pytest.raises(ReaderError, match="gps is not a known name"):
        read_tracks(write(tmp_path / "ok" / "x.csv"), gps=3)


def test_a_header_tells_the_keypoints(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "frame,b_x,b_y,a_x,a_y\n")
    assert file_keypoints(path, SourceRule(path=str(path))) == ("b", "a")


@dataclass
class Many:
    """A toy format: two sequences in each file, and files of one entry are put together."""

    name: str = "many"
    version: str = "1"
    extensions: tuple[str, ...] = (".many",)
    merges: bool = True
    params: Any = KeypointCsv.params
    rates: dict[str, float] = field(default_factory=dict)

    def sniff(self, path: Path) -> bool:
        return True

    def sequences(self, path: Path) -> list[tuple[str | None, str]]:
        return [("g", "one"), (None, "two")]

    def keypoints(self, path: Path, params: Any) -> tuple[str, ...]:
        return ("a",)

    def read(self, path: Path, params: Any) -> list[Recording]:
        animal = int(path.stem)
        table = pl.DataFrame({"frame": [0], "id": [animal], "poseX0": [1.0], "poseY0": [2.0]})
        rate = self.rates.get(path.stem)
        return [Recording(s, g, table, ("a",), fps=rate) for g, s in self.sequences(path)]


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> Many:
    reader = Many()
    monkeypatch.setitem(READERS._readers, "many", reader)
    return reader


def test_files_with_several_sequences_and_files_per_animal(tmp_path: Path, many: Many) -> None:
    """Animals 0 and 1 of both sequences come from two files; the file's rate goes first."""
    many.rates = {"0": 50.0, "1": 50.0}
    write(tmp_path / "day" / "0.many")
    write(tmp_path / "day" / "1.many")
    tracks = read_tracks(tmp_path, "many", fps=10)
    assert list(tracks) == [EntryKey("day", "two"), EntryKey("g", "one")]
    assert tracks[EntryKey("g", "one")]["id"].to_list() == [0, 1]
    assert tracks[EntryKey("g", "one")]["fps"].to_list() == [50.0, 50.0]


def test_files_of_one_entry_must_have_one_rate(tmp_path: Path, many: Many) -> None:
    many.rates = {"0": 50.0, "1": 25.0}
    write(tmp_path / "0.many")
    write(tmp_path / "1.many")
    with pytest.raises(ReaderError, match="several frame rates"):
        read_tracks(tmp_path, "many")
