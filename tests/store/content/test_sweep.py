import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from mosaic_dagster.store import GRACE, ContentStore

DAY = 24 * 3600


def _put(objects: ContentStore, data: bytes, days: float = 0) -> str:
    digest = objects.put(data).digest
    _age(objects.path(digest), days)
    return digest


def _age(path: Path, days: float) -> None:
    then = time.time() - days * DAY
    os.utime(path, (then, then))


def test_only_old_objects_that_nobody_names_go(objects):
    """Of four objects one is named, one is young; the other two, 3 + 4 bytes, go."""
    named, young = _put(objects, b"named", 9), _put(objects, b"young", 0.9)
    dead = {_put(objects, b"old", 1.1), _put(objects, b"dead", 9)}
    report = objects.gc({named}, dry_run=False)
    assert {stored.digest for stored in report.removed} == dead
    assert (report.bytes, report.kept, report.spared_by_grace) == (7, 1, 1)
    assert {stored.digest for stored in objects.all()} == {named, young}


def test_the_default_only_says_what_would_go(objects):
    """Else a curious user loses results."""
    digest = _put(objects, b"dead", 9)
    report = objects.gc(set())
    assert report.dry_run
    assert [stored.digest for stored in report.removed] == [digest]
    assert objects.exists(digest)


def test_grace_can_be_shortened(objects):
    """Else a full disk could not be emptied at once."""
    digest = _put(objects, b"dead", 0.01)
    assert not objects.gc(set(), GRACE, dry_run=False).removed
    assert objects.gc(set(), timedelta(0), dry_run=False).removed
    assert not objects.exists(digest)


def test_roots_are_read_before_files_are_listed(objects):
    """Else an object stored between the two, and named by no root yet, would go."""
    late = []

    def live() -> set[str]:
        late.append(_put(objects, b"late"))
        return set()

    report = objects.gc(live, dry_run=False)
    assert (report.spared_by_grace, report.removed) == (1, [])
    assert objects.exists(late[0])


@pytest.mark.parametrize("moment", ["listed", "moved"])
def test_a_put_during_gc_wins(objects, monkeypatch, moment):
    """Else an object that was just stored again would vanish under its new row."""
    digest = _put(objects, b"again", 9)
    path = objects.path(digest)
    rename = Path.rename

    def put_first(self, target):
        if self == path:
            objects.put(b"again")
        return rename(self, target)

    if moment == "moved":
        monkeypatch.setattr(Path, "rename", put_first)
        report = objects.gc(set(), dry_run=False)
    else:
        listed = list(objects.all())
        objects.put(b"again")
        monkeypatch.setattr(ContentStore, "all", lambda _: iter(listed))
        report = objects.gc(set(), dry_run=False)
    assert (report.removed, report.spared_by_grace) == ([], 1)
    assert objects.get(digest) == b"again"
    assert objects.temporaries() == []


def test_another_gc_may_be_faster(objects, monkeypatch):
    """Else two cleanings at once would end in an error."""
    digest = _put(objects, b"gone", 9)
    listed = list(objects.all())
    objects.path(digest).unlink()
    monkeypatch.setattr(ContentStore, "all", lambda _: iter(listed))
    assert objects.gc(set(), dry_run=False).removed == []


def test_left_over_temporary_files_go_when_old(objects):
    """Else killed puts fill the disk; a put under way keeps its file whatever the grace."""
    old, young = objects.temporary(), objects.temporary()
    old.write_text("half")
    young.write_text("half")
    _age(old, 2)
    assert objects.gc(set(), timedelta(0)).temporary == 1
    assert old.exists()
    assert objects.gc(set(), timedelta(0), dry_run=False).temporary == 1
    assert objects.temporaries() == [young]


def test_what_a_killed_gc_moved_aside_comes_back(tmp_path):
    """Killed between moving a file aside and putting it back, gc would have taken a live object."""
    objects = ContentStore(tmp_path / "artifacts")
    stored = objects.put(b"wanted", "npz")
    path = objects.path(stored.digest)
    (objects.root / ".tmp").mkdir(exist_ok=True)
    path.rename(objects.root / ".tmp" / f"{path.name}~1-2-3.tmp")
    assert not objects.exists(stored.digest)
    objects.gc({stored.digest}, dry_run=True)
    assert not objects.exists(stored.digest)
    report = objects.gc({stored.digest}, dry_run=False)
    assert objects.get(stored.digest) == b"wanted"
    assert report.removed == []
    assert objects.temporaries() == []
