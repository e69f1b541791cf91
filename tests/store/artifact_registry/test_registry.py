"""The registry on a real workspace: records, rows and files must tell the same story."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mosaic_dagster.errors import ArtifactCorruptError, StateError, UntrustedArtifactError
from mosaic_dagster.store.artifact_registry import (
    ArtifactRecord,
    ArtifactRegistry,
    ArtifactType,
    MetaModelConfig,
    OperatorChain,
)
from mosaic_dagster.store.workspace.store import WorkspaceStore

PATH = "s1.MinMaxScaler>s3.PLS"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WorkspaceStore]:
    with WorkspaceStore(tmp_path) as opened:
        yield opened


@pytest.fixture
def registry(store: WorkspaceStore) -> ArtifactRegistry:
    return ArtifactRegistry(store.workspace_path, "mice", store, "p")


@pytest.fixture
def stray(store: WorkspaceStore) -> Callable[[timedelta], Path]:
    """Makes a file of four bytes below ``artifacts/`` that nothing names, of some age."""

    def make(age: timedelta) -> Path:
        stored = store.objects.put(b"lost", "bin")
        path = store.objects.path(stored.digest, "bin")
        then = path.stat().st_mtime - age.total_seconds()
        os.utime(path, (then, then))
        return path

    return make


def values(number: float) -> np.ndarray:
    return np.full(3, number)


def rows(store: WorkspaceStore) -> dict[str, dict[str, Any]]:
    return {row["artifact_id"]: row for row in store.list_artifacts().to_dicts()}


def files(store: WorkspaceStore) -> set[str]:
    return {f"{item.digest[:2]}/{item.digest}.{item.ext}" for item in store.objects.all()}


def add(
    registry: ArtifactRegistry, number: float, path: str = PATH, **fields: Any
) -> ArtifactRecord:
    fields = {"artifact_type": "model", "step_index": 3, **fields}
    return registry.register_with_chain(values(number), path, **fields)


def name_in_chain(store: WorkspaceStore, artifact_id: str) -> None:
    run = store.begin_run("r", {}, [{"name": "mice"}])
    pipeline = store.begin_pipeline(run, "p", {}, [], "mice", "")
    step = {"step_idx": 0, "operator_class": "PLS", "params": {}, "artifact_id": artifact_id}
    store.save_chain(pipeline, [step], 0, "PLS", "", "shared", {"all": artifact_id}, {})


def test_a_registered_object_has_record_row_and_file(
    registry: ArtifactRegistry, store: WorkspaceStore
) -> None:
    """An object without its row would be taken for an orphan by the next collection."""
    record = add(registry, 1.0, fold_id=0, params={"n": np.int64(3)}, custom_name="mine")
    assert record.artifact_id == "p$d6ec12b94970:0"
    assert record.chain_path == PATH
    assert record.content_hash == f"sha256:{Path(record.path).stem}"
    assert (record.format, record.class_name) == ("npy", "ndarray")
    assert record.format_version == f"numpy=={np.__version__}"
    assert record.created_at.endswith("+00:00")
    assert (record.params, record.custom_name) == ({"n": 3}, "mine")
    assert files(store) == {record.path}
    row = rows(store)[record.artifact_id]
    assert (row["artifact_path"], row["content_hash"]) == (record.path, record.digest)
    assert (row["open_claims"], row["ref_count"]) == (1, 1)
    assert store.gc_artifacts(orphan_grace=0) == 0
    np.testing.assert_array_equal(registry.load_artifact(record), values(1.0))
    np.testing.assert_array_equal(store.load_artifact(record.artifact_id), values(1.0))


def test_the_place_comes_from_the_last_operator_unless_given(registry: ArtifactRegistry) -> None:
    """Without its branch, the record would be found on every branch."""
    path = "s1.A>s2.B[br=0.1,src=1,sub=2]"
    taken = add(registry, 1.0, path, step_index=2)
    given = add(registry, 2.0, path, step_index=2, fold_id=0, branch_path=[], substep_index=0)
    assert (taken.branch_path, taken.source_index, taken.substep_index) == ([0, 1], 1, 2)
    assert (given.branch_path, given.source_index, given.substep_index) == ([], 1, 0)


def test_a_ready_id_gives_pipeline_and_fold(registry: ArtifactRegistry) -> None:
    record = registry.register(values(1), "q:1$0a1b:4", "transformer", chain_path="s2.B[br=1]")
    assert (record.pipeline_id, record.fold_id, record.step_index) == ("q:1", 4, 2)
    assert record.branch_path == [1]
    assert registry.register(values(1), "q$0a1b:all", "model").step_index == 0


def test_the_pipeline_is_the_arguments_then_the_chains_then_the_registrys(
    registry: ArtifactRegistry,
) -> None:
    chain = OperatorChain.from_path(PATH, "of_chain")
    assert add(registry, 1.0).pipeline_id == "p"
    assert add(registry, 1.0, chain).pipeline_id == "of_chain"
    assert add(registry, 1.0, chain, pipeline_id="given").pipeline_id == "given"


@pytest.mark.parametrize("chain", ["", OperatorChain()])
def test_an_object_without_a_chain_is_refused(registry: ArtifactRegistry, chain: Any) -> None:
    """All of them would have one id, and the last would replace the others."""
    with pytest.raises(ValueError, match=r"empty chain"):
        add(registry, 1.0, chain)


def test_equal_objects_share_one_file(registry: ArtifactRegistry, store: WorkspaceStore) -> None:
    """Five folds of one scaler are one file, and each has its record and row."""
    records = [add(registry, 1.0, fold_id=fold) for fold in range(5)]
    assert files(store) == {records[0].path}
    assert set(rows(store)) == {record.artifact_id for record in records}
    assert registry.resolve_by_hash(records[0].digest) == records[0]


def test_a_re_run_replaces_the_record_and_the_row(
    registry: ArtifactRegistry, store: WorkspaceStore
) -> None:
    add(registry, 1.0)
    new = add(registry, 2.0)
    assert registry.get_all_records() == [new]
    assert rows(store)[new.artifact_id]["content_hash"] == new.digest
    np.testing.assert_array_equal(store.load_artifact(new.artifact_id), values(2.0))


def test_content_that_a_chain_names_is_not_replaced(
    registry: ArtifactRegistry, store: WorkspaceStore
) -> None:
    """The stored chain would predict with another model than the one that was scored."""
    record = add(registry, 1.0)
    name_in_chain(store, record.artifact_id)
    with pytest.raises(StateError):
        add(registry, 2.0)
    assert registry.get_all_records() == [record]
    np.testing.assert_array_equal(registry.load_artifact(record), values(1.0))


def test_an_object_that_cannot_be_stored_leaves_nothing(
    registry: ArtifactRegistry, store: WorkspaceStore
) -> None:
    """Half an artifact would be found and not load."""
    with pytest.raises(ValueError, match=r"cannot be stored"):
        registry.register_with_chain(lambda x: x, PATH, "model", 3, format_hint="pickle")
    with pytest.raises(TypeError, match=r"params"):
        add(registry, 1.0, params={"f": object()})
    assert (len(registry), files(store), rows(store)) == (0, set(), {})


def test_an_id_of_another_chain_is_refused_before_anything_is_written(
    registry: ArtifactRegistry, store: WorkspaceStore
) -> None:
    record = add(registry, 1.0)
    with pytest.raises(ValueError, match=r"belongs to the chain"):
        registry.register(values(2), record.artifact_id, "model", chain_path="s1.Other")
    assert files(store) == {record.path}


def test_a_meta_model_knows_its_models_in_order(registry: ArtifactRegistry) -> None:
    one, two = add(registry, 1.0, "s3.A[br=0]"), add(registry, 2.0, "s3.B[br=1]")
    meta = registry.register_meta_model(values(3), "p$0a1b:all", [two.artifact_id, one.artifact_id])
    assert meta.artifact_type is ArtifactType.META_MODEL
    assert meta.depends_on == [two.artifact_id, one.artifact_id]
    assert meta.meta_config.source_ids() == meta.depends_on
    assert meta.meta_config.feature_columns == ["ndarray_pred", "ndarray_pred_2"]
    assert registry.resolve_dependencies(meta.artifact_id) == [two, one]
    assert registry.get_dependencies(meta.artifact_id) == meta.depends_on


def test_a_refused_meta_model_leaves_nothing(
    registry: ArtifactRegistry, store: WorkspaceStore
) -> None:
    """Whichever way it is registered, models of foreign branches and missing ones are refused."""
    one = add(registry, 1.0, "s3.A[br=1]")
    sources = [{"artifact_id": one.artifact_id, "feature_index": 0}]
    with pytest.raises(ValueError, match=one.artifact_id.replace("$", r"\$")):
        registry.register_meta_model(
            values(3), "p$0a1b:all", [one.artifact_id], chain_path="s4.M[br=0]"
        )
    with pytest.raises(ValueError, match=r"branch 0"):
        add(registry, 3.0, "s4.M[br=0]", meta_config=MetaModelConfig(sources, ["a"]))
    with pytest.raises(ValueError, match=r"p\$ff:0"):
        registry.register_meta_model(values(3), "p$0a1b:all", ["p$ff:0"])
    assert files(store) == {one.path}


def test_changed_bytes_are_noticed_before_they_are_read(
    registry: ArtifactRegistry, store: WorkspaceStore
) -> None:
    record = add(registry, 1.0)
    path = store.objects.root / record.path
    path.chmod(0o644)
    path.write_bytes(b"other")
    with pytest.raises(ArtifactCorruptError, match=r"p\$d6ec12b94970:all"):
        registry.load_artifact(record)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        registry.load_artifact(record)


def test_a_store_without_trust_loads_nothing_that_runs_code(tmp_path: Path) -> None:
    """Who opens a foreign workspace with ``allow_pickle=False`` must not run its pickles."""
    with ArtifactRegistry(tmp_path, "mice", pipeline_id="p") as registry:
        record = add(registry, 1.0, format_hint="joblib")
    with WorkspaceStore(tmp_path, allow_pickle=False) as store:
        wary = ArtifactRegistry(tmp_path, "mice", store)
        with pytest.raises(UntrustedArtifactError):
            wary.load_artifact(record)


def test_a_failed_run_is_forgotten_with_its_files(
    registry: ArtifactRegistry, store: WorkspaceStore
) -> None:
    """The scaler of the run has the bytes of an older one, so its file stays."""
    kept = add(registry, 1.0, "s1.A", step_index=1)
    registry.start_run()
    add(registry, 1.0, "s2.B", step_index=2)
    gone = add(registry, 2.0, "s3.C", depends_on=[kept.artifact_id])
    assert registry.cleanup_failed_run() == 2
    assert registry.get_all_records() == [kept]
    assert registry.get_by_chain("s3.C") is None
    assert registry.get_dependencies(gone.artifact_id) == []
    assert files(store) == {kept.path}
    assert set(rows(store)) == {kept.artifact_id}
    assert registry.cleanup_failed_run() == 0


def test_a_failed_re_run_leaves_what_was_there_before(
    registry: ArtifactRegistry, store: WorkspaceStore
) -> None:
    """Last night's model must survive tonight's crash, in record, row and file."""
    old = add(registry, 1.0)
    registry.start_run()
    new = add(registry, 2.0)
    assert registry.cleanup_failed_run() == 1
    assert registry.resolve(new.artifact_id) == old
    assert rows(store)[old.artifact_id]["content_hash"] == old.digest
    assert files(store) == {old.path}


def test_a_run_that_registers_twice_is_undone_to_what_was_before_it(
    registry: ArtifactRegistry,
) -> None:
    """The second registration is the run's own; it must not pass for what was there before."""
    old = add(registry, 1.0)
    registry.start_run()
    add(registry, 2.0)
    add(registry, 3.0)
    assert registry.cleanup_failed_run() == 1
    assert registry.get_all_records() == [old]


