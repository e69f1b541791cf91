import errno
import os
import stat
import time
from copy import deepcopy
from pathlib import Path

import cloudpickle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mosaic_dagster.errors import ObjectDamagedError, StoreError, StoreFullError
from mosaic_dagster.hashing import digest_bytes
from mosaic_dagster.store import ContentStore, StoredObject
from mosaic_dagster.store.content import durable
from mosaic_dagster.store.content.objects import ContentStore as Objects

OLD = time.time() - 10 * 24 * 3600


def _spoil(path: Path, data: bytes) -> None:
    path.chmod(0o644)
    path.write_bytes(data)


def test_objects_lie_where_the_layout_says(objects):
    """Else a workspace could not be read by another tool or another version."""
    stored = objects.put(b"abc", "parquet")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert objects.path(digest) == objects.root / "ba" / f"{digest}.parquet"
    assert stored == StoredObject(digest, "parquet", 3)


def test_objects_are_read_only(objects):
    """Else an editor or a script would change a result in place."""
    path = objects.path(objects.put(b"abc").digest)
    assert stat.S_IMODE(path.stat().st_mode) == 0o444


def test_putting_again_renews_the_age(objects):
    """Else gc could remove an object that was just stored again."""
    path = objects.path(objects.put(b"abc").digest)
    os.utime(path, (OLD, OLD))
    objects.put(b"abc")
    assert path.stat().st_mtime > OLD + 1


@pytest.mark.parametrize("content", [b"", b"ab", b"abX", b"abcd"])
def test_put_heals_a_cut_or_changed_object(objects, content):
    """Else a damaged file would stay for good, since its name says that it is there."""
    digest = objects.put(b"abc").digest
    _spoil(objects.path(digest), content)
    objects.put(b"abc")
    assert objects.get(digest) == b"abc"
    assert objects.verify().damaged == []


@pytest.mark.parametrize("content", [b"", b"ab", b"abX"])
def test_put_file_heals_too(objects, tmp_path, content):
    """As above, for files."""
    source = tmp_path / "source.npz"
    source.write_bytes(b"abc")
    digest = objects.put_file(source).digest
    _spoil(objects.path(digest), content)
    objects.put_file(source)
    assert objects.get(digest, "npz") == b"abc"


@pytest.mark.parametrize("content", [b"", b"ab", b"abX"])
def test_a_damaged_object_is_never_returned(objects, content):
    """Else a cut table would pass for a result."""
    digest = objects.put(b"abc").digest
    _spoil(objects.path(digest), content)
    with pytest.raises(ObjectDamagedError, match="Delete the file and run the step"):
        objects.get(digest)
    assert objects.get(digest, verify=False) == content


@given(data=st.binary(max_size=3000))
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_file_and_its_bytes_are_the_same_object(objects, tmp_path, data):
    """Else a model given as a file would be stored twice."""
    source = tmp_path / "source.BIN"
    source.write_bytes(data)
    assert objects.put_file(source) == objects.put(data, "bin")
    with objects.open(digest_bytes(data)) as file:
        assert file.read() == data


def test_a_large_file_is_read_in_pieces(objects, tmp_path, monkeypatch):
    """Else a model larger than the memory could not be stored: 3 MiB are 3 pieces of 1 MiB."""
    source = tmp_path / "model.bin"
    source.write_bytes(b"\1" * (3 << 20))
    pieces = []
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: pieces.append(len(data)) or write(fd, data))
    assert objects.put_file(source).size == 3 << 20
    assert pieces == [1 << 20] * 3


def test_a_file_that_changes_while_it_is_stored_is_refused(objects, tmp_path, monkeypatch):
    """Else an object would have another digest than its name."""
    source = tmp_path / "growing.bin"
    source.write_bytes(b"before")
    monkeypatch.setattr("mosaic_dagster.store.content.objects._pieces", lambda _: [b"after!"])
    with pytest.raises(StoreError, match="changed while it was stored"):
        objects.put_file(source)
    assert list(objects.all()) == []
    assert objects.temporaries() == []


@pytest.mark.parametrize("ext", ["", ".npz", "NPZ", "a/b", "..", "a b"])
def test_an_extension_that_would_leave_the_folder_is_refused(objects, ext):
    """Else an object could be written anywhere, or never be found again."""
    with pytest.raises(StoreError, match="cannot be the extension"):
        objects.put(b"abc", ext)


