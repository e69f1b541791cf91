"""What every reader must hold to; a new reader adds its sample and is tested with the rest."""

import contextlib
import copy
import importlib.util
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mosaic_dagster.dataset.manifest import SourceRule
from mosaic_dagster.dataset.readers import READERS, Reader, detect
from mosaic_dagster.dataset.readers.base import (
    CollectionReader,
    ReaderParams,
    names_in,
    reader_params,
)
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


def _mouse_poses(frames: int) -> list[Any]:
    """[frame][animal][xy][landmark]; two mice of two points, the first mouse's nose lost at 0."""
    poses = [[[[a, a + 5.0], [t, t + 1.0]] for a in range(2)] for t in range(frames)]
    poses[0][0] = [[None, 5.0], [None, 1.0]]
    return poses


def _calms21() -> dict[str, Any]:
    """Two sequences of one group, the second of another length."""
    scores = [[[0.9, 0.8]] * 2] * 3
    first = {"keypoints": _mouse_poses(3), "scores": scores, "annotations": [3, 0, 3]}
    second = {"keypoints": _mouse_poses(2), "scores": scores[:2]}
    return {"annotator-id_0": {"task1/train/m1": first, "task1/test/m2": second}}


def _pickled(path: Path, content: Any) -> Path:
    np.save(path, np.array(content, dtype=object), allow_pickle=True)
    return path


def _calms21_npy(path: Path) -> Path:
    content = _calms21()
    for fields in content["annotator-id_0"].values():
        for name, values in fields.items():
            fields[name] = np.array(values, dtype=float)
    return _pickled(path, content)


def _mabe22(path: Path) -> Path:
    points = np.array(_mouse_poses(3), dtype=float).transpose(0, 1, 3, 2)
    return _pickled(path, {"sequences": {"s1": {"keypoints": points}, "s2": {"keypoints": points}}})


def _trex(path: Path) -> Path:
    """An animal that is lost in its second frame and whose second point is lost in its third."""
    inf = np.inf
    arrays = {
        "frame": [5, 6, 7],
        "time": [0.2, 0.24, 0.28],
        "missing": [0, 1, 0],
        "X#wcentroid": [1, inf, 3],
        "Y#wcentroid": [1, inf, 3],
        "poseX0": [1, inf, 3],
        "poseY0": [1, inf, 3],
        "poseX1": [2, inf, inf],
        "poseY1": [2, inf, inf],
    }
    np.savez(path, **{k: np.array(v, dtype=np.float32) for k, v in arrays.items()})
    return path


def _idtracker(path: Path) -> Path:
    points = np.array([[[0, 0], [NAN, NAN]], [[1, 1], [9, 9]]])
    return _pickled(path, {"trajectories": points, "frames_per_second": 25})


def _ultralytics(path: Path) -> Path:
    pl.DataFrame(
        {"frame": [3, 4], "track_id": [7, 7], "x1": [0.0, 1.0], "y1": [0.0, 1.0]}
        | {"x2": [4.0, 5.0], "y2": [4.0, 5.0]}
        | {"kpx0": [1.0, 0.0], "kpy0": [1.0, 0.0], "kpp0": [0.9, 0.1]}
        | {"kpx1": [2.0, 3.0], "kpy1": [2.0, 3.0], "kpp1": [0.9, 0.9]}
    ).write_parquet(path)
    return path


def _keypoint_parquet(path: Path) -> Path:
    pl.DataFrame(
        {"frame": [3, 4], "id": [0, 0], "nose_x": [1.0, None], "nose_y": [2.0, None]}
        | {"tail_x": [3.0, 4.0], "tail_y": [3.0, 4.0]}
    ).write_parquet(path)
    return path


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
    "calms21_json": ("walk.json", json.dumps(_calms21()).encode()),
    "calms21_npy": ("walk.npy", _calms21_npy),
    "mabe22_npy": ("walk.npy", _mabe22),
    "mars_json": (
        "walk.json",
        json.dumps({"keypoints": _mouse_poses(3), "scores": [[[0.9] * 2] * 2] * 3}).encode(),
    ),
    "trex_npz": ("walk_fish0.npz", _trex),
    "idtrackerai": ("walk.npy", _idtracker),
    "ultralytics_tracks": ("walk.parquet", _ultralytics),
    "keypoint_parquet": ("walk.parquet", _keypoint_parquet),
}
"""A valid file with a missing point for each reader."""

