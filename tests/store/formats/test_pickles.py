import io
import pickle  # noqa: TID251
import time
import zlib

import joblib
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mosaic_dagster.store.formats.pickles import (
    dump_cloudpickle,
    dump_joblib,
    dump_pickle,
    load_joblib,
    load_pickle,
)

OBJECTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=9),
    lambda items: st.lists(items, max_size=3) | st.tuples(items, items) | st.sets(st.integers()),
    max_leaves=6,
)
NOISE = np.random.default_rng(0).random(1 << 17)


@given(OBJECTS)
@settings(max_examples=40, deadline=None)
def test_objects_come_back(obj):
    """Else a stored object is not the one that was saved."""
    assert load_joblib(dump_joblib(obj)) == obj
    assert load_pickle(dump_pickle(obj)) == obj
    assert load_pickle(dump_cloudpickle(obj)) == obj


def test_joblib_compresses_where_it_pays_and_joblib_reads_both():
    """Else disks fill with zeros, noise costs time for nothing, or joblib cannot read the file.

    100,000 zeros shrink to under a hundredth; a zlib stream begins with 0x78, a pickle with 0x80.
    """
    small, plain = dump_joblib(np.zeros(100_000)), dump_joblib(NOISE)
    assert len(small) < 8000
    assert small[0] == 0x78
    assert plain[0] == 0x80
    assert len(plain) > NOISE.nbytes
    assert (joblib.load(io.BytesIO(small)) == 0).all()
    assert (joblib.load(io.BytesIO(plain)) == NOISE).all()
    assert zlib.decompress(small)[0] == 0x80


def test_a_mebibyte_of_noise_costs_few_milliseconds():
    """Else saving models of noise-like numbers is slow; compressing them would take 30 ms."""
    best = min(_seconds() for _ in range(10))
    assert best < 0.02


def _seconds():
    start = time.perf_counter()
    dump_joblib(NOISE)
    return time.perf_counter() - start


def test_pickles_use_the_highest_protocol():
    """Else large arrays are copied and stored in an old, larger form."""
    assert dump_pickle([1])[:2] == bytes([0x80, pickle.HIGHEST_PROTOCOL])


def test_cloudpickle_holds_what_no_module_has():
    """Else a lambda in a chain cannot be stored at all: 3 doubled is 6."""
    assert load_pickle(dump_cloudpickle(lambda x: 2 * x))(3) == 6
