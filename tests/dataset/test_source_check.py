"""Reading all source files again, whatever their times say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mosaic_dagster.dataset import Dataset, SourceRule
from mosaic_dagster.dataset.source_check import check_sources

ROWS = "frame,a_x,a_y\n0,1,2\n"


@pytest.fixture
def place(tmp_path: Path) -> tuple[Dataset, Path]:
    """``dish/a`` and ``dish/b``, both recorded."""
    folder = tmp_path / "rec" / "dish"
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        (folder / f"{name}.csv").write_text(f"{ROWS}1,{ord(name)},2\n")
    dataset = Dataset.create(tmp_path / "w", "toy", sources=(SourceRule(path=str(folder.parent)),))
    dataset.registry.put_sources(dataset.scan().updates)
    return dataset, folder


def states(dataset: Dataset) -> dict[str, str]:
    return {Path(item.path).name: item.state for item in check_sources(dataset)}


def test_untouched_files_are_as_recorded(place: tuple[Dataset, Path]) -> None:
    dataset, _ = place
    before = dataset.registry.sources()
    assert states(dataset) == {"a.csv": "as recorded", "b.csv": "as recorded"}
    assert dataset.registry.sources() == before


def test_a_change_behind_size_and_time_is_found_and_recorded(place: tuple[Dataset, Path]) -> None:
    """97 became 98 with the old time put back: no scan sees it, the analysis would be wrong."""
    dataset, folder = place
    path = folder / "a.csv"
    time_ns = path.stat().st_mtime_ns
    with path.open("r+") as file:
        file.write(ROWS + "1,98,2\n")
    os.utime(path, ns=(time_ns, time_ns))
    assert dataset.scan().changed == ()
    assert states(dataset) == {"a.csv": "changed", "b.csv": "as recorded"}
    digests = {row.key: row.sha256 for row in dataset.registry.sources()}
    assert digests["dish/a"] == digests["dish/b"]
    assert states(dataset)["a.csv"] == "as recorded"


def test_new_files_are_left_to_the_next_run(place: tuple[Dataset, Path]) -> None:
    dataset, folder = place
    (folder / "c.csv").write_text(ROWS)
    assert "c.csv" not in states(dataset)
    assert [str(source.key) for source in dataset.scan().new] == ["dish/c"]


def test_files_of_a_source_that_was_removed_are_left_out(place: tuple[Dataset, Path]) -> None:
    """They are no business of the dataset any more, there or not."""
    dataset, _ = place
    dataset.save(dataset.manifest.without_source(dataset.manifest.sources[0]))
    assert states(dataset) == {}


def test_what_is_not_there_is_said_and_kept(place: tuple[Dataset, Path]) -> None:
    dataset, folder = place
    (folder / "b.csv").unlink()
    assert states(dataset) == {"a.csv": "as recorded", "b.csv": "not there"}
    assert len(dataset.registry.sources()) == 2
