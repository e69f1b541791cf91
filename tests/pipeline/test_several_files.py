"""Recordings that are made of several files, one per animal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mosaic_dagster import Dataset, EntryKey, FeatureStep, Pipeline
from mosaic_dagster.dataset import SourceRule
from mosaic_dagster.pipeline.clean import clean_table

KEY = EntryKey("", "tank")


def write_fish(folder: Path, number: int) -> Path:
    """Ten frames of a fish at 25 fps that stays at (number, 1) cm."""
    frames = np.arange(10.0)
    path = folder / f"tank_fish{number}.npz"
    still = {"X#wcentroid": np.full(10, float(number)), "Y#wcentroid": np.ones(10)}
    arrays = {"frame": frames, "time": frames / 25, "missing": np.zeros(10)} | still
    np.savez(path, **{name: values.astype(np.float32) for name, values in arrays.items()})
    return path


@pytest.fixture
def fish(tmp_path: Path) -> tuple[Dataset, Path]:
    folder = tmp_path / "fish"
    folder.mkdir()
    for number in range(3):
        write_fish(folder, number)
    rule = SourceRule(path=str(folder), format="trex_npz")
    return Dataset.create(tmp_path / "w", "fish", unit="cm", sources=(rule,)), folder


def test_a_lost_file_takes_no_animal_away(fish: Any, toy: Any, run: Any) -> None:
    """The others would get its number, and labels and tags would belong to the wrong fish."""
    dataset, folder = fish
    pipeline = Pipeline(name="swim").add(FeatureStep("shift", toy.Shift))
    run(pipeline, dataset)
    (folder / "tank_fish1.npz").unlink()
    run(pipeline, dataset)
    assert dataset.tracks(KEY)["X"].unique().sort().to_list() == [0.0, 1.0, 2.0]
    clean_table(dataset, [pipeline], dry_run=False, all_declared=True)
    run(pipeline, dataset)
    assert dataset.tracks(KEY)["X"].unique().sort().to_list() == [0.0, 2.0]


def test_a_file_more_is_read(fish: Any, toy: Any, run: Any) -> None:
    dataset, folder = fish
    pipeline = Pipeline(name="swim").add(FeatureStep("shift", toy.Shift))
    run(pipeline, dataset)
    write_fish(folder, 3)
    run(pipeline, dataset)
    assert dataset.tracks(KEY)["id"].n_unique() == 4