PARAMS: dict[str, dict[str, Any]] = {
    "calms21_npy": {"allow_pickle": True},
    "idtrackerai": {"allow_pickle": True},
    "mabe22_npy": {"allow_pickle": True},
}
"""What a reader must be told before it reads its format at all."""

UNITS = {"trex_npz": "cm"}
"""Unit of the dataset where it is not pixels."""

CENTRES = {"idtrackerai"}
"""Formats with one point per animal, which has no name."""

ROWS_STAND_ALONE = {"deeplabcut", "keypoint_csv"}
"""Formats of lines of text: nothing in a file that broke off at a line says so."""


@pytest.fixture(params=sorted(SAMPLES))
def reader(request: pytest.FixtureRequest) -> Reader:
    return READERS[request.param]


@pytest.fixture
def params(reader: Reader) -> ReaderParams:
    return reader_params(reader, PARAMS.get(reader.name, {}))


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


@pytest.fixture
def rule(reader: Reader, tmp_path: Path) -> SourceRule:
    return SourceRule(path=str(tmp_path), format=reader.name, params=PARAMS.get(reader.name, {}))


@pytest.fixture
def facts(reader: Reader) -> Facts:
    return Facts(unit=UNITS.get(reader.name, "px"))


def test_every_reader_has_a_sample() -> None:
    """A reader without one would escape this suite."""
    assert set(SAMPLES) == set(READERS)
    assert set(SAMPLES) >= {*PARAMS, *UNITS, *CENTRES, *ROWS_STAND_ALONE}


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


@pytest.mark.parametrize("name", sorted(PARAMS))
def test_a_pickle_is_refused_until_it_is_allowed(name: str, tmp_path: Path) -> None:
    """A file from a stranger must not be opened as a pickle because of its ending."""
    path = tmp_path / SAMPLES[name][0]
    write = SAMPLES[name][1]
    assert callable(write)
    write(path)
    reader = READERS[name]
    for use in (reader.read, lambda path, params: names_in(reader, path, params)):
        with pytest.raises(ReaderError, match="allow_pickle=true"):
            use(path, reader_params(reader, {}))


def test_names_and_keypoints_are_those_that_reading_gives(
    reader: Reader, sample: Path, params: ReaderParams
) -> None:
    """Entries are registered from the names before anything is read."""
    recordings = reader.read(sample, params)
    assert [(one.group, one.sequence) for one in recordings] == names_in(reader, sample, params)
    assert {one.keypoints for one in recordings} == {reader.keypoints(sample, params)}


def test_one_recording_is_read_as_all_are(
    reader: Reader, sample: Path, params: ReaderParams
) -> None:
    """An entry must not depend on what else is in its file."""
    if not isinstance(reader, CollectionReader):
        assert len(reader.read(sample, params)) == 1
        return
    for together in reader.read(sample, params):
        alone = reader.read_one(sample, params, (together.group, together.sequence))
        assert_frame_equal(alone.table, together.table)
        assert (alone.keypoints, alone.fps, alone.unit) == (
            together.keypoints,
            together.fps,
            together.unit,
        )


def test_what_it_reads_becomes_valid_tracks(
    reader: Reader, sample: Path, rule: SourceRule, facts: Facts, params: ReaderParams
) -> None:
    """Features rely on the form, whatever the format was."""
    keys = entry_keys(reader, rule, sample.parents[1], sample)
    told = [group for group, _ in names_in(reader, sample, params)]
    assert [key.group for key in keys] == ["group one" if g is None else g for g in told]
    for key in keys:
        table, repairs = read_entry([sample], rule, facts, key)
        validate_tracks(table, key)
        assert table["fps"].unique().to_list() == [25.0]
        assert repairs.rows_kept == table.height > 0
        assert repairs.missing_points + repairs.empty_rows_dropped > 0
        numeric = table.select(pl.selectors.float())
        assert not numeric.select(pl.all().is_infinite().any()).row(0).count(True)