@pytest.mark.parametrize("call", ["write", "fsync"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_and_leaves_nothing(objects, monkeypatch, call, code):
    """Else a half-written file stays, or a user sees a bare OSError."""
    objects.put(b"before")

    def full(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(StoreFullError, match=r"artifacts is full.*Free some space"):
        objects.put(b"more")
    monkeypatch.undo()
    assert objects.temporaries() == []
    assert [stored.size for stored in objects.all()] == [6]
    assert objects.put(b"more").size == 4


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    """Else a user would not know which path to repair."""
    (tmp_path / "artifacts").write_text("a file")
    with pytest.raises(StoreError, match="artifacts cannot be written"):
        ContentStore(tmp_path / "artifacts").put(b"abc")


def test_present_counts_only_whole_objects(objects):
    """Else an object cut by a crash would count as fresh: of four, two are there in full."""
    whole, cut, any_size = (objects.put(data, "npz") for data in (b"one", b"three", b"five"))
    _spoil(objects.path(cut.digest), b"th")
    asked = [(item.digest, item.ext, item.size) for item in (whole, cut)]
    asked += [(any_size.digest, "npz", None), ("0" * 64, "npz", 1), (whole.digest, "bin", 3)]
    assert objects.present(asked) == {whole.digest, any_size.digest}


def test_names_are_those_of_the_objects_that_are_there(objects):
    """A deleted object that is still named would count as fresh for ever."""
    kept, gone = objects.put(b"one", "npz"), objects.put(b"two", "parquet")
    assert objects.names() == {f"{kept.digest}.npz", f"{gone.digest}.parquet"}
    objects.path(gone.digest).unlink()
    assert objects.names() == {f"{kept.digest}.npz"}


def test_a_store_without_a_folder_names_nothing(tmp_path):
    """The status of a new dataset would fail."""
    assert ContentStore(tmp_path / "nowhere").names() == set()


def test_stats_add_up(objects):
    """3 + 4 bytes of npz and 5 of bin are 12 bytes in three objects."""
    for data, ext in ((b"123", "npz"), (b"1234", "npz"), (b"12345", "bin")):
        objects.put(data, ext)
    stats = objects.stats()
    assert (stats.objects, stats.bytes) == (3, 12)
    assert stats.by_ext == {"bin": (1, 5), "npz": (2, 7)}


def test_an_empty_store_answers(objects):
    """Else `mosaic store stats` fails before the first run."""
    assert objects.stats().objects == 0
    assert objects.verify().checked == 0
    assert list(objects.all()) == []


def test_verify_names_damage_and_strays(objects):
    """Else a user learns of a broken disk when a result is needed."""
    good, bad = objects.put(b"good"), objects.put(b"bad")
    _spoil(objects.path(bad.digest), b"BAD")
    strays = [
        objects.root / "note.txt",
        objects.root / "00" / "x.bin",
        objects.root / "00" / f"{good.digest}.bin",
    ]
    (objects.root / "00").mkdir()
    for stray in strays:
        stray.write_text("?")
    objects.temporary().write_text("half")
    report = objects.verify()
    assert (report.checked, report.bytes) == (2, 7)
    assert report.damaged == [bad]
    assert sorted(report.unexpected) == sorted(strays)
    assert len(report.temporary) == 1
    assert set(objects.all()) == {good, bad}


def test_a_store_travels_to_a_worker(objects):
    """Else joblib could not send it."""
    digest = objects.put(b"abc").digest
    copy = cloudpickle.loads(cloudpickle.dumps(objects))
    assert copy == objects == deepcopy(objects)
    assert copy.get(digest) == b"abc"


def test_the_public_class_is_the_module_s_own():
    """Else isinstance checks would differ between imports."""
    assert ContentStore is Objects


def test_a_name_of_a_temporary_file_is_used_once():
    """Else two puts at once would write into one file."""
    names = {durable.temporary_name() for _ in range(100)}
    assert len(names) == 100


_PUTS = """
import sys, itertools
from pathlib import Path
from mosaic_dagster.store import ContentStore
store = ContentStore(Path(sys.argv[1]))
for i in itertools.count():
    stored = store.put(str(i).encode() * 20000)
    print(stored.digest, flush=True)
"""


@pytest.mark.slow
def test_killing_a_put_loses_and_breaks_nothing(objects, spawn, kill_after_lines):
    """Else a power cut would leave half an object under a whole object's name."""
    for pause in (0.0, 0.011, 0.023):
        said = kill_after_lines(spawn(_PUTS, objects.root), 20, pause)
        assert {stored.digest for stored in objects.all()} >= set(said)
        report = objects.verify()
        assert report.damaged == report.unexpected == []
    assert len(objects.temporaries()) <= 3


_SAME = """
import sys
from pathlib import Path
from mosaic_dagster.store import ContentStore
store = ContentStore(Path(sys.argv[1]))
print("ready", flush=True); sys.stdin.readline()
for i in range(200):
    assert store.get(store.put(str(i % 50).encode() * 100).digest)
"""


@pytest.mark.slow
def test_processes_may_put_the_same_bytes_at_once(objects, spawn):
    """Else workers that compute equal tables would break each other: 50 different, 50 stored."""
    processes = [spawn(_SAME, objects.root) for _ in range(3)]
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.communicate()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    report = objects.verify()
    assert report.checked == 50
    assert report.damaged == report.temporary == []