def test_a_run_that_ended_is_not_cleaned_up(registry: ArtifactRegistry) -> None:
    registry.start_run()
    record = add(registry, 1.0)
    registry.end_run()
    assert registry.cleanup_failed_run() == 0
    assert registry.get_all_records() == [record]


def test_orphans_are_what_neither_table_nor_manifest_names(
    registry: ArtifactRegistry, store: WorkspaceStore, stray: Callable[[timedelta], Path]
) -> None:
    """A file of another dataset, or of the features, must never be listed."""
    add(registry, 1.0)
    other = ArtifactRegistry(store.workspace_path, "fish", store, "q")
    foreign = add(other, 2.0)
    assert registry.find_orphaned_artifacts() == []
    assert registry.find_orphaned_artifacts(scan_all_manifests=False) == [foreign.path]
    lost = stray(timedelta(0)).relative_to(store.objects.root).as_posix()
    assert registry.find_orphaned_artifacts() == [lost]
    item = ArtifactRecord("z$aa:all", f"sha256:{Path(lost).stem}", lost)
    other.import_from_manifest([item.to_dict()])
    other.save_manifest()
    assert registry.find_orphaned_artifacts() == []


def test_a_damaged_manifest_stops_the_search_for_orphans(registry: ArtifactRegistry) -> None:
    """Passed over, the files that it names would be deleted."""
    registry.save_manifest().write_text("items: [", encoding="utf-8")
    for ask in (
        registry.find_orphaned_artifacts,
        registry.get_stats,
        lambda: registry.delete_orphaned_artifacts(dry_run=False),
        lambda: registry.purge_dataset_artifacts(confirm=True),
        lambda: registry.delete_pipeline_artifacts("p", delete_files=True),
    ):
        with pytest.raises(ValueError, match=r"cannot be read"):
            ask()


