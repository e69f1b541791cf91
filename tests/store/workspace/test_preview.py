"""What would go is what goes: the preview against the deed."""

import numpy as np
import pytest

from mosaic_dagster.errors import StoreValueError


def files_of(store) -> set[str]:
    root = store.objects.root
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_a_deletion_is_told_as_it_happens(store, run, pipeline, make_chain, make_prediction):
    """Else somebody deletes more than they were told: rows by table, artifacts and files."""
    chain_id = make_chain(store, pipeline)
    row = make_prediction(pipeline_id=pipeline, chain_id=chain_id)
    store.save_prediction(**row, arrays={"y_true": [1.0], "y_pred": [2.0]})
    store.log_step(pipeline, 0, None, "start")
    before = files_of(store)
    told = store.preview.delete_run(run)
    assert files_of(store) == before
    assert store.get_chain(chain_id) is not None
    assert told.rows == {
        "prediction_arrays": 1, "predictions": 1, "chains": 1, "logs": 1, "pipelines": 1,
        "runs": 1,
    }  # fmt: skip
    assert store.delete_run(run) == sum(told.rows.values())
    assert before - files_of(store) == {file.path for file in told.files}
    assert told.bytes > 0
    assert store.list_artifacts().is_empty()


def test_an_artifact_that_another_run_uses_stays(store, run, pipeline, make_chain):
    """Else the preview frightens, or lies: equal objects of two runs are one file."""
    make_chain(store, pipeline)
    other = store.begin_run("other", {}, [{"name": "d"}])
    make_chain(store, store.begin_pipeline(other, "p", {}, [], "d", None))
    told = store.preview.delete_run(run)
    assert told.rows["chains"] == 1
    assert told.files == []
    assert told.artifacts == []


def test_a_collection_is_told_as_it_happens(store, pipeline, make_chain):
    """Stale claims, unreferenced artifacts and orphans, and how many stay."""
    make_chain(store, pipeline)
    loose = store.save_artifact(np.arange(3.0))
    orphan = store.objects.put(b"nobody", "npy")
    before = files_of(store)
    asked = {"stale_claims_after": 0.0, "orphan_grace": 0.0}
    told = store.preview.gc_artifacts(**asked)
    assert files_of(store) == before
    assert told.artifacts == [loose]
    assert told.claims == 1
    assert {file.sha256 for file in told.files} == {loose.removeprefix("art_"), orphan.digest}
    assert (told.live, told.spared) == (len(before) - 2, 0)
    assert store.gc_artifacts(**asked) == len(told.files)
    assert before - files_of(store) == {file.path for file in told.files}


def test_what_is_young_is_spared(store):
    store.objects.put(b"nobody", "npy")
    told = store.preview.gc_artifacts(orphan_grace=3600.0)
    assert (told.files, told.live, told.spared) == ([], 0, 1)
    with pytest.raises(StoreValueError, match="orphan_grace"):
        store.preview.gc_artifacts(orphan_grace=-1.0)


def test_identifiers_and_counts(store, run, pipeline, make_chain, make_prediction):
    """A command line finds by prefix what these list."""
    chain_id = make_chain(store, pipeline)
    store.save_prediction(**make_prediction(pipeline_id=pipeline))
    kinds = {run: "run", pipeline: "pipeline", chain_id: "chain"}
    assert store.preview.identifiers() == kinds
    assert store.preview.counts() == {"runs": 1, "pipelines": 1, "chains": 1, "predictions": 1}
