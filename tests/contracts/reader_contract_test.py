"""What every reader must hold to; a new reader adds its sample and is tested with the rest."""

import copy
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from mosaic_dagster.dataset.manifest import SourceRule
from mosaic_dagster.dataset.readers import READERS, Reader, detect
from mosaic_dagster.dataset.readers.base import reader_params
from mosaic_dagster.dataset.reading import entry_keys, read_entry
from mosaic_dagster.dataset.tracks import validate_tracks
from mosaic_dagster.errors import ReaderError
from mosaic_dagster.hashing import canonical_json


@dataclass(frozen=True)
class Facts:
    fps: float | None = 25.0
    unit: str | None = "px"
    keypoints: tuple[str, ...] = ()


_FILES = Path(__file__).parents[1] / "fixtures" / "hdf5_files.py"
_spec = importlib.util.spec_from_file_location("mosaic_hdf5_files", _FILES)
assert _spec is not None
assert _spec.loader is not None
files = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(files)

NAN = float("nan")
_PAIR = [[[[1, 2], [3, 4]]], [[[NAN, NAN], [7, 8]]]]
_COLUMNS = [("S", part, coord) for part in ("nose", "tail") for coord in ("x", "y", "likelihood")]
_SEEN = (7.0, 8.0, True, 0.9)

SAMPLES: dict[str, tuple[str, bytes | Callable[[Path], Path]]] = {
    "sleap_analysis_h5": (
        "walk.analysis.h5",
        lambda path: files.write_analysis(path, _PAIR, ["nose", "tail"]),
    ),
    "sleap_slp": (
        "walk.slp",
        lambda path: files.write_slp(
            path,
            [(0, 3, 0, True, [_SEEN, _SEEN]), (0, 4, 0, True, [(NAN, NAN, False, 0.0), _SEEN])],
            ["nose", "tail"],
            ["fly"],
        ),
    ),
    "deeplabcut_h5": (
        "walkDLC.h5",
        lambda path: files.write_fixed(
            path, _COLUMNS, [[1, 2, 0.5, 3, 4, 0.5], [0, 0, 0, 7, 8, 0.9]], [3, 4]
        ),
    ),
    "jabs": (
        "walk_pose_est_v2.h5",
        lambda path: files.write_jabs(path, [[[8, 7]] * 12] * 2, [[1] * 12, [0] + [1] * 11]),
    ),
    "movement": (
        "walk.nwb",
        lambda path: files.write_nwb(
            path, [[[1, 2], [3, 4]], [[NAN, NAN], [7, 8]]], ["nose", "tail"], 25.0
        ),
    ),
    "keypoint_csv": (
        "walk.csv",
        b"frame,id,nose_x,nose_y,nose_p,tail_x,tail_y\n3,0,1,2,0.5,3,4\n3,1,,,,7,8\n4,0,,,,,\n",
    ),
    "deeplabcut": (
        "walkDLC.csv",
        b"scorer,S,S,S,S,S,S\nbodyparts,nose,nose,nose,tail,tail,tail\n"
        b"coords,x,y,likelihood,x,y,likelihood\n3,1,2,0.5,3,4,0.5\n4,0,0,0,7,8,0.9\n",
    ),
}
"""A valid file with a missing point for each reader."""


@pytest.fixture(params=sorted(SAMPLES))
def reader(request: pytest.FixtureRequest) -> Reader:
    return READERS[request.param]


@pytest.fixture
def sample(reader: Reader, tmp_path: Path) -> Path:
    name, content = SAMPLES[reader.name]
    path = tmp_path / "group one" / name
    path.parent.mkdir()
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content(path)
    return path


def test_every_reader_has_a_sample() -> None:
    """A reader without one would escape this suite."""
    assert set(SAMPLES) == set(READERS)


def test_a_reader_says_what_it_is(reader: Reader) -> None:
    """Name and version are part of the identity of tracks."""
    assert isinstance(reader, Reader)
    assert READERS[reader.name] is reader
    assert reader.name != "auto"
    assert reader.version
    assert all(ending.startswith(".") and ending == ending.lower() for ending in reader.extensions)