def test_deleting_orphans_spares_what_may_be_in_use(
    registry: ArtifactRegistry, store: WorkspaceStore, stray: Callable[[timedelta], Path]
) -> None:
    """A worker's file is named only when its step ends; four bytes are lost for two days."""
    kept = add(registry, 1.0)
    path = stray(timedelta(days=2))
    name = path.relative_to(store.objects.root).as_posix()
    assert registry.delete_orphaned_artifacts() == ([name], 4)
    assert path.is_file()
    assert registry.delete_orphaned_artifacts(dry_run=False) == ([name], 4)
    assert files(store) == {kept.path}
    path = stray(timedelta(0))
    assert registry.delete_orphaned_artifacts(dry_run=False) == ([], 0)
    assert registry.delete_orphaned_artifacts(dry_run=False, grace=timedelta(0)) == ([name], 4)


def test_deleting_orphans_never_takes_what_a_table_names(
    registry: ArtifactRegistry, store: WorkspaceStore
) -> None:
    """``scan_all_manifests=False`` must not delete another dataset's models."""
    other = ArtifactRegistry(store.workspace_path, "fish", store, "q")
    foreign = add(other, 2.0)
    gone = registry.delete_orphaned_artifacts(False, False, grace=timedelta(0))
    assert gone == ([], 0)
    assert files(store) == {foreign.path}


