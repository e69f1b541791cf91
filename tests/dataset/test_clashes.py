"""Two files that claim one recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mosaic_dagster.dataset.manifest import SourceRule

OTHER = "frame,a_x,a_y\n0,7,7\n"


def keys(sources: Any) -> list[str]:
    return [str(source.key) for source in sources]


def second_rule(lab: Any) -> Path:
    """``dish1/a`` once more, in a second folder that another rule names."""
    path = Path(lab.base) / "more" / "dish1" / "a.csv"
    path.parent.mkdir(parents=True)
    path.write_text(OTHER)
    lab.rules = (*lab.rules, SourceRule(path="more"))
    return path


def test_neither_of_two_new_files_is_read(lab: Any) -> None:
    """Which of them would win is chance; the other recordings go on."""
    path = second_rule(lab)
    found = lab.scan()
    assert keys(found.present) == ["dish2/a"]
    reasons = {refusal.path: refusal.reason for refusal in found.refused}
    assert set(reasons) == {path, lab.base / "rec/dish1/a.csv"}
    for reason in reasons.values():
        assert str(path) in reason
        assert str(lab.base / "rec/dish1/a.csv") in reason
        assert "both the entry dish1/a; neither is read" in reason
        assert "Remove or rename one of them" in reason


def test_the_file_that_was_read_first_stays_the_source(lab: Any) -> None:
    lab.record()
    path = second_rule(lab)
    found = lab.record()
    assert keys(found.present) == ["dish1/a", "dish2/a"]
    assert (found.changed, found.new, found.vanished, found.updates) == ((), (), (), ())
    (refusal,) = found.refused
    assert refusal.path == path
    assert "a.csv stays its source" in refusal.reason


def test_removing_one_of_them_settles_it(lab: Any) -> None:
    """Whichever it is: the one that is left is the recording."""
    lab.record()
    path = second_rule(lab)
    (lab.base / "rec/dish1/a.csv").unlink()
    found = lab.record()
    assert keys(found.new) == ["dish1/a"]
    assert found.refused == ()
    lab.write("dish1/a.csv")
    assert [refusal.path for refusal in lab.scan().refused] == [lab.base / "rec/dish1/a.csv"]
    path.unlink()
    back = lab.scan()
    assert back.refused == ()
    assert keys(back.present) == ["dish1/a", "dish2/a"]


def test_a_clash_on_one_recording_leaves_the_others_of_the_file(lab: Any) -> None:
    """A table of two recordings, one of which has a file of its own: only that one is refused."""
    both = lab.base / "rec" / "both.parquet"
    _write_table(both, {"dish1": "a", "dish3": "a"})
    found = lab.scan()
    assert keys(found.present) == ["dish2/a", "dish3/a"]
    assert {refusal.path.name for refusal in found.refused} == {"a.csv", "both.parquet"}
    lab.rows |= {(row.path, row.key): row for row in found.updates}
    again = lab.scan()
    assert (again.vanished, again.updates) == ((), ())


def _write_table(path: Path, recordings: dict[str, str]) -> None:
    rows = [
        {"group": group, "sequence": sequence, "frame": 0, "id": 0, "a_x": 1.0, "a_y": 2.0}
        for group, sequence in recordings.items()
    ]
    pl.DataFrame(rows).write_parquet(path)


def write_fish(folder: Path, number: int) -> Path:
    """Two frames of a fish, in a file that makes the recording ``tank`` with others."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"tank_fish{number}.npz"
    frames = np.arange(2.0)
    arrays = {"frame": frames, "time": frames, "missing": np.zeros(2)}
    place = {"X#wcentroid": np.full(2, float(number)), "Y#wcentroid": np.ones(2)}
    np.savez(path, **(arrays | place))
    return path


def test_files_of_one_recording_stay_together_against_a_newcomer(lab: Any) -> None:
    """Three fish were read; a csv of the same name must not take their place, nor split them."""
    for number in range(3):
        write_fish(lab.base / "rec" / "dish4", number)
    lab.record()
    lab.write("dish4/tank.csv", OTHER)
    found = lab.scan()
    assert [source.path.name for source in found.present if source.key.sequence == "tank"] == [
        f"tank_fish{number}.npz" for number in range(3)
    ]
    assert [refusal.path.name for refusal in found.refused] == ["tank.csv"]


def test_a_recording_of_several_files_waits_for_all_of_them(lab: Any) -> None:
    """Read before the last fish is written, its animals would be numbered without it."""
    paths = [write_fish(lab.base / "rec" / "dish4", number) for number in range(3)]
    found = lab.scan(unsettled=frozenset({paths[2]}))
    assert keys(found.present) == ["dish1/a", "dish2/a"]
    lab.record()
    held = lab.scan(unsettled=frozenset({paths[0]}))
    assert keys(held.present) == ["dish1/a", "dish2/a"]
    assert [item.why for item in held.held] == ["unsettled"] * 3
