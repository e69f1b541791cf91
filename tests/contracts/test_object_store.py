"""What every ObjectStore must do. A new implementation is added to STORES."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mosaic_dagster.errors import ObjectMissingError
from mosaic_dagster.store import ContentStore, ObjectStore

STORES: dict[str, Callable[[Path], ObjectStore]] = {
    "files": lambda folder: ContentStore(folder / "artifacts"),
}
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return STORES[request.param](tmp_path)


@given(data=st.binary(max_size=5000))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_bytes_come_back_as_they_were(store, data):
    """Else results would change by being stored."""
    stored = store.put(data)
    assert store.get(stored.digest) == data
    assert store.put(store.get(stored.digest)) == stored
    assert stored.size == len(data)


def test_the_digest_is_the_sha256_of_the_bytes(store):
    """Else other tools could not check an object; this one is the known digest of no bytes."""
    assert store.put(b"").digest == EMPTY


def test_equal_bytes_are_one_object(store):
    """Else unchanged results would fill the disk."""
    assert store.put(b"same") == store.put(b"same")


def test_the_file_holds_the_bytes(store):
    """Else readers that open files, such as Parquet's, would see something else."""
    stored = store.put(b"seen", "txt")
    assert store.path(stored.digest, "txt").read_bytes() == b"seen"


def test_existence_is_known(store):
    """Else a lost object would count as fresh."""
    digest = store.put(b"12345").digest
    assert store.exists(digest)
    assert store.exists(digest, size=5)
    assert not store.exists(digest, size=4)
    assert not store.exists(EMPTY)


@pytest.mark.parametrize("digest", [EMPTY, "", "../../etc/passwd", EMPTY.upper()])
def test_a_missing_object_is_said_to_be_missing(store, digest):
    """Else a user would see a file error without a remedy, or a file outside the store."""
    with pytest.raises(ObjectMissingError, match="Run the step"):
        store.get(digest)
    with pytest.raises(ObjectMissingError):
        store.path(digest)
