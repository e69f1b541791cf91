"""What the page on recovering promises, where no command of it shows it."""

from __future__ import annotations

from typing import Any

import pytest

from mosaic_dagster import Dataset
from mosaic_dagster.dataset import SourceRule


@pytest.fixture
def done(files: Any, layered: Any, run: Any, log: Any) -> Any:
    """Dataset, folder, pipeline, and what was computed at first."""
    dataset, folder = files
    pipeline = layered()
    run(pipeline, dataset)
    return dataset, folder, pipeline, log.take()


def objects(dataset: Dataset) -> set[str]:
    return {stored.digest for stored in dataset.objects.all()}


def test_without_its_database_a_dataset_is_made_again_of_the_same_objects(
    done: Any, run: Any, log: Any
) -> None:
    """Who deleted `store.duckdb` gets everything back that came from files, byte by byte."""
    dataset, _, pipeline, computed = done
    before, database = objects(dataset), dataset.path / "store.duckdb"
    for file in database.parent.glob("store.duckdb*"):
        file.unlink()
    again = Dataset.open(dataset.path)
    run(pipeline, again)
    assert log.take() == computed
    assert objects(again) == before
    assert set(pipeline.status(again)["state"]) == {"fresh"}


def test_a_lost_object_is_made_again(done: Any, run: Any, log: Any) -> None:
    """Tracks from their file, a step's table from its input; nothing else is computed."""
    dataset, _, pipeline, _ = done
    before = objects(dataset)
    for step, computed in (("tracks", []), ("shift", ["toy-shift:s2"])):
        heads = dataset.registry.heads("" if step == "tracks" else "layered")
        (digest,) = {h.output_sha256 for h in heads if (h.step, h.key) == (step, "g/s2")}
        dataset.objects.path(digest, "parquet").unlink()
        run(pipeline, dataset)
        assert objects(dataset) == before
        assert log.take() == computed


def test_recordings_in_another_place_are_known_by_their_bytes(
    done: Any, run: Any, log: Any
) -> None:
    """The lab moved its archive: the new place is ingested, and nothing is computed."""
    dataset, folder, pipeline, _ = done
    archive = folder.parent.with_name("archive")
    folder.parent.rename(archive)
    dataset.add_source(SourceRule(path=str(archive), format="keypoint_csv"))
    run(pipeline, dataset)
    assert log.take() == []
    assert len(dataset.entries()) == 3
    dataset.save(dataset.manifest.without_source(dataset.manifest.sources[0]))
    assert set(pipeline.status(dataset)["state"]) == {"fresh"}
