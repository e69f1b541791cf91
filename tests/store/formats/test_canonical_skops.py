import io
import json
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import StandardScaler

from mosaic_dagster.store.formats.archives import read_archive
from mosaic_dagster.store.formats.canonical_skops import canonical_archive

X = np.random.default_rng(0).random((30, 3))


def canonical(obj):
    return canonical_archive(skops.io.dumps(obj))


def back(obj):
    return skops.io.loads(canonical(obj))


def test_members_are_numbered_and_dated_alike():
    """Else addresses in memory and the time of day get into the digest of a state."""
    data = canonical({"a": np.arange(3.0), "b": b"raw", "c": StandardScaler().fit(X)})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert names[:3] == ["schema.json", "0.npy", "1.bin"]
    assert names[3:] == [f"{i}.npy" for i in range(2, len(names) - 1)]


def test_the_same_content_at_other_addresses_gives_the_same_bytes():
    """Else a state that was fitted again is never recognised."""
    first, second = StandardScaler().fit(X), StandardScaler().fit(X.copy())
    assert skops.io.dumps(first) != skops.io.dumps(second)
    assert canonical(first) == canonical(second)


def test_loading_and_storing_again_gives_the_same_bytes():
    """Else a copied artifact is stored twice: equal texts may be one object in memory, or two."""
    text = "".join(["wa", "lk"])
    obj = {"a": [text, "".join(["wa", "lk"])], "b": (text, 1000, int("1000")), "c": X}
    assert canonical(back(obj)) == canonical(obj)


def test_what_was_shared_is_shared_and_what_was_not_is_not():
    """Else changing one array after loading changes another, or no longer does."""
    shared, other = [1], [1]
    a, b, c = back([shared, shared, other])
    assert a is b
    assert a is not c
    ids = json.loads(read_archive(canonical([shared, shared, other]))["schema.json"])["content"]
    assert ids[0]["__id__"] == ids[1]["__id__"] != ids[2]["__id__"]


def test_sets_do_not_depend_on_the_order_of_hashing():
    """Else a set of names gives other bytes in every process."""
    forwards, backwards = set(), set()
    # 0, 8 and 16 collide in a small table, so that the order of adding decides.
    for number in (0, 8, 16):
        forwards.add(number)
    for number in (16, 8, 0):
        backwards.add(number)
    assert list(forwards) != list(backwards)
    assert canonical(forwards) == canonical(backwards)
    assert back(forwards) == {0, 8, 16}


@pytest.mark.parametrize(
    "obj",
    [
        {"__loader__": "a", "__id__": 3, "file": "x", "content": {"__loader__": 1}},
        {1: "a", 2.5: [None, True]},
        [slice(1, None, 2), np.float32(0.5), np.dtype("f4")],
        {"n_jobs": 3, "_n_threads": 4},
    ],
)
def test_mappings_with_the_names_of_the_schema_come_back(obj):
    """Else a user's own keys are taken for those of skops and rewritten."""
    data = canonical_archive(skops.io.dumps(obj))
    assert skops.io.loads(data, trusted=["numpy.dtype"]) == obj


def test_threads_at_hand_are_not_part_of_a_model():
    """Else a machine with more cores makes everything below a model out of date."""
    forests = [RandomForestClassifier(2, random_state=0, n_jobs=n) for n in (None, 2)]
    for forest in forests:
        forest.fit(X, X[:, 0] > 0.5)
    assert canonical(forests[0]) == canonical(forests[1])
    kmeans = KMeans(2, random_state=0).fit(X)
    labels = kmeans.predict(X).tolist()
    kmeans._n_threads = 7
    loaded = back(kmeans)
    assert loaded._n_threads == 1
    assert loaded.predict(X).tolist() == labels
