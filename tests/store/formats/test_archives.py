import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.errors import StoreValueError
from mosaic_dagster.store.formats.archives import check_archive, read_archive, write_archive

NOISE = np.random.default_rng(0).bytes(5000)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}\.npy", fullmatch=True), st.binary(max_size=300)))
@settings(max_examples=30, deadline=None)
def test_members_come_back(members):
    """Else fitted numbers change by being stored; the same members give the same bytes."""
    data = write_archive(members)
    assert read_archive(data) == members
    assert write_archive(members) == data


def test_dates_and_modes_are_fixed_and_noise_is_stored():
    """Else the bytes tell the day they were made, and equal states have different digests."""
    data = write_archive({"zeros": bytes(5000), "noise": NOISE})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        zeros, noise = archive.infolist()
    assert zeros.date_time == noise.date_time == (1980, 1, 1, 0, 0, 0)
    assert zeros.external_attr == noise.external_attr == 0o644 << 16
    assert (zeros.compress_type, noise.compress_type) == (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED)
    assert zeros.compress_size < 50


def test_what_would_unpack_to_too_much_is_refused():
    """Else a small file from outside fills the memory: 5,000 zeros take less than 200 bytes."""
    data = write_archive({"zeros": bytes(5000)})
    assert len(data) < 200
    check_archive(data, limit=5000)
    with pytest.raises(StoreValueError, match="5000 bytes, more than the 4999"):
        read_archive(data, limit=4999)


def test_a_name_that_stands_twice_is_refused():
    """Else what was checked is not what is loaded: readers differ in which of the two they take."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", "1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", "2")
    with pytest.raises(StoreValueError, match="two members of one name"):
        check_archive(buffer.getvalue())
