import numpy as np
import pytest

from mosaic_dagster.errors import StoreError
from mosaic_dagster.store.database.journal import files
from mosaic_dagster.store.database.journal.records import Record, encode
from mosaic_dagster.store.database.journal.writer import JournalWriter


def _write(path, *records, rest=b""):
    path.parent.mkdir(exist_ok=True)
    whole = b"".join(bytes(piece) for record in records for piece in encode(record))
    path.write_bytes(whole + rest)
    return len(whole)


def test_a_folder_that_is_not_there_has_no_files(folder):
    """Else a new workspace could not be read before the first row."""
    assert files.names(folder) == []


def test_only_journals_are_listed(folder):
    """Else a note that somebody left there stops every lease."""
    _write(folder / "b.jnl")
    _write(folder / "a.jnl")
    _write(folder / "readme.txt")
    assert files.names(folder) == ["a.jnl", "b.jnl"]


def test_reading_goes_on_where_it_ended(folder):
    path = folder / "a.jnl"
    first = _write(path, Record("arrays", [1]))
    end = _write(path, Record("arrays", [1]), Record("arrays", [2]), rest=bytes(100))
    portion = files.read(path, first)
    assert [record.values for record in portion.records] == [[2]]
    assert (portion.end, portion.damaged) == (end, False)
    assert files.read(path, end, growing=True).records == []


def test_a_file_that_is_gone_has_nothing(folder):
    """Another process may have removed it meanwhile."""
    assert files.read(folder / "gone.jnl", 7) == files.Portion([], 7, damaged=False)


def test_a_file_longer_than_a_portion_is_read_in_turn(folder, monkeypatch):
    """Else a cut at the border of a portion passes for a torn end, and what follows is lost."""
    path = folder / "a.jnl"
    _write(path, *(Record("arrays", ["x" * 40]) for _ in range(20)))
    monkeypatch.setattr(files, "_PORTION", 150)
    offset, count = 0, 0
    while (portion := files.read(path, offset)).records:
        count, offset = count + len(portion.records), portion.end
    assert (count, portion.damaged) == (20, False)


def test_a_record_larger_than_a_portion_is_read(folder, monkeypatch):
    """Else a long log entry, once acknowledged, would stay in the journal and then be cut."""
    path = folder / "a.jnl"
    large = {"y_true": np.arange(1000.0)}
    end = _write(path, Record("arrays", [1], large), Record("arrays", [2]))
    monkeypatch.setattr(files, "_PORTION", 64)
    portion = files.read(path, 0)
    assert [record.values for record in portion.records] == [[1], [2]]
    assert portion.end == end


def test_damage_behind_a_full_portion_is_seen(folder, monkeypatch):
    """Else the file is taken for complete and removed, with the whole rows in it."""
    path = folder / "a.jnl"
    whole = bytes(b"".join(encode(Record("arrays", [2]))))
    _write(path, rest=b"?" * 200 + whole)
    monkeypatch.setattr(files, "_PORTION", 64)
    assert files.read(path, 0).damaged


def test_a_file_that_cannot_be_read_is_named(folder):
    """Else its rows were passed over in silence, or a bare OSError came up."""
    (folder / "a.jnl").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"a\.jnl.* cannot be read"):
        files.read(folder / "a.jnl", 0)


def test_a_file_that_is_gone_is_not_abandoned(folder):
    with files.if_abandoned(folder / "gone.jnl") as abandoned:
        assert not abandoned


def test_removing_twice_is_fine(folder):
    """Two processes may come to it at the same time."""
    _write(folder / "a.jnl")
    files.remove(folder / "a.jnl")
    files.remove(folder / "a.jnl")
    assert files.names(folder) == []


def test_the_files_of_a_process_come_in_the_order_of_writing(folder):
    """A row may need one of an earlier file: arrays their prediction, whatever the clock does."""
    writer = JournalWriter(folder)
    for number in range(12):
        writer.append(Record("arrays", [str(number)]))
        writer.close()
    read = [files.read(folder / name, 0).records[0].values for name in files.names(folder)]
    assert read == [[str(number)] for number in range(12)]


def test_a_record_of_another_version_is_kept(folder):
    """Else an older version of this package drops what a newer one was told is safe."""
    path = folder / "a.jnl"
    first = _write(path, Record("arrays", ["a"]))
    _write(path, Record("arrays", ["a"]), Record("future", ["x", 1]), Record("arrays", ["b"]))
    portion = files.read(path, 0)
    assert ([r.values for r in portion.records], portion.end) == ([["a"]], first)
    assert portion.damaged