def test_reading_twice_gives_the_same(
    reader: Reader, sample: Path, rule: SourceRule, facts: Facts, params: ReaderParams
) -> None:
    """Workers read in any order on any machine; results must not depend on it."""
    again = copy.deepcopy(reader)
    for one, other in zip(reader.read(sample, params), again.read(sample, params), strict=True):
        assert_frame_equal(one.table, other.table)
    for key in entry_keys(reader, rule, sample.parents[1], sample):
        tables = [read_entry([sample], rule, facts, key)[0] for _ in range(2)]
        assert tables[0].equals(tables[1])


def test_keypoints_follow_the_dataset(
    reader: Reader, sample: Path, rule: SourceRule, facts: Facts, params: ReaderParams
) -> None:
    """poseX0 must be the same body part in every file of a dataset."""
    key = entry_keys(reader, rule, sample.parents[1], sample)[0]
    names = reader.keypoints(sample, params)
    assert (len(names) > 1) == (reader.name not in CENTRES)
    plain, _ = read_entry([sample], rule, facts, key)
    turned, _ = read_entry([sample], rule, replace(facts, keypoints=tuple(reversed(names))), key)
    for k in range(len(names)):
        mirrored = plain[f"poseX{len(names) - 1 - k}"]
        assert turned[f"poseX{k}"].equals(mirrored, null_equal=True)
    with pytest.raises(ReaderError, match=r"other keypoints than the dataset: it lacks wing"):
        read_entry([sample], rule, replace(facts, keypoints=(*names, "wing")), key)


def test_unknown_parameters_are_named(reader: Reader) -> None:
    with pytest.raises(ReaderError, match=rf"'{reader.name}': fsp is not a known name .*'fps'"):
        reader_params(reader, {"fsp": 3})
    with pytest.raises(ReaderError, match=r"fps: .*greater than 0 \(given -3"):
        reader_params(reader, {"fps": -3})


def test_parameters_have_an_identity(reader: Reader) -> None:
    """They go into the action key, so they must be plain values."""
    assert canonical_json(reader_params(reader, {"fps": 30}))


@pytest.mark.parametrize("kept", [0, 1, 20])
def test_a_file_cut_short_is_an_error(
    reader: Reader, sample: Path, params: ReaderParams, kept: int
) -> None:
    """A copy that broke off must not pass as another recording, nor end in a foreign error."""
    sample.write_bytes(sample.read_bytes()[:kept])
    with pytest.raises(ReaderError) as caught:
        reader.read(sample, params)
    assert str(sample) in str(caught.value)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_copy_that_broke_off_is_never_another_recording(
    reader: Reader, sample: Path, params: ReaderParams, share: float
) -> None:
    """Lines of text may be fewer; of every other format nothing may pass for the whole."""
    whole = reader.read(sample, params)[0].table
    content = sample.read_bytes()
    sample.write_bytes(content[: int(share * len(content))])
    if reader.name in ROWS_STAND_ALONE:
        with contextlib.suppress(ReaderError):
            made = reader.read(sample, params)[0].table
            complete = made.height - 1
            assert_frame_equal(made.head(complete), whole.head(complete))
        return
    with pytest.raises(ReaderError, match="walk"):
        reader.read(sample, params)


def test_bytes_that_are_no_text_are_an_error(
    reader: Reader, sample: Path, params: ReaderParams
) -> None:
    sample.write_bytes(bytes(range(256)) * 4)
    with pytest.raises(ReaderError, match="walk"):
        reader.read(sample, params)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read every file")
def test_a_file_without_permission_is_an_error(
    reader: Reader, sample: Path, params: ReaderParams
) -> None:
    sample.chmod(0)
    with pytest.raises(ReaderError, match="Permission denied"):
        reader.read(sample, params)