def test_a_pipeline_goes_and_leaves_what_others_share(
    registry: ArtifactRegistry, store: WorkspaceStore
) -> None:
    kept = add(registry, 1.0, pipeline_id="q")
    add(registry, 1.0)
    add(registry, 2.0, "s3.Own")
    assert registry.delete_pipeline_artifacts("p", delete_files=True) == 2
    assert registry.get_all_records() == [kept]
    assert files(store) == {kept.path}
    assert registry.delete_pipeline_artifacts("unknown", delete_files=True) == 0


def test_a_pipeline_may_be_forgotten_without_its_files(
    registry: ArtifactRegistry, store: WorkspaceStore
) -> None:
    record = add(registry, 1.0)
    assert registry.delete_pipeline_artifacts("p") == 1
    assert (len(registry), files(store)) == (0, {record.path})


def test_a_shared_file_whose_record_lost_its_row_stays(
    registry: ArtifactRegistry, store: WorkspaceStore
) -> None:
    """A manifest from before the database was made anew names the file; it gets a row again."""
    record = add(registry, 1.0)
    other = replace(record, artifact_id="q$aa:all", pipeline_id="q")
    registry.import_from_manifest([other.to_dict()])
    registry.delete_pipeline_artifacts("p", delete_files=True)
    assert set(rows(store)) == {"q$aa:all"}
    np.testing.assert_array_equal(registry.load_artifact(other), values(1.0))


def test_what_a_chain_names_outlives_the_purge(
    registry: ArtifactRegistry, store: WorkspaceStore
) -> None:
    """A stored chain must still predict after the dataset's registry was emptied."""
    named, free = add(registry, 1.0), add(registry, 2.0, "s3.Free")
    name_in_chain(store, named.artifact_id)
    assert registry.purge_dataset_artifacts(confirm=True) == (1, free.size_bytes)
    assert files(store) == {named.path}
    np.testing.assert_array_equal(store.load_artifact(named.artifact_id), values(1.0))


