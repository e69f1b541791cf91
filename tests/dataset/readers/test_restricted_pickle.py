"""Pickled npy files that are read without being run."""

import os
import pickle  # noqa: TID251 - writes what an attacker would
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mosaic_dagster.dataset.readers.restricted_pickle import load_pickled, pickled_keys
from mosaic_dagster.errors import ReaderError


class Attack:
    """Makes a file when it is unpickled in the usual way."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.made),)


def save(path: Path, value: object, protocol: int | None = None) -> Path:
    if protocol is None:
        np.save(path, value, allow_pickle=True)  # type: ignore[arg-type]
        return path
    boxed = np.empty((), dtype=object)
    boxed[()] = value
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|O", "fortran_order": False, "shape": ()}
        )
        pickle.dump(boxed, file, protocol=protocol)
    return path


def test_a_malicious_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    """A shared file that deletes a home folder when it is opened; the control shows it works."""
    path = save(tmp_path / "a.npy", {"keypoints": Attack(tmp_path / "made")})
    with pytest.raises(ReaderError, match=r"asks for posix.mkdir, so it was not loaded"):
        load_pickled(path, allow_pickle=True)
    assert not (tmp_path / "made").exists()
    np.load(path, allow_pickle=True)
    assert (tmp_path / "made").exists()


def test_looking_at_a_malicious_pickle_does_not_run_it(tmp_path: Path) -> None:
    """Recognising a file happens before anybody allowed anything."""
    path = save(tmp_path / "a.npy", {"trajectories": Attack(tmp_path / "made")})
    assert (1, "trajectories") in pickled_keys(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy\ndtype\n(S'f8'\ntRcnumpy\ndtype\n\x93.",
        b"cnumpy\ndtype\n}S'x'\nI1\nsb.",  # changes the attributes of what it may call
        b"cnumpy.core.multiarray\n_reconstruct\n)R(I1\n(I5\ntcnumpy\ndtype\n(S'O8'\ntRI00\n]tb.",
        b"cnumpy.core.multiarray\n_reconstruct\n)R(I1\n(I5\ntcnumpy\ndtype\n(S'M8'\ntRI00\nS'12345678'\ntb.",
        b"cnumpy.core.multiarray\n_reconstruct\n)R(I1\n(I-5\ntcnumpy\ndtype\n(S'f8'\ntRI00\nS''\ntb.",
        b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.",
        b"(dS'a'\n(lcnumpy\nndarray\nas",
    ],
    ids=[
        "eval",
        "numpy function",
        "not a class",
        "set attribute",
        "object array beyond its list",
        "dates",
        "negative shape",
        "codec",
        "cut short",
    ],
)
def test_other_tricks_end_in_an_error(tmp_path: Path, program: bytes) -> None:
    """Wrong memory or a call of anything else would be as bad as running code."""
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|O", "fortran_order": False, "shape": ()}
        )
        file.write(program)
    with pytest.raises(ReaderError) as caught:
        load_pickled(path, allow_pickle=True)
    assert str(path) in str(caught.value)


def test_without_the_parameter_it_is_refused_with_what_to_set(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npy", {"a": 1})
    with pytest.raises(ReaderError, match=r"can run code.*allow_pickle=true"):
        load_pickled(path, allow_pickle=False)


@pytest.mark.parametrize("protocol", [None, 0, 2, 3, 4, 5])
def test_dicts_of_arrays_are_read_in_every_protocol(tmp_path: Path, protocol: int | None) -> None:
    """Old files use protocol 2, which writes the bytes of arrays as text."""
    value = {
        "order": np.asfortranarray([[1.5, np.nan], [3.0, np.inf]]),
        "big": np.array([1, 2], dtype=">i4"),
        "names": np.array(["a", "bc"]),
        "flags": np.array([True, False]),
        "none": np.empty((0, 2)),
        "rate": np.float64(28.5),
        "nested": {"list": [1, "two", None, (3,)], "box": np.array([[1], {"k": 2}], dtype=object)},
    }
    read = load_pickled(save(tmp_path / "a.npy", value, protocol), allow_pickle=True)
    for name in ("order", "big", "names", "flags", "none"):
        np.testing.assert_array_equal(read[name], value[name])
        assert read[name].shape == value[name].shape  # type: ignore[attr-defined]
    assert read["rate"] == 28.5
    assert read["nested"]["list"] == [1, "two", None, (3,)]
    assert read["nested"]["box"].tolist() == [[1], {"k": 2}]


@settings(max_examples=30, deadline=None)
@given(
    arrays.arrays(
        st.sampled_from(["f4", "f8", "i2", "u1", "?", "c8", "<U3"]),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    )
)
def test_arrays_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, values: np.ndarray[Any, Any]
) -> None:
    """A swapped axis or byte order would move every animal."""
    path = save(tmp_path_factory.getbasetemp() / "round.npy", {"a": values})
    read = load_pickled(path, allow_pickle=True)["a"]
    assert read.dtype == values.dtype
    np.testing.assert_array_equal(read, values)


def test_shared_parts_are_copied_once(tmp_path: Path) -> None:
    """Forty lists that each hold the one before twice: 2**40 items if each were copied."""
    value: list[Any] = [1]
    for _ in range(40):
        value = [value, value]
    read = load_pickled(save(tmp_path / "a.npy", {"deep": value}), allow_pickle=True)
    assert read["deep"][0] is read["deep"][1]


@pytest.mark.parametrize("cut", [3, 60, 140, 200])
def test_a_cut_file_is_an_error(tmp_path: Path, cut: int) -> None:
    """A copy that broke off is the commonest damage."""
    path = save(tmp_path / "a.npy", {"a": np.zeros(100)})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ReaderError, match="not a readable pickled npy file"):
        load_pickled(path, allow_pickle=True)
    pickled_keys(path)


def test_an_array_of_numbers_is_no_pickle(tmp_path: Path) -> None:
    path = save(tmp_path / "a.npy", np.zeros((3, 2)))
    with pytest.raises(ReaderError, match="an array of numbers"):
        load_pickled(path, allow_pickle=True)
    assert pickled_keys(path) == ()


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match="cannot be read: No such file"):
        load_pickled(tmp_path / "gone.npy", allow_pickle=True)


def test_keys_tell_how_deep_they_are(tmp_path: Path) -> None:
    """Formats differ only in that; a dict that ended before counts no more."""
    value = {"a": {"b": 1}, "c": {"d": {"e": np.zeros(2)}}, "f": "text"}
    keys = pickled_keys(save(tmp_path / "a.npy", value))
    assert {(1, "a"), (2, "b"), (1, "c"), (2, "d"), (3, "e"), (1, "f")} <= set(keys)
