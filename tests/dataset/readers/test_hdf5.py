"""HDF5 files: what is one, what is damaged, and what never leads out of the file."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mosaic_dagster.dataset.readers import detect, hdf5
from mosaic_dagster.errors import MissingExtraError, ReaderError, UnknownFormatError

WHAT = "The test"


@pytest.fixture
def whole(files: ModuleType, tmp_path: Path) -> Path:
    """A file with a group, numbers, texts and attributes."""
    path = tmp_path / "whole.h5"
    with files.h5py().File(path, "w") as file:
        file["group/numbers"] = np.arange(6.0).reshape(2, 3)
        file["texts"] = np.array([b"nose", b"tail"])
        file.attrs["scale"] = np.float32(0.5)
        file.attrs["one"] = np.array([3])
        file.attrs["text"] = np.bytes_(b"abc")
        file.attrs["endless"] = np.inf
    return path


def test_arrays_and_texts_are_read(whole: Path) -> None:
    with hdf5.open_hdf5(whole, WHAT) as file:
        assert hdf5.read_array(file, "group/numbers", 2).tolist() == [[0, 1, 2], [3, 4, 5]]
        assert hdf5.read_texts(file, "texts") == ("nose", "tail")
        assert [hdf5.number_attribute(file, name) for name in ("scale", "one")] == [0.5, 3.0]
        assert hdf5.attribute(file, "text") == "abc"
        for name in ("text", "endless", "absent"):
            assert hdf5.number_attribute(file, name) is None


@pytest.mark.parametrize(
    ("name", "ndim", "told"),
    [
        ("absent", None, "has no array 'absent'"),
        ("group/absent", None, "has no array"),
        ("texts/deeper", None, "has no array"),
        ("group", None, "has no array 'group'"),
        ("group/numbers", 3, r"the shape \(2, 3\), not 3 axes"),
    ],
)
def test_what_is_missing_is_named(whole: Path, name: str, ndim: int | None, told: str) -> None:
    """Without the name nobody knows what the file lacks."""
    with hdf5.open_hdf5(whole, WHAT) as file, pytest.raises(ReaderError, match=told):
        hdf5.read_array(file, name, ndim)


def test_numbers_are_no_texts(whole: Path) -> None:
    with (
        hdf5.open_hdf5(whole, WHAT) as file,
        pytest.raises(ReaderError, match="holds float64, not text"),
    ):
        hdf5.read_texts(file, "group/numbers")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_an_error_wherever_it_was_cut(whole: Path, share: float) -> None:
    """A copy that broke off must be refused, not read as a shorter recording."""
    data = whole.read_bytes()
    cut = whole.with_name("cut.h5")
    cut.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ReaderError, match=r"empty|not an HDF5 file|damaged or incomplete") as told:
        _read_all(cut)
    assert str(cut) in str(told.value)


def _read_all(path: Path) -> None:
    with hdf5.open_hdf5(path, WHAT) as file:
        hdf5.read_array(file, "group/numbers")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"frame,a_x,a_y\n", "is not an HDF5 file"),
        (hdf5.MAGIC + bytes(1000), "is a damaged or incomplete HDF5 file"),
    ],
)
def test_each_damage_is_told_apart(
    files: ModuleType, tmp_path: Path, content: bytes, told: str
) -> None:
    files.h5py()
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    with pytest.raises(ReaderError, match=told):
        _read_all(path)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match=r"gone.h5 cannot be read: No such file"):
        _read_all(tmp_path / "gone.h5")


def test_a_link_into_another_file_is_not_followed(
    files: ModuleType, whole: Path, tmp_path: Path
) -> None:
    """A recording from elsewhere must not read a file of this machine into the results."""
    h5py, path = files.h5py(), tmp_path / "links.h5"
    layout = h5py.VirtualLayout(shape=(2, 3), dtype="f8")
    layout[:] = h5py.VirtualSource(str(whole), "group/numbers", shape=(2, 3))
    raw = tmp_path / "secret.bin"
    raw.write_bytes(bytes(48))
    with h5py.File(path, "w") as file:
        file["linked"] = h5py.ExternalLink(str(whole), "/group/numbers")
        file["soft"] = h5py.SoftLink("/linked")
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("raw", (2, 3), "f8", external=[(str(raw), 0, 48)])
    with hdf5.open_hdf5(path, WHAT) as file:
        assert hdf5.find(file, "linked") is None
        assert hdf5.find(file, "soft") is None
        for name in ("virtual", "raw"):
            with pytest.raises(ReaderError, match="lie in another file"):
                hdf5.read_array(file, name)


def test_a_foreign_file_is_sniffed_without_the_package(
    tmp_path: Path, without: Callable[[str], None]
) -> None:
    """Whoever has no HDF5 files must not be asked to install h5py."""
    without("h5py")
    path = tmp_path / "a.h5"
    path.write_bytes(b"not HDF5 at all")
    with pytest.raises(UnknownFormatError, match="No reader recognises"):
        detect(path)


def test_detection_names_the_missing_extra(tmp_path: Path, without: Callable[[str], None]) -> None:
    """Without h5py an HDF5 file is not 'unknown': the extra that would read it is named."""
    without("h5py")
    path = tmp_path / "a.h5"
    path.write_bytes(hdf5.MAGIC + bytes(100))
    with pytest.raises(MissingExtraError, match=r"'h5py'.*pip install 'mosaic-dagster\[hdf5\]'"):
        detect(path)


def test_an_hdf5_file_of_no_tracker_is_not_recognised(whole: Path) -> None:
    with pytest.raises(UnknownFormatError, match=r"No reader recognises .*whole.h5"):
        detect(whole)