def test_a_purge_takes_what_only_the_dataset_needs(
    registry: ArtifactRegistry, store: WorkspaceStore
) -> None:
    """Also what only its manifests know; a file shared with another dataset stays."""
    earlier = ArtifactRegistry(store.workspace_path, "mice", store, "earlier")
    written = add(earlier, 3.0, "s3.Written")
    earlier.save_manifest()
    other = ArtifactRegistry(store.workspace_path, "fish", store, "q")
    kept = add(other, 1.0)
    add(registry, 1.0)
    own = add(registry, 2.0, "s3.Own")
    registry.save_manifest()
    manifest = other.save_manifest()
    with pytest.raises(ValueError, match=r"confirm=True"):
        registry.purge_dataset_artifacts()
    size = own.size_bytes + written.size_bytes
    assert registry.purge_dataset_artifacts(confirm=True) == (2, size)
    assert files(store) == {kept.path}
    assert len(registry) == 0
    assert list((store.workspace_path / "library").rglob("*.yaml")) == [manifest]


def test_a_purge_leaves_the_row_that_another_dataset_took_over(
    registry: ArtifactRegistry, store: WorkspaceStore
) -> None:
    """Ids do not name the dataset: with one pipeline id for both, the row is the later one's."""
    add(registry, 1.0)
    later = add(ArtifactRegistry(store.workspace_path, "fish", store, "p"), 2.0)
    registry.purge_dataset_artifacts(confirm=True)
    assert rows(store)[later.artifact_id]["content_hash"] == later.digest
    np.testing.assert_array_equal(store.load_artifact(later.artifact_id), values(2.0))


def test_the_figures_add_up(
    registry: ArtifactRegistry, store: WorkspaceStore, stray: Callable[[timedelta], Path]
) -> None:
    """Three records on two files: a third is saved. The stray file has four bytes."""
    assert registry.get_stats()["deduplication_ratio"] == 0.0
    one = add(registry, 1.0)
    add(registry, 1.0, fold_id=0)
    two = add(registry, 2.0, "s1.A", artifact_type="transformer")
    stray(timedelta(0))
    assert registry.get_stats() == {
        "dataset": "mice",
        "total_artifacts": 3,
        "unique_files": 2,
        "total_size_bytes": 2 * one.size_bytes + two.size_bytes,
        "deduplication_ratio": pytest.approx(1 / 3),
        "by_type": {"model": 2, "transformer": 1},
        "orphaned_count": 1,
        "orphaned_size_bytes": 4,
        "disk_usage_bytes": one.size_bytes + two.size_bytes + 4,
        "disk_file_count": 3,
    }


def test_another_process_finds_everything_through_the_manifest(
    registry: ArtifactRegistry, store: WorkspaceStore
) -> None:
    base = add(registry, 1.0, "s1.A", step_index=1)
    add(registry, 2.0, fold_id=1, depends_on=[base.artifact_id])
    registry.save_manifest()
    other = ArtifactRegistry(store.workspace_path, "mice", store)
    assert other.load_manifests() == 2
    assert other.get_all_records() == registry.get_all_records()
    model = other.get_by_chain(PATH, 1)
    assert other.resolve_dependencies(model.artifact_id) == [base]
    assert other.export_to_manifest() == registry.export_to_manifest()
    assert ArtifactRegistry(store.workspace_path, "fish", store).load_manifests() == 0


def test_of_two_manifests_the_newer_record_counts(
    registry: ArtifactRegistry, store: WorkspaceStore
) -> None:
    """A manifest of an earlier run must not bring back the model that a re-run replaced."""
    add(registry, 1.0)
    registry.save_manifest(store.workspace_path / "library" / "manifests" / "mice" / "z.yaml")
    new = add(registry, 2.0)
    registry.save_manifest()
    other = ArtifactRegistry(store.workspace_path, "mice", store)
    other.load_manifests()
    assert other.resolve(new.artifact_id) == new


def test_a_registry_closes_only_the_store_that_it_opened(tmp_path: Path) -> None:
    with ArtifactRegistry(tmp_path, "mice") as own:
        add(own, 1.0, pipeline_id="p")
        mine = own.store
    with pytest.raises(RuntimeError, match=r"closed"):
        mine.list_artifacts()
    with WorkspaceStore(tmp_path) as store:
        ArtifactRegistry(tmp_path, "mice", store).close()
        assert set(rows(store)) == {"p$d6ec12b94970:all"}
