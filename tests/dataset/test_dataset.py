"""A dataset in its workspace."""

from pathlib import Path

import polars as pl
import pytest

from mosaic_dagster.dataset import (
    Dataset,
    DatasetDeclaration,
    EntryKey,
    SourceRule,
    normalize_tracks,
    validate_tracks,
)
from mosaic_dagster.errors import (
    EntryExistsError,
    EntryNotFoundError,
    ManifestError,
    ObjectMissingError,
    TracksError,
)
from mosaic_dagster.store.feature_registry.records import SourceRow

KEY = EntryKey("dish 01", "larva_007")


def walk(x: float = 0.0) -> pl.DataFrame:
    """Two frames at (x, 0) and (x + 1, 0)."""
    return pl.DataFrame({"frame": [0, 1], "id": 0, "X": [x, x + 1], "Y": [0.0, 0.0]})


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset.create(tmp_path / "workspaces" / "larvae", "larvae", meta={"fps_default": 16.0})


def test_what_is_created_can_be_opened(dataset: Dataset) -> None:
    """The rate given as meta is the dataset's fps."""
    again = Dataset.open(dataset.path)
    assert again.manifest == dataset.manifest
    assert (again.name, again.manifest.fps) == ("larvae", 16.0)
    assert again.exports == dataset.path / "exports"
    assert again.entries() == []
    assert "larvae" in repr(again)


def test_creating_does_not_replace(dataset: Dataset) -> None:
    with pytest.raises(ManifestError, match=r"already. Open it with Dataset.open"):
        Dataset.create(dataset.path, "larvae")


def test_two_rates_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="fps is 30 and meta"):
        Dataset.create(tmp_path, "larvae", fps=30, meta={"fps_default": 16})


def test_an_unknown_field_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="fsp is not a known name"):
        Dataset.create(tmp_path, "larvae", fsp=30)
    assert list(tmp_path.iterdir()) == []


def test_opening_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no dataset at"):
        Dataset.open(tmp_path)


def test_a_declared_dataset_is_made_and_brought_up_to_date(tmp_path: Path) -> None:
    """Loading the definitions twice changes nothing; a changed declaration arrives."""
    declared = DatasetDeclaration("larvae", fps=16, unit="mm", sources=("rec",))
    first = Dataset.ensure(tmp_path, declared)
    modified = (tmp_path / "dataset.yaml").stat().st_mtime_ns
    again = Dataset.ensure(tmp_path, declared)
    assert again.manifest == first.manifest
    assert (tmp_path / "dataset.yaml").stat().st_mtime_ns == modified
    changed = Dataset.ensure(tmp_path, DatasetDeclaration("larvae", fps=20))
    assert (changed.manifest.fps, changed.manifest.unit, changed.manifest.sources) == (20, "mm", ())
    assert Dataset.open(tmp_path).manifest == changed.manifest
    with pytest.raises(ManifestError, match="holds 'larvae'"):
        Dataset.ensure(tmp_path, DatasetDeclaration("mice"))


def test_added_tracks_are_read_back(dataset: Dataset) -> None:
    """Stored in the form that features read; frame 1 at 16 fps is 0.0625 s."""
    repairs = dataset.add_tracks(KEY, walk())
    tracks = Dataset.open(dataset.path).tracks(KEY)
    validate_tracks(tracks, KEY)
    assert tracks.equals(normalize_tracks(walk(), KEY, 16.0)[0])
    assert tracks["time"].to_list() == [0.0, 0.0625]
    assert dataset.entries() == [KEY]
    assert repairs.rows_kept == 2
    (row,) = dataset.registry.entries()
    assert row.source_sha256 is None
    assert row.tracks_sha256 is not None
    assert dataset.objects.exists(row.tracks_sha256)


def test_overwriting_must_be_asked_for(dataset: Dataset) -> None:
    """A second add by mistake must not replace what results were made from."""
    dataset.add_tracks(KEY, walk())
    with pytest.raises(
        EntryExistsError, match=r"dish%2001/larva_007 .*tracks already.*overwrite=True"
    ):
        dataset.add_tracks(KEY, walk(5))
    assert dataset.tracks(KEY)["X"][0] == 0
    dataset.add_tracks(KEY, walk(5), overwrite=True)
    assert dataset.tracks(KEY)["X"][0] == 5
    assert dataset.entries() == [KEY]


def test_a_file_is_not_overwritten_by_a_table(dataset: Dataset) -> None:
    """The next scan would bring the file's tracks back."""
    row = SourceRow("rec/a.csv", str(KEY), "keypoint_csv:x", "0" * 64, 1, 1, 1, "present")
    dataset.registry.put_sources([row])
    with pytest.raises(EntryExistsError, match=r"come from rec/a.csv"):
        dataset.add_tracks(KEY, walk(), overwrite=True)


def test_a_bad_table_leaves_nothing_behind(dataset: Dataset) -> None:
    with pytest.raises(TracksError, match="'frame' is missing"):
        dataset.add_tracks(KEY, walk().drop("frame"))
    assert dataset.entries() == []
    assert list(dataset.objects.all()) == []


def test_an_unknown_entry_gets_the_nearest(dataset: Dataset) -> None:
    dataset.add_tracks(KEY, walk())
    with pytest.raises(EntryNotFoundError, match=r"no entry .*Did you mean 'dish%2001/larva_007'"):
        dataset.tracks(EntryKey("dish 01", "larva_008"))


def test_lost_tracks_are_told_apart_from_unknown_ones(dataset: Dataset) -> None:
    dataset.add_tracks(KEY, walk())
    (stored,) = dataset.objects.all()
    dataset.objects.path(stored.digest).unlink()
    with pytest.raises(ObjectMissingError):
        dataset.tracks(KEY)


def test_sources_are_found_below_the_project(tmp_path: Path) -> None:
    """`rec` in a rule is the project's folder; scanning writes nothing."""
    (tmp_path / "dagster.yaml").touch()
    (tmp_path / "rec").mkdir()
    (tmp_path / "rec" / "a.csv").write_text("frame,a_x,a_y\n0,1,2\n")
    dataset = Dataset.create(tmp_path / "workspaces" / "larvae", "larvae", fps=16)
    dataset.add_source(SourceRule(path="rec"))
    assert Dataset.open(dataset.path).manifest.sources == (SourceRule(path="rec"),)
    found = dataset.scan()
    assert [str(source.key) for source in found.new] == ["/a"]
    assert dataset.entries() == []
    dataset.registry.put_sources(found.updates)
    assert dataset.scan().new == ()
