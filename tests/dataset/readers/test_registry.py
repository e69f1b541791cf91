"""Finding the reader for a file."""

from pathlib import Path

import pytest

from mosaic_dagster.dataset.manifest import SourceRule
from mosaic_dagster.dataset.readers import READERS, KeypointCsv, detect, get_reader, registry
from mosaic_dagster.dataset.readers.registry import ReaderRegistry
from mosaic_dagster.dataset.reading import read_tracks
from mosaic_dagster.dataset.scan import scan_sources
from mosaic_dagster.errors import ReaderError, UnknownFormatError


def test_readers_are_known_by_name() -> None:
    """The names are written into manifests; a renamed reader would orphan them."""
    assert {"keypoint_csv", "deeplabcut"} <= set(READERS)
    assert get_reader("keypoint_csv") is READERS["keypoint_csv"]


def test_an_unknown_name_gets_the_nearest_and_all() -> None:
    with pytest.raises(
        UnknownFormatError, match=r"'deeplabcat'. Did you mean 'deeplabcut'.*The formats are: "
    ):
        get_reader("deeplabcat")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("frame,a_x,a_y\n", "keypoint_csv"),
        ("a_x,a_y\n", "keypoint_csv"),
        ("frame,X,Y\n", "keypoint_csv"),
        ("scorer,S\nbodyparts,a\n", "deeplabcut"),
        ("scorer,S\nindividuals,a\n", "deeplabcut"),
    ],
)
def test_files_are_recognised_by_content(tmp_path: Path, content: str, name: str) -> None:
    """A header without `frame` is recognised too, so that reading can say what is missing."""
    path = tmp_path / "a.CSV"
    path.write_text(content)
    assert detect(path).name == name


@pytest.mark.parametrize(
    "content", [b"start,stop,behavior\n", b"\xff\xfe\x00", b"scorer,S\n", b"\n"]
)
def test_what_nobody_recognises_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(UnknownFormatError, match=r"No reader recognises .*a.csv. Name the format"):
        detect(path)


CALMS = '{"annotator-id_0": {"task1/train/m": {"keypoints": [[[['
BORIS = '{"time_format": "hh:mm:ss", "observations": {"a": {"events": [[1.5, "s"]]}}}'
JABS_POSES = '{"keypoints": {"nose": 1}}'
JABS_LABELS = (
    '{"version": 1, "num_frames": 5, "labels": {"0": {"scores": [{"start": 0, "end": 1}]}}, '
    '"annotations": [{"start": 1}]}'
)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (CALMS, "calms21_json"),
        (CALMS.replace('"keypoints": [[[[', '"annotations": [3, 3'), "calms21_json"),
        (
            CALMS.replace('"keypoints": [[[[', '"metadata": {"fps": 3}, "scores": [[['),
            "calms21_json",
        ),
        ('{"keypoints": [[[[1.5', "mars_json"),
        ('{"scores": [[[0.5', "mars_json"),
        ('{"bscores": [[0.5], [0.5]], "fps": 30, "bbox": []', "mars_json"),
        (BORIS, None),
        (JABS_LABELS, None),
        (JABS_LABELS.replace('"version": 1, "num_frames": 5, ', ""), None),
        (JABS_POSES, None),
        ('{"fps": 16, "unit": "mm", "keypoints": ["head", "tail"]}', None),
        ('{"images": [{"id": 1}], "annotations": [{"keypoints": [1, 2]}]}', None),
        ("[1, 2]", None),
    ],
)
def test_json_files_are_told_apart_by_content(
    tmp_path: Path, content: str, name: str | None
) -> None:
    """Labels and notes are json, too; read as tracks they would only give errors."""
    path = tmp_path / "a.json"
    path.write_text(content)
    if name is None:
        with pytest.raises(UnknownFormatError, match="No reader recognises"):
            detect(path)
    else:
        assert detect(path).name == name


def test_notes_beside_recordings_are_passed_over(tmp_path: Path) -> None:
    """A metadata.json next to the tracks must not make every ingest end as failed.

    Named itself, such a file is an error like any other.
    """
    (tmp_path / "metadata.json").write_text('{"fps": 16}')
    (tmp_path / "walk.csv").write_text("frame,a_x,a_y\n0,1,1\n")
    (tmp_path / "mice.json").write_text(CALMS)
    rule = SourceRule(path=str(tmp_path))
    scan = scan_sources([rule], [], tmp_path)
    assert [source.path.name for source in scan.present] == ["walk.csv"]
    assert [refusal.path.name for refusal in scan.refused] == ["mice.json"]  # cut short
    (tmp_path / "mice.json").unlink()
    assert len(read_tracks(tmp_path, fps=16)) == 1
    with pytest.raises(UnknownFormatError, match="No reader recognises"):
        read_tracks(tmp_path / "metadata.json", fps=16)
    single = SourceRule(path=str(tmp_path / "metadata.json"))
    assert scan_sources([single], [], tmp_path).refused


def test_an_empty_file_is_told_apart_from_a_foreign_one(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.touch()
    with pytest.raises(ReaderError, match=r"a.csv is empty \(0 bytes\)"):
        detect(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="cannot be read: No such file"):
        detect(tmp_path / "gone.csv")


class Greedy(KeypointCsv):
    name = "greedy"


@pytest.fixture
def with_greedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "READERS", ReaderRegistry(KeypointCsv(), Greedy()))


def test_two_candidates_are_never_a_guess(tmp_path: Path, with_greedy: None) -> None:
    path = tmp_path / "a.csv"
    path.write_text("frame,a_x,a_y\n")
    with pytest.raises(
        UnknownFormatError, match=r"could be keypoint_csv and greedy. Name the format"
    ):
        detect(path)


class Other:
    name = "keypoint_csv"


def test_a_taken_name_is_refused() -> None:
    """A plug-in that replaced a reader would change results under an unchanged name."""
    readers = ReaderRegistry(KeypointCsv())
    readers.register(KeypointCsv())
    with pytest.raises(ReaderError, match="cannot be called 'keypoint_csv'"):
        readers.register(Other())  # type: ignore[arg-type]


class Point:
    name = "greedy"

    def load(self) -> type[Greedy]:
        return Greedy


def test_readers_of_other_packages_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lab's own format, installed beside this package, needs no change here."""
    monkeypatch.setattr(
        registry, "entry_points", lambda group: [Point()] if group == registry.ENTRY_POINTS else []
    )
    readers = ReaderRegistry(KeypointCsv())
    assert list(readers) == ["keypoint_csv", "greedy"]
    assert len(readers) == 2
    assert isinstance(readers["greedy"], Greedy)
