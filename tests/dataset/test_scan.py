"""New, changed and vanished sources."""

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mosaic_dagster.dataset import files, scan
from mosaic_dagster.dataset.found_source import FoundSource
from mosaic_dagster.dataset.manifest import SourceRule
from mosaic_dagster.errors import ReaderError, UnknownFormatError
from mosaic_dagster.hashing import digest_bytes
from mosaic_dagster.keys import EntryKey

GOOD = "frame,a_x,a_y\n0,1,2\n"


def keys(sources: Sequence[FoundSource]) -> list[str]:
    return [str(source.key) for source in sources]


def test_everything_is_new_at_first(lab: Any) -> None:
    found = lab.scan()
    assert keys(found.present) == keys(found.new) == ["dish1/a", "dish2/a"]
    assert (found.changed, found.vanished, found.refused) == ((), (), ())
    first = found.present[0]
    assert first.sha256 == digest_bytes(GOOD.encode())
    assert first.rule.format == "keypoint_csv"
    assert found.by_entry()[EntryKey("dish1", "a")] == [first]
    rows = [(row.path, row.key, row.state) for row in found.updates]
    assert rows[0] == ("rec/dish1/a.csv", "dish1/a", "present")


def test_nothing_is_opened_when_nothing_changed(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status of 10,000 recordings must not read 10,000 files."""
    lab.record()

    def opened(*_: object) -> str:
        pytest.fail("a file was opened although its size and times are as recorded")

    monkeypatch.setattr(scan, "hash_file", opened)
    monkeypatch.setattr(scan, "reader_of", opened)
    found = lab.scan()
    assert keys(found.present) == ["dish1/a", "dish2/a"]
    assert (found.new, found.changed, found.vanished, found.updates) == ((), (), (), ())
    assert found.present[0].rule.format == "keypoint_csv"


def test_new_content_is_a_change(lab: Any) -> None:
    """The same size and another digit: 1 became 9."""
    lab.record()
    lab.write("dish1/a.csv", GOOD.replace("1", "9"))
    found = lab.record()
    assert keys(found.changed) == ["dish1/a"]
    assert found.new == ()
    assert len(found.updates) == 1
    assert lab.scan().changed == ()


def test_a_touched_file_is_no_change(lab: Any) -> None:
    """A copy or a touch alters the times only; the facts are refreshed, nothing is stale."""
    lab.record()
    os.utime(lab.base / "rec/dish1/a.csv", ns=(1, 1))
    found = lab.record()
    assert found.changed == ()
    assert [(row.path, row.mtime_ns) for row in found.updates] == [("rec/dish1/a.csv", 1)]
    assert lab.scan().updates == ()


def test_a_vanished_file_is_reported_and_its_record_kept(lab: Any) -> None:
    """An unmounted disk must not cost results; when the file is back, all is as before."""
    lab.record()
    before = (lab.base / "rec/dish1/a.csv").stat()
    (lab.base / "rec/dish1/a.csv").unlink()
    found = lab.record()
    assert [row.path for row in found.vanished] == ["rec/dish1/a.csv"]
    assert [row.state for row in found.updates] == ["vanished"]
    again = lab.record()
    assert [row.path for row in again.vanished] == ["rec/dish1/a.csv"]
    assert again.updates == ()
    lab.write("dish1/a.csv")
    os.utime(lab.base / "rec/dish1/a.csv", ns=(before.st_mtime_ns, before.st_mtime_ns))
    back = lab.record()
    assert (back.new, back.changed, back.vanished) == ((), (), ())
    assert [row.state for row in back.updates] == ["present"]


def test_a_folder_that_never_held_anything_is_said(lab: Any) -> None:
    """A wrong path must not pass for a disk that is away."""
    lab.rules = (SourceRule(path="rce"),)
    found = lab.scan()
    assert found.absent == ()
    assert "nothing at" in found.refused[0].reason


def test_bad_files_are_refused_alone(lab: Any) -> None:
    """One empty, one foreign and one linked file; the two good ones are used."""
    lab.write("empty.csv", "")
    lab.write("labels.csv", "start,stop\n")
    (lab.base / "rec" / "link.csv").symlink_to(lab.base / "rec/dish1/a.csv")
    found = lab.scan()
    assert keys(found.present) == ["dish1/a", "dish2/a"]
    reasons = {refusal.path.name: refusal.reason for refusal in found.refused}
    assert "is empty" in reasons["empty.csv"]
    assert "No reader recognises" in reasons["labels.csv"]
    assert "is a link" in reasons["link.csv"]


def rewrite(path: Path, content: str, **facts: int) -> None:
    """Other content, and the facts that a program wants us to see."""
    path.write_text(content)
    now = path.stat()
    time_ns = facts.get("mtime_ns", now.st_mtime_ns)
    os.utime(path, ns=(time_ns, time_ns))


def test_a_change_with_an_older_time_is_seen(lab: Any) -> None:
    """A file copied back from a backup, or written by a computer whose clock is behind."""
    lab.record()
    rewrite(lab.base / "rec/dish1/a.csv", GOOD.replace("1", "9"), mtime_ns=10**18)
    assert keys(lab.record().changed) == ["dish1/a"]


def test_a_time_in_the_future_is_as_good_as_any(lab: Any) -> None:
    """A tracking computer that lives in 2100: seen once, then at rest, and seen when it changes."""
    future = 4_102_444_800 * 10**9
    rewrite(lab.base / "rec/dish1/a.csv", GOOD, mtime_ns=future)
    assert keys(lab.record().present) == ["dish1/a", "dish2/a"]
    assert lab.scan().updates == ()
    rewrite(lab.base / "rec/dish1/a.csv", GOOD.replace("1", "9"), mtime_ns=future + 1)
    assert keys(lab.record().changed) == ["dish1/a"]


def test_the_same_time_with_another_size_is_seen(lab: Any) -> None:
    """File systems with seconds for times, and a row that was added within the second."""
    lab.record()
    path = lab.base / "rec/dish1/a.csv"
    rewrite(path, GOOD + "1,3,4\n", mtime_ns=path.stat().st_mtime_ns)
    assert keys(lab.record().changed) == ["dish1/a"]


def test_the_same_size_and_time_in_another_file_is_seen(lab: Any) -> None:
    """`cp -p` and rsync give a new file the time of the old one; the inode is another."""
    lab.record()
    path = lab.base / "rec/dish1/a.csv"
    other = lab.base / "other"
    rewrite(other, GOOD.replace("1", "9"), mtime_ns=path.stat().st_mtime_ns)
    other.replace(path)
    assert keys(lab.record().changed) == ["dish1/a"]


def test_a_change_that_shows_in_none_of_them_is_seen_when_asked(lab: Any) -> None:
    """Size, time and inode as before: a scan cannot see it, `rehash` does."""
    lab.record()
    path = lab.base / "rec/dish1/a.csv"
    rewrite(path, GOOD.replace("1", "9"), mtime_ns=path.stat().st_mtime_ns)
    assert lab.scan().changed == ()
    assert keys(lab.record(rehash=True).changed) == ["dish1/a"]
    assert lab.scan(rehash=True).changed == ()


# Files that are still being written.


def test_a_new_file_that_is_not_settled_is_not_there_yet(lab: Any) -> None:
    """A sensor must not read half of a recording, nor register it."""
    lab.record()
    path = lab.write("dish3/a.csv")
    found = lab.scan(unsettled=frozenset({path}))
    assert keys(found.present) == ["dish1/a", "dish2/a"]
    assert (found.updates, found.refused, found.held) == ((), (), ())
    assert keys(lab.scan().new) == ["dish3/a"]


def test_of_a_changed_file_that_is_not_settled_the_record_counts(lab: Any) -> None:
    """Neither changed nor vanished; nothing is hashed meanwhile."""
    lab.record()
    path = lab.write("dish1/a.csv", GOOD * 2)
    found = lab.scan(unsettled=frozenset({path}))
    assert (keys(found.present), found.updates) == (["dish2/a"], ())
    assert [(held.row.key, held.why) for held in found.held] == [("dish1/a", "unsettled")]
    assert keys(lab.scan().changed) == ["dish1/a"]


def test_a_known_file_that_was_damaged_stays_the_source_of_its_entry(lab: Any) -> None:
    """Its entry must fail when read, and say so; it must not look as if the file had gone."""
    lab.record()
    lab.write("dish1/a.csv", "rubbish")
    found = lab.scan()
    assert keys(found.changed) == ["dish1/a"]
    assert (found.vanished, found.refused) == ((), ())
    assert found.changed[0].rule.format == "keypoint_csv"


def test_a_known_file_that_is_being_written_is_held_back(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither changed nor vanished until it is done."""
    lab.record()
    lab.write("dish1/a.csv", GOOD * 2)
    real = files.hash_file
    monkeypatch.setattr(scan, "hash_file", lambda file: real(replace(file, size=1)))
    found = lab.scan()
    assert keys(found.present) == ["dish2/a"]
    assert (found.changed, found.vanished) == ((), ())
    assert "changed while it was read" in found.refused[0].reason


def test_two_files_that_are_one_entry_are_both_refused(lab: Any) -> None:
    lab.write("dish1/a.CSV")
    found = lab.scan()
    assert keys(found.present) == ["dish2/a"]
    assert [refusal.path.name for refusal in found.refused] == ["a.CSV", "a.csv"]
    assert all("both the entry dish1/a" in refusal.reason for refusal in found.refused)


def test_a_stray_copy_does_not_break_a_known_entry(lab: Any) -> None:
    """The recorded file stays the source; only the newcomer is refused."""
    lab.record()
    lab.write("dish1/a.CSV")
    found = lab.scan()
    assert keys(found.present) == ["dish1/a", "dish2/a"]
    assert [refusal.path.name for refusal in found.refused] == ["a.CSV"]


def test_a_file_under_two_rules_belongs_to_the_first(lab: Any) -> None:
    """Otherwise one recording would count twice, in two groups."""
    lab.rules = (SourceRule(path="rec"), SourceRule(path="rec/dish1"))
    found = lab.scan()
    assert keys(found.present) == ["dish1/a", "dish2/a"]
    assert "lies under two rules, 'rec' and 'rec/dish1'" in found.refused[0].reason


def test_other_parameters_are_another_rule(lab: Any) -> None:
    """The content is as before, so it is no change; the record tells the new rule."""
    lab.record()
    lab.rules = (SourceRule(path="rec", params={"fps": 8}),)
    found = lab.record()
    assert (found.new, found.changed, found.vanished) == ((), (), ())
    assert found.present[0].rule.params == {"fps": 8}
    assert len(found.updates) == 2


def test_another_group_is_another_entry(lab: Any) -> None:
    """The old entry's source is gone, the new entry's is new."""
    (lab.base / "rec/dish2/a.csv").unlink()
    lab.record()
    lab.rules = (SourceRule(path="rec", group="day 1"),)
    found = lab.scan()
    assert keys(found.new) == ["day%201/a"]
    assert [row.key for row in found.vanished] == ["dish1/a"]


def test_a_removed_rule_makes_its_sources_vanish(lab: Any) -> None:
    lab.record()
    lab.rules = ()
    assert [row.key for row in lab.scan().vanished] == ["dish1/a", "dish2/a"]


def test_a_moved_project_knows_its_files(lab: Any, tmp_path: Path) -> None:
    """Paths are recorded below the base."""
    lab.record()
    (lab.base / "rec").rename(lab.base / "other")
    (lab.base / "elsewhere").mkdir()
    (lab.base / "other").rename(lab.base / "elsewhere" / "rec")
    lab.base = lab.base / "elsewhere"
    found = lab.scan()
    assert (found.new, found.changed, found.vanished) == ((), (), ())


def test_a_wrong_rule_is_an_error_at_once(lab: Any) -> None:
    """A rule that cannot work is the user's to correct, not a property of each file."""
    lab.rules = (SourceRule(path="rec", format="dlc"),)
    with pytest.raises(UnknownFormatError, match="no reader 'dlc'"):
        lab.scan()
    lab.rules = (SourceRule(path="rec", format="keypoint_csv", params={"fsp": 1}),)
    with pytest.raises(ReaderError, match="fsp is not a known name"):
        lab.scan()


@pytest.mark.slow
def test_two_thousand_known_files_are_listed_within_two_seconds(lab: Any) -> None:
    """`mosaic status` looks at every file; what is known is only listed."""
    for i in range(2_000):
        lab.write(f"big/{i}.csv", f"frame,a_x,a_y\n{i},1,2\n")
    lab.record()
    started = time.perf_counter()
    assert len(lab.scan().present) == 2_002
    assert time.perf_counter() - started < 2
