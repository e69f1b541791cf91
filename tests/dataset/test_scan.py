"""New, changed and vanished sources."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from mosaic_dagster.dataset import files, scan
from mosaic_dagster.dataset.manifest import SourceRule
from mosaic_dagster.dataset.scan import SourceScan, scan_sources
from mosaic_dagster.errors import ReaderError, UnknownFormatError
from mosaic_dagster.hashing import digest_bytes
from mosaic_dagster.keys import EntryKey
from mosaic_dagster.store.feature_registry.records import SourceRow

GOOD = "frame,a_x,a_y\n0,1,2\n"


@dataclass
class Lab:
    """A folder of recordings and what is recorded about it."""

    base: Path
    rules: Sequence[SourceRule] = (SourceRule(path="rec"),)
    rows: dict[tuple[str, str], SourceRow] = field(default_factory=dict)

    def write(self, name: str, content: str = GOOD) -> Path:
        path = self.base / "rec" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def scan(self) -> SourceScan:
        return scan_sources(self.rules, self.rows.values(), self.base)

    def record(self) -> SourceScan:
        found = self.scan()
        self.rows |= {(row.path, row.key): row for row in found.updates}
        return found


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path)
    lab.write("dish1/a.csv")
    lab.write("dish2/a.csv", GOOD + "1,1,2\n")
    return lab


def keys(sources: Sequence[scan.FoundSource]) -> list[str]:
    return [str(source.key) for source in sources]


def test_everything_is_new_at_first(lab: Lab) -> None:
    found = lab.scan()
    assert keys(found.present) == keys(found.new) == ["dish1/a", "dish2/a"]
    assert (found.changed, found.vanished, found.refused) == ((), (), ())
    first = found.present[0]
    assert first.sha256 == digest_bytes(GOOD.encode())
    assert first.rule.format == "keypoint_csv"
    assert found.by_entry()[EntryKey("dish1", "a")] == [first]
    rows = [(row.path, row.key, row.state) for row in found.updates]
    assert rows[0] == ("rec/dish1/a.csv", "dish1/a", "present")


def test_nothing_is_opened_when_nothing_changed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_new_content_is_a_change(lab: Lab) -> None:
    """The same size and another digit: 1 became 9."""
    lab.record()
    lab.write("dish1/a.csv", GOOD.replace("1", "9"))
    found = lab.record()
    assert keys(found.changed) == ["dish1/a"]
    assert found.new == ()
    assert len(found.updates) == 1
    assert lab.scan().changed == ()


def test_a_touched_file_is_no_change(lab: Lab) -> None:
    """A copy or a touch alters the times only; the facts are refreshed, nothing is stale."""
    lab.record()
    os.utime(lab.base / "rec/dish1/a.csv", ns=(1, 1))
    found = lab.record()
    assert found.changed == ()
    assert [(row.path, row.mtime_ns) for row in found.updates] == [("rec/dish1/a.csv", 1)]
    assert lab.scan().updates == ()


def test_a_vanished_file_is_reported_and_its_record_kept(lab: Lab) -> None:
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


def test_a_missing_folder_is_said(lab: Lab) -> None:
    lab.record()
    (lab.base / "rec").rename(lab.base / "moved")
    found = lab.scan()
    assert found.vanished == ()
    assert "nothing at" in found.refused[0].reason


def test_bad_files_are_refused_alone(lab: Lab) -> None:
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


def test_a_known_file_that_was_damaged_stays_the_source_of_its_entry(lab: Lab) -> None:
    """Its entry must fail when read, and say so; it must not look as if the file had gone."""
    lab.record()
    lab.write("dish1/a.csv", "rubbish")
    found = lab.scan()
    assert keys(found.changed) == ["dish1/a"]
    assert (found.vanished, found.refused) == ((), ())
    assert found.changed[0].rule.format == "keypoint_csv"


def test_a_known_file_that_is_being_written_is_held_back(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
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


def test_two_files_that_are_one_entry_are_both_refused(lab: Lab) -> None:
    lab.write("dish1/a.CSV")
    found = lab.scan()
    assert keys(found.present) == ["dish2/a"]
    assert [refusal.path.name for refusal in found.refused] == ["a.CSV", "a.csv"]
    assert all("both the entry dish1/a" in refusal.reason for refusal in found.refused)


def test_a_stray_copy_does_not_break_a_known_entry(lab: Lab) -> None:
    """The recorded file stays the source; only the newcomer is refused."""
    lab.record()
    lab.write("dish1/a.CSV")
    found = lab.scan()
    assert keys(found.present) == ["dish1/a", "dish2/a"]
    assert [refusal.path.name for refusal in found.refused] == ["a.CSV"]


def test_a_file_under_two_rules_belongs_to_the_first(lab: Lab) -> None:
    """Otherwise one recording would count twice, in two groups."""
    lab.rules = (SourceRule(path="rec"), SourceRule(path="rec/dish1"))
    found = lab.scan()
    assert keys(found.present) == ["dish1/a", "dish2/a"]
    assert "lies under two rules, 'rec' and 'rec/dish1'" in found.refused[0].reason


def test_other_parameters_are_another_rule(lab: Lab) -> None:
    """The content is as before, so it is no change; the record tells the new rule."""
    lab.record()
    lab.rules = (SourceRule(path="rec", params={"fps": 8}),)
    found = lab.record()
    assert (found.new, found.changed, found.vanished) == ((), (), ())
    assert found.present[0].rule.params == {"fps": 8}
    assert len(found.updates) == 2


def test_another_group_is_another_entry(lab: Lab) -> None:
    """The old entry's source is gone, the new entry's is new."""
    (lab.base / "rec/dish2/a.csv").unlink()
    lab.record()
    lab.rules = (SourceRule(path="rec", group="day 1"),)
    found = lab.scan()
    assert keys(found.new) == ["day%201/a"]
    assert [row.key for row in found.vanished] == ["dish1/a"]


def test_a_removed_rule_makes_its_sources_vanish(lab: Lab) -> None:
    lab.record()
    lab.rules = ()
    assert [row.key for row in lab.scan().vanished] == ["dish1/a", "dish2/a"]


def test_a_moved_project_knows_its_files(lab: Lab, tmp_path: Path) -> None:
    """Paths are recorded below the base."""
    lab.record()
    (lab.base / "rec").rename(lab.base / "other")
    (lab.base / "elsewhere").mkdir()
    (lab.base / "other").rename(lab.base / "elsewhere" / "rec")
    lab.base = lab.base / "elsewhere"
    found = lab.scan()
    assert (found.new, found.changed, found.vanished) == ((), (), ())


def test_a_wrong_rule_is_an_error_at_once(lab: Lab) -> None:
    """A rule that cannot work is the user's to correct, not a property of each file."""
    lab.rules = (SourceRule(path="rec", format="dlc"),)
    with pytest.raises(UnknownFormatError, match="no reader 'dlc'"):
        lab.scan()
    lab.rules = (SourceRule(path="rec", format="keypoint_csv", params={"fsp": 1}),)
    with pytest.raises(ReaderError, match="fsp is not a known name"):
        lab.scan()


@pytest.mark.slow
def test_two_thousand_known_files_are_listed_within_two_seconds(lab: Lab) -> None:
    """`mosaic status` looks at every file; what is known is only listed."""
    for i in range(2_000):
        lab.write(f"big/{i}.csv", f"frame,a_x,a_y\n{i},1,2\n")
    lab.record()
    started = time.perf_counter()
    assert len(lab.scan().present) == 2_002
    assert time.perf_counter() - started < 2


def test_a_folder_that_is_not_there_loses_nothing(tmp_path):
    """A disk that is not mounted must not make every recording on it look deleted."""
    (tmp_path / "rec").mkdir()
    (tmp_path / "rec" / "a.csv").write_text("frame,x_x,x_y\n1,1,1\n")
    rule = SourceRule(path="rec", format="keypoint_csv")
    first = scan_sources([rule], [], tmp_path)
    (tmp_path / "rec").rename(tmp_path / "elsewhere")
    second = scan_sources([rule], [source.row(tmp_path) for source in first.present], tmp_path)
    assert second.vanished == ()
    assert [refusal.path for refusal in second.refused] == [tmp_path / "rec"]