def test_its_file_is_recognised_by_it_alone(reader: Reader, sample: Path) -> None:
    """format='auto' must never be a guess."""
    assert detect(sample) is reader


def test_names_and_keypoints_are_those_that_reading_gives(reader: Reader, sample: Path) -> None:
    """Entries are registered from `sequences` before anything is read."""
    params = reader_params(reader, {})
    recordings = reader.read(sample, params)
    assert [(one.group, one.sequence) for one in recordings] == reader.sequences(sample)
    assert {one.keypoints for one in recordings} == {reader.keypoints(sample, params)}


def test_what_it_reads_becomes_valid_tracks(reader: Reader, sample: Path) -> None:
    """Features rely on the form, whatever the format was."""
    rule = SourceRule(path=str(sample.parents[1]), format=reader.name)
    (key,) = entry_keys(reader, rule, sample.parents[1], sample)
    assert key.group == "group one"
    table, repairs = read_entry([sample], rule, Facts(), key)
    validate_tracks(table, key)
    assert table["fps"].unique().to_list() == [25.0]
    assert repairs.rows_kept == table.height > 0
    assert repairs.missing_points > 0


def test_reading_twice_gives_the_same(reader: Reader, sample: Path) -> None:
    """Workers read in any order on any machine; results must not depend on it."""
    rule = SourceRule(path=str(sample), format=reader.name)
    (key,) = entry_keys(reader, rule, sample, sample)
    again = copy.deepcopy(reader)
    assert_frame_equal(
        reader.read(sample, reader_params(reader, {}))[0].table,
        again.read(sample, reader_params(reader, {}))[0].table,
    )
    tables = [read_entry([sample], rule, Facts(), key)[0] for _ in range(2)]
    assert tables[0].equals(tables[1])


def test_keypoints_follow_the_dataset(reader: Reader, sample: Path) -> None:
    """poseX0 must be the same body part in every file of a dataset."""
    rule = SourceRule(path=str(sample), format=reader.name)
    (key,) = entry_keys(reader, rule, sample, sample)
    names = reader.keypoints(sample, reader_params(reader, {}))
    plain, _ = read_entry([sample], rule, Facts(), key)
    turned, _ = read_entry([sample], rule, Facts(keypoints=tuple(reversed(names))), key)
    last = len(names) - 1
    assert turned[f"poseX{last}"].equals(plain["poseX0"], null_equal=True)
    assert turned["poseX0"].equals(plain[f"poseX{last}"], null_equal=True)
    with pytest.raises(ReaderError, match=r"other keypoints than the dataset: it lacks wing"):
        read_entry([sample], rule, Facts(keypoints=(*names, "wing")), key)


def test_unknown_parameters_are_named(reader: Reader) -> None:
    with pytest.raises(ReaderError, match=rf"'{reader.name}': fsp is not a known name .*'fps'"):
        reader_params(reader, {"fsp": 3})
    with pytest.raises(ReaderError, match=r"fps: .*greater than 0 \(given -3"):
        reader_params(reader, {"fps": -3})


def test_parameters_have_an_identity(reader: Reader) -> None:
    """They go into the action key, so they must be plain values."""
    assert canonical_json(reader_params(reader, {"fps": 30}))


@pytest.mark.parametrize("kept", [0, 1, 20])
def test_a_file_cut_short_is_an_error_or_shorter(reader: Reader, sample: Path, kept: int) -> None:
    """A copy that broke off must not pass as another recording, nor end in a foreign error."""
    sample.write_bytes(sample.read_bytes()[:kept])
    with pytest.raises(ReaderError) as caught:
        reader.read(sample, reader_params(reader, {}))
    assert str(sample) in str(caught.value)


def test_bytes_that_are_no_text_are_an_error(reader: Reader, sample: Path) -> None:
    sample.write_bytes(bytes(range(256)) * 4)
    with pytest.raises(ReaderError, match="walk"):
        reader.read(sample, reader_params(reader, {}))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read every file")
def test_a_file_without_permission_is_an_error(reader: Reader, sample: Path) -> None:
    sample.chmod(0)
    with pytest.raises(ReaderError, match="Permission denied"):
        reader.read(sample, reader_params(reader, {}))
