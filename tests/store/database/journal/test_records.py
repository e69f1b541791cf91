import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from mosaic_dagster.store.database.journal.records import Record, encode, scan

_values = st.lists(
    st.none()
    | st.booleans()
    | st.text()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False),
    max_size=6,
)
_shapes = arrays_of.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
_arrays = st.dictionaries(
    st.sampled_from(("y_true", "y_proba", "sample_indices")),
    arrays_of.arrays(np.float64, _shapes) | arrays_of.arrays(np.int64, _shapes),
)
_records = st.builds(Record, st.text(), _values, _arrays)


def _bytes(*records):
    return b"".join(piece for record in records for piece in map(bytes, encode(record)))


def _assert_same(found, given):
    assert [(r.kind, list(r.values)) for r in found] == [(r.kind, list(r.values)) for r in given]
    for one, other in zip(found, given, strict=True):
        assert one.arrays.keys() == other.arrays.keys()
        for name, array in other.arrays.items():
            assert one.arrays[name].dtype == array.dtype
            np.testing.assert_array_equal(one.arrays[name], array)


@given(st.lists(_records, max_size=4), st.integers(0, 40))
def test_what_was_written_is_read(records, zeros):
    """Else a row comes back as another one; reserved space behind the rows is no damage."""
    data = _bytes(*records)
    found = scan(data + bytes(zeros), complete=True)
    _assert_same(found.records, records)
    assert (found.end, found.damaged) == (len(data), False)


@given(_records, _records, st.data())
def test_a_torn_record_is_not_read_and_costs_no_other(first, second, data):
    """A process died while writing the second: only that one is lost."""
    whole = _bytes(first)
    torn = _bytes(second)
    cut = data.draw(st.integers(0, len(torn) - 1))
    found = scan(whole + torn[:cut] + bytes(64), complete=True)
    _assert_same(found.records[:1], [first])
    # Zeros may happen to be what the missing end of the second was.
    assert len(found.records) == 1 or torn[cut:].strip(b"\0") == b""
    assert not found.damaged


@given(_records, _records, _records, st.data())
def test_damage_is_told_from_a_torn_end(first, second, third, data):
    """Else the rows behind one bad block of the disk would be thrown away without a word."""
    head, broken, tail = _bytes(first), bytearray(_bytes(second)), _bytes(third)
    at = data.draw(st.integers(0, len(broken) - 1))
    broken[at] ^= data.draw(st.integers(1, 255))
    found = scan(head + bytes(broken) + tail, complete=True)
    _assert_same(found.records, [first])
    assert (found.end, found.damaged) == (len(head), True)
    assert not scan(head + bytes(broken) + tail, complete=False).damaged


@pytest.mark.parametrize("count", range(1, 16))
def test_the_first_bytes_of_a_header_are_no_record(count):
    """A page of the header reached the disk and the next did not: every later reading failed."""
    header = bytes(encode(Record("log", [1]))[0])
    found = scan(header[:count] + bytes(100), complete=True)
    assert (found.records, found.end, found.damaged) == ([], 0, False)


def test_lengths_are_checked():
    """Else a wrong length of the JSON turns bytes of arrays into text."""
    data = bytearray(_bytes(Record("prediction", ["id"], {"y_true": np.zeros(2)})))
    (length,) = struct.unpack_from("<I", data, 8)
    struct.pack_into("<I", data, 8, length - 1)
    assert scan(bytes(data), complete=True).records == []


def test_arrays_keep_their_order_whatever_their_memory():
    """Else probabilities of a column-major array come back transposed."""
    proba = np.asfortranarray([[0.1, 0.9], [0.7, 0.3]])[:, ::-1]
    (found,) = scan(_bytes(Record("arrays", ["id"], {"y_proba": proba})), complete=True).records
    np.testing.assert_array_equal(found.arrays["y_proba"], [[0.9, 0.1], [0.3, 0.7]])


def test_narrow_and_truth_values_become_floats():
    """Else flags or float32 predictions could not be journalled."""
    given_arrays = {"y_true": np.array([True, False]), "y_pred": np.array([0.5], np.float32)}
    (found,) = scan(_bytes(Record("arrays", ["id"], given_arrays)), complete=True).records
    np.testing.assert_array_equal(found.arrays["y_true"], [1.0, 0.0])
    np.testing.assert_array_equal(found.arrays["y_pred"], [0.5])
